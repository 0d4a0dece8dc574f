"""What an LMS's plugin says about scores and answers reaches the slot; and what stands there can be verified."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint

import pytest

from ltihost.flows.grades.verify import verify
from ltihost.plugins.contract import ENTRY_POINT_GROUP
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings
from ltihost.store import grades, tenants
from ltihost.store.tables import Registration
from tests.core.example_plugins import gradebook as plugin
from tests.core.grades.support import DeliveryTry, Event, GradeSlot
from tests.core.store.support import ACTOR
from tests.flows.grades.gradebook import Entry, Gradebook, says
from tests.flows.grades.rig import Rig, make_rig

DAY = 86_400.0


@pytest.fixture
async def dialect(settings: Settings, lms: Gradebook) -> AsyncIterator[Rig]:
    """A host whose registration is the example plugin's."""
    point = EntryPoint("gradebook", "tests.core.example_plugins.gradebook", ENTRY_POINT_GROUP)
    rig = await make_rig(settings, lms, plugins=load_plugins(installed=[point]))
    await rig.book.set(Registration, plugin="gradebook")
    await rig.book.db.run_host(tenants.enable_plugin, rig.book.tenant_id, "gradebook", actor=ACTOR)
    rig.host.routing.forget()
    plugin.settled.clear()
    yield rig
    await rig.host.close()


async def test_a_score_leaves_as_the_gradebook_takes_it(dialect: Rig) -> None:
    await dialect.book.take(8, 10)
    await dialect.deliver()
    assert dialect.standing() == (16, 20)
    slot = await dialect.book.slot()
    assert (slot.confirmed_given, slot.confirmed_maximum) == ("16", "20")
    assert plugin.settled == [("idle", None)]


async def test_a_score_that_would_do_harm_is_kept_back_with_the_reason(dialect: Rig) -> None:
    await dialect.book.take(None, None, grading_progress="Pending", activity_progress="Started")
    await dialect.deliver()
    assert dialect.lms.posts == []
    slot = await dialect.book.slot()
    assert (slot.state, slot.note) == ("idle", "Only final scores reach this gradebook.")
    assert slot.confirmed_at is None
    await dialect.book.take(8, attempt=2)
    await dialect.deliver(after=2)
    assert dialect.standing() == (16, 20)


async def test_a_plugin_that_fails_puts_the_score_off_and_blames_no_platform(dialect: Rig) -> None:
    await dialect.book.take(8, comment="fail")
    for _ in range(6):
        await dialect.deliver(after=400)
    slot = await dialect.book.slot()
    assert (slot.state, slot.code, slot.unknown_outcome) == ("pending", "plugin_error", False)
    await dialect.book.take(9, user_id=dialect.book.learners[1])
    await dialect.deliver()
    assert dialect.standing(1) == (18, 20)


async def test_who_is_not_enrolled_is_waited_for_until_the_roster_lists_them(dialect: Rig) -> None:
    """R-20, second half."""
    dialect.lms.rule = says(400, b"user not enrolled in course")
    await dialect.book.take(8)
    await dialect.deliver()
    slot = await dialect.book.slot()
    assert (slot.state, slot.code) == ("waiting_enrolment", "user_not_enrolled")
    assert [one.note for one in await dialect.book.rows(DeliveryTry)] == ["user not enrolled in course"]
    assert await dialect.deliver(after=3_600) == 0
    dialect.lms.rule = None
    now = time.time() + dialect.book.shift
    book = dialect.book
    assert await book.db.run(book.tenant_id, grades.enrolled, book.context_id, book.learners, now) == 1
    await dialect.deliver()
    assert dialect.standing() == (16, 20)
    assert [row.type for row in await book.rows(Event)] == ["grade.waiting", "grade.delivered"]


async def test_after_fourteen_days_nobody_waits_any_longer(dialect: Rig) -> None:
    dialect.lms.rule = says(400, b"user not enrolled in course")
    await dialect.book.take(8)
    for _ in range(16):
        await dialect.deliver(after=DAY)
    slot = await dialect.book.slot()
    assert (slot.state, slot.code) == ("dead", "user_not_enrolled")
    await dialect.book.take(9, attempt=2)
    assert await dialect.deliver(after=DAY) == 0
    assert plugin.settled == [("dead", "user_not_enrolled")]


async def test_verifying_reads_and_shows_differences_and_writes_nothing(rig: Rig) -> None:
    for learner in rig.book.learners:
        await rig.book.take(8, user_id=learner)
    await rig.deliver()
    known = rig.lms.grades["/items/1", "learner-1"]
    rig.lms.grades["/items/1", "learner-1"] = Entry(known.item, known.user, known.second + 5, 3, 10, {})
    before = [row.values() for row in await rig.book.rows(GradeSlot)]
    (checked,) = [item async for item in verify(rig.host, line_item_id=rig.book.line_item_id)]
    assert (checked.compared, checked.code) == (2, None)
    (different,) = checked.differences
    assert different.slot.delivery.user_id == rig.book.learners[1]
    assert different.standing is not None
    assert different.standing.given == 3
    assert [row.values() for row in await rig.book.rows(GradeSlot)] == before
    assert len(rig.lms.posts) == 2


async def test_old_tries_and_keys_go_and_what_was_stated_stays(rig: Rig) -> None:
    from ltihost.store import history
    from tests.core.grades.support import GradeEvent

    await rig.book.take(8)
    await rig.deliver()
    assert await rig.book.db.run_lookup(history.prune, time.time()) == 0
    await rig.book.set(DeliveryTry, started_at=time.time() - 31 * DAY)
    assert await rig.book.db.run_lookup(history.prune, time.time()) == 1
    assert await rig.book.rows(DeliveryTry) == []
    assert len(await rig.book.rows(GradeEvent)) == 1
