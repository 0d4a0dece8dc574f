"""R-23: one organisation's hundred thousand scores keep no other one waiting."""

from __future__ import annotations

import asyncio
import time

import pytest

from ltihost.settings import Settings
from ltihost.worker import Worker
from tests.core.grades.support import make_book
from tests.flows.grades.gradebook import gradebook
from tests.flows.grades.processes import until
from tests.flows.grades.rig import connect, make_rig
from tests.flows.grades.test_storm import fill

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]


async def test_one_score_beside_a_hundred_thousand_of_another_tenant_arrives_soon(settings: Settings) -> None:
    async with gradebook(latency=0.05) as lms:
        rig = await make_rig(settings, lms, learners=250)
        await fill(rig, 100_000)
        other = await make_book(rig.book.db, slug="south", learners=3, url=lms.item_url("south"))
        await connect(other, lms)
        stop = asyncio.Event()
        working = asyncio.create_task(Worker(rig.host).run(stop))
        await until(lambda: len(lms.grades) > 100)
        for number, learner in enumerate(other.learners):
            started = time.monotonic()
            await other.take(9, user_id=learner)
            await until(lambda learner=f"learner-{number}": lms.standing(learner, "south") is not None)  # type: ignore[misc]
            assert time.monotonic() - started < 5
        stop.set()
        await working
        assert len(lms.grades) < 50_000  # the others were still waiting
        await rig.host.close()
