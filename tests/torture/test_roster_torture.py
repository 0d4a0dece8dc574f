"""A roster of a hundred thousand: stored whole, and nobody is lost when a later reading breaks off."""

from __future__ import annotations

import pytest

from ltihost.errors import ServiceFailed
from tests.flows.test_roster import Course, Platform, course, person, platform

__all__ = ["course", "platform"]  # fixtures
pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]


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
