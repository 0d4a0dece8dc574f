"""Moodle's rosters, quirk by quirk. K, M and quirk numbers are those of the plugin's README."""

from __future__ import annotations

from typing import Any

from ltihost.plugins import LtiAdapter
from ltihost.service_records import Member
from ltihost_moodle.adapter import MoodleAdapter
from tests.plugins.reading import Reader, binding
from tests.plugins.scripted import ROSTER, URLS, ScriptedLms, page


class PagingMoodle(MoodleAdapter):
    page_limit = 2


def row(**more: Any) -> dict[str, Any]:
    names = {"name": "Ada Byron", "given_name": "Ada", "family_name": "Byron", "email": "ada@example.edu"}
    return {"status": "Active", "roles": ["Learner"], "user_id": "7", "lis_person_sourcedid": "", **names, **more}


def member(moodle: Reader, given: dict[str, Any]) -> Member:
    found = moodle.listed(given)
    assert isinstance(found, Member)
    return found


def test_quirk58_names_are_unescaped_once(moodle: Reader) -> None:
    found = member(moodle, row(name="A &amp; B x", given_name="A &amp; B", family_name="&amp;lt;x O&#039;Neill"))
    assert (found.name, found.given_name, found.family_name) == ("A & B x", "A & B", "&lt;x O'Neill")


def test_quirk58_email_is_left_as_it_is(moodle: Reader) -> None:
    assert member(moodle, row(email="a&amp;b@example.edu")).email == "a&amp;b@example.edu"


def test_quirk3_k6_short_roles_are_roles_of_the_context(moodle: Reader) -> None:
    assert member(moodle, row(roles=["Instructor"])).role == "instructor"
    assert member(moodle, row(roles=["Learner"])).role == "learner"


def test_m5_k6_the_administrator_is_the_systems(moodle: Reader) -> None:
    found = member(moodle, row(roles=["Instructor", "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"]))
    assert [(role.scope, role.role) for role in found.roles] == [("context", "instructor"), ("system", "administrator")]
    assert found.role == "instructor"


def test_quirk56_a_missing_status_is_active(moodle: Reader) -> None:
    given = row()
    del given["status"]
    assert member(moodle, given).active


def test_quirk59_empty_sourcedid_is_absent(moodle: Reader) -> None:
    assert member(moodle, row()).sourcedid is None


async def test_quirk55_the_roster_comes_at_once(moodle: Reader) -> None:
    lms = ScriptedLms(page(*(row(user_id=str(n)) for n in range(220))))
    assert [len(part.rows) async for part in moodle.adapter(lms).roster(URLS)] == [220]
    assert lms.requests[0].url == ROSTER


async def test_m5_k19_quirk55_every_page_keeps_the_role(moodle: Reader) -> None:
    second, third = f"{ROSTER}?limit=2&from=2", f"{ROSTER}?limit=2&from=4"
    lms = ScriptedLms(page(row(), next_url=second), page(row(), next_url=third), page(row()))
    adapter = PagingMoodle(binding("moodle"), lms)
    assert len([part async for part in adapter.roster(URLS, role="Learner")]) == 3
    assert [request.url for request in lms.requests] == [
        f"{ROSTER}?role=Learner&limit=2",
        f"{second}&role=Learner",
        f"{third}&role=Learner",
    ]


async def test_k19_a_page_that_names_the_role_is_left_alone(moodle: Reader) -> None:
    second = f"{ROSTER}?limit=2&from=2&role=Learner"
    lms = ScriptedLms(page(row(), next_url=second), page(row()))
    adapter = PagingMoodle(binding("moodle"), lms)
    assert len([part async for part in adapter.roster(URLS, role="Learner")]) == 2
    assert lms.requests[1].url == second


async def test_m5_k19_quirk57_the_roster_of_a_link(moodle: Reader) -> None:
    lms = ScriptedLms(page(row()))
    assert len([part async for part in moodle.adapter(lms).roster(URLS, resource_link="3")]) == 1
    assert lms.requests[0].url == f"{ROSTER}?rlid=3"


def test_k7_a_role_known_from_a_launch_outlives_the_roster() -> None:
    """What the host does then is tested with its store: a role from a launch stays, one from a roster follows."""
    assert MoodleAdapter.trusts_roster_roles is False
    assert LtiAdapter.trusts_roster_roles is True
