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
from ltihost.flows.grades import deliver
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

    lane = Lane(store)
    waiting = [asyncio.create_task(lane.settle(CLAIM, CONFIRMED)) for _ in range(3)]
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


async def _book(rig: Rig, slug: str) -> Book:
    book = await make_book(rig.host.database, slug=slug, url=rig.lms.item_url(slug))
    await connect(book, rig.lms)
    return book


def _pace(session: Session) -> None:
    """As after a 429: the next score may go in five seconds."""
    now = time.time()
    session.execute(update(PlatformHealth).values(rate=0.2, tokens=0.0, paced_at=now + 2, quiet_since=now))
