"""Canvas's launches, quirk by quirk. L and T numbers are those of the plugin's README."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.errors import Refused
from ltihost.records import Services
from ltihost_canvas.claims import normalise
from tests.plugins.reading import (
    CONTEXT,
    CONTEXT_ROLE,
    CUSTOM,
    INSTITUTION_ROLE,
    LTI,
    RESOURCE_LINK,
    ROLES,
    SYSTEM_ROLE,
    Reader,
    samples,
)

INSTRUCTOR = f"{CONTEXT_ROLE}#Instructor"
LEARNER = f"{CONTEXT_ROLE}#Learner"


def names_within(value: Any) -> set[str]:
    """The names of all members at any depth."""
    if isinstance(value, dict):
        return set(value).union(*(names_within(member) for member in value.values()))
    return set().union(*(names_within(item) for item in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("sample", samples("canvas"), ids=lambda sample: sample.file)
def test_t3_l1_no_junk_at_any_depth(canvas: Reader, sample: Any) -> None:
    assert not names_within(dict(canvas.normalised(sample.claims))) & {"validation_context", "errors"}


def test_l1_a_parameter_may_be_called_errors(canvas: Reader) -> None:
    claims = canvas.sample("assignment_student")
    claims[CUSTOM] = {"errors": "5", "validation_context": "exam"}
    assert canvas.message(claims).custom == {"errors": "5", "validation_context": "exam"}


def test_t4_l2_navigation_has_no_link_but_a_title_and_the_line_items(canvas: Reader) -> None:
    claims = canvas.sample("course_navigation_teacher")
    assert canvas.normalised(claims)[RESOURCE_LINK] == {"synthetic": True, "title": "Biology 101"}
    services = canvas.message(claims).services
    assert services.line_item_url is None
    assert services.line_items_url == "https://uni.instructure.com/api/lti/courses/5/line_items"


def test_l2_l21_only_the_contexts_own_id_makes_a_link_synthetic(canvas: Reader) -> None:
    claims = canvas.sample("assignment_student")
    assert canvas.message(claims).resource_link is not None
    claims[RESOURCE_LINK]["id"] = claims[CONTEXT]["id"]
    assert canvas.message(claims).resource_link is None


def test_l2_a_launch_without_link_and_context_is_refused_still(canvas: Reader) -> None:
    claims = canvas.sample("assignment_student")
    del claims[RESOURCE_LINK], claims[CONTEXT]
    with pytest.raises(Refused) as refused:
        canvas.message(claims)
    assert refused.value.code == "resource_link_invalid"


@pytest.mark.parametrize(
    "value",
    [
        "$Canvas.assignment.dueAt.iso8601",
        "$com.instructure.User.student_view",
        "$com.Instructure.membership.roles",
        "$vnd.Canvas.Person.email.sis",
        "$Canvas.membership.permissions<manage_grades,view_all_grades>",
        "$Person.sourcedId",
    ],
)
def test_t5_l10_unresolved_variables_are_dropped(canvas: Reader, value: str) -> None:
    claims = canvas.sample("assignment_student") | {CUSTOM: {"asked": value, "kept": "x"}}
    assert canvas.message(claims).custom == {"kept": "x"}


@pytest.mark.parametrize("value", ["$5 discount", "$5", "$HOME", "costs $Canvas.user.id", "$Canvasses", ""])
def test_t5_l10_texts_with_a_dollar_survive(canvas: Reader, value: str) -> None:
    claims = canvas.sample("assignment_student") | {CUSTOM: {"asked": value}}
    assert canvas.message(claims).custom == {"asked": value}


def test_t5_l10_numbers_and_booleans_become_texts(canvas: Reader) -> None:
    claims = canvas.sample("assignment_student") | {
        CUSTOM: {"number": 8123, "flag": True, "off": False, "nothing": None}
    }
    assert canvas.message(claims).custom == {"number": "8123", "flag": "true", "off": "false"}


def test_t5_l8_l9_sis_ids(canvas: Reader) -> None:
    lis = canvas.message(canvas.sample("assignment_student")).lis
    assert (lis.person_sourcedid, lis.course_offering_sourcedid, lis.course_section_sourcedid) == (
        None,
        "SIS-BIO-101",
        None,
    )


@pytest.mark.parametrize(
    ("sent", "kept"), [("7,6,truncated", {"context_history": "7,6"}), ("timed out", {}), ("", {"context_history": ""})]
)
def test_l11_history_holds_courses_only(canvas: Reader, sent: str, kept: dict[str, str]) -> None:
    claims = canvas.sample("assignment_student") | {CUSTOM: {"context_history": sent}}
    assert canvas.message(claims).custom == kept


def test_l11_other_parameters_may_say_timed_out(canvas: Reader) -> None:
    claims = canvas.sample("assignment_student") | {CUSTOM: {"state": "timed out"}}
    assert canvas.message(claims).custom == {"state": "timed out"}


def test_t6_l4_account_has_no_services_and_gives_no_role(canvas: Reader) -> None:
    claims = canvas.sample("account_admin")
    message = canvas.message(claims)
    assert message.context is not None
    assert (message.context.types, message.context.label) == (("Account",), None)
    assert message.services == Services()
    assert canvas.role(claims) == "none"
    assert canvas.role(claims, institution_admin=True) == "administrator"


def test_t7_l15_visitor_is_anonymous_where_that_is_allowed(canvas: Reader) -> None:
    claims = canvas.sample("public_course_visitor")
    assert canvas.message(claims).person.anonymous
    assert LTI + "lti11_legacy_user_id" not in canvas.normalised(claims)  # L6
    with pytest.raises(Refused) as refused:
        canvas.message(claims, anonymous=False)
    assert refused.value.code == "subject_missing"


def test_t9_a_teacher_elsewhere_is_a_learner_here(canvas: Reader) -> None:
    roles = [INSTITUTION_ROLE + "Instructor", LEARNER, SYSTEM_ROLE + "User"]
    assert canvas.role(canvas.sample("assignment_student") | {ROLES: roles}) == "learner"


@pytest.mark.parametrize("word", ["Instructor", "instructor"])
def test_t10_teaching_assistant_in_both_spellings(canvas: Reader, word: str) -> None:
    claims = canvas.sample("assignment_student") | {ROLES: [INSTRUCTOR, f"{CONTEXT_ROLE}/{word}#TeachingAssistant"]}
    assert canvas.role(claims) == "teaching_assistant"
    assert ("instructor", "teaching_assistant") in {(role.role, role.sub_role) for role in canvas.roles(claims)}


def test_t11_student_view_is_a_test_learner(canvas: Reader) -> None:
    launch = canvas.launch(canvas.sample("student_view"))
    assert (launch["role"], launch["test_user"]) == ("learner", True)


def test_several_enrolments_teacher_wins(canvas: Reader) -> None:
    assert canvas.role(canvas.sample("assignment_student") | {ROLES: [INSTRUCTOR, LEARNER]}) == "instructor"


def test_l5_target_is_unknown_the_rest_of_the_presentation_stays(canvas: Reader) -> None:
    presentation = canvas.message(canvas.sample("assignment_student")).presentation
    assert presentation.target is None
    assert (presentation.width, presentation.height, presentation.locale) == (900, 700, "en")


def test_l12_a_parameter_of_the_same_name_wins_over_the_placement(canvas: Reader) -> None:
    claims = canvas.sample("course_navigation_teacher") | {CUSTOM: {"canvas_placement": "mine"}}
    assert canvas.message(claims).custom == {"canvas_placement": "mine"}


def test_l12_a_placement_needs_no_custom_claim(canvas: Reader) -> None:
    claims = canvas.sample("course_navigation_teacher")
    del claims[CUSTOM]
    assert canvas.message(claims).custom == {"canvas_placement": "course_navigation"}


def test_l17_l18_services_of_an_assignment(canvas: Reader) -> None:
    services = canvas.message(canvas.sample("assignment_student")).services
    assert services.line_item_url == "https://uni.instructure.com/api/lti/courses/5/line_items/31"
    assert services.memberships_url == "https://uni.instructure.com/api/lti/courses/5/names_and_roles"


def test_a_clean_launch_is_left_as_it_is() -> None:
    claims = {ROLES: [LEARNER], CUSTOM: {"exercise": "lab-1"}, RESOURCE_LINK: {"id": "1"}, CONTEXT: {"id": "2"}}
    assert normalise(claims) == claims
