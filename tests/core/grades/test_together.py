"""Scores that come at once share a transaction, and each is answered as if it had come alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from ltihost.errors import Invalid, LtihostError, NotFound
from ltihost.settings import Settings
from ltihost.store import grades_intake
from ltihost.store.database import Database
from ltihost.store.grades import Intake, Taken
from ltihost.store.script import Script
from tests.core.grades.support import Book, GradeEvent, GradeSlot, add_line_item, make_book

UNTIL_SOMEBODY_WAITS = """
DO $$ BEGIN
  WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$
"""

Answers = Sequence[Taken | BaseException]


@pytest.fixture
async def klass(db: Database) -> Book:
    """A book with three learners."""
    return await make_book(db, learners=3)


async def at_once(book: Book, *intakes: Intake) -> Answers:
    return await asyncio.gather(*(book.grades.take(intake) for intake in intakes), return_exceptions=True)


def said(answers: Answers) -> list[str]:
    return [answer.code if isinstance(answer, LtihostError) else answer.delivery.state for answer in _known(answers)]


def _known(answers: Answers) -> list[Taken | LtihostError]:
    return [answer for answer in answers if isinstance(answer, Taken | LtihostError)]


async def test_they_are_one_transaction(klass: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    take = grades_intake.take

    def counted(intakes: Any, *rest: Any) -> Script[Any]:
        asked.append(len(intakes))
        return take(intakes, *rest)

    monkeypatch.setattr(grades_intake, "take", counted)
    answers = await at_once(klass, *(klass.intake(user_id=learner) for learner in klass.learners))
    assert (said(answers), asked) == (["pending"] * 3, [3])
    assert len({slot.id for slot in await klass.rows(GradeSlot)}) == 3


async def test_a_refusal_is_one_s_own(klass: Book) -> None:
    first, second, third = klass.learners
    await klass.take(user_id=first)
    answers = await at_once(
        klass,
        klass.intake(user_id=second),
        klass.intake(user_id="usr_nobody"),
        klass.intake(line_item_id="lin_none"),
        klass.intake(11, 10, user_id=third),
        klass.intake(9, user_id=first),
        klass.intake(user_id=third),
    )
    assert said(answers) == [
        "pending", "user_not_in_context", "line_item_unknown", "given_above_maximum", "attempt_exists", "pending",
    ]  # fmt: skip
    assert len(await klass.rows(GradeEvent)) == 3


async def test_a_refused_one_leaves_its_key_unused(klass: Book) -> None:
    """Also to another of the same moment."""
    first, second, _ = klass.learners
    good = klass.intake(user_id=second, idempotency_key="k")
    answers = await at_once(klass, klass.intake(11, 10, user_id=first, idempotency_key="k"), good)
    assert said(answers) == ["given_above_maximum", "pending"]
    assert (await klass.grades.take(good)).delivery == answers[1].delivery  # type: ignore[union-attr]


async def test_what_conflicts_leaves_its_key_unused(klass: Book) -> None:
    await klass.take(8)
    assert said(await at_once(klass, klass.intake(9, idempotency_key="k"), klass.intake(user_id=klass.learners[1]))) == [
        "attempt_exists", "pending",
    ]  # fmt: skip
    assert (await klass.take(9, revision=2, idempotency_key="k")).delivery.given == 9


async def test_several_of_one_person_add_up(klass: Book) -> None:
    answers = await at_once(klass, *(klass.intake(given, attempt=given) for given in (3, 7, 5)))
    assert [answer.delivery.given for answer in answers if isinstance(answer, Taken)] == [3, 7, 7]
    slot = await klass.slot()
    assert (slot.desired_rev, len(await klass.rows(GradeEvent))) == (2, 3)
    assert (await klass.claim())[0].score.given == 7


async def test_an_attempt_stated_twice_at_once_is_known_or_refused(klass: Book) -> None:
    answers = await at_once(klass, klass.intake(8), klass.intake(8), klass.intake(9))
    assert said(answers) == ["pending", "pending", "attempt_exists"]
    assert len(await klass.rows(GradeEvent)) == 1


async def test_one_key_with_two_bodies_is_the_first_one_s(klass: Book) -> None:
    first, second, _ = klass.learners
    intakes = [klass.intake(user_id=learner, idempotency_key="k") for learner in (first, second)]
    answers = await at_once(klass, *intakes)
    assert said(answers) == ["pending", "idempotency_mismatch"]
    assert isinstance(answers[1], Invalid)
    assert len(await klass.rows(GradeSlot)) == 1


async def test_what_no_database_stores_harms_nobody_else(klass: Book) -> None:
    """A key that PostgreSQL cannot store is refused by the API before; here it comes through."""
    first, second, _ = klass.learners
    answers = await at_once(klass, klass.intake(user_id=first, idempotency_key="\ud800"), klass.intake(user_id=second))
    assert said(answers) == ["text_unstorable", "pending"]


async def test_tenants_do_not_share(klass: Book, db: Database) -> None:
    south = await make_book(db, slug="south")
    answers = await asyncio.gather(
        klass.take(), south.take(), klass.take(line_item_id=south.line_item_id), return_exceptions=True
    )
    assert said(answers) == ["pending", "pending", "line_item_unknown"]
    assert isinstance(answers[2], NotFound)
    assert [len(await book.rows(GradeEvent)) for book in (klass, south)] == [1, 1]


# With another process, on PostgreSQL


@pytest.fixture
async def shared(postgres_settings: Settings) -> AsyncIterator[Book]:
    db = Database(postgres_settings)
    await db.open()
    yield await make_book(db, learners=3)
    await db.close()


@pytest.mark.postgres
async def test_a_slot_in_other_hands_holds_up_nobody_else(shared: Book, admin: asyncpg.Connection) -> None:
    first, second, third = shared.learners
    await shared.take(user_id=first)
    held = admin.transaction()
    await held.start()
    await admin.execute("SELECT FROM grade_slots FOR UPDATE")
    waiting = asyncio.create_task(shared.take(9, attempt=2, user_id=first))
    assert (
        said(await at_once(shared, *(shared.intake(user_id=learner) for learner in (second, third)))) == ["pending"] * 2
    )
    assert not waiting.done()
    await held.rollback()
    assert (await waiting).delivery.given == 9


NEW_KEY = """
INSERT INTO idempotency_keys (tenant_id, api_key_id, key, request_hash, object_id, created_at)
VALUES ($1, 'key', $2, '', 'dlv_other', 1)
"""


@pytest.mark.postgres
@pytest.mark.parametrize("first_of_all", [False, True])
@pytest.mark.parametrize("held_up_by", ["key", "slot", "line item"])
async def test_what_a_frozen_process_holds_holds_up_nobody_else(
    shared: Book, admin: asyncpg.Connection, held_up_by: str, first_of_all: bool
) -> None:
    """One of them has to wait for it: for its key, for its slot that is new, for its line item that is not ready."""
    first, second, third = shared.learners
    await shared.take(user_id=third)  # or they would all wait for the platform's row, which the very first score makes
    pending = await add_line_item(shared.world, shared.context_id, state="wanted", url=None)
    one = shared.intake(
        user_id=first, idempotency_key="k", line_item_id=pending if held_up_by == "line item" else shared.line_item_id
    )
    held = admin.transaction()
    await held.start()
    await _hold(admin, held_up_by, one)
    waiting = asyncio.create_task(shared.grades.take(one))
    if first_of_all:  # the others come when it is under way already
        await admin.execute(UNTIL_SOMEBODY_WAITS, timeout=10)
    async with asyncio.timeout(4):  # a lock is waited for five seconds
        others = (shared.intake(user_id=learner, attempt=2) for learner in (second, third))
        assert said(await at_once(shared, *others)) == ["pending"] * 2
    assert not waiting.done()
    await held.rollback()
    assert (await waiting).delivery.given == 8


async def _hold(admin: asyncpg.Connection, what: str, intake: Intake) -> None:
    """As a process that is about to store this score, or to change its line item, and gets no further."""
    tenant_id, line_item_id, user_id = intake.tenant_id, intake.line_item_id, intake.posted.user_id
    statements: dict[str, tuple[Any, ...]] = {
        "key": (NEW_KEY, tenant_id, intake.idempotency_key),
        "slot": (grades_intake.NEW_SLOT, tenant_id, "dlv_other", line_item_id, user_id, 1.0),
        "line item": ("UPDATE line_items SET version = 2 WHERE tenant_id = $1 AND id = $2", tenant_id, line_item_id),
    }
    await admin.execute(*statements[what])


@pytest.mark.postgres
async def test_a_key_that_another_process_uses_meanwhile_harms_nobody_else(
    shared: Book, admin: asyncpg.Connection
) -> None:
    """They looked and saw it unused, while the other had not committed yet."""
    first, second, third = shared.learners
    slot_id = (await shared.take(user_id=first)).delivery.id
    again = shared.intake(user_id=first, idempotency_key="k")
    held = admin.transaction()
    await held.start()
    await admin.execute(
        "INSERT INTO idempotency_keys (tenant_id, api_key_id, key, request_hash, object_id, created_at) "
        "VALUES ($1, 'key', 'k', $2, $3, 1)",
        shared.tenant_id, again.request_hash, slot_id,
    )  # fmt: skip
    for late, says in (
        (again, "pending"),
        (shared.intake(user_id=second, idempotency_key="k"), "idempotency_mismatch"),
    ):
        both = asyncio.create_task(at_once(shared, late, shared.intake(user_id=third)))
        if says == "pending":
            await admin.execute(UNTIL_SOMEBODY_WAITS, timeout=10)
            await held.commit()
        assert said(await both) == [says, "pending"]
    assert len(await shared.rows(GradeEvent)) == 2
