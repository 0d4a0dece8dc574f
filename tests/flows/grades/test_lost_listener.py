"""R-30: notices between processes are hints. Without the connection that listens, work is found by looking for it."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest

from ltihost.settings import Settings
from tests.flows.grades.gradebook import gradebook
from tests.flows.grades.processes import WorkerProcess, start_all
from tests.flows.grades.rig import Rig, make_rig

pytestmark = pytest.mark.postgres

_LISTENERS = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
#: A worker looks by itself about every second, a third more or less.
POLL = 1.5


async def test_a_lost_listener_costs_a_second_and_a_half_at_most(postgres_settings: Settings) -> None:
    async with gradebook() as lms:
        rig = await make_rig(postgres_settings, lms, learners=4)
        worker = WorkerProcess(postgres_settings)
        await start_all([worker])
        admin = await asyncpg.connect(postgres_settings.owner_database.replace("ltihost_owner", "postgres"))
        try:
            await listeners(admin, 1)
            heard = [await delivered(rig, learner) for learner in range(2)]
            unheard = []
            for learner in range(2, 4):
                await admin.execute(f"SELECT pg_terminate_backend(pid) {_LISTENERS}")
                await listeners(admin, 0)
                unheard.append(await delivered(rig, learner))
                assert await admin.fetchval(f"SELECT count(*) {_LISTENERS}") == 0
        finally:
            await admin.close()
            await worker.end()
            await rig.host.close()
    assert max(unheard) < POLL + max(heard)


async def listeners(admin: asyncpg.Connection, count: int) -> None:
    """Wait until so many connections listen."""
    async with asyncio.timeout(10):
        while True:
            if await admin.fetchval(f"SELECT count(*) {_LISTENERS}") == count:
                return
            await asyncio.sleep(0.01)


async def delivered(rig: Rig, learner: int) -> float:
    """State a score; the seconds until it stands in the gradebook."""
    started = time.monotonic()
    await rig.book.take(7, user_id=rig.book.learners[learner])
    async with asyncio.timeout(10):
        while True:
            if rig.standing(learner) is not None:
                return time.monotonic() - started
            await asyncio.sleep(0.01)
