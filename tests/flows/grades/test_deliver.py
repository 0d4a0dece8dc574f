"""Scores reach the gradebook, whatever the platform does. The reference is the platform's own ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import formatdate

import pytest

from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.settings import Settings
from ltihost.store import tenants
from ltihost.store.grades import AT_ONCE, Claimed, Platform
from ltihost.store.grades_store import Grades
from tests.core.grades.support import DeliveryTry, Event, GradeSlot, LineItem, PlatformHealth
from tests.core.store.support import ACTOR
from tests.core.support_loopback import answer
from tests.flows.grades.gradebook import Entry, Gradebook, gradebook, says
from tests.flows.grades.rig import Rig, make_rig

HOUR, DAY = 3_600.0, 86_400.0


@pytest.fixture
async def lenient(settings: Settings) -> AsyncIterator[Rig]:
    """A host that delivers to a platform where whatever comes last stands."""
    async with gradebook(strict=False) as lms:
        made = await make_rig(settings, lms)
        yield made
        await made.host.close()


async def events(rig: Rig) -> list[str]:
    return [row.type for row in await rig.book.rows(Event)]


async def test_an_accepted_score_stands_in_the_gradebook(rig: Rig) -> None:
    await rig.book.take(8, 10, comment="Well done")
    assert await rig.deliver() == 1
    assert rig.standing() == (8, 10)
    (entry,) = rig.lms.ledger
    assert entry.body["comment"] == "Well done"
    assert entry.body["timestamp"].endswith(".000Z")
    slot = await rig.book.slot()
    assert (slot.state, slot.confirmed_rev, slot.confirmed_given, slot.confirmed_maximum) == ("idle", 1, "8", "10")
    assert await events(rig) == ["grade.delivered"]
    (one,) = await rig.book.rows(DeliveryTry)
    assert (one.outcome, one.http_status, one.second) == ("confirmed", 200, entry.second)


async def test_a_lower_attempt_sends_nothing_and_a_higher_one_does(rig: Rig) -> None:
    await rig.book.take(8)
    await rig.deliver()
    await rig.book.take(5, attempt=2)
    assert await rig.deliver(after=2) == 0
    await rig.book.take(9, attempt=3)
    await rig.deliver()
    assert [entry.given for entry in rig.lms.ledger] == [8, 9]


async def test_what_changes_while_nothing_was_sent_is_sent_once(rig: Rig) -> None:
    """R-36: bursts collapse by themselves."""
    for attempt in range(1, 11):
        await rig.book.take(attempt, 10, attempt=attempt)
    await rig.deliver()
    assert [entry.given for entry in rig.lms.ledger] == [10]


async def test_two_scores_within_a_second_have_two_timestamps_and_none_lies_ahead(rig: Rig) -> None:
    """R-08, first half: strictly rising whole seconds."""
    await rig.book.take(8)
    await rig.deliver()
    await rig.book.take(9, attempt=2)
    started = time.time()
    async with asyncio.timeout(5):
        while len(rig.lms.ledger) < 2:
            await rig.deliver()
            await asyncio.sleep(0.05)
    first, second = rig.lms.ledger
    assert first.second < second.second <= time.time()
    assert time.time() - started < 2
    assert rig.standing() == (9, 10)


# What is not the platform's fault


async def test_a_score_above_the_maximum_never_leaves(rig: Rig) -> None:
    with pytest.raises(Exception, match="above"):
        await rig.book.take(11, 10)
    assert await rig.deliver() == 0


async def test_a_suspended_tenant_s_scores_wait_and_then_go(rig: Rig) -> None:
    await rig.book.take(8)
    await rig.book.db.run_host(tenants.suspend, "north", actor=ACTOR)
    rig.host.routing.forget()
    await rig.deliver()
    slot = await rig.book.slot()
    assert (slot.state, slot.code, slot.tries) == ("pending", "tenant_suspended", 0)
    assert rig.lms.posts == []
    await rig.book.db.run_host(tenants.resume, "north", actor=ACTOR)
    rig.host.routing.forget()
    await rig.deliver(after=30 * DAY)
    assert rig.standing() == (8, 10)


# Faults of the platform


async def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_bytes(rig: Rig) -> None:
    """R-07: the platform applied it, and the connection broke."""

    async def lose(entry: Entry, writer: asyncio.StreamWriter) -> bool:
        rig.lms.apply(entry)
        writer.transport.abort()
        return True

    rig.lms.rule = lose
    await rig.book.take(8)
    await rig.deliver()
    slot = await rig.book.slot()
    assert (slot.state, slot.unknown_outcome) == ("pending", True)
    rig.lms.rule = None
    await rig.deliver(after=10)
    first, second = rig.lms.posts
    assert first.body == second.body
    assert rig.lms.applied() == {"learner-0": 1}  # the second one met a 409, and what stood there was read
    assert (await rig.book.slot()).state == "idle"
    assert await events(rig) == ["grade.delivered"]


async def test_a_platform_clock_that_runs_ahead_is_outlasted(rig: Rig) -> None:
    """R-08, second half: something newer stands there, of ninety seconds ahead."""
    ahead = Entry("/items/1", "learner-0", int(time.time()) + 90, 3, 10, {})
    rig.lms.apply(ahead)
    await rig.book.take(8)
    for wait in (0, 6, 11, 21, 41, 81):
        await rig.deliver(after=wait)
    assert rig.standing() == (8, 10)
    assert (await rig.book.slot()).state == "idle"


async def test_a_teacher_s_grade_is_not_fought_over(rig: Rig) -> None:
    """R-10: the platform keeps refusing; five new timestamps, then a conflict, then nothing more by itself."""
    rig.lms.apply(Entry("/items/1", "learner-0", int(time.time() + 365 * DAY), 3, 10, {}))
    await rig.book.take(8)
    for _ in range(10):
        await rig.deliver(after=200)
    assert len(rig.lms.posts) == 6
    assert len({entry.second for entry in rig.lms.posts}) == 6
    assert rig.standing() == (3, 10)
    assert (await rig.book.slot()).state == "conflict"
    assert await events(rig) == ["grade.failed"]
    await rig.book.take(9, attempt=2)
    assert await rig.deliver(after=DAY) == 0
    await rig.book.set_item(override_policy="tool_wins")
    await rig.book.take(10, attempt=3)
    await rig.deliver()
    assert len(rig.lms.posts) == 7


async def test_an_older_score_that_comes_through_late_is_outdone(lenient: Rig) -> None:
    """R-09: the platform ignores timestamps, and applies the first try after the second."""
    late: list[Entry] = []

    async def hold(entry: Entry, writer: asyncio.StreamWriter) -> bool:
        late.append(entry)
        writer.transport.abort()
        return True

    lenient.lms.rule = hold
    await lenient.book.take(5)
    await lenient.deliver()
    lenient.lms.rule = None
    await lenient.book.take(9, attempt=2)
    await lenient.deliver(after=10)
    assert lenient.standing() == (9, 10)
    lenient.lms.apply(late[0])
    assert lenient.standing() == (5, 10)
    await lenient.deliver(after=119)
    assert lenient.standing() == (5, 10)
    await lenient.deliver(after=2)
    assert lenient.standing() == (9, 10)
    assert (await lenient.book.slot()).state == "idle"
    assert await events(lenient) == ["grade.delivered"]


async def test_a_score_that_arrived_without_doubt_is_not_sent_again(lenient: Rig) -> None:
    await lenient.book.take(9)
    await lenient.deliver()
    assert (await lenient.book.slot()).settle_at is None
    assert await lenient.deliver(after=HOUR) == 0


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("120", 120, 133),
        (lambda: formatdate(time.time() + 121, usegmt=True), 115, 134),
        ("-5", 2, 6),
        ("abc", 2, 6),
        ("9999999", DAY - 1, DAY + 1),
    ],
)
async def test_the_platform_says_when_to_come_back(rig: Rig, asked: object, least: float, most: float) -> None:
    """R-14: for everybody, not only for the one that was told."""
    rig.lms.rule = says(429, retry_after=str(asked() if callable(asked) else asked))
    await rig.book.take(8)
    await rig.deliver()
    (health,) = await rig.book.rows(PlatformHealth)
    assert least <= health.open_until - time.time() <= most
    rig.lms.rule = None
    await rig.book.take(9, user_id=rig.book.learners[1])
    assert await rig.deliver(after=max(0.0, health.open_until - time.time() - 1)) == 0
    for _ in range(3):  # paced from now on
        await rig.deliver(after=2)
    assert (rig.standing(0), rig.standing(1)) == ((8, 10), (9, 10))
    assert max(row.tries for row in await rig.book.rows(GradeSlot)) == 0


# Tokens


async def test_one_token_serves_a_hundred_scores_at_once(settings: Settings, lms: Gradebook) -> None:
    rig = await make_rig(settings, lms, learners=40)
    for learner in rig.book.learners:
        await rig.book.take(7, user_id=learner)
    await rig.deliver()
    assert len(lms.grades) == 40
    assert lms.tokens == 1
    assert lms.most_at_once <= 4
    await rig.host.close()


async def test_a_token_that_is_refused_once_is_renewed(rig: Rig) -> None:
    """R-16."""
    await rig.book.take(7)
    await rig.deliver()
    rig.lms.refused_tokens.add("token-1")
    await rig.book.take(8, attempt=2)
    await rig.deliver(after=2)
    assert rig.standing() == (8, 10)
    assert rig.lms.tokens == 2


# One score that the platform does not want: R-20


async def test_a_refused_score_dies_after_three_tries_over_an_hour_and_the_others_arrive(
    settings: Settings, lms: Gradebook
) -> None:
    rig = await make_rig(settings, lms, learners=10)

    async def poison(entry: Entry, writer: asyncio.StreamWriter) -> bool:
        if entry.user == "learner-3":
            writer.write(answer(400, b'{"error": "bad user"}', {}))
        return entry.user == "learner-3"

    lms.rule = poison
    for learner in rig.book.learners:
        await rig.book.take(7, user_id=learner)
    await rig.deliver()
    await rig.deliver(after=1_000)
    assert (await rig.book.slot(3)).state == "pending"
    for _ in range(4):
        await rig.deliver(after=1_200)
    slot = await rig.book.slot(3)
    assert (slot.state, slot.code) == ("dead", "refused")
    assert sum(entry.user == "learner-3" for entry in lms.posts) == 3
    assert len(lms.grades) == 9
    assert (await events(rig)).count("grade.failed") == 1
    lms.rule = None
    await rig.book.take(9, user_id=rig.book.learners[3], attempt=2)
    await rig.deliver()
    assert rig.standing(3) == (9, 10)
    await rig.host.close()


async def test_a_platform_that_is_never_well_again_ends_at_the_horizon(rig: Rig) -> None:
    async def unwell(entry: Entry, writer: asyncio.StreamWriter) -> bool:
        if entry.user == "learner-0":
            writer.write(answer(502, b"", {}))
        return entry.user == "learner-0"

    rig.lms.rule = unwell
    await rig.book.take(7)
    await rig.deliver()
    for _ in range(22 * 4):
        await rig.deliver(after=6 * HOUR)
    slot = await rig.book.slot()
    assert slot.state == "dead"
    assert "seven days" in (slot.note or "")


# Line items


async def test_a_column_that_is_gone_blocks_its_scores_and_is_looked_for(rig: Rig) -> None:
    """R-21, the slot's part."""
    rig.lms.rule = says(404)
    await rig.book.take(7)
    await rig.deliver()
    slot = await rig.book.slot()
    assert (slot.state, slot.code) == ("blocked", "line_item_gone")
    (item,) = await rig.book.rows(LineItem)
    assert item.state == "gone"
    assert await events(rig) == ["grade.waiting"]


