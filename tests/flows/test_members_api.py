"""Members for applications: who may read them, what is released, and having the LMS asked."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.flows import roster
from ltihost.flows.jobs import JobRunner
from ltihost.store import applications
from tests.flows.rig import ACTOR
from tests.flows.test_roster import Course, Platform, course, person, platform

__all__ = ["course", "platform"]  # fixtures


async def call(course: Course, path: str, *, method: str = "GET", scope: str = "roster:read", **query: Any) -> Any:
    key = course.keys.get(scope) or await course.rig.key(course.rig.application, scope)
    course.keys[scope] = key
    return await course.rig.http.request(
        method, f"/api/v1/contexts/{path}", params=query, headers={"authorization": f"Bearer {key}"}
    )


async def members(course: Course, **query: Any) -> Any:
    answer = await call(course, f"{course.context_id}/members", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_members_and_how_far_they_are_known(course: Course, platform: Platform) -> None:
    platform.members = [person("s1", name="Sam", email="sam@example.edu"), person("39890", "Instructor")]
    before = await members(course)
    assert before["roster"] is None
    await course.sync()
    found = await members(course)
    assert found["roster"]["generation"] == 1
    sam = next(row for row in found["data"] if row["subject"] == "s1")
    assert (sam["name"], sam["email"], sam["role"], sam["source"]) == ("Sam", "sam@example.edu", "learner", "roster")
    assert (sam["active"], sam["last_login_at"], sam["left_at"], sam["custom"]) == (True, None, None, {})


async def test_what_was_not_released_is_null(course: Course, platform: Platform) -> None:
    rig = course.rig
    platform.members = [person("s1", name="Sam", email="sam@example.edu", picture="https://x.example/s.png")]
    await course.sync()
    await rig.operator(applications.update, rig.application.id, [("release", "")], actor=ACTOR)
    sam = next(row for row in (await members(course))["data"] if row["subject"] == "s1")
    assert {sam[name] for name in ("name", "given_name", "family_name", "email", "picture")} == {None}
    assert sam["user_id"].startswith("usr_")


async def test_pages_filters_and_who_left(course: Course, platform: Platform) -> None:
    platform.members = [person(f"s{number}") for number in range(3)]
    await course.sync()
    platform.members = platform.members[1:]
    await course.sync()
    assert len((await members(course))["data"]) == 3  # the teacher, s1 and s2
    assert len((await members(course, active="any"))["data"]) == 4
    gone = (await members(course, active=False))["data"]
    assert [row["subject"] for row in gone] == ["s0"]
    assert gone[0]["left_at"] is not None
    assert [row["subject"] for row in (await members(course, role="instructor"))["data"]] == ["39890"]
    seen, cursor = [], None
    while True:
        page = await members(course, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [row["subject"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == ["39890", "s1", "s2"]


async def test_members_of_one_link_come_from_the_lms(course: Course, platform: Platform) -> None:
    platform.members, platform.custom = [person("39890", "Instructor"), person("s1")], True
    found = (await members(course, resource_link=course.link_id))["data"]
    assert [(row["subject"], row["custom"], row["user_id"] is None) for row in found] == [
        ("39890", {"section": "39890"}, False), ("s1", {"section": "s1"}, True),
    ]  # fmt: skip
    assert [
        row["subject"] for row in (await members(course, resource_link=course.link_id, role="learner"))["data"]
    ] == ["s1"]
    answer = await call(course, f"{course.context_id}/members", resource_link="lnk_unknown")
    assert (answer.status_code, answer.json()["code"]) == (404, "resource_link_unknown")


async def test_an_lms_that_fails_is_a_502(course: Course, platform: Platform) -> None:
    platform.broken = {1: 403}
    answer = await call(course, f"{course.context_id}/members", resource_link=course.link_id)
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_wish_for_a_sync_is_done(course: Course, platform: Platform) -> None:
    platform.members = [person("s1")]
    answer = await call(course, f"{course.context_id}/roster-sync", method="POST")
    assert (answer.status_code, answer.json()["job"]["state"]) == (202, "pending")
    runner = JobRunner(course.rig.host)
    runner.register(roster.JOB, roster.do)
    assert await runner.work_once() == 1
    assert "s1" in {row["subject"] for row in (await members(course))["data"]}


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("{context}/members", {"cursor": "nonsense"}, 422, "cursor_invalid"),
        ("{context}/members", {"limit": 0}, 422, "invalid"),
        ("ctx_unknown/members", {}, 404, "context_unknown"),
    ],
)
async def test_unusable_questions(course: Course, path: str, query: dict[str, Any], status: int, code: str) -> None:
    answer = await call(course, path.format(context=course.context_id), **query)
    assert answer.status_code == status
    assert answer.json()["code"].startswith(code)


async def test_without_the_scope_nothing_is_shown(course: Course) -> None:
    answer = await call(course, f"{course.context_id}/members", scope="launch:exchange")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


async def test_another_application_s_context_does_not_exist(course: Course) -> None:
    rig = course.rig
    other = await rig.operator(
        applications.create, rig.tenant.id, "other", name="Other", launch_url="https://other.example/", actor=ACTOR
    )
    key = await rig.key(other, "roster:read")
    answer = await rig.http.get(
        f"/api/v1/contexts/{course.context_id}/members", headers={"authorization": f"Bearer {key}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "context_unknown")
