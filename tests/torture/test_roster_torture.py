"""Rosters of thousands: stored whole, and nobody is lost when a later reading breaks off."""

from __future__ import annotations

import time

import pytest

from ltihost.errors import ServiceFailed
from tests.flows.test_roster import Course, Platform, course, person, platform

__all__ = ["course", "platform"]  # fixtures
pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]


async def test_a_page_of_five_thousand_that_fails_removes_nobody_and_the_next_run_is_quick(
    course: Course, platform: Platform
) -> None:
    """R-34: fifty pages, of which the seventh fails."""
    platform.members = [person(f"s{number}", name=f"Student {number}") for number in range(5_000)]
    assert (await course.sync()).pages == 50
    platform.members = [*platform.members[20:], *(person(f"new{number}") for number in range(20))]
    platform.broken = {7: 500}
    with pytest.raises(ServiceFailed):
        await course.sync()
    members = await course.members()
    assert {f"s{number}" for number in range(5_000)} == {key for key in members if key.startswith(("s", "new"))}
    assert all(row.active for row in members.values())
    platform.broken = {}
    started = time.monotonic()
    done = await course.sync()
    assert time.monotonic() - started < 30
    assert done.change is not None
    assert (done.state, done.pages, len(done.change.added), len(done.change.removed)) == ("applied", 50, 20, 20)


async def test_a_hundred_thousand_members(course: Course, platform: Platform) -> None:
    platform.members = [person(f"s{number}", name=f"Student {number}") for number in range(100_000)]
    platform.size = 1_000
    first = await course.sync()
    assert (first.state, first.pages, first.total) == ("applied", 100, 100_000)
    platform.broken = {77: 500}
    with pytest.raises(ServiceFailed):
        await course.sync()
    platform.broken, platform.members = {}, platform.members[:99_990]
    last = await course.sync()
    assert last.change is not None
    assert (len(last.change.removed), last.change.added) == (10, ())


async def test_more_members_than_any_context_has_are_refused(course: Course, platform: Platform) -> None:
    platform.members = [person(f"s{number}") for number in range(200_001)]
    platform.size = 10_000
    with pytest.raises(ServiceFailed) as caught:
        await course.sync()
    assert caught.value.code == "roster_too_large"
    assert set(await course.members()) == {"39890"}
