"""Long outages at full size: a platform that comes back to fifty thousand scores, a database that is restarted again
and again, eight tasks that count with one row."""

from __future__ import annotations

import pytest

from ltihost.settings import Settings
from ltihost.store.database import Database
from tests.core.grades.support import GradeSlot
from tests.core.store.support import make_world
from tests.core.store.test_sqlite import count_together
from tests.flows.grades.gradebook import gradebook
from tests.flows.grades.own_server import OwnServer, own_server
from tests.flows.grades.rig import make_rig
from tests.flows.grades.test_restart import restart_database
from tests.flows.grades.test_storm import Door, fill, run_worker

__all__ = ["own_server"]  # fixture
pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]

MINUTE = 60.0


async def test_fifty_thousand_wait_and_the_platform_takes_ten_a_second(settings: Settings) -> None:
    """R-13: for five minutes; at least nine a second, and after the first minute hardly any is refused."""
    async with gradebook() as lms:
        rig, door = await make_rig(settings, lms, learners=250), Door(limit=10)
        await fill(rig, 50_000)
        lms.rule = door
        await run_worker(rig, lms, until=50_000, seconds=5 * MINUTE)
        start, end = door.taken[0] + MINUTE, door.taken[-1]
        assert end - start > 3 * MINUTE
        assert door.rate_between(start, end) >= 9
        assert door.refused_share_between(start, end) < 0.01
        slots = await rig.book.rows(GradeSlot)
        assert sum(slot.state == "idle" for slot in slots) == len(lms.grades) == len(door.taken)
        assert {slot.state for slot in slots} == {"idle", "pending"}
        assert max(slot.tries for slot in slots) == 0
        await rig.host.close()


@pytest.mark.postgres
async def test_twenty_restarts_of_the_database_lose_nothing(own_server: OwnServer) -> None:
    """R-29."""
    await restart_database(own_server, restarts=20, posts=100)


async def test_eight_tasks_count_to_four_hundred(sqlite_settings: Settings) -> None:
    """R-04."""
    database = Database(sqlite_settings)
    await database.open()
    await count_together(await make_world(database), sqlite_settings, each=50)
    await database.close()
