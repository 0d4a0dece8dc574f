"""`LtiAdapter`: an LMS by the specs, in short steps that a plugin's subclass overrides where its LMS differs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar, ParamSpec, TypeVar

from ltihost.errors import ServiceFailed
from ltihost.lti import line_items, memberships, results, scores
from ltihost.lti.deep_linking import response_claims
from ltihost.lti.link_header import next_url
from ltihost.lti.service_json import read_body, write_body
from ltihost.lti.strict_json import StrictJsonError
from ltihost.lti.vocabulary import (
    SCOPE_LINE_ITEM,
    SCOPE_LINE_ITEM_READ,
    SCOPE_MEMBERSHIPS,
    SCOPE_RESULT_READ,
    SCOPE_SCORE,
)
from ltihost.plugins.abilities import (
    AdapterServices,
    KeepsGradebook,
    PicksContent,
    ReadsRoster,
    SendsScores,
    SpeaksLti,
)
from ltihost.plugins.service_client import Call, ServiceClient
from ltihost.records import Binding
from ltihost.service_records import (
    Delivered,
    GiveUp,
    LineItem,
    LineItemGone,
    NeedsAttention,
    Operation,
    Outcome,
    Result,
    RetryLater,
    RosterPage,
    Score,
    ServiceAnswer,
    ServiceUrls,
)

P = ParamSpec("P")
T = TypeVar("T")


class LtiAdapter(SpeaksLti, KeepsGradebook, SendsScores, ReadsRoster, PicksContent):
    """An LMS that follows the specs. It is registered as the plugin `lti`, so a conformant LMS needs no plugin.

    Adapters are cheap values: built for one piece of work from a binding and what core lends, no I/O in the
    constructor. `services` is None while a message is read, which needs none.
    """

    #: Whether a client assertion names the deployment that the token is for. Core spec 6.2.1.
    sends_deployment_claim: ClassVar[bool] = False
    #: Whether the LMS refuses a score that is older than the one it has. Where it does not, a score whose fate was
    #: unknown is sent once more when things have settled.
    enforces_timestamp: ClassVar[bool] = False
    #: How many requests at a time one registration gets.
    in_flight: ClassVar[int] = 4
    #: Members a page of a roster, and rows a page of results, are asked to hold; None leaves it to the LMS.
    page_limit: ClassVar[int | None] = None
    result_limit: ClassVar[int | None] = None
    #: Whether the results of one user are asked for by `user_id`; else all are read and the others left out.
    sends_user_id_filter: ClassVar[bool] = True
    #: Whether a roster's roles are as good as those of a launch; else a role that is known from one stays.
    trusts_roster_roles: ClassVar[bool] = True
    #: Whether a line item that the LMS lost may be made anew without asking anybody.
    may_recreate_line_items: ClassVar[bool] = False

    def __init__(self, binding: Binding, services: AdapterServices | None = None) -> None:
        self.binding = binding
        self._client = None if services is None else ServiceClient(services)

    @property
    def client(self) -> ServiceClient:
        """The way to the LMS's services. Only there when core lent some."""
        assert self._client is not None, "this adapter was made to read messages"
        return self._client

    # --- Steps that an LMS's plugin overrides -------------------------------------------------------------------

    def user_key(self, claims: Mapping[str, Any]) -> str | None:
        """`sub`, which is stable and never reassigned within an issuer. Core spec 5.3.6."""
        subject = claims.get("sub")
        return subject if isinstance(subject, str) else None

    def member_key(self, subject: str) -> str | None:
        """The key of the person whose row in a roster has this `user_id`: the same as at that person's launches."""
        return self.user_key({"sub": subject})

    def assertion_claims(self, claims: dict[str, Any]) -> dict[str, Any]:
        """The claims of a client assertion as this LMS wants them; may be changed in place. Security Framework 4.1.1."""
        return claims

    def line_item_body(self, line_item: LineItem, current: Mapping[str, Any] | None) -> dict[str, Any]:
        """What to post (`current` is None), or to put in place of the object `current`."""
        return line_items.new_body(line_item) if current is None else line_items.changed_body(line_item, current)

    def score_body(self, line_item: LineItem, subject: str, score: Score, at: int) -> dict[str, Any]:
        """What to post for a score. Equal arguments must give an equal body: repeats are byte for byte the same."""
        return scores.score_body(subject, score, at)

    def match_result(self, result: Result, subject: str) -> bool:
        """Whether a row that came when one user's results were asked for is this user's."""
        return result.subject == subject

    def members_url(self, url: str, *, resource_link: str | None, role: str | None) -> str:
        """The first page of a roster."""
        return memberships.members_url(url, resource_link=resource_link, role=role, limit=self.page_limit)

    def next_page(self, answer: ServiceAnswer, url: str, seen: Collection[str]) -> str | None:
        """The page after the one at `url`, None on the last. `seen` holds every URL read so far."""
        return next_url(answer, url)

    # --- Line items -------------------------------------------------------------------------------------------

    async def line_items(
        self,
        urls: ServiceUrls,
        *,
        resource_id: str | None = None,
        tag: str | None = None,
        resource_link: str | None = None,
    ) -> tuple[LineItem, ...]:
        """See `KeepsGradebook`. The filters are sent, and applied once more to what comes."""
        container = _there(urls.line_items_url)
        call = self._reading(urls, "line_items.list", line_items.CONTAINER_TYPE)
        wanted: dict[str, str | None] = {"resource_id": resource_id, "tag": tag, "resource_link": resource_link}
        url = line_items.line_items_url(container, **wanted)
        found: list[LineItem] = []
        async with aclosing(self.client.pages(url, call, self.next_page)) as pages:
            async for _, answer in pages:
                read = (line_items.read_line_item(value) for value in _rows(answer))
                found += (item for item in read if item is not None and line_items.fits(item, **wanted))
        return tuple(found)

    async def read_line_item(self, urls: ServiceUrls, line_item: LineItem) -> LineItem:
        """See `KeepsGradebook`."""
        call = self._reading(urls, "line_item.read", line_items.MEDIA_TYPE)
        return _line_item(await self.client.send("GET", _url(line_item), call), line_item)

    async def create_line_item(self, urls: ServiceUrls, line_item: LineItem) -> LineItem:
        """See `KeepsGradebook`. Raises ServiceFailed (`line_item_invalid`) before anything is sent."""
        container = _there(urls.line_items_url)
        call = self._writing(urls, "line_item.create")
        content = write_body(self.line_item_body(_valid(line_item), None))
        return _line_item(await self.client.send("POST", container, call, content), line_item)

    async def update_line_item(self, urls: ServiceUrls, line_item: LineItem) -> LineItem:
        """See `KeepsGradebook`. An object that is as it should be already is not written."""
        url, wanted = _url(line_item), _valid(line_item)
        call = self._writing(urls, "line_item.update")
        answer = await self.client.send("GET", url, replace(call, media_type=None))
        current = _line_item(answer, line_item)
        content = write_body(self.line_item_body(wanted, current.raw))
        if content == write_body(self.line_item_body(current, current.raw)):
            return current
        answer = await self.client.send("PUT", url, call, content)
        try:
            return _line_item(answer, line_item)
        except ServiceFailed:  # not every LMS answers with the object
            return await self.read_line_item(urls, line_item)

    async def delete_line_item(self, urls: ServiceUrls, line_item: LineItem) -> None:
        """See `KeepsGradebook`."""
        call = replace(self._writing(urls, "line_item.delete"), accept="*/*", media_type=None)
        try:
            await self.client.send("DELETE", _url(line_item), call)
        except ServiceFailed as failed:
            if not isinstance(failed.outcome, LineItemGone):
                raise

    # --- Scores and results -----------------------------------------------------------------------------------

    async def send_score(self, urls: ServiceUrls, line_item: LineItem, subject: str, score: Score, at: int) -> Outcome:
        """See `SendsScores`."""
        if not scores.is_valid(score):
            return GiveUp("score_invalid", at_once=True)
        try:
            call = Call(
                "score", _offered(urls, SCOPE_SCORE), scores.MAX_BYTES,
                also=urls.ags_scopes, media_type=scores.MEDIA_TYPE,
            )  # fmt: skip
            content = write_body(self.score_body(line_item, subject, score, at))
            answer = await self.client.send("POST", scores.scores_url(_url(line_item)), call, content)
        except ServiceFailed as failed:
            return Delivered() if self._took_score(failed) else failed.outcome
        return RetryLater("web_page") if scores.is_web_page(answer.body) else Delivered()

    def _took_score(self, failed: ServiceFailed) -> bool:
        """Whether it did all the same: a 2xx whose body broke off, or never ended. Not one of the token endpoint, nor one
        with a body larger than any answer to a score, which may be a page of somebody in between."""
        if failed.status is None or self.client.lacks_token:
            return False
        return 200 <= failed.status < 300 and failed.code != "too_large"

    async def results(
        self, urls: ServiceUrls, line_item: LineItem, *, subject: str | None = None
    ) -> tuple[Result, ...]:
        """See `SendsScores`. A user stands in it once at most."""
        scopes = _offered(urls, SCOPE_RESULT_READ)
        call = Call(
            "results", scopes, results.MAX_BYTES, also=urls.ags_scopes, accept=results.CONTAINER_TYPE
        )  # fmt: skip
        asked = subject if self.sends_user_id_filter else None
        url = results.results_url(_url(line_item), subject=asked, limit=self.result_limit)
        found: list[Result] = []
        async with aclosing(self.client.pages(url, call, self.next_page)) as pages:
            async for _, answer in pages:
                found += (row for value in _rows(answer) if (row := results.read_result(value)) is not None)
        return results.newest_of_each(row for row in found if subject is None or self.match_result(row, subject))

    # --- Rosters ----------------------------------------------------------------------------------------------

    async def roster(
        self, urls: ServiceUrls, *, resource_link: str | None = None, role: str | None = None
    ) -> AsyncIterator[RosterPage]:
        """See `ReadsRoster`. The role is only a hint: an LMS may ignore it, so it does not spare looking."""
        url = self.members_url(_there(urls.memberships_url), resource_link=resource_link, role=role)
        call = Call(
            "roster", (SCOPE_MEMBERSHIPS,), memberships.MAX_PAGE_BYTES, accept=memberships.CONTAINER_TYPE
        )  # fmt: skip
        total = 0
        async with aclosing(self.client.pages(url, call, self.next_page)) as pages:
            async for at, answer in pages:
                page = _readable(answer, memberships.read_page, answer, at)
                total += len(page.rows)
                if total > memberships.MAX_MEMBERS:
                    text = f"The roster has more than {memberships.MAX_MEMBERS} members."
                    raise ServiceFailed(NeedsAttention("roster_too_large"), text)
                yield page

    # --- Deep linking -----------------------------------------------------------------------------------------

    def deep_linking_claims(
        self, items: Sequence[Mapping[str, Any]], *, data: str | None, message: str | None, error: str | None
    ) -> dict[str, Any]:
        """See `PicksContent`."""
        deployment_id = self.binding.deployment_id
        return response_claims(items, deployment_id=deployment_id, data=data, message=message, error=error)

    # --- Parts ------------------------------------------------------------------------------------------------

    def _reading(self, urls: ServiceUrls, operation: Operation, accept: str) -> Call:
        """Reading line items: with the scope that allows no more than that, where the LMS offers it."""
        scopes = _offered(urls, SCOPE_LINE_ITEM_READ, SCOPE_LINE_ITEM)
        return Call(operation, scopes, line_items.MAX_BYTES, also=urls.ags_scopes, accept=accept)

    def _writing(self, urls: ServiceUrls, operation: Operation) -> Call:
        return Call(
            operation, _offered(urls, SCOPE_LINE_ITEM), line_items.MAX_BYTES,
            also=urls.ags_scopes, accept=line_items.MEDIA_TYPE, media_type=line_items.MEDIA_TYPE,
        )  # fmt: skip


