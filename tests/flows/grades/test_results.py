"""Results read back: a teacher's own grade is seen, told once, and by default stands."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltihost.flows.jobs import JobRunner
from ltihost.flows.results import ResultsFlow
from ltihost.service_records import Delivery, Result
from ltihost.store import grade_queries, results
from ltihost.store.results import same_grade, standings
from ltihost.store.service_tables import Event, Job, LineItem, LmsResult
from ltihost.store.tables import Audit
from tests.flows.grades.gradebook import Entry, Gradebook
from tests.flows.grades.rig import Rig

DAY = 86_400.0


async def read(rig: Rig, *, after: float = 0.0) -> None:
    """Read the results, some time later than the deliveries."""
    rig.host.clock = lambda: time.time() + rig.book.shift + after
    await ResultsFlow().read(rig.host, rig.book.tenant_id, rig.book.line_item_id)


def grade(rig: Rig, given: float | None, maximum: float = 10, learner: int = 0) -> None:
    """A teacher grades by hand."""
    subject = rig.subject(learner)
    second = int(time.time() + rig.book.shift)
    rig.lms.grades["/items/1", subject] = Entry("/items/1", subject, second, given, maximum, {})


async def shown(rig: Rig) -> LmsResult:
    (row,) = await rig.book.rows(LmsResult)
    return row  # type: ignore[no-any-return]


async def overrides(rig: Rig) -> list[dict[str, Any]]:
    return [event.data for event in await rig.book.rows(Event) if event.type == "grade.overridden"]


async def test_what_was_sent_is_what_stands(rig: Rig) -> None:
    await rig.book.take(8)
    await rig.deliver()
    await read(rig)
    row = await shown(rig)
    assert (row.given, row.maximum, row.overridden) == ("8", "10", False)
    assert await overrides(rig) == []


async def test_an_override_is_told_once_per_change(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Delivery] = []

    async def note(delivery: Delivery, binding: object) -> None:
        told.append(delivery)

    await rig.book.take(8)
    await rig.deliver()
    monkeypatch.setattr(rig.host.calls, "grade_settled", note)
    for standing, events in ((6, 1), (6, 1), (7, 2), (7, 2)):
        grade(rig, standing)
        await read(rig)
        assert len(await overrides(rig)) == events
        assert (await shown(rig)).overridden is True
    slot = await rig.book.slot()
    assert (await overrides(rig))[-1] == {
        "delivery_id": slot.id, "line_item_id": rig.book.line_item_id, "user_id": rig.book.learners[0],
        "lms": {"given": 7.0, "maximum": 10.0},
    }  # fmt: skip
    assert [(delivery.code, delivery.given) for delivery in told] == [("overridden", Decimal(8))] * 2


async def test_where_the_platform_wins_no_later_score_is_sent(rig: Rig) -> None:
    """R-10: a grade by hand, then a lower and a higher attempt."""
    await rig.book.take(8)
    await rig.deliver()
    grade(rig, 5)
    await read(rig)
    await rig.book.take(3, attempt=2)
    await rig.book.take(10, attempt=3)
    await rig.deliver(after=60)
    assert rig.standing() == (5, 10)
    slot = await rig.book.slot()
    assert (slot.state, slot.code) == ("conflict", "overridden")
    trail = [row for row in await rig.book.rows(Audit) if row.action == "grade.overridden"]
    assert [row.details for row in trail] == [{"policy": "platform_wins", "sent_again": False}]


async def test_a_teachers_grade_is_no_fault_of_ours(rig: Rig) -> None:
    await rig.book.take(8)
    await rig.deliver()
    grade(rig, 5)
    await read(rig)
    assert (await rig.book.slot()).state == "conflict"
    assert await rig.book.db.run_host(lambda session: list(grade_queries.faults(session, time.time()))) == []


async def test_a_teacher_who_takes_it_back_lets_the_best_score_through(rig: Rig) -> None:
    await rig.book.take(8)
    await rig.deliver()
    grade(rig, 5)
    await read(rig)
    await rig.book.take(10, attempt=2)
    grade(rig, 8)
    await read(rig)
    assert (await shown(rig)).overridden is False
    await rig.deliver(after=5)
    assert rig.standing() == (10, 10)
    assert (await rig.book.slot()).state == "idle"


async def test_where_the_tool_wins_its_score_goes_out_again(rig: Rig) -> None:
    """R-10, the other policy."""
    await rig.book.set_item(override_policy="tool_wins")
    await rig.book.take(8)
    await rig.deliver()
    grade(rig, 5)
    await read(rig)
    await rig.deliver(after=5)
    assert rig.standing() == (8, 10)
    trail = [row for row in await rig.book.rows(Audit) if row.action == "grade.overridden"]
    assert [row.details for row in trail] == [{"policy": "tool_wins", "sent_again": True}]
    await read(rig)
    assert (await shown(rig)).overridden is False
    assert len(await overrides(rig)) == 1


@pytest.mark.parametrize(("standing", "maximum", "same"), [
    (33.33333, 100, True), (0.33333, 1, True), (33.33, 100, False), (33, 100, False), (1, 3, True),
])  # fmt: skip
async def test_grades_are_compared_as_parts_of_their_maxima(
    rig: Rig, standing: float, maximum: float, same: bool
) -> None:
    await rig.book.take(1, 3)
    await rig.deliver()
    grade(rig, standing, maximum)
    await read(rig)
    assert (await shown(rig)).overridden is not same


async def test_a_score_on_its_way_is_not_judged(rig: Rig) -> None:
    await rig.book.take(5)
    await rig.deliver()
    await rig.book.take(8, attempt=2)
    rig.book.shift += 5
    (claim,) = await rig.book.claim()
    grade(rig, 8)  # it has arrived, and nobody has said so yet
    await read(rig)
    assert (await shown(rig)).overridden is False
    await rig.book.settle(claim)
    await read(rig, after=1)
    assert await overrides(rig) == []


async def test_a_grade_that_was_taken_away_is_an_override_once_it_was_seen(rig: Rig) -> None:
    await rig.book.take(8)
    await rig.deliver()
    standing = rig.lms.grades.pop(("/items/1", rig.subject()))
    await read(rig)  # not there yet: some LMSs take their time
    assert await overrides(rig) == []
    rig.lms.grades["/items/1", rig.subject()] = standing
    await read(rig)
    del rig.lms.grades["/items/1", rig.subject()]
    await read(rig)
    assert [event["lms"]["given"] for event in await overrides(rig)] == [None]
    await read(rig)
    assert len(await overrides(rig)) == 1


async def test_ours_stands_beside_the_lms_s(rig: Rig) -> None:
    await rig.book.take(8)
    await rig.book.take(9, user_id=rig.book.learners[1])
    await rig.deliver()
    grade(rig, 5)
    await read(rig)
    rows = await rig.book.db.run(rig.book.tenant_id, standings, rig.book.line_item_id)
    seen = {
        row.user_id: (row.winner and row.winner.given, row.lms and (row.lms.given, row.lms.overridden)) for row in rows
    }
    one, two = rig.book.learners
    assert seen == {one: ("8", ("5", True)), two: ("9", ("9", False))}
    rest = await rig.book.db.run(rig.book.tenant_id, standings, rig.book.line_item_id, after=min(one, two), limit=5)
    assert [row.user_id for row in rest] == [max(one, two)]


async def test_people_the_host_does_not_know_are_left_out(rig: Rig) -> None:
    rig.lms.grades["/items/1", "stranger"] = Entry("/items/1", "stranger", 1, 5, 10, {})
    await rig.book.take(8)
    await rig.deliver()
    await read(rig)
    assert len(await rig.book.rows(LmsResult)) == 1


async def test_a_strangers_grade_is_nobodys(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter may take every row for the one user it asked for; in a whole list that says nothing."""
    monkeypatch.setattr("ltihost.plugins.lti_adapter.LtiAdapter.match_result", lambda *_: True)
    rig.lms.grades["/items/1", "stranger"] = Entry("/items/1", "stranger", 1, 5, 10, {})
    await rig.book.take(8)
    await rig.deliver()
    await read(rig)
    assert (await shown(rig)).given == "8"
    assert await overrides(rig) == []


