"""`ltihost demo --check`: the demo's story without a browser, step by step for every LMS."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

from ltihost.commands.demo_lesson import Lesson
from ltihost.commands.demo_steps import Step, UnexpectedError, Watched, last_of, scene, timed
from ltihost.records import Attempt
from ltihost.testing.campus_pages import Choices, launch_url
from ltihost.testing.driver import Walk, walk
from ltihost.testing.platform import SimulatedPlatform

__all__ = ["REFUSED", "WELCOME", "Step", "Story", "Watched"]

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


class Story:
    """Plays each LMS's part. `find_attempt` answers what the host stored under a short code."""

    def __init__(self, watched: Watched, find_attempt: FindAttempt) -> None:
        self._watched = watched
        self._find_attempt = find_attempt

    async def play(self, platform: SimulatedPlatform) -> AsyncIterator[Step]:
        """The steps of one LMS as they happen."""
        for kind, role in WELCOME.items():
            yield await timed(platform, "launch", self._welcome(platform, kind, role))
        for fault, code in REFUSED.items():
            yield await timed(platform, "launch", self._refuse(platform, fault, code))
        async for step in Lesson(self._watched, platform).play():
            yield step

    async def _welcome(self, platform: SimulatedPlatform, kind: str, role: str) -> str:
        """Somebody opens a link and the application learns who, where and as what."""
        context, person, link = scene(platform, kind)
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
        _, person, link = scene(platform, "student")
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
        seen = f"the walk ended at {last_of(end)}"
        return f"{seen}: {found.refusal}, code {found.code}" if found else seen

    async def _attempt(self, end: Walk) -> Attempt | None:
        shown = _CODE.search(end.response.text)
        return await self._find_attempt(shown[0]) if shown else None
