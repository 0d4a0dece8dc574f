"""Canvas's rosters, quirk by quirk. N and T numbers are those of the plugin's README."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.service_records import LeftOut
from tests.plugins.reading import CONTEXT_ROLE, CUSTOM, TEST_USER, Reader
from tests.plugins.scripted import ROSTER, URLS, ScriptedLms, page

INSTRUCTOR, LEARNER = f"{CONTEXT_ROLE}#Instructor", f"{CONTEXT_ROLE}#Learner"


def row(**more: Any) -> dict[str, Any]:
    return {"status": "Active", "user_id": "sub-1", "roles": [LEARNER], "name": "Ada Byron", **more}


async def test_t17_n1_pages_of_fifty_are_asked_for_and_followed(canvas: Reader) -> None:
    rows = [row(user_id=f"sub-{number}") for number in range(103)]
    second, third = f"{ROSTER}?page=2", f"{ROSTER}?page=3"
    lms = ScriptedLms(page(*rows[:50], next_url=second), page(*rows[50:100], next_url=third), page(*rows[100:]))
    found = [item async for part in canvas.adapter(lms).roster(URLS) for item in part.rows]
    assert len(found) == 103
    assert [request.url for request in lms.requests] == [f"{ROSTER}?limit=50", second, third]


def test_t17_n3_the_test_student_is_left_out(canvas: Reader) -> None:
    assert isinstance(canvas.member(row(roles=[LEARNER, TEST_USER])), LeftOut)


def test_t17_n6_union_of_roles_and_missing_email_stay(canvas: Reader) -> None:
    member = row(roles=[INSTRUCTOR, LEARNER])
    assert canvas.member(member) == member


def test_n3_teaching_assistants_are_spelt_as_at_the_launch(canvas: Reader) -> None:
    member = canvas.member(row(roles=[INSTRUCTOR, f"{CONTEXT_ROLE}/instructor#TeachingAssistant"]))
    assert not isinstance(member, LeftOut)
    assert member["roles"] == [INSTRUCTOR, f"{CONTEXT_ROLE}/Instructor#TeachingAssistant"]


@pytest.mark.parametrize(("sent", "kept"), [("$Person.sourcedId", None), ("SIS-1", "SIS-1"), ("", "")])
def test_n4_an_unresolved_sourcedid_is_absent(canvas: Reader, sent: str, kept: str | None) -> None:
    member = canvas.member(row(lis_person_sourcedid=sent))
    assert not isinstance(member, LeftOut)
    assert member.get("lis_person_sourcedid") == kept


def test_t18_n5_what_was_not_filled_in_is_dropped(canvas: Reader) -> None:
    member = canvas.member(row(message=[{CUSTOM: {"canvas_section_ids": "42, 43", "x": "$Canvas.assignment.id"}}]))
    assert not isinstance(member, LeftOut)
    assert member["message"] == [{CUSTOM: {"canvas_section_ids": "42, 43"}}]


async def test_t18_n5_sections_are_asked_for_with_the_link(canvas: Reader) -> None:
    lms = ScriptedLms(page(row()))
    assert len([part async for part in canvas.adapter(lms).roster(URLS, resource_link="c0ffee")]) == 1
    assert lms.requests[0].url == f"{ROSTER}?rlid=c0ffee&limit=50"


@pytest.mark.parametrize(
    ("role", "sent"),
    [
        (LEARNER, f"{ROSTER}?role=http%3A%2F%2Fpurl.imsglobal.org%2Fvocab%2Flis%2Fv2%2Fmembership%23Learner&limit=50"),
        ("Learner", f"{ROSTER}?limit=50"),
        (f"{CONTEXT_ROLE}#Administrator", f"{ROSTER}?limit=50"),
        ("http://purl.imsglobal.org/vocab/lis/v2/institution/person#Student", f"{ROSTER}?limit=50"),
    ],
)
async def test_t17_n2_only_a_role_that_canvas_knows_is_asked_for(canvas: Reader, role: str, sent: str) -> None:
    lms = ScriptedLms(page(row()))
    assert len([part async for part in canvas.adapter(lms).roster(URLS, role=role)]) == 1
    assert lms.requests[0].url == sent
