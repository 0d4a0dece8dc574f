"""R-09: a platform that goes by no timestamps, and applies some scores seconds after nobody waits for the answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.settings import Settings
from ltihost.store.grades import Terms
from ltihost.store.grades_settle import SETTLE_SECONDS
from ltihost.store.grades_store import Grades
from ltihost.worker import Worker
from tests.flows.grades.gradebook import Entry, Gradebook, gradebook
from tests.flows.grades.oracle import Oracle, producing
from tests.flows.grades.processes import SHORT
from tests.flows.grades.rig import Rig, make_rig

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]

TERMS = Terms(*SHORT)


class Late:
    """A rule of a gradebook: a share of what is posted is not answered, and applied some seconds later."""

    def __init__(self, lms: Gradebook, share: float) -> None:
        self.applied: list[Entry] = []
        self._lms = lms
        self._share = share
        self._dice = random.Random(5)
        self._waiting: set[asyncio.Task[None]] = set()

    async def __call__(self, entry: Entry, writer: asyncio.StreamWriter) -> bool:
        if self._dice.random() >= self._share:
            return False
        task = asyncio.create_task(self._apply(entry))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        await task  # the connection stays open: the host has to give up by itself
        return True

    async def _apply(self, entry: Entry) -> None:
        await asyncio.sleep(TERMS.send + 1 + 8 * self._dice.random())  # the second try comes after 2.5 to 5 seconds
        self._lms.apply(entry)
        self.applied.append(entry)

    async def all_applied(self) -> None:
        while self._waiting:
            await asyncio.wait(self._waiting)


async def test_what_is_applied_late_has_not_the_last_word(settings: Settings) -> None:
    async with gradebook(strict=False, latency=0.01) as lms:
        rig, late = await make_rig(settings, lms, learners=60, terms=TERMS), Late(lms, 0.03)
        lms.rule, oracle = late, Oracle(rig)
        async with working(rig):
            async with producing(oracle, [oracle.state] * 4, random.Random(6)):
                await asyncio.sleep(45)
            await oracle.settled()
            await late.all_applied()
        assert len(late.applied) > 30
        assert oracle.wrong() != []  # so there is something to be put right
        lms.rule = None
        await rig.deliver(after=SETTLE_SECONDS + 1)
        assert oracle.wrong() == []
        await oracle.settled(entirely=True)
        await rig.host.close()


@asynccontextmanager
async def working(rig: Rig) -> AsyncIterator[None]:
    """Two workers that deliver as long as it lasts."""
    stop, grades = asyncio.Event(), Grades(rig.host.database, lease=TERMS.lease)
    workers = [Worker(rig.host, scores=ScoreRunner(rig.host, grades, terms=TERMS)) for _ in range(2)]
    running = asyncio.gather(*(worker.run(stop) for worker in workers))
    try:
        yield
    finally:
        stop.set()
        await running
