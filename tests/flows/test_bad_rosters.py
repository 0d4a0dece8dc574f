"""Rosters that are odd or bad, each beside one that was read before: what it comes to, and that nobody is lost."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.errors import ServiceFailed
from ltihost.store import roster_queries
from tests.flows.test_members_api import members
from tests.flows.test_roster import Course, Platform, course, person, platform

__all__ = ["course", "platform"]  # fixtures

HTML = '<img src=x onerror="alert(1)">{{7*7}}\u202e & "co"'


@pytest.fixture
async def read(course: Course, platform: Platform) -> Course:
    """A course whose roster was read: Ann and Bob, and the teacher."""
    platform.members = [person("39890", "Instructor"), person("ann", name="Ann"), person("bob", name="Bob")]
    assert (await course.sync()).state == "applied"
    return course


async def here(course: Course) -> dict[str, str]:
    """Who is in the course, and as what."""
    return {key: row.role for key, row in (await course.members()).items() if row.active and row.left_at is None}


ALL_THREE = {"39890": "instructor", "ann": "learner", "bob": "learner"}


async def test_a_roster_of_nobody_changes_nothing_and_the_next_one_counts(read: Course, platform: Platform) -> None:
    """Told as a failure, since an LMS that lists nobody is more often wrong than right."""
    before, platform.members = platform.members, []
    assert (await read.sync()).code == "roster_empty"
    assert await here(read) == ALL_THREE
    known = await read.run(roster_queries.runs, context_id=read.context_id)
    assert sorted(run.state for run in known) == ["applied", "failed"]
    platform.members = before
    done = await read.sync()
    assert done.change is not None
    assert (done.state, done.change.added, done.change.removed) == ("applied", (), ())


async def test_a_page_of_nobody_among_others_is_a_page(read: Course, platform: Platform) -> None:
    platform.size = 1
    platform.members = [platform.members[0], person("", name="no id"), *platform.members[1:]]
    assert (await read.sync()).pages == 4
    assert await here(read) == ALL_THREE


async def test_who_is_on_two_pages_counts_once_as_the_later_one_says(read: Course, platform: Platform) -> None:
    """N-13: the roster moves while it is read."""
    platform.size = 2
    platform.members = [*platform.members, person("ann", "Instructor", name="Ann Two")]
    done = await read.sync()
    assert (done.pages, done.total) == (2, 3)
    assert await here(read) == ALL_THREE | {"ann": "instructor"}
    assert (await read.users())["ann"].name == "Ann Two"


async def test_equal_ids_in_other_letters_are_other_people(read: Course, platform: Platform) -> None:
    platform.members += [person("ANN"), person(" ann")]
    await read.sync()
    assert set(await here(read)) == {*ALL_THREE, "ANN", " ann"}


async def test_a_roster_without_personal_data_takes_none_away(read: Course, platform: Platform) -> None:
    """N-13: ids and roles are all that some platforms share, and short names of roles are roles."""
    platform.members = [{"user_id": key, "roles": [role.title()]} for key, role in ALL_THREE.items()]
    await read.sync()
    assert await here(read) == ALL_THREE
    assert (await read.users())["bob"].email is None


async def test_html_and_signs_in_names_are_text_wherever_they_are_shown(read: Course, platform: Platform) -> None:
    """As JSON to the application, which gets them as they are."""
    platform.members[1] = person("ann", name=HTML, given_name="a\x00b\x07\ud800", family_name="x" * 5_000, email=HTML)
    await read.sync()
    shown = next(row for row in (await members(read))["data"] if row["subject"] == "ann")
    assert (shown["name"], shown["email"]) == (HTML, HTML)
    assert shown["given_name"] == "a\ufffdb\ufffd"
    assert len(shown["family_name"]) <= 1_000


@pytest.mark.parametrize("status", ["Deleted", "Inactive", "deleted"])
async def test_who_is_listed_as_gone_has_left(read: Course, platform: Platform, status: str) -> None:
    """N-16. Each reading is whole, so a link to what differs since the last one is not followed."""
    platform.members[2] = person("bob", status=status)
    platform.links = (f'<{platform.server.url("/members/since?time=1")}>; rel="differences"',)
    before = len(platform.asked)
    done = await read.sync()
    assert [request.path for request in platform.asked[before:]] == ["/members"]
    gone = (await read.members())["bob"]
    assert done.change is not None
    assert done.change.removed == (gone.user_id,)
    assert not gone.active
    assert set(await here(read)) == {"39890", "ann"}


NO_CONTAINER: list[tuple[dict[str, Any], str]] = [
    ({"members": None}, "answer_unreadable"), ({"members": {"0": {}}}, "answer_unreadable"),
    ({"members": [[]]}, "answer_unreadable"), ({"context": {"id": "another"}}, "roster_context"),
]  # fmt: skip


async def test_a_container_that_is_none_loses_nobody(read: Course, platform: Platform) -> None:
    for platform.changed, code in NO_CONTAINER:
        with pytest.raises(ServiceFailed) as caught:
            await read.sync()
        assert caught.value.code == code
        assert await here(read) == ALL_THREE


ODD_ROWS: list[dict[str, Any]] = [
    {"roles": "Learner"}, {"roles": [7, None, "a\x00"]}, {"roles": None}, {"status": 7}, {"name": ["Ann"]}, {"message": 7},
]  # fmt: skip


async def test_a_member_that_is_written_wrongly_spoils_no_other(read: Course, platform: Platform) -> None:
    for row in ODD_ROWS:
        platform.members[1] = person("ann") | row
        assert (await read.sync()).state == "applied", row
        assert {"39890", "bob"} <= set(await here(read)), row
