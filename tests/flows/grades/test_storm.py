"""R-13: a platform comes back, and everything that waited wants to go at once. It takes so many requests a second."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from ltihost.settings import Settings
from ltihost.store.ids import new_id
from ltihost.worker import Worker
from tests.core.grades.support import GradeSlot, PlatformHealth, add_line_item
from tests.core.support_loopback import answer
from tests.flows.grades.gradebook import Entry, Gradebook, gradebook
from tests.flows.grades.rig import Rig, make_rig


@dataclass
class Door:
    """A rule of a gradebook: 429 beyond `limit` requests in any one second. `taken` and `refused` hold when."""

    limit: int
    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    _window: deque[float] = field(default_factory=deque)

    async def __call__(self, entry: Entry, writer: asyncio.StreamWriter) -> bool:
        now = time.monotonic()
        while self._window and self._window[0] <= now - 1.0:
            self._window.popleft()
        if len(self._window) >= self.limit:
            self.refused.append(now)
            writer.write(answer(429, b"{}", {"retry-after": "1"}))
            return True
        self._window.append(now)
        self.taken.append(now)
        return False

    def rate_between(self, start: float, end: float) -> float:
        """Taken a second in this time."""
        return sum(start <= moment < end for moment in self.taken) / (end - start)

    def refused_share_between(self, start: float, end: float) -> float:
        refused = sum(start <= moment < end for moment in self.refused)
        return refused / max(1, refused + sum(start <= moment < end for moment in self.taken))


async def fill(rig: Rig, slots: int) -> None:
    """So many scores wait: one for each learner in as many line items as it takes."""
    learners, book = rig.book.learners, rig.book
    for number in range(-(-slots // len(learners))):
        item = await add_line_item(book.world, book.context_id, url=rig.lms.item_url(new_id("x")))
        left = learners[: slots - number * len(learners)]
        await asyncio.gather(*(book.take(7, user_id=learner, line_item_id=item) for learner in left))


async def test_what_waited_goes_at_the_pace_that_the_platform_takes(settings: Settings) -> None:
    """Small counts; `make torture` has the large ones. A machine with much else to do falls behind by more."""
    async with gradebook() as lms:
        rig, door = await make_rig(settings, lms, learners=10), Door(limit=20)
        lms.rule = door
        await fill(rig, 100)
        await run_worker(rig, lms, until=100, seconds=40)
        pause_over = door.refused[0] + 1.0
        assert len([moment for moment in door.refused if moment > pause_over]) <= 1
        assert door.rate_between(pause_over + 0.2, door.taken[-1]) >= 0.6 * door.limit
        assert {slot.state for slot in await rig.book.rows(GradeSlot)} == {"idle"}
        assert max(lms.applied().values()) == 10
        (health,) = await rig.book.rows(PlatformHealth)
        assert health.rate is not None
        assert health.rate < door.limit
        await rig.host.close()


async def run_worker(rig: Rig, lms: Gradebook, *, until: int, seconds: float) -> None:
    """Let a worker deliver until so many grades stand, or so long."""
    stop = asyncio.Event()
    working = asyncio.create_task(Worker(rig.host).run(stop))
    ends = time.monotonic() + seconds
    while True:
        if len(lms.grades) >= until or time.monotonic() >= ends:
            break
        await asyncio.sleep(0.02)
    stop.set()
    await working
