"""Lanes: settling together, and whose turn it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from ltihost.errors import Busy
from ltihost.flows.grades import deliver, lane
from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.flows.grades.lane import Lane, Pair
from ltihost.store.grades import Settled
from ltihost.store.service_tables import PlatformHealth
from tests.core.grades.support import CONFIRMED, Book, make_book
from tests.flows.grades.rig import Rig, connect
from tests.flows.grades.test_judge import CLAIM


@pytest.mark.parametrize("fails", [False, True])
async def test_who_gave_up_waiting_takes_no_answer_from_the_others(fails: bool) -> None:
    """A worker that stops cancels what takes too long, while its results are being stored."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def store(pairs: Sequence[Pair]) -> Sequence[Settled]:
        asked.set()
        await go.wait()
        if fails:
            raise Busy("database_busy", "No.")
        return [Settled(claim, None) for claim, _ in pairs]

    made = Lane(store)
    waiting = [asyncio.create_task(made.settle(CLAIM, CONFIRMED)) for _ in range(3)]
    await asked.wait()
    waiting[0].cancel()
    go.set()
    answers: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [type(answer) for answer in answers[1:]] == [Busy if fails else Settled] * 2


async def test_platforms_that_are_held_back_keep_nobody_from_its_turn(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than are looked at together are paced at the moment, and have waited for longer."""
    monkeypatch.setattr(deliver, "PLATFORMS", 2)
    paced = [await _book(rig, f"paced-{number}") for number in range(5)]
    for book in paced:
        await book.take(1)
        await book.db.run(book.tenant_id, _pace)
    rig.book.shift = 1.0
    await rig.book.take(8)
    assert len(await rig.runner._grades.due()) == 6
    rig.book.shift = 2.0
    assert await rig.deliver() == 1
    assert rig.standing() == (8, 10)
    assert rig.runner.again is not None
    rig.book.shift = 10.0
    assert await rig.deliver() == 5


@pytest.mark.parametrize("lanes", [deliver.LANES, 1])
async def test_platforms_that_got_their_turn_hide_nobody_behind_them(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    """What is due there is in hand, so that others stand in their places. With one lane a turn breaks off early."""
    monkeypatch.setattr(deliver, "PLATFORMS", 2)
    monkeypatch.setattr(deliver, "LANES", lanes)
    monkeypatch.setattr(deliver, "AT_ONCE", 2)
    for number in range(4):
        await (await _book(rig, f"book-{number}")).take(number)
    assert await rig.deliver() == 4


async def test_who_was_held_back_early_in_a_turn_is_looked_at_again_at_its_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "PLATFORMS", 1)
    paced = await _book(rig, "paced")
    await paced.take(1)
    await paced.db.run(paced.tenant_id, _pace)
    rig.book.shift = 2.0
    await rig.book.take(8)
    assert await rig.runner.start() == 1
    rig.book.shift = 10.0
    assert await rig.runner.start() == 1
    await rig.runner.finish()
    assert len(rig.lms.grades) == 2


async def test_of_those_that_end_together_one_says_that_there_is_room(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are settled in one transaction, and hear of it at once."""
    monkeypatch.setattr(deliver, "LANES", 2)
    monkeypatch.setattr(deliver, "AHEAD", 1)
    monkeypatch.setattr(deliver, "AT_ONCE", 2)
    monkeypatch.setattr(lane, "GATHER_SECONDS", 0.2)
    said: list[bool] = []
    runner = ScoreRunner(rig.host, rig.book.grades, progress=lambda: said.append(True))
    for learner in rig.book.learners:
        await rig.book.take(8, user_id=learner)
    assert await runner.start() == 2
    assert await runner.start() == 0
    await runner.finish()
    assert said == [True]


async def _book(rig: Rig, slug: str) -> Book:
    book = await make_book(rig.host.database, slug=slug, url=rig.lms.item_url(slug))
    await connect(book, rig.lms)
    return book


def _pace(session: Session) -> None:
    """As after a 429: the next score may go in five seconds."""
    now = time.time()
    session.execute(update(PlatformHealth).values(rate=0.2, tokens=0.0, paced_at=now + 2, quiet_since=now))
