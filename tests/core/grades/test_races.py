"""Scores between two workers' steps: nobody dies, and nothing waits for a word that was spoken before it listened."""

from __future__ import annotations

import asyncio
import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.flows.grades.judge import judge
from ltihost.service_records import LineItem as Column
from ltihost.service_records import LineItemGone, NeedsAttention, Outcome, RetryLater
from ltihost.settings import Settings
from ltihost.store import grades_intake, line_item_sync, line_items
from ltihost.store.database import Database
from ltihost.store.grades import Claim, Verdict
from ltihost.store.script import Script
from ltihost.store.service_tables import LineItem, Roster
from ltihost.store.tables import Membership
from tests.core.grades.support import Book, launch, make_book

DAY = 86_400.0


def judged(outcome: Outcome, claim: Claim) -> Verdict:
    return judge(outcome, claim, claim.score, enforces_timestamp=False)


@pytest.mark.postgres
async def test_a_score_that_comes_while_its_column_is_made_is_sent(postgres_settings: Settings) -> None:
    """The job says "ready" and wakes the scores that it sees, just after the score read "wanted"."""
    db = Database(postgres_settings)
    await db.open()
    book = await make_book(db, state="wanted", url=None, version=1, synced_version=0)
    made = Column(None, "Quiz", Decimal(10), url="https://lms.example/items/1")
    job = threading.Thread(target=lambda: asyncio.run(_tell(postgres_settings, book, made)))

    def interleaved(now: float) -> Script[Any]:
        script = grades_intake.take(book.intake(), db.box, now)
        statement = next(script)
        while True:
            rows = yield statement
            if isinstance(statement, tuple) and statement[0] == grades_intake._PLACE:
                job.start()
                job.join(5)
            try:
                statement = script.send(rows)
            except StopIteration as end:
                return end.value

    await db.transact(book.tenant_id, interleaved)
    await asyncio.to_thread(job.join)
    [item] = await book.rows(LineItem)
    assert (item.state, (await book.slot()).state) == ("ready", "pending")
    await db.close()


async def _tell(settings: Settings, book: Book, made: Column) -> None:
    other = Database(settings)
    await other.open()
    await other.run(book.tenant_id, line_item_sync.told, book.line_item_id, made, 1, time.time())
    await other.close()


async def test_a_worker_that_dies_before_it_tells_of_a_lost_column_leaves_a_score_that_goes_on(book: Book) -> None:
    await book.take()
    [claim] = await book.claim()
    await book.settle(claim, judged(LineItemGone(), claim))  # and `line_items.lost` is never called
    book.shift = 2 * DAY
    assert len(await book.claim()) == 1


async def test_what_was_blocked_for_nine_days_survives_a_503(book: Book) -> None:
    await book.take()
    for day in range(9):
        book.shift = day * DAY * 1.001
        for claim in await book.claim():
            await book.settle(claim, judged(NeedsAttention("scope_or_permission"), claim))
    book.shift = 9.5 * DAY
    [claim] = await book.claim()
    assert judged(RetryLater("platform_error"), claim).end == "retry"


async def test_what_was_unblocked_after_eight_days_survives_a_503(book: Book) -> None:
    await book.take()
    [claim] = await book.claim()
    await book.settle(claim, judged(LineItemGone(), claim))
    book.shift = 8 * DAY
    await book.db.run(book.tenant_id, line_items.unblock, book.line_item_id, time.time() + book.shift)
    [claim] = await book.claim()
    assert judged(RetryLater("platform_error"), claim).end == "retry"


def _listed(session: Session, book: Book, member: int, roster: int, changes: dict[str, Any]) -> None:
    for row in session.scalars(select(Membership).where(Membership.tenant_id == book.tenant_id)):
        row.source, row.generation = "roster", member
        for name, value in changes.items():
            setattr(row, name, value)
    session.add(
        Roster(tenant_id=book.tenant_id, context_id=book.context_id, generation=roster, members=2, synced_at=1.0)
    )


async def test_in_the_middle_of_a_sync_a_score_is_taken(book: Book) -> None:
    """A slice of a long roster is stored: its people are stamped while the roster as a whole is not."""
    await book.db.run_host(_listed, book, 3, 2, {})
    await book.take()


async def test_who_left_the_roster_and_launched_again_is_graded(book: Book) -> None:
    await book.db.run_host(_listed, book, 1, 2, {"active": False, "left_at": 5.0, "last_seen_at": 1.0})
    await launch(book.world, "learner-0")
    await book.take()
