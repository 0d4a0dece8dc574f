"""The long tests of grade delivery: many kills, many workers, many scores. `make test` runs a twentieth of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from ltihost.settings import Settings
from ltihost.store.database import Database
from tests.core.grades.support import DeliveryTry, GradeEvent, GradeSlot, make_book
from tests.core.support_loopback import answer
from tests.flows.grades.gradebook import Entry, gradebook
from tests.flows.grades.rig import Rig, make_rig
from tests.flows.grades.test_processes import freeze_workers, kill_hosts, kill_workers

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    async with gradebook(latency=0.02) as lms:
        made = await make_rig(settings, lms, learners=200)
        yield made
        await made.host.close()


async def test_two_hundred_kills_of_four_workers_lose_nothing(rig: Rig, settings: Settings) -> None:
    await kill_workers(rig, settings, kills=200, workers=4, scores=10_000)


async def test_sixty_freezes_do_no_harm(settings: Settings) -> None:
    await freeze_workers(settings, freezes=60, scores=1_200)


async def test_a_hundred_kills_of_the_host_while_it_takes_scores_in(rig: Rig, settings: Settings) -> None:
    await kill_hosts(rig, settings, kills=100, posts=2_000)


async def test_eight_workers_never_lease_one_of_a_thousand_slots_twice(db: Database) -> None:
    """R-05."""
    book = await make_book(db, learners=1_000)
    for learner in book.learners:
        await book.take(8, user_id=learner)

    async def work(name: str) -> None:
        while claims := (await book.grades.claim(book.platform, owner=name, most=10_000)).claims:
            for claim in claims:
                await book.settle(claim)

    await asyncio.gather(*(work(f"worker-{number}") for number in range(8)))
    tries = await book.rows(DeliveryTry)
    assert len({(one.slot_id, one.lease_no) for one in tries}) == len(tries) == 1_000
    assert {row.state for row in await book.rows(GradeSlot)} == {"idle"}


async def test_a_burst_of_ten_thousand_scores_is_taken_within_a_minute(db: Database) -> None:
    """R-36."""
    book = await make_book(db, learners=180)
    times: list[float] = []
    gate = asyncio.Semaphore(16)

    async def take(number: int) -> None:
        async with gate:
            started = time.monotonic()
            learner = book.learners[number % 180]
            await book.take(number % 101, 100, attempt=number // 180 + 1, user_id=learner)
            times.append(time.monotonic() - started)

    started = time.monotonic()
    await asyncio.gather(*(take(number) for number in range(10_000)))
    assert time.monotonic() - started < 60
    assert sorted(times)[9_500] < 0.1
    assert len(await book.rows(GradeEvent)) == 10_000


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
