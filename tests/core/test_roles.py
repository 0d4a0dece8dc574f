"""Roles: exact strings, the closed set, and the one role in this context."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltihost.lti.roles import is_test_user, known_role, read_role, read_roles, strongest_role
from ltihost.lti.vocabulary import CONTEXT_ROLES, INSTITUTION_ROLES, MEMBERSHIP, SYSTEM_ROLES, TEST_USER

V2 = "http://purl.imsglobal.org/vocab/lis/v2/"


@pytest.mark.parametrize(
    ("uri", "scope", "role", "sub_role"),
    [
        (f"{V2}membership#Instructor", "context", "instructor", None),
        (f"{V2}membership#ContentDeveloper", "context", "content_developer", None),
        (f"{V2}membership/Instructor#TeachingAssistant", "context", "instructor", "teaching_assistant"),
        (f"{V2}membership/Learner#Instructor", "context", "learner", "instructor"),
        (f"{V2}membership#TeachingAssistant", "context", "teaching_assistant", None),
        (f"{V2}membership/Officer#Vice-Chair", "context", "officer", "vice_chair"),
        (f"{V2}institution/person#Instructor", "institution", "instructor", None),
        (f"{V2}institution/person#ProspectiveStudent", "institution", "prospective_student", None),
        (f"{V2}system/person#SysAdmin", "system", "sys_admin", None),
        (f"{V2}person#Administrator", "institution", "administrator", None),
        (TEST_USER, "system", "test_user", None),
        ("Instructor", "context", "instructor", None),
        ("Learner", "context", "learner", None),
        ("TeachingAssistant", "context", "teaching_assistant", None),
        ("Instructor#TeachingAssistant", "context", "instructor", "teaching_assistant"),
        ("Grader", "context", "instructor", "grader"),
        ("urn:lti:role:ims/lis/Instructor", "context", "instructor", None),
        ("urn:lti:role:ims/lis/Learner/Learner", "context", "learner", "learner"),
        ("urn:lti:sysrole:ims/lis/SysAdmin", "system", "sys_admin", None),
        ("urn:lti:instrole:ims/lis/Student", "institution", "student", None),
    ],
)
def test_a_role_is_read_whole(uri: str, scope: str, role: str, sub_role: str | None) -> None:
    found = read_role(uri)
    assert (found.scope, found.role, found.sub_role, found.uri) == (scope, role, sub_role, uri)
    assert known_role(found)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "instructor",
        f"{V2}membership#instructor",
        f"{V2}unknown/unknown#Helper",
        f"{V2}membership/Learner#TeachingAssistant",
        f"{V2}membership/Wizard#Instructor",
        f"{V2}institution/person#SysAdmin",
        "https://evil.example/membership#Instructor",
        "urn:lti:role:ims/lis/Wizard",
        "urn:lti:sysrole:ims/lis/Instructor",
    ],
)
def test_an_unknown_role_is_kept_and_grants_nothing(uri: str) -> None:
    found = read_role(uri)
    assert (found.role, found.uri) == ("none", uri)
    assert strongest_role([found], institution_admin=True) == "none"


def test_every_role_of_the_vocabulary_is_known() -> None:
    uris = [f"{MEMBERSHIP}#{role}" for role in CONTEXT_ROLES]
    uris += [f"{MEMBERSHIP}/{role}#{sub}" for role, subs in CONTEXT_ROLES.items() for sub in subs]
    uris += [f"{V2}institution/person#{role}" for role in INSTITUTION_ROLES]
    uris += [f"{V2}system/person#{role}" for role in SYSTEM_ROLES]
    assert [role.uri for role in read_roles(uris) if not known_role(role)] == []


@pytest.mark.parametrize(
    ("roles", "strongest"),
    [
        ([f"{V2}membership#Instructor"], "instructor"),
        ([f"{V2}membership#Instructor", f"{V2}membership/Instructor#TeachingAssistant"], "teaching_assistant"),
        ([f"{V2}membership/Instructor#TeachingAssistantSection"], "teaching_assistant"),
        ([f"{V2}membership/Instructor#Grader"], "instructor"),
        ([f"{V2}membership#Learner", f"{V2}membership#Instructor"], "instructor"),
        ([f"{V2}membership#TeachingAssistant", f"{V2}membership#Learner"], "teaching_assistant"),
        ([f"{V2}membership#ContentDeveloper", f"{V2}membership#Administrator"], "content_developer"),
        ([f"{V2}membership#Manager"], "administrator"),
        ([f"{V2}membership#Mentor"], "mentor"),
        ([f"{V2}membership#Member"], "member"),
        ([f"{V2}membership#Officer"], "none"),
        ([f"{V2}membership/Learner#Instructor"], "learner"),
        ([f"{V2}institution/person#Instructor"], "none"),
        ([f"{V2}institution/person#Instructor", f"{V2}membership#Learner"], "learner"),
        ([f"{V2}system/person#Administrator"], "none"),
        ([""], "none"),
        ([], "none"),
    ],
)
def test_only_context_roles_decide(roles: list[str], strongest: str) -> None:
    assert strongest_role(read_roles(roles)) == strongest


def test_an_institution_administrator_counts_only_where_the_registration_says_so() -> None:
    roles = read_roles([f"{V2}institution/person#Administrator"])
    assert strongest_role(roles) == "none"
    assert strongest_role(roles, institution_admin=True) == "administrator"
    assert strongest_role((*roles, read_role("Learner")), institution_admin=True) == "learner"


def test_a_test_user_is_flagged() -> None:
    assert is_test_user(read_roles(["Learner", TEST_USER]))
    assert not is_test_user(read_roles(["Learner"]))


@given(st.lists(st.text(max_size=80), max_size=6))
def test_no_text_is_an_error_or_a_privilege(roles: list[str]) -> None:
    privileged = {"instructor", "administrator", "teaching_assistant", "content_developer"}
    if strongest_role(read_roles(roles)) in privileged:
        assert any(read_role(role).scope == "context" and read_role(role).role != "none" for role in roles)
