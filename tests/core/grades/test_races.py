"""Scores between two workers' steps: nobody dies, and nothing waits for a word that was spoken before it listened."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, NotFound
from ltihost.flows.grades.judge import judge
from ltihost.service_records import LineItem as Column
from ltihost.service_records import LineItemGone, NeedsAttention, Outcome, RetryLater
from ltihost.settings import Settings
from ltihost.store import grades_intake, line_item_sync, line_items
from ltihost.store.database import Database
from ltihost.store.grades import Claim, Verdict
from ltihost.store.script import Each, Either, Many, Script, Statement, Written
from ltihost.store.service_tables import GradeSlot, LineItem, Roster
from ltihost.store.tables import Membership
from tests.core.grades.support import Book, add_line_item, launch, make_book

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
    await db.transact(book.tenant_id, _interrupted(book, grades_intake.LOOK, job))
    await asyncio.to_thread(job.join)
    [item] = await book.rows(LineItem)
    assert (item.state, (await book.slot()).state) == ("ready", "pending")
    await db.close()


def _interrupted(book: Book, sql: str, job: threading.Thread, *, wait: float = 5.0) -> Written[Any]:
    """A score comes in, and right after this statement of it the job begins; so long the score waits for its end."""

    def after(statement: Statement) -> None:
        if isinstance(statement, Each | Many) and statement.sql == sql and job.ident is None:
            job.start()
            job.join(wait)

    return lambda now: _followed(grades_intake.take_alone(book.intake(), book.db.box, now), after)


def _followed(script: Script[Any], after: Callable[[Statement], None]) -> Script[Any]:
    """The script; `after` is called after each statement of it."""
    statement = next(script)
    while True:
        rows = yield statement
        after(statement)
        try:
            statement = script.send(rows)
        except StopIteration as end:
            return end.value


async def _tell(settings: Settings, book: Book, made: Column) -> None:
    await _elsewhere(settings, book, line_item_sync.told, book.line_item_id, made, 1, time.time())


async def _elsewhere(settings: Settings, book: Book, work: Callable[..., Any], *values: Any) -> None:
    """As another process."""
    other = Database(settings)
    await other.open()
    await other.run(book.tenant_id, work, *values)
    await other.close()


@pytest.mark.postgres
async def test_a_score_that_comes_while_its_column_goes_and_comes_back_is_sent(postgres_settings: Settings) -> None:
    """It was there at the first look, which is repeated for the sake of another score whose column is still made."""
    db = Database(postgres_settings)
    await db.open()
    book = await make_book(db, learners=2)
    made = Column(None, "Quiz", Decimal(10), url="https://lms.example/items/2")
    wanted = await add_line_item(book.world, book.context_id, state="wanted", url=None)
    (url,) = {item.url for item in await book.rows(LineItem) if item.url}
    jobs = [
        lambda: _elsewhere(postgres_settings, book, line_items.lost, book.line_item_id, url, time.time()),
        lambda: _tell(postgres_settings, book, made),
    ]

    def after(statement: Statement) -> None:
        if jobs and isinstance(statement, Each) and isinstance(statement.sql, Either):  # a look
            job = threading.Thread(target=asyncio.run, args=[jobs.pop(0)()])
            job.start()
            job.join()

    intakes = [book.intake(line_item_id=wanted), book.intake(user_id=book.learners[1])]
    await db.transact(book.tenant_id, lambda now: _followed(grades_intake.take(intakes, db.box, now), after))
    assert jobs == []
    assert (await book.slot(1)).state == "pending"
    await db.close()


@pytest.mark.postgres
async def test_a_first_score_does_not_come_to_a_column_that_was_deleted_meanwhile(postgres_settings: Settings) -> None:
    """It read that the line item stands; before it is stored the application deletes it."""
    db = Database(postgres_settings)
    await db.open()
    book = await make_book(db)
    job, ended = _deletion(postgres_settings, book)
    outcome = await db.transact(book.tenant_id, _interrupted(book, grades_intake.LOOK, job))
    assert isinstance(outcome, NotFound)
    assert (ended, outcome.code) == (["deleted"], "line_item_unknown")
    assert await book.rows(GradeSlot) == []
    await db.close()


@pytest.mark.postgres
async def test_a_column_whose_first_score_is_just_coming_is_not_deleted(postgres_settings: Settings) -> None:
    """The score is in the database, and not committed yet: whoever deletes has to wait for it."""
    db = Database(postgres_settings)
    await db.open()
    book = await make_book(db)
    job, ended = _deletion(postgres_settings, book)
    await db.transact(book.tenant_id, _interrupted(book, grades_intake.NEW_SLOT, job, wait=0.5))
    await asyncio.to_thread(job.join)
    assert ended == ["line_item_has_grades"]
    assert (await book.slot()).state == "pending"
    await db.close()


async def test_of_a_first_score_and_a_deletion_one_comes_through(book: Book, settings: Settings) -> None:
    answers = await asyncio.gather(book.take(), _delete(settings, book), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, NotFound) or answer == "line_item_has_grades"]
    assert len(refused) == 1
    [item] = await book.rows(LineItem)
    assert (item.state == "ready") == (len(await book.rows(GradeSlot)) == 1)


def _deletion(settings: Settings, book: Book) -> tuple[threading.Thread, list[str]]:
    """`_delete` as a thread that was not started, and where it leaves its answer."""
    ended: list[str] = []
    return threading.Thread(target=lambda: ended.append(asyncio.run(_delete(settings, book)))), ended


async def _delete(settings: Settings, book: Book) -> str:
    """As another process: `deleted`, or why not."""
    other = Database(settings)
    await other.open()
    try:
        await other.run(
            book.tenant_id, line_items.delete, book.line_item_id, force=False, actor="test", now=time.time()
        )
        return "deleted"
    except Conflict as error:
        return error.code
    finally:
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
