"""What the steps of `ltihost demo --check` are made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
from starlette.types import ASGIApp, Receive, Scope, Send

from ltihost.mounted import LAUNCH
from ltihost.testing.driver import Form, Walk, WalkError, forms
from ltihost.testing.parts import Context, Link, Person
from ltihost.testing.platform import SimulatedPlatform

StepName = Literal["launch", "deep_linking", "grade", "title", "roster", "override"]
#: How long something that workers do may take.
PATIENCE_SECONDS = 20.0
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the story; `seconds` is how long all of it took."""

    lms: str
    step: StepName
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


async def timed(platform: SimulatedPlatform, name: StepName, step: Awaitable[str]) -> Step:
    """Play a step; whatever ends it becomes its detail."""
    started = time.monotonic()
    status: Literal["ok", "failed"] = "ok"
    try:
        detail = await step
    except (UnexpectedError, WalkError) as error:
        status, detail = "failed", str(error)
    except httpx2.HTTPError as error:
        status, detail = "failed", f"no answer: {type(error).__name__}"
    return Step(platform.profile.key, name, status, detail, round(time.monotonic() - started, 3))


async def until(true: Callable[[], bool | Awaitable[bool]], otherwise: Callable[[], str]) -> None:
    """Wait for what workers do. Raises UnexpectedError with the text of `otherwise`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (await found if isinstance(found := true(), Awaitable) else found):
        if time.monotonic() > deadline:
            raise UnexpectedError(otherwise())
        await asyncio.sleep(_PAUSE)


def scene(platform: SimulatedPlatform, kind: str) -> tuple[Context, Person, Link]:
    """Somebody of this kind in a context, with a link of its content. Raises UnexpectedError if the LMS has none."""
    for context, person in enrolled(platform, kind):
        for link in context.links:
            if link.placement == "content":
                return context, person, link
    raise UnexpectedError(f"{platform.profile.name} has no {kind} with a link to open")


def enrolled(platform: SimulatedPlatform, kind: str) -> Iterator[tuple[Context, Person]]:
    """Who is there as what, context by context."""
    for context in platform.contexts.values():
        for slug, known in context.enrolled.items():
            if known == kind:
                yield context, platform.people[slug]


def form_of(end: Walk, action: str) -> Form:
    """The form of the last page that goes to `action`. Raises UnexpectedError."""
    for form in forms(end.response.text, end.steps[-1].url):
        if form.action.endswith(action):
            return form
    raise UnexpectedError(f"no form for {action} on the page of {last_of(end)}")


def last_of(end: Walk) -> str:
    """How the walk ended."""
    last = end.steps[-1]
    return f"{last.method} {last.url.partition('?')[0]}, which answered {last.status}"