async def test_a_score_that_the_lms_cuts_at_its_maximum_is_no_override(rig: Rig) -> None:
    await rig.book.set_item(extra_credit=True)
    await rig.book.take(12)
    await rig.deliver()
    grade(rig, 10)
    await read(rig)
    assert (await shown(rig)).overridden is False
    grade(rig, 9)
    await read(rig)
    assert (await shown(rig)).overridden is True


async def test_a_new_maximum_that_leaves_the_points_alone_is_no_override(rig: Rig) -> None:
    """Some LMSs do not rescale: 8 of 10 becomes 8 of 20, and nobody graded by hand."""
    await rig.book.take(8)
    await rig.deliver()
    await read(rig)
    for standing, overridden in ((8, False), (8, False), (9, True)):
        grade(rig, standing, 20)
        await read(rig, after=60)
        assert (await shown(rig)).overridden is overridden
    assert len(await overrides(rig)) == 1


async def test_clocks_that_differ_make_no_override(rig: Rig) -> None:
    """A score that is confirmed while the results are read; the host's clock is ahead of the database's."""
    await rig.book.take(5)
    await rig.deliver()
    await rig.book.take(8, attempt=2)
    run = rig.host.database.run
    task = await run(rig.book.tenant_id, results.reading, rig.book.line_item_id)
    rig.book.shift += 2
    await rig.runner.work_once()
    shown_then = {rig.book.learners[0]: Result(rig.subject(), Decimal(5), Decimal(10), None, None)}
    now = time.time() + 3_600
    found = await run(
        rig.book.tenant_id, results.store, rig.book.line_item_id, shown_then, confirmed=task.confirmed, now=now
    )
    assert found == []
    assert (await rig.book.slot()).state == "idle"


