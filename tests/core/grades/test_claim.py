"""Claims, leases and fences."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, LtihostError
from ltihost.store.database import Database
from ltihost.store.grades import Platform, PlatformSign, Verdict
from ltihost.store.service_tables import GradeSlot as Slot
from tests.core.grades.support import CONFIRMED, Book, DeliveryTry, Event, GradeSlot, PlatformHealth, make_book

RETRY = Verdict("retry", "platform_error", after=5.0, unknown=True, platform=PlatformSign("failed", "platform_error"))


async def test_a_claim_leases_what_is_due_and_leaves_a_visible_try(book: Book) -> None:
    await book.take(8)
    (claim,) = await book.claim()
    slot = await book.slot()
    assert (slot.state, slot.lease_no, slot.lease_owner, slot.sent_rev) == ("leased", 1, "worker", 1)
    assert 55 < slot.lease_until - time.time() <= 60
    (one,) = await book.rows(DeliveryTry)
    assert (one.id, one.outcome, one.rev, one.second, one.ended_at) == (claim.try_id, "started", 1, claim.second, None)
    assert (claim.subject, claim.line_item.url, claim.score.given) == ("learner-0", claim.line_item.url, 8)
    assert not claim.score.repeated
    assert await book.claim() == ()


async def test_platforms_with_something_due_are_told_without_a_tenant(book: Book, db: Database) -> None:
    """S-43: only whose work there is; what it is, is read as that tenant."""
    assert await book.grades.due() == []
    await book.take(8)
    other = await make_book(db, slug="south")
    await other.take(9)
    assert set(await book.grades.due()) == {book.platform, other.platform}
    mixed = Platform(book.tenant_id, other.world.registration.id)
    assert (await book.grades.claim(mixed, owner="w", most=8)).claims == ()


async def test_a_slot_cannot_name_another_tenant_s_line_item_or_person(book: Book, db: Database) -> None:
    """S-43: the row itself cannot be bent."""
    other = await make_book(db, slug="south")
    await book.take(8)
    for values in ({"line_item_id": other.line_item_id}, {"user_id": other.learners[0]}):
        with pytest.raises(Conflict):
            await book.set(GradeSlot, **values)
    with pytest.raises(LtihostError):
        await db.run(book.tenant_id, _move, other.tenant_id)
    assert (await book.slot()).tenant_id == book.tenant_id


def _move(session: Session, tenant_id: str) -> None:
    for row in session.query(Slot):
        row.tenant_id = tenant_id


async def test_many_workers_at_once_never_lease_a_slot_twice(db: Database) -> None:
    """R-05."""
    book = await make_book(db, learners=100)
    for learner in book.learners:
        await book.take(8, user_id=learner)
    rounds = await asyncio.gather(*(book.grades.claim(book.platform, owner=f"w{n}", most=100) for n in range(8)))
    claimed = [claim.slot_id for claimed in rounds for claim in claimed.claims]
    assert len(claimed) == len(set(claimed)) == 100
    assert len(await book.rows(DeliveryTry)) == 100


async def test_no_more_than_so_many_are_leased_on_one_platform(db: Database) -> None:
    book = await make_book(db, learners=6)
    for learner in book.learners:
        await book.take(8, user_id=learner)
    first = await book.claim(most=4)
    assert len(first) == 4
    assert await book.claim(most=4) == ()
    await book.settle(first[0])
    assert len(await book.claim(most=4)) == 1


async def test_the_oldest_go_first(db: Database) -> None:
    book = await make_book(db, learners=3)
    for learner in reversed(book.learners):
        await book.take(8, user_id=learner)
        book.shift += 1
    assert [claim.user_id for claim in await book.claim(most=2)] == [book.learners[2], book.learners[1]]


async def test_an_expired_lease_is_another_s_and_its_outcome_is_unknown(book: Book) -> None:
    """R-01, R-06: who comes back late changes nothing but the history."""
    await book.take(8)
    (late,) = await book.claim(owner="frozen")
    book.shift = 61
    (again,) = await book.claim(owner="other")
    assert (again.rev, again.second, again.lease_no) == (late.rev, late.second, late.lease_no + 1)
    assert again.score.repeated
    assert (await book.settle(late)).lost
    slot = await book.slot()
    assert (slot.state, slot.lease_owner, slot.confirmed_rev) == ("leased", "other", 0)
    assert not (await book.settle(again)).lost
    assert {one.outcome for one in await book.rows(DeliveryTry)} == {"stale", "confirmed"}


async def test_what_came_meanwhile_goes_next(book: Book) -> None:
    await book.take(8)
    (claim,) = await book.claim()
    await book.take(9, attempt=2)
    assert (await book.slot()).state == "leased"
    settled = await book.settle(claim)
    assert settled.event == "grade.delivered"
    slot = await book.slot()
    assert (slot.state, slot.confirmed_rev, slot.desired_rev) == ("pending", 1, 2)
    assert slot.due_at >= slot.last_second + 1
    book.shift = 2
    (claim,) = await book.claim()
    assert (claim.score.given, claim.rev) == (9, 2)
    assert claim.second > slot.last_second


async def test_the_database_s_clock_counts_not_the_worker_s(book: Book, db: Database) -> None:
    """R-24: of two workers, one thinks that it is ten minutes later."""
    from ltihost.store.grades_store import Grades

    await book.take(8)
    (claim,) = await book.claim()
    assert (await Grades(db).claim(book.platform, owner="w", most=8)).claims == ()
    assert not (await book.settle(claim)).lost


@pytest.mark.parametrize(
    ("verdict", "state", "event"),
    [
        (CONFIRMED, "idle", "grade.delivered"),
        (Verdict("withheld", note="Moodle would erase the grade."), "idle", None),
        (RETRY, "pending", None),
        (Verdict("blocked", "scope_missing", after=9.0), "blocked", "grade.waiting"),
        (Verdict("waiting_enrolment", "user_not_enrolled", after=9.0), "waiting_enrolment", "grade.waiting"),
        (Verdict("conflict", "stale_timestamp"), "conflict", "grade.failed"),
        (Verdict("dead", "refused"), "dead", "grade.failed"),
        (Verdict("unsent"), "pending", None),
    ],
)
async def test_each_end_has_its_state_and_its_event(
    book: Book, verdict: Verdict, state: str, event: str | None
) -> None:
    await book.take(8)
    (claim,) = await book.claim()
    settled = await book.settle(claim, verdict)
    assert settled.event == event
    slot = await book.slot()
    assert (slot.state, slot.lease_owner, slot.note) == (state, None, verdict.note)
    told = await book.rows(Event)
    assert [row.type for row in told] == ([event] if event else [])
    if told:
        assert told[0].id.startswith("evt_")
        assert told[0].data["delivery_id"] == slot.id
        assert told[0].application_id == book.world.application.id


async def test_tries_count_only_while_the_platform_is_well(book: Book) -> None:
    await book.take(8)
    for expected in (1, 2, 3, 4, 5, 5):
        (claim,) = await book.claim()
        await book.settle(claim, RETRY)
        assert (await book.slot()).tries == expected
        book.shift += 40  # longer than the first pause of the breaker
    (health,) = await book.rows(PlatformHealth)
    assert health.state == "open"


async def test_waiting_for_the_platform_does_not_count_against_a_slot(book: Book) -> None:
    await book.take(8)
    (claim,) = await book.claim()
    await book.settle(claim, RETRY)
    book.shift += 3_605
    (claim,) = await book.claim()
    assert 3_595 < claim.paused_seconds < 3_606


async def test_what_was_given_back_unsent_counts_its_waiting_once(book: Book) -> None:
    await book.take(8)
    (claim,) = await book.claim()
    await book.settle(claim, RETRY)
    book.shift += 3_605
    for waited in (3_600, 3_700, 3_800):
        (claim,) = await book.claim()
        assert waited - 5 < claim.paused_seconds < waited + 6
        await book.settle(claim, Verdict("unsent", counts=False))
        book.shift += 100


async def test_what_is_switched_off_waits_together(db: Database) -> None:
    book = await make_book(db, learners=3)
    for learner in book.learners:
        await book.take(8, user_id=learner)
    await book.grades.hold(book.platform, "another", code="tenant_suspended", seconds=60)
    assert len(await book.grades.due()) == 1
    await book.grades.hold(book.platform, "deployment-1", code="tenant_suspended", seconds=60)
    assert await book.grades.due() == []
    assert {slot.code for slot in await book.rows(GradeSlot)} == {"tenant_suspended"}


async def test_a_paused_platform_is_not_offered(book: Book) -> None:
    await book.take(8)
    await book.set(PlatformHealth, open_until=time.time() + 60)
    assert await book.grades.due() == []
    assert await book.claim() == ()