def _offered(urls: ServiceUrls, *scopes: str) -> tuple[str, ...]:
    """The first of these scopes that the LMS offers in this context. Others are not asked for. AGS 3.1."""
    for scope in scopes:
        if scope in urls.ags_scopes:
            return (scope,)
    raise ServiceFailed(NeedsAttention("scope_missing"), f"The LMS does not offer the scope {scopes[-1]} here.")


def _there(url: str | None) -> str:
    if url is None:
        raise ServiceFailed(NeedsAttention("service_missing"), "The LMS does not offer this service here.")
    return url


def _url(line_item: LineItem) -> str:
    if line_item.url is None:
        raise ServiceFailed(LineItemGone(), "The line item is not in the LMS.")
    return line_item.url


def _valid(line_item: LineItem) -> LineItem:
    if not line_items.is_valid(line_item):
        text = f"A line item needs a label, a maximum above 0, and names of at most {line_items.MAX_TEXT} characters."
        raise ServiceFailed(GiveUp("line_item_invalid", at_once=True), text)
    return line_item


def _line_item(answer: ServiceAnswer, ours: LineItem) -> LineItem:
    """The line item in an answer, still known as ours."""
    read = line_items.read_line_item(_readable(answer, read_body, answer.body), ours.url)
    if read is None:
        raise _unreadable(answer)
    return replace(read, id=ours.id, coupled=ours.coupled)


def _rows(answer: ServiceAnswer) -> Sequence[object]:
    """A list; what a plugin took for an answer without rows has none."""
    value = _readable(answer, read_body, answer.body)
    if value is not None and not isinstance(value, list):
        raise _unreadable(answer)
    return value or ()


def _readable(answer: ServiceAnswer, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return read(*args, **kwargs)
    except StrictJsonError as error:
        raise _unreadable(answer) from error


def _unreadable(answer: ServiceAnswer) -> ServiceFailed:
    """A login or maintenance page that is sent with 200, for one: it should pass."""
    text = "The LMS answered with something that is not what was asked for."
    return ServiceFailed(RetryLater("answer_unreadable"), text, status=answer.status, excerpt=answer.text)
