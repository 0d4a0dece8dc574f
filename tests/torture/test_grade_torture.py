"""The long tests of grade delivery: many kills, many workers, many scores. `make test` runs a twentieth of each."""

from __future__ import annotations

import asyncio

import pytest

from ltihost.settings import Settings
from tests.core.grades.support import GradeSlot
from tests.core.support_loopback import answer
from tests.flows.grades.gradebook import Entry, gradebook
from tests.flows.grades.rig import make_rig
from tests.flows.grades.test_host_killed import kill_hosts
from tests.flows.grades.test_processes import freeze_workers, kill_workers, killing_ground
from tests.flows.grades.test_stopping import stop_hosts

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]


async def test_two_hundred_kills_of_four_workers_lose_nothing(settings: Settings) -> None:
    """R-01."""
    async with killing_ground(settings, learners=200) as rig:
        await kill_workers(rig, settings, kills=200, workers=4, scores=10_000, entirely=True)


async def test_sixty_freezes_do_no_harm(settings: Settings) -> None:
    """R-06."""
    await freeze_workers(settings, freezes=40, anywhere=20)


async def test_a_hundred_and_fifty_kills_of_the_host_while_it_takes_scores_in(settings: Settings) -> None:
    """R-02: fifty between INSERT and COMMIT, fifty between COMMIT and answer, fifty anywhere."""
    await kill_hosts(settings, kills=150)


async def test_hosts_are_told_to_stop_twenty_times(settings: Settings) -> None:
    """R-26."""
    await stop_hosts(settings, rounds=20, claimed_within=2.0)


async def test_one_poisoned_score_in_a_thousand_dies_alone(settings: Settings) -> None:
    """R-20."""
    async with gradebook() as lms:
        rig = await make_rig(settings, lms, learners=1_000)

        async def poison(entry: Entry, writer: asyncio.StreamWriter) -> bool:
            if entry.user == "learner-500":
                writer.write(answer(422, b"{}", {}))
            return entry.user == "learner-500"

        lms.rule = poison
        for learner in rig.book.learners:
            await rig.book.take(7, user_id=learner)
        for _ in range(5):
            await rig.deliver(after=2_100)
        states = [row.state for row in await rig.book.rows(GradeSlot)]
        assert (states.count("idle"), states.count("dead")) == (999, 1)
        await rig.host.close()
