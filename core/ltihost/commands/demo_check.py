"""`ltihost demo --check`: the demo's story without a browser, step by step for every LMS."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
from starlette.types import ASGIApp, Receive, Scope, Send

from ltihost.mounted import LAUNCH
from ltihost.records import Attempt
from ltihost.testing.campus_pages import Choices, launch_url
from ltihost.testing.driver import Walk, WalkError, walk
from ltihost.testing.parts import Context, Link, Person
from ltihost.testing.platform import SimulatedPlatform

#: Who opens a link: their kind in every simulated LMS, and the role that the application must be told.
WELCOME = {"teacher": "instructor", "student": "learner"}
#: What goes wrong on purpose, and the code with which it must be refused.
REFUSED = {
    "tampered": "sig_invalid",
    "expired": "expired",
    "wrong_audience": "audience_mismatch",
    "wrong_nonce": "nonce_mismatch",
}
#: As the refusal page shows it.
_CODE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}\b")

FindAttempt = Callable[[str], Awaitable[Attempt | None]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the story; `seconds` is how long the whole walk took."""

    lms: str
    step: str
    status: Literal["ok", "failed"]
    detail: str
    seconds: float


class Watched:
    """An application mounted in the host, and the last launch that reached it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.last: Mapping[str, Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.last = scope.get(LAUNCH) or self.last
        await self._app(scope, receive, send)


class UnexpectedError(Exception):
    """A step ended otherwise than the story says; the text is its detail."""


class Story:
    """Plays each LMS's part. `find_attempt` answers what the host stored under a short code."""

    def __init__(self, watched: Watched, find_attempt: FindAttempt) -> None:
        self._watched = watched
        self._find_attempt = find_attempt

    async def play(self, platform: SimulatedPlatform) -> AsyncIterator[Step]:
        """The steps of one LMS as they happen."""
        for kind, role in WELCOME.items():
            yield await _timed(platform, self._welcome(platform, kind, role))
        for fault, code in REFUSED.items():
            yield await _timed(platform, self._refuse(platform, fault, code))

    async def _welcome(self, platform: SimulatedPlatform, kind: str, role: str) -> str:
        """Somebody opens a link and the application learns who, where and as what."""
        context, person, link = _scene(platform, kind)
        self._watched.last = None
        end = await walk(launch_url(platform, person.slug, link=link.slug))
        launch = self._watched.last
        if not end.ok or launch is None:
            raise UnexpectedError(await self._why(end))
        received = (launch["role"], launch["registration"]["plugin"], (launch["context"] or {}).get("title"))
        if received != (expected := (role, platform.profile.key, context.title)):
            raise UnexpectedError(f"the application was told {received}, not {expected}")
        return f"{kind} {person.name} opened {link.title!r} as {role}, recognised by {launch['browser']['rung']}"

    async def _refuse(self, platform: SimulatedPlatform, fault: str, code: str) -> str:
        """A launch with one fault reaches nobody, and its code leads to the reason."""
        _, person, link = _scene(platform, "student")
        self._watched.last = None
        end = await walk(launch_url(platform, person.slug, link=link.slug, choices=Choices((fault,))))
        if end.ok or self._watched.last is not None:
            raise UnexpectedError(f"a launch with the fault {fault} was let through")
        found = await self._attempt(end)
        if found is None or found.refusal != code:
            raise UnexpectedError(f"{fault} must be refused as {code}; {await self._why(end)}")
        return f"{fault} was refused as {code}, code {found.code}"

    async def _why(self, end: Walk) -> str:
        found = await self._attempt(end)
        last = end.steps[-1]
        seen = f"{last.method} {last.url.partition('?')[0]} answered {last.status}"
        return f"{seen}: {found.refusal}, code {found.code}" if found else seen

    async def _attempt(self, end: Walk) -> Attempt | None:
        shown = _CODE.search(end.response.text)
        return await self._find_attempt(shown[0]) if shown else None


def _scene(platform: SimulatedPlatform, kind: str) -> tuple[Context, Person, Link]:
    """Somebody of this kind in a context, with a link of its content. Raises UnexpectedError if the LMS has none."""
    for context, person in _enrolled(platform, kind):
        for link in context.links:
            if link.placement == "content":
                return context, person, link
    raise UnexpectedError(f"{platform.profile.name} has no {kind} with a link to open")


def _enrolled(platform: SimulatedPlatform, kind: str) -> Iterator[tuple[Context, Person]]:
    for context in platform.profile.contexts:
        for slug, known in context.enrolled.items():
            if known == kind:
                yield context, platform.people[slug]


async def _timed(platform: SimulatedPlatform, step: Awaitable[str]) -> Step:
    started = time.monotonic()
    status: Literal["ok", "failed"] = "ok"
    try:
        detail = await step
    except (UnexpectedError, WalkError) as error:
        status, detail = "failed", str(error)
    except httpx2.HTTPError as error:
        status, detail = "failed", f"no answer: {type(error).__name__}"
    return Step(platform.profile.key, "launch", status, detail, round(time.monotonic() - started, 3))
