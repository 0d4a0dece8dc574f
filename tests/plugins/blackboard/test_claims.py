"""Blackboard's launches, quirk by quirk. B and T numbers are those of the plugin's README."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ltihost.errors import Refused
from ltihost.records import Services
from tests.plugins.reading import CONTEXT, CONTEXT_ROLE, CUSTOM, RESOURCE_LINK, ROLES, TEST_USER, Reader, samples

INSTRUCTOR = f"{CONTEXT_ROLE}#Instructor"
LEARNER = f"{CONTEXT_ROLE}#Learner"


@pytest.mark.parametrize("sample", samples("blackboard"), ids=lambda sample: sample.file)
def test_t5_b15_b18_no_session_secret_is_left(blackboard: Reader, sample: Any) -> None:
    text = json.dumps(dict(blackboard.normalised(sample.claims)))
    assert "00112233445566778899aabbccddeeff" not in text
    assert "session_token" not in text
    assert "caliper_federated_session_id" not in text
    assert "sessions/ABCDEF" not in text


def test_t5_b18_the_caliper_claim_loses_its_session_only(blackboard: Reader) -> None:
    caliper = "https://purl.imsglobal.org/spec/lti-ces/claim/caliper-endpoint-service"
    claims = blackboard.sample("instructor")
    claims[caliper] = {"caliper_endpoint_url": "https://c.example.org", "caliper_federated_session_id": "s"}
    assert blackboard.normalised(claims)[caliper] == {"caliper_endpoint_url": "https://c.example.org"}


@pytest.mark.parametrize("value", ["$ResourceLink.id.history", "$CourseGroup.id", "@X@membership.role@X@", "@X@@X@"])
def test_t6_b19_unresolved_values_are_dropped(blackboard: Reader, value: str) -> None:
    claims = blackboard.sample("instructor") | {CUSTOM: {"asked": value, "kept": "x"}}
    assert blackboard.message(claims).custom == {"kept": "x"}


@pytest.mark.parametrize("value", ["$5 off", "$5", "$CourseGroups", "x @X@user.role@X@", "@X@", "me@X@you"])
def test_t6_b19_other_texts_survive(blackboard: Reader, value: str) -> None:
    claims = blackboard.sample("instructor") | {CUSTOM: {"asked": value}}
    assert blackboard.message(claims).custom == {"asked": value}


@pytest.mark.parametrize(
    ("sent", "title", "read"),
    [
        ("_13_1mylink", "mylink", "_13_1"),
        ("_13_12nd try", "2nd try", "_13_1"),
        ("_13_1mylink", "renamed", "_13_1mylink"),
        ("_13_11", "1", "_13_11"),
        ("_44_1", "My tool", "_44_1"),
        ("_44_1", None, "_44_1"),
    ],
)
def test_t7_b4_old_editor_ids(blackboard: Reader, sent: str, title: str | None, read: str) -> None:
    claims = blackboard.sample("instructor") | {RESOURCE_LINK: {"id": sent, "title": title}}
    link = blackboard.message(claims).resource_link
    assert link is not None
    assert link.lms_id == read


def test_t8_b6_the_folder_of_a_deep_linking_request_is_no_link(blackboard: Reader) -> None:
    claims = blackboard.sample("deep_linking")
    assert RESOURCE_LINK not in blackboard.normalised(claims)
    message = blackboard.message(claims)
    assert message.deep_linking is not None
    assert (
        message.deep_linking.data
        == "_4_1::_14_1::2::false::true::_13_1::e7a75af804fd4d9fb76812c7cde8ca70::false::false"
    )


def test_t9_b5_a_course_tool_has_no_link(blackboard: Reader) -> None:
    claims = blackboard.sample("course_tool")
    assert blackboard.normalised(claims)[RESOURCE_LINK] == {"synthetic": True, "title": "Biology 101"}
    assert blackboard.message(claims).services.line_item_url is None


def test_t9_a_system_tool_has_no_course_and_no_services(blackboard: Reader) -> None:
    claims = blackboard.sample("system_tool")
    message = blackboard.message(claims)
    assert (message.context, message.services) == (None, Services())
    assert blackboard.role(claims) == "none"
    assert blackboard.role(claims, institution_admin=True) == "administrator"


def test_b5_an_empty_link_is_refused_still(blackboard: Reader) -> None:
    claims = blackboard.sample("instructor") | {RESOURCE_LINK: {"title": "My tool"}}
    with pytest.raises(Refused) as refused:
        blackboard.message(claims)
    assert refused.value.code == "resource_link_invalid"


@pytest.mark.parametrize(
    ("roles", "code", "role"),
    [
        ([INSTRUCTOR], "P", "instructor"),
        ([INSTRUCTOR], "T", "teaching_assistant"),
        ([INSTRUCTOR], "G", "teaching_assistant"),
        ([INSTRUCTOR], "B", "content_developer"),
        ([INSTRUCTOR], "COACH", "instructor"),
        ([INSTRUCTOR], "@X@membership.role@X@", "instructor"),
        ([INSTRUCTOR], None, "instructor"),
        ([f"{CONTEXT_ROLE}#TeachingAssistant"], "T", "teaching_assistant"),
        ([f"{CONTEXT_ROLE}#ContentDeveloper"], "P", "content_developer"),
        ([f"{CONTEXT_ROLE}#Mentor"], "P", "mentor"),
        ([LEARNER], "P", "learner"),
        ([LEARNER], "T", "learner"),
        ([LEARNER], "B", "learner"),
        ([LEARNER], "U", "learner"),
        ([], "P", "none"),
    ],
)
def test_t11_the_parameter_lowers_and_never_raises(
    blackboard: Reader, roles: list[str], code: str | None, role: str
) -> None:
    claims = blackboard.sample("instructor") | {ROLES: roles, CUSTOM: {"bb_course_role": code}}
    assert blackboard.role(claims) == role


def test_t11_a_graders_sub_role_is_kept(blackboard: Reader) -> None:
    claims = blackboard.sample("grader")
    assert {"grader", "teaching_assistant"} <= {role.sub_role for role in blackboard.roles(claims)}


@pytest.mark.parametrize(
    ("settings", "role"),
    [
        ({"assistant_codes": "COACH, TUTOR"}, "teaching_assistant"),
        ({"builder_codes": ["COACH"]}, "content_developer"),
        ({"assistant_codes": "coach"}, "instructor"),
        ({}, "instructor"),
    ],
)
def test_t11_a_tenant_may_lower_its_own_course_roles(blackboard: Reader, settings: dict[str, Any], role: str) -> None:
    claims = blackboard.sample("own_course_role")
    assert blackboard.role(claims, settings) == role


def test_t11_a_tenants_codes_do_not_touch_learners(blackboard: Reader) -> None:
    claims = blackboard.sample("own_course_role") | {ROLES: [LEARNER]}
    assert blackboard.role(claims, {"assistant_codes": "COACH"}) == "learner"


@pytest.mark.parametrize(
    ("stem", "role"),
    [
        ("administrator_teaching", "instructor"),
        ("administrator_learning", "learner"),
        ("administrator_only", "administrator"),
    ],
)
def test_t12_administrators(blackboard: Reader, stem: str, role: str) -> None:
    claims = blackboard.sample(stem)
    assert blackboard.role(claims) == role
    assert ("system", "administrator") in {(role.scope, role.role) for role in blackboard.roles(claims)}


@pytest.mark.parametrize("roles", [[TEST_USER], [LEARNER, TEST_USER]])
def test_t13_preview_is_a_test_learner(blackboard: Reader, roles: list[str]) -> None:
    launch = blackboard.launch(blackboard.sample("student_preview") | {ROLES: roles})
    assert (launch["role"], launch["test_user"]) == ("learner", True)


def test_t14_b21_no_roles_is_nobody_not_a_fault(blackboard: Reader) -> None:
    claims = blackboard.sample("nothing_shared")
    assert ROLES not in claims
    assert blackboard.message(claims).roles == ()
    assert blackboard.role(claims) == "none"


def test_t14_b21_roles_of_a_wrong_shape_are_refused_still(blackboard: Reader) -> None:
    with pytest.raises(Refused) as refused:
        blackboard.message(blackboard.sample("instructor") | {ROLES: INSTRUCTOR})
    assert refused.value.code == "roles_invalid"


def test_b12_b13_b14_services_of_a_graded_item(blackboard: Reader) -> None:
    services = blackboard.message(blackboard.sample("student_graded_item")).services
    course = "https://learn.example.edu/learn/api/v1/lti"
    assert services.line_item_url == f"{course}/courses/_4_1/lineItems/_40_1"
    assert services.memberships_url == f"{course}/external/namesandroles/_4_1"
    assert services.groups_url == f"{course}/courses/_4_1/groups"


def test_b24_other_messages_are_refused(blackboard: Reader) -> None:
    claims = blackboard.sample("instructor")
    claims["https://purl.imsglobal.org/spec/lti/claim/message_type"] = "LtiEulaRequest"
    with pytest.raises(Refused) as refused:
        blackboard.message(claims)
    assert refused.value.code == "message_type_unsupported"


def test_b9_a_launch_without_presentation_is_read(blackboard: Reader) -> None:
    claims = blackboard.sample("deep_linking")
    assert "https://purl.imsglobal.org/spec/lti/claim/launch_presentation" not in claims
    assert blackboard.message(claims).presentation.return_url is None


def test_a_launch_without_parameters_is_read(blackboard: Reader) -> None:
    claims = blackboard.sample("instructor")
    del claims[CUSTOM], claims[CONTEXT]
    assert blackboard.role(claims) == "instructor"
