"""Deep linking: what a teacher chose in the application's picker goes back to the platform, signed, once.

    POST /api/v1/deep-links/{id}/finish                                              the application, `finish`
      1 find the conversation     made of its stored launch; the same answer again gets the same URL
      2 check                     still open, a person who may choose content, kinds and number that the platform takes
      3 write                     each item as the wire has it, then as this LMS accepts it (`lint_content_item`)
      4 remember                  one transaction: the answer, and every item, so that its first launch is recognised
    GET /lti/deep-links/{token}, /r/{registration}/lti/deep-links/{token}            the browser, `give_back`
      5 spend                     the page works once
      6 sign                      now and not before: an answer is good for five minutes
      7 post                      to the return URL of the verified launch, by a form in the teacher's own browser

Deep Linking 2.0, Security Framework 5.2.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ltihost.addresses import http_permitted
from ltihost.bindings import SEALED, NotBound, sealed
from ltihost.errors import DecryptionError, Gone, Invalid, NotFound, NotPermitted
from ltihost.host import Host
from ltihost.launch_record import launch_record
from ltihost.lti.claims import MAX_TEXT, MAX_TITLE, clean
from ltihost.lti.content_items import ITEM_PARAMETER, LTI_LINK, Form, Writer, changes, check_answer, read_custom
from ltihost.lti.deep_linking import secured
from ltihost.plugins.abilities import PicksContent
from ltihost.records import Binding, DeepLinking, Launch, Registration
from ltihost.service_records import Unacceptable
from ltihost.store import deep_links
from ltihost.store.ids import new_id
from ltihost.store.linking_tables import ContentItem
from ltihost.targets import leads_to, origin_of
from ltihost.tool_urls import registered_base

log = structlog.get_logger()
#: Who may put content into a context.
AUTHORS = frozenset({"instructor", "teaching_assistant", "content_developer", "administrator"})
_TOKEN = "dl1"
_AFTER_PATH = re.compile("[?#]")

_AGAIN = "Go back to your course and choose the content again."
GONE = ("This page was used already", f"Your choice is sent to the learning platform once only. {_AGAIN}")
EXPIRED = ("This page is too old", f"Too much time went by. {_AGAIN}")
LATER = (
    "Please try again later",
    "Your choice is kept, but cannot be sent at the moment. Load this page again in a while.",
)
OFF = ("This tool is switched off here", "An administrator has switched the tool off for your organisation.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the application sends back: items in their form, or none (cancelled), and a word to the teacher.

    With `error` the platform is told that choosing failed; then there are no items.
    """

    items: Sequence[Form] = ()
    message: str | None = None
    error: str | None = None

    @property
    def digest(self) -> bytes:
        body = {"items": list(self.items), "message": self.message, "error": self.error}
        return hashlib.sha256(json.dumps(body, default=str, sort_keys=True).encode()).digest()


@dataclass(frozen=True, slots=True)
class Finished:
    """Where the application sends the teacher's browser, and what this LMS will keep otherwise than it was asked to."""

    continue_url: str
    warnings: Sequence[str]


