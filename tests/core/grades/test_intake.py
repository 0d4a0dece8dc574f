"""Taking scores in: what is stored, what is refused, and that a repetition changes nothing."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Executable, delete, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, Invalid, NotFound
from ltihost.store import line_items
from ltihost.store.database import Database
from ltihost.store.grades import NEVER
from ltihost.store.tables import Audit, Membership
from tests.core.grades.support import Book, GradeEvent, GradeSlot, add_line_item, launch, make_book


async def test_a_score_makes_a_slot_that_is_due(book: Book) -> None:
    taken = await book.take(8, 10)
    assert taken.due
    slot = await book.slot()
    assert (slot.id, slot.state, slot.desired_rev, slot.sent_rev) == (taken.delivery.id, "pending", 1, 0)
    assert slot.id.startswith("dlv_")
    assert (taken.delivery.given, taken.delivery.maximum, taken.delivery.attempt) == (Decimal(8), Decimal(10), 1)
    assert taken.delivery.state == "pending"
    (fact,) = await book.rows(GradeEvent)
    assert slot.winner_event_id == fact.id
    assert (fact.given, fact.maximum, fact.actor) == ("8", "10", "key")


@pytest.mark.parametrize("given", ["0.3", "0.30000000000000004", "33.333333", "0", "100000000000000000000.000001"])
async def test_numbers_come_back_exactly_as_they_were_given(book: Book, given: str) -> None:
    await book.take(given, "100000000000000000001")
    (claim,) = await book.claim()
    assert claim.score.given == Decimal(given)


async def test_a_comment_is_sealed_where_it_rests(book: Book) -> None:
    await book.take(comment="Well done, Ada")
    (fact,) = await book.rows(GradeEvent)
    assert b"Ada" not in fact.comment
    (claim,) = await book.claim()
    assert claim.score.comment == "Well done, Ada"
    await book.settle(claim)
    slot = await book.slot()
    assert b"Ada" not in (slot.confirmed_comment or b"Ada")
    await book.take(9, revision=2)
    book.shift += 2
    (claim,) = await book.claim()
    assert claim.score.previous is not None
    assert (claim.score.previous.given, claim.score.previous.comment) == (Decimal(8), "Well done, Ada")


# The same again, S-76


async def test_the_same_key_and_body_are_answered_alike_and_stored_once(book: Book) -> None:
    intake = book.intake()
    first = await book.grades.take(intake)
    again = await book.grades.take(intake)
    assert again.delivery == first.delivery
    assert len(await book.rows(GradeEvent)) == 1
    assert (await book.slot()).desired_rev == 1


async def test_the_same_key_with_another_body_is_refused(book: Book) -> None:
    intake = book.intake()
    await book.grades.take(intake)
    with pytest.raises(Invalid) as refused:
        await book.take(9, idempotency_key=intake.idempotency_key)
    assert refused.value.code == "idempotency_mismatch"
    assert len(await book.rows(GradeEvent)) == 1


async def test_the_same_key_for_another_person_is_refused(book: Book) -> None:
    intake = book.intake()
    await book.grades.take(intake)
    with pytest.raises(Invalid) as refused:
        await book.take(8, user_id=book.learners[1], idempotency_key=intake.idempotency_key)
    assert refused.value.code == "idempotency_mismatch"
    assert len(await book.rows(GradeSlot)) == 1


async def test_fifty_equal_posts_at_once_are_one_event_and_one_answer(book: Book) -> None:
    intake = book.intake()
    taken = await asyncio.gather(*(book.grades.take(intake) for _ in range(50)))
    assert len({answer.delivery.id for answer in taken}) == 1
    assert len(await book.rows(GradeEvent)) == 1
    assert (await book.slot()).desired_rev == 1


async def test_a_refused_score_leaves_its_key_unused(book: Book) -> None:
    with pytest.raises(Invalid):
        await book.take(11, 10, idempotency_key="k")
    assert (await book.take(9, 10, idempotency_key="k")).due


async def test_the_same_attempt_under_another_key_is_known(book: Book) -> None:
    await book.take(8)
    again = await book.take(8)
    assert not again.due
    assert len(await book.rows(GradeEvent)) == 1


async def test_another_score_for_the_same_attempt_needs_a_revision(book: Book) -> None:
    await book.take(8)
    with pytest.raises(Conflict) as refused:
        await book.take(9)
    assert refused.value.code == "attempt_exists"
    assert "Send attempt: 2 for a new attempt, or revision: 2 to correct" in refused.value.message
    await book.take(9, revision=2)
    assert (await book.slot()).desired_rev == 2


# Whose it is: S-70, S-71


async def test_a_line_item_of_another_application_is_not_found(book: Book) -> None:
    with pytest.raises(NotFound) as refused:
        await book.take(application_id="another")
    assert refused.value.code == "line_item_unknown"


async def test_a_line_item_of_another_tenant_is_not_found(book: Book, db: Database) -> None:
    south = await make_book(db, slug="south")
    with pytest.raises(NotFound):
        await book.take(line_item_id=south.line_item_id)
    assert await south.rows(GradeSlot) == []


async def test_a_person_of_another_tenant_is_not_in_the_context(book: Book, db: Database) -> None:
    south = await make_book(db, slug="south")
    await _not_in_context(book, user_id=south.learners[0])


async def test_a_person_whom_nobody_knows_is_not_in_the_context(book: Book) -> None:
    await _not_in_context(book, user_id="usr_nobody")


async def test_a_learner_of_another_context_is_not_in_this_one(book: Book) -> None:
    other_line_item = await add_line_item(book.world, await _other_context(book))
    await _not_in_context(book, line_item_id=other_line_item)


async def test_an_instructor_is_not_graded(book: Book) -> None:
    teacher, _ = await launch(book.world, "teacher", role="instructor", roles_json='["Instructor"]')
    await _not_in_context(book, user_id=teacher)


async def test_an_instructor_who_learns_too_is_graded(book: Book) -> None:
    both, _ = await launch(book.world, "both", role="instructor", roles_json='["Instructor", "Learner"]')
    assert (await book.take(user_id=both)).due


@pytest.mark.parametrize(("active", "left_at", "known"), [(True, None, True), (False, None, False), (True, 5.0, False)])
async def test_of_a_roster_those_count_who_did_not_leave(
    book: Book, active: bool, left_at: float | None, known: bool
) -> None:
    await book.set(Membership, source="roster", active=active, generation=3, left_at=left_at)
    if known:
        assert (await book.take()).due
    else:
        await _not_in_context(book)


async def test_who_is_there_but_no_learner_is_told_apart_from_nobody(book: Book) -> None:
    await book.set(Membership, role="instructor", roles=[])
    with pytest.raises(Invalid, match="but not as a learner now"):
        await book.take()
    with pytest.raises(Invalid, match="No such person is known"):
        await book.take(user_id="usr_nobody")


async def _not_in_context(book: Book, **changes: Any) -> None:
    with pytest.raises(Invalid) as refused:
        await book.take(**changes)
    assert refused.value.code == "user_not_in_context"
    assert await book.rows(GradeEvent) == []


async def _other_context(book: Book) -> str:
    from tests.core.store.support import ContextSeen

    _, context_id = await launch(book.world, "stranger")
    outcome = await book.db.hot.accept_launch(book.world.work(context=ContextSeen("chemistry", "C", "C", ())))
    assert outcome.context_id != context_id
    return str(outcome.context_id)


# Numbers: S-72 (the rest is the API's)


async def test_more_than_the_maximum_needs_extra_credit(book: Book) -> None:
    with pytest.raises(Invalid) as refused:
        await book.take("10.000001", 10)
    assert refused.value.code == "given_above_maximum"
    assert await book.rows(GradeSlot) == []
    await book.set_item(extra_credit=True)
    assert (await book.take("10.000001", 10)).due


# Where the slot goes


async def test_a_line_item_that_is_not_there_yet_blocks_its_slots_until_it_is(book: Book) -> None:
    await book.set_item(state="wanted", url=None)
    taken = await book.take()
    assert (taken.delivery.state, taken.delivery.code, taken.due) == ("blocked", "line_item_pending", False)
    book.shift = 400 * 86_400
    assert await book.claim() == ()
    await book.set_item(state="ready", url="https://lms.example/items/1")
    await book.db.run(book.tenant_id, line_items.unblock, book.line_item_id, time.time())
    assert len(await book.claim()) == 1


async def test_those_who_were_waited_for_go_on_when_they_are_enrolled(book: Book) -> None:
    from ltihost.store import grades

    for learner in book.learners:
        await book.take(user_id=learner)
    await book.set(GradeSlot, state="waiting_enrolment", due_at=NEVER)
    woken = await book.db.run(book.tenant_id, grades.enrolled, book.context_id, [book.learners[1]], time.time())
    assert woken == 1
    assert [(await book.slot(0)).state, (await book.slot(1)).state] == ["waiting_enrolment", "pending"]


@pytest.mark.parametrize(
    ("state", "due_at", "policy", "then"),
    [
        ("idle", 0.0, "platform_wins", "pending"),
        ("dead", 0.0, "platform_wins", "pending"),
        ("dead", NEVER, "platform_wins", "dead"),
        ("blocked", NEVER, "platform_wins", "blocked"),
        ("waiting_enrolment", NEVER, "platform_wins", "waiting_enrolment"),
        ("conflict", NEVER, "platform_wins", "conflict"),
        ("conflict", NEVER, "tool_wins", "pending"),
        ("leased", NEVER, "platform_wins", "leased"),
    ],
)
async def test_a_new_winner_moves_only_what_may_move(
    book: Book, state: str, due_at: float, policy: str, then: str
) -> None:
    await book.take(1)
    await book.set(GradeSlot, state=state, due_at=due_at)
    await book.set_item(override_policy=policy)
    await book.take(2, attempt=2)
    slot = await book.slot()
    assert (slot.state, slot.desired_rev) == (then, 2)


async def test_a_slot_that_backs_off_goes_on_backing_off(book: Book) -> None:
    await book.take(1)
    later = time.time() + 3_600
    await book.set(GradeSlot, due_at=later, first_failed_at=time.time(), tries=9)
    assert (await book.take(2, attempt=2)).delivery.state == "pending"
    assert (await book.slot()).due_at == later


# Overrides


async def test_an_override_stands_until_it_is_cleared_and_both_are_audited(book: Book) -> None:
    await book.take(9)
    await book.take(2, kind="override")
    assert (await book.claim())[0].score.given == Decimal(2)
    await book.take(10, attempt=2)
    await book.take(None, None, kind="clear", revision=2)
    book.shift = 61
    (claim,) = await book.claim()
    assert claim.score.given == Decimal(10)
    actions = [row.action for row in await book.rows(Audit) if row.action.startswith("grade.")]
    assert sorted(actions) == ["grade.override_cleared", "grade.override_set"]


async def test_where_nothing_stands_any_more_the_grade_is_cleared(book: Book) -> None:
    await book.take(9, kind="override")
    await book.deliver()
    await book.take(None, None, kind="clear", revision=2)
    book.shift = 2
    (claim,) = await book.claim()
    assert (claim.winner_id, claim.score.given, claim.score.grading_progress) == (None, None, "NotReady")


async def test_what_was_stated_is_neither_changed_nor_deleted(book: Book) -> None:
    """SQLite has a trigger for it, on PostgreSQL the serving role lacks the right."""
    await book.take(8)
    for statement in (update(GradeEvent).values(given="9"), delete(GradeEvent)):
        with pytest.raises((Conflict, ProgrammingError)):
            await book.db.run(book.tenant_id, _execute, statement)
    (fact,) = await book.rows(GradeEvent)
    assert fact.given == "8"


def _execute(session: Session, statement: Executable) -> None:
    session.execute(statement, execution_options={"synchronize_session": False})
