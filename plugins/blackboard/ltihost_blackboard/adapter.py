"""Learn beyond single answers: how it may be asked, and what takes a second step."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from ltihost.plugins import (
    LineItem,
    LineItemGone,
    LtiAdapter,
    NeedsAttention,
    Outcome,
    PausePlatform,
    Result,
    RetryLater,
    RosterPage,
    Score,
    ServiceAnswer,
    ServiceFailed,
    ServiceUrls,
)
from ltihost_blackboard.scores import new_comment, to_text

#: What a PUT may hold; Learn answers 400 to `id` (columns sample in Blackboard's documentation).
WRITABLE = ("label", "scoreMaximum", "endDateTime", "gradesReleased", "resourceId", "tag")


class BlackboardAdapter(LtiAdapter):
    """One call at a time: Learn takes scores in the order in which they come, whatever their timestamps say (grades sample
    in Blackboard's documentation). Asked for one user it leaves out the comment (case 05333239, hypothesis/lms 5839), so
    results are read whole.
    """

    #: An unmapped course assistant is an Instructor in the roster; only a launch tells who it is.
    trusts_roster_roles = False

    in_flight = 1
    result_limit = 1_000
    sends_user_id_filter = False

    async def send_score(self, urls: ServiceUrls, line_item: LineItem, subject: str, score: Score, at: int) -> Outcome:
        """A score without comment takes away the one that stands, the teacher's too (hypothesis/lms 5685): unless the
        application has a new one, it goes along.
        """
        if not new_comment(score):
            try:
                score = replace(score, comment=await self._comment(urls, line_item, subject))
            except ServiceFailed as failed:
                if isinstance(failed.outcome, RetryLater):
                    return replace(failed.outcome, applied="no")
                if isinstance(failed.outcome, PausePlatform):
                    return failed.outcome
                # A tool that may not read results sends the grade all the same.
        outcome = await super().send_score(urls, line_item, subject, score, at)
        return await self._certain(outcome, urls, line_item)

    async def results(
        self, urls: ServiceUrls, line_item: LineItem, *, subject: str | None = None
    ) -> tuple[Result, ...]:
        """Comments as plain text: Learn holds HTML."""
        found = await super().results(urls, line_item, subject=subject)
        return tuple(replace(row, comment=to_text(row.comment) or None) if row.comment else row for row in found)

    async def _comment(self, urls: ServiceUrls, line_item: LineItem, subject: str) -> str | None:
        """The comment that stands, as Learn holds it."""
        found = await super().results(urls, line_item, subject=subject)
        return found[0].comment if found else None

    async def read_line_item(self, urls: ServiceUrls, line_item: LineItem) -> LineItem:
        try:
            return await super().read_line_item(urls, line_item)
        except ServiceFailed as failed:
            outcome = await self._certain(failed.outcome, urls, line_item)
            raise ServiceFailed(outcome, failed.message, status=failed.status, excerpt=failed.excerpt) from failed

    async def update_line_item(self, urls: ServiceUrls, line_item: LineItem) -> LineItem:
        """What becomes of grades under another maximum is undocumented: where somebody has a result, the rest is brought
        to Learn, the maximum stays, and a person is told (`maximum_in_use`).
        """
        current = await self.read_line_item(urls, line_item)
        if current.maximum == _whole(line_item.maximum) or not await self._in_use(urls, current):
            return await super().update_line_item(urls, line_item)
        await super().update_line_item(urls, replace(line_item, maximum=current.maximum))
        text = "Nobody knows what Learn makes of grades under another maximum, so it was left as it is."
        raise ServiceFailed(NeedsAttention("maximum_in_use"), text)

    async def _in_use(self, urls: ServiceUrls, line_item: LineItem) -> bool:
        """Whether anybody has a result; a tool that may not look assumes so."""
        try:
            return bool(await self.results(urls, line_item))
        except ServiceFailed as failed:
            if isinstance(failed.outcome, NeedsAttention):
                return True
            raise

    def line_item_body(self, line_item: LineItem, current: Mapping[str, Any] | None) -> dict[str, Any]:
        """A whole number as maximum, rounded up; scores keep the exact one. A column is tied to a link by Learn alone, and
        has no start.
        """
        whole = replace(line_item, maximum=_whole(line_item.maximum))
        body = super().line_item_body(whole, current)
        return {name: value for name, value in body.items() if name in WRITABLE}

    def next_page(self, answer: ServiceAnswer, url: str, seen: Collection[str]) -> str | None:
        """The last page names an earlier one as its next (Behind the Blackboard 000078208)."""
        following = super().next_page(answer, url, seen)
        return None if following in seen else following

    def members_url(self, url: str, *, resource_link: str | None, role: str | None) -> str:
        """The URL of a launch may hold the link already (hypothesis/lms, lti_names_roles.py)."""
        named = "rlid" in parse_qs(urlsplit(url).query)
        return super().members_url(url, resource_link=None if named else resource_link, role=role)

    async def roster(
        self, urls: ServiceUrls, *, resource_link: str | None = None, role: str | None = None
    ) -> AsyncIterator[RosterPage]:
        """Ends at a page that lists nobody new: its `next` leads on for ever (Behind the Blackboard 000078208)."""
        known: set[object] = set()
        pages = cast("AsyncGenerator[RosterPage]", super().roster(urls, resource_link=resource_link, role=role))
        async with aclosing(pages):
            async for page in pages:
                people = {str(row.get("user_id")) for row in page.rows}
                if known and people <= known:
                    return
                known |= people
                yield page

    def deep_linking_claims(
        self, items: Sequence[Mapping[str, Any]], *, data: str | None, message: str | None, error: str | None
    ) -> dict[str, Any]:
        """Learn requires `sub`, which is the client id (deep linking token in Blackboard's documentation)."""
        claims = super().deep_linking_claims(items, data=data, message=message, error=error)
        return {**claims, "sub": self.binding.registration.client_id}

    async def _certain(self, outcome: Outcome, urls: ServiceUrls, line_item: LineItem) -> Outcome:
        """Learn answers 404 for a deleted column and for a tool that is not installed (any more), so the list of columns
        is asked: only what it lacks is gone.
        """
        if not isinstance(outcome, LineItemGone):
            return outcome
        try:
            listed = {item.url for item in await self.line_items(urls)}
        except ServiceFailed as failed:
            return failed.outcome
        return RetryLater("line_item_not_found", applied="no") if line_item.url in listed else outcome


def _whole(maximum: Decimal) -> Decimal:
    return Decimal(math.ceil(maximum))