class DeepLinkingFlow:
    """One instance serves the whole process; it keeps nothing of a conversation."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def routes(self) -> list[Route]:
        return [
            Route(prefix + "/lti/deep-links/{token}", self.give_back, methods=["GET"])
            for prefix in ("", "/r/{registration}")
        ]

    async def show(self, tenant_id: str, application_id: str, link_id: str) -> deep_links.DeepLink:
        """The conversation as it stands. Raises NotFound."""
        return await self.host.database.run(tenant_id, deep_links.get, link_id, application_id)

    async def finish(self, tenant_id: str, application_id: str, link_id: str, answer: Answer) -> Finished:
        """Keep the answer for the teacher's browser. Nothing is stored unless all is well.

        Raises NotFound, Gone (`deep_link_expired`), Conflict (`deep_link_finished`), NotBound, NotPermitted
        (`role_forbidden`), Invalid (a fault of an item), PluginFailed.
        """
        link = await self.show(tenant_id, application_id, link_id)
        if link.state != "open":
            deep_links.check_same(link, answer.digest)
            registration = await self._registration(link)
            return Finished(self._continue_url(link, registration), link.answer.get("warnings", ()))
        binding = await self.host.binding(link.registration_id, link.deployment_id)
        launch = launch_record(link.launch, binding)
        self._check(link, launch, answer)
        items, rows, warnings = self._written(link, launch, answer)
        await self.host.database.run(
            tenant_id,
            deep_links.finish,
            link,
            request_hash=answer.digest,
            answer={
                "items": items,
                "message": clean(answer.message, MAX_TITLE),
                "error": clean(answer.error, MAX_TITLE),
                "warnings": warnings,
            },
            items=rows,
            now=self.host.clock(),
        )
        return Finished(self._continue_url(link, binding.registration), warnings)

    async def give_back(self, request: Request) -> Response:
        """The page that posts the answer. A second visit learns that it is spent; only a person's own visit counts."""
        if request.method != "GET" or "prefetch" in request.headers.get("sec-purpose", ""):
            return PlainTextResponse("This page works once; it is not fetched ahead.", 503)
        link = await self._of_token(request.path_params["token"])
        named = request.path_params.get("registration")
        if link is None or named not in (None, link.registration_id):
            return self.host.pages.message(None, *GONE, status=404)
        registration = await self._registration(link)
        ancestors = self._frame_ancestors(link, registration)
        try:
            return await self._post_page(link, ancestors)
        except Gone as error:
            words = EXPIRED if error.code == "deep_link_expired" else GONE
            return self.host.pages.message(registration, *words, status=410, frame_ancestors=ancestors)
        except NotBound as error:
            log.info("deep_link.not_bound", deep_link=link.id, code=error.code)
            words, status = (LATER, 503) if error.code == SEALED else (OFF, 403)
            return self.host.pages.message(registration, *words, status=status, frame_ancestors=ancestors)

    # --- The steps ----------------------------------------------------------------------------------------------

    async def _registration(self, link: deep_links.DeepLink) -> Registration:
        route = await self.host.routing.route(link.registration_id)
        if route is None:
            raise NotFound("deep_link_unknown", "There is no such deep linking conversation.")
        return route.registration

    def _check(self, link: deep_links.DeepLink, launch: Launch, answer: Answer) -> None:
        """Step 2. Anybody may go back empty-handed."""
        if link.expires_at <= self.host.clock():
            raise Gone("deep_link_expired", "Content can be chosen for two hours; the person must begin again.")
        if answer.items and answer.error is not None:
            raise Invalid("items_with_error", "An answer has items or an error, not both.")
        if answer.items and launch.role not in AUTHORS:
            raise NotPermitted("role_forbidden", f"A person with the role {launch.role} may not choose content.")
        check_answer(answer.items, _settings(launch))

    def _written(
        self, link: deep_links.DeepLink, launch: Launch, answer: Answer
    ) -> tuple[list[dict[str, Any]], list[ContentItem], list[str]]:
        """Step 3, the rows of step 4, and the warnings."""
        launch_url = registered_base(self.host.settings, launch.binding.registration) + "/launch"
        writer = Writer(_settings(launch), launch_url, self._admits_http)
        items, rows, warnings = [], [], []
        for place, form in enumerate(answer.items):
            self._check_target(place, form, launch.binding)
            item_id = new_id("itm")
            written = writer.write(place, form, item_id)
            items.append(self._linted(place, written, launch))
            warnings += [f"items.{place}: {text}" for text in changes(written, items[-1])]
            rows.append(_row(link, launch, place, form, item_id, self.host.clock()))
        return items, rows, warnings

    def _check_target(self, place: int, form: Form, binding: Binding) -> None:
        """An LTI link must lead where its launches may end."""
        review = form.get("line_item", {}).get("submission_review", {})
        for name, url in (("url", form.get("url")), ("submission_review.url", review.get("url"))):
            if form["type"] == LTI_LINK and url is not None and not leads_to(binding.application, url):
                text = f"items.{place}: {name} is no URL of the application's launches; see `allow-target`."
                raise Invalid("target_not_registered", text)

    def _linted(self, place: int, item: dict[str, Any], launch: Launch) -> dict[str, Any]:
        """As this LMS accepts it. By the item's id its launches are recognised: no plugin can lose it."""
        found = self.host.calls.lint_content_item(item, launch, launch.binding)
        if isinstance(found, Unacceptable):
            raise Invalid("content_item_unacceptable", f"items.{place}: {found.reason}")
        linted = {**found, "type": item["type"]}
        if ITEM_PARAMETER in item.get("custom", {}):
            custom = linted.get("custom")
            kept = custom if isinstance(custom, Mapping) else {}
            linted["custom"] = {**kept, ITEM_PARAMETER: item["custom"][ITEM_PARAMETER]}
        return linted

    def _continue_url(self, link: deep_links.DeepLink, registration: Registration) -> str:
        """Always the same for one conversation: the token says which, and nobody else can make it."""
        token = self.host.sealer.seal(_TOKEN, f"{link.tenant_id}\0{link.id}".encode())
        return f"{registered_base(self.host.settings, registration)}/deep-links/{token}"

    async def _of_token(self, token: str) -> deep_links.DeepLink | None:
        body = self.host.sealer.open(_TOKEN, token) if len(token) <= 512 and token.isascii() else None
        if body is None:
            return None
        tenant_id, _, link_id = body.decode().partition("\0")
        try:
            return await self.host.database.run(tenant_id, deep_links.get, link_id)
        except NotFound:
            return None

    async def _post_page(self, link: deep_links.DeepLink, ancestors: str) -> Response:
        """Steps 5 to 7. Signed before it is spent: a key that does not open must not cost the teacher the choice.

        Raises Gone (`deep_link_used`, `deep_link_expired`) and NotBound.
        """
        now = self.host.clock()
        if link.state != "finished":
            raise Gone("deep_link_used", "The answer went to the platform already.")
        if link.expires_at <= now:
            raise Gone("deep_link_expired", "The answer waited for too long.")
        binding = await self.host.binding(link.registration_id, link.deployment_id)
        launch = launch_record(link.launch, binding)
        token = await self._signed(link, launch)
        if not await self.host.database.run(link.tenant_id, deep_links.spend, link.id, now):
            raise Gone("deep_link_used", "The answer went to the platform already.")
        log.info(
            "deep_link.returned",
            deep_link=link.id,
            registration=link.registration_id,
            items=_told(link.answer["items"]),
        )
        return self.host.pages.deep_link_return(
            action=_settings(launch).return_url, jwt=token, frame_ancestors=ancestors
        )

    async def _signed(self, link: deep_links.DeepLink, launch: Launch) -> str:
        """Step 6. Who signs, for whom and for how long is the host's to say; the message is the adapter's."""
        registration = launch.binding.registration
        adapter = self.host.adapter(launch.binding)
        assert isinstance(adapter, PicksContent)  # every LtiAdapter is one
        claims = adapter.deep_linking_claims(
            link.answer["items"],
            data=_settings(launch).data,
            message=link.answer["message"],
            error=link.answer["error"],
        )
        assert registration.client_id is not None  # an active registration has them
        assert registration.issuer is not None
        try:
            key = await self.host.own_keys.current(registration)
        except DecryptionError as error:
            raise sealed() from error
        return key.sign(
            secured(
                claims, client_id=registration.client_id, issuer=registration.issuer,
                deployment_id=link.deployment_id, now=self.host.clock(),
            )
        )  # fmt: skip

    def _frame_ancestors(self, link: deep_links.DeepLink, registration: Registration) -> str:
        """The administrator's list; else the pages that the verified launch named, and those this LMS is known by."""
        if registration.frame_origins:
            return " ".join(registration.frame_origins)
        told, kept = orjson.loads(link.launch.launch_json), orjson.loads(link.launch.services_json)
        urls = (
            registration.issuer, registration.auth_url, kept["instance"]["url"], told["presentation"]["return_url"],
            kept["deep_linking"]["return_url"],
        )  # fmt: skip
        origins = {origin for url in urls if (origin := origin_of(url)) and self._may_frame(origin)}
        plugin = self.host.plugins.get(registration.plugin)
        return " ".join([*sorted(origins), *(plugin.manifest.frame_patterns if plugin else ())])

    def _may_frame(self, origin: str) -> bool:
        return origin.startswith("https:") or self._admits_http(origin)

    def _admits_http(self, url: str) -> bool:
        return http_permitted(urlsplit(url).hostname, self.host.settings.allow_networks)


