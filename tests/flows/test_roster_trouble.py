"""Rosters that fail, break off, or never end."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.errors import Conflict, ServiceFailed
from ltihost.flows import roster
from ltihost.flows.jobs import JobRunner
from ltihost.flows.roster import RosterFlow
from ltihost.store import rosters
from tests.core.support_loopback import under_way
from tests.flows.test_roster import Course, Platform, course, person, platform

__all__ = ["course", "platform"]  # fixtures


async def test_a_roster_that_fails_is_not_asked_for_all_day(course: Course, platform: Platform) -> None:
    """Its run was held or failed; beyond the job's own tries the next comes tomorrow, and others have their turn."""
    platform.broken = {1: 403}
    assert await roster.schedule(course.rig.host) == 1
    runner = JobRunner(course.rig.host)
    runner.register(roster.JOB, roster.do)
    assert await runner.work_once() == 1
    for _ in range(3):
        course.rig.clock.now += 600
        assert await roster.schedule(course.rig.host) == 0
    course.rig.clock.now += roster.EVERY_SECONDS
    assert await roster.schedule(course.rig.host) == 1


async def test_a_link_whose_members_never_end_is_given_up(
    course: Course, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "LINK_SECONDS", 0.0)
    with pytest.raises(ServiceFailed) as caught:
        await RosterFlow(course.rig.host).read_link(course.rig.tenant.id, course.context_id, "link-1")
    assert caught.value.code == "timeout"


async def test_a_reading_that_breaks_off_leaves_no_request_behind(course: Course, platform: Platform) -> None:
    platform.members, platform.size, platform.context_id = [person("s1"), person("s2")], 1, "another"
    before = under_way()
    with pytest.raises(ServiceFailed) as caught:
        await course.sync()
    assert caught.value.code == "roster_context"
    assert under_way() - {"Event.wait"} <= before  # by which tending sleeps


async def test_who_left_after_a_run_that_broke_off_is_noticed_by_the_next(
    course: Course, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.members = [person("s1"), person("s2")]
    await course.sync()

    def fail(*_: Any, **__: Any) -> Any:
        raise Conflict("broken_off", "The process went away between two slices.")

    with monkeypatch.context() as patched:
        patched.setattr(roster, "AT_ONCE", 1)
        patched.setattr(rosters, "finish", fail)
        with pytest.raises(Conflict):
            await course.sync()
    platform.members = [person("s2")]
    done = await course.sync()
    assert done.change is not None
    assert len(done.change.removed) == 1