# Fairness


async def test_a_tenant_with_few_scores_does_not_wait_behind_one_with_many(settings: Settings, lms: Gradebook) -> None:
    """R-23."""
    from tests.core.grades.support import make_book
    from tests.flows.grades.rig import connect

    rig = await make_rig(settings, lms, learners=60)
    lms.latency = 0.02
    for learner in rig.book.learners:
        await rig.book.take(7, user_id=learner)
    other = await make_book(rig.book.db, slug="south", url=lms.item_url("south"))
    await connect(other, lms)
    await other.take(9)
    await rig.deliver()
    place = next(place for place, entry in enumerate(lms.posts) if entry.item == "/items/south")
    assert place < 20
    assert len(lms.grades) == 61
    await rig.host.close()


# Clocks


async def test_a_clock_that_steps_back_sends_no_timestamp_twice(rig: Rig) -> None:
    """R-25: the slot waits until its next second has come; durations are not the clock's."""
    await rig.book.take(7)
    await rig.deliver()
    await rig.book.take(8, attempt=2)
    assert await rig.deliver(after=-HOUR) == 0
    await rig.deliver(after=HOUR + 2)
    first, second = rig.lms.ledger
    assert second.second > first.second


async def test_what_is_due_is_claimed_in_portions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each claim is a transaction, so there are far fewer than scores, and yet no lane runs dry while some are left."""
    monkeypatch.setattr(LtiAdapter, "in_flight", 32)
    async with gradebook(latency=0.01) as lms:
        rig = await make_rig(settings, lms, learners=60)
        for learner in rig.book.learners:
            await rig.book.take(8, user_id=learner)
        asked: list[int] = []
        claim = Grades.claim

        async def counted(self: Grades, platform: Platform, *, owner: str, most: int) -> Claimed:
            claimed = await claim(self, platform, owner=owner, most=most)
            asked.append(len(claimed.claims))
            return claimed

        monkeypatch.setattr(Grades, "claim", counted)
        room = asyncio.Event()
        runner = ScoreRunner(rig.host, progress=room.set)
        async with asyncio.timeout(20):
            while sum(asked) < 60:
                room.clear()
                if not await runner.start():
                    await room.wait()
        await runner.finish()
        await rig.host.close()
    assert len(lms.ledger) == 60
    assert max(asked) <= AT_ONCE
    assert len(asked) <= 20