def _told(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Items as the log has them: what they are and where they lead, but not what is written in them."""
    told = [{name: item[name] for name in ("type", "title", "url") if name in item} for item in items]
    for item in told:
        if item["type"] != LTI_LINK and "url" in item:  # its query may let anybody in who reads the log
            item["url"] = _AFTER_PATH.split(str(item["url"]), maxsplit=1)[0]
    return told


def _settings(launch: Launch) -> DeepLinking:
    assert launch.deep_linking is not None  # the launch of a conversation
    return launch.deep_linking


def _row(link: deep_links.DeepLink, launch: Launch, place: int, form: Form, item_id: str, now: float) -> ContentItem:
    return ContentItem(
        tenant_id=link.tenant_id,
        id=item_id,
        application_owner=link.application_owner,
        application_id=link.application_id,
        registration_id=link.registration_id,
        deployment_id=link.deployment_id,
        deep_link_id=link.id,
        context_id=launch.context.id if launch.context else None,
        type=form["type"],
        url=form.get("url"),
        title=clean(form.get("title"), MAX_TITLE),
        text=clean(form.get("text"), MAX_TEXT),
        custom=read_custom(form.get("custom", {}), place),
        line_item=json.loads(json.dumps(form["line_item"], default=str)) if "line_item" in form else None,
        created_at=now,
        linked_at=None,
    )