async def test_results_are_read_ten_minutes_after_a_delivery_and_then_daily(rig: Rig) -> None:
    flow, started = ResultsFlow(), time.time()
    runner = JobRunner(rig.host)
    runner.register("results", flow.work)

    async def planned(after: float) -> int:
        rig.host.clock = lambda: started + after
        count = await flow.plan(rig.host)
        await runner.work_once()
        return count

    await rig.book.take(8)
    await rig.book.take(8, user_id=rig.book.learners[1])
    assert await planned(DAY) == 0
    await rig.deliver()
    assert await planned(590) == 0
    assert await planned(615) == 1
    assert await planned(630) == 0
    assert await planned(615 + DAY) == 1
    assert len(await rig.book.rows(LmsResult)) == 2
    assert await planned(32 * DAY) == 1
    assert await planned(33 * DAY + 60) == 0
    (item,) = await rig.book.rows(LineItem)
    assert item.results_due_at is None
    assert await rig.book.rows(Job) == []


async def test_a_delivery_on_an_idle_line_item_plans_a_reading_again(rig: Rig) -> None:
    await rig.book.set_item(results_due_at=time.time() + DAY)
    await rig.book.take(8)
    await rig.deliver()
    (item,) = await rig.book.rows(LineItem)
    assert item.results_due_at < time.time() + 700


async def test_without_the_scope_nothing_is_read_and_nobody_is_alarmed(rig: Rig, lms: Gradebook) -> None:
    from ltihost.store.service_tables import ContextServices

    await rig.book.take(8)
    await rig.deliver()
    await rig.book.set(ContextServices, ags_scopes=[])
    runner = JobRunner(rig.host)
    runner.register("results", ResultsFlow().work)
    rig.host.clock = lambda: time.time() + 700
    assert await ResultsFlow().plan(rig.host) == 1
    assert await runner.work_once() == 1
    assert await rig.book.rows(Job) == []
    assert [event.type for event in await rig.book.rows(Event)] == ["grade.delivered"]


_NUMBERS = st.decimals(min_value=0, max_value=1000, places=3)
_MAXIMA = st.decimals(min_value="0.5", max_value=1000, places=3)


@given(given_=_NUMBERS, maximum=_MAXIMA, other=_MAXIMA)
def test_a_grade_in_another_scale_is_the_same(given_: Decimal, maximum: Decimal, other: Decimal) -> None:
    scaled = (given_ * other / maximum).quantize(Decimal("0.0000001"))
    assert same_grade(given_, maximum, scaled, other)
    assert same_grade(scaled, other, given_, maximum)


@given(given_=_NUMBERS, maximum=_MAXIMA, by=st.decimals(min_value="0.001", max_value=10, places=3))
def test_a_grade_that_differs_visibly_is_another(given_: Decimal, maximum: Decimal, by: Decimal) -> None:
    visible = max(by, maximum / 10_000)
    assert not same_grade(given_, maximum, given_ + visible, maximum)
    assert not same_grade(given_, maximum, None, maximum)
