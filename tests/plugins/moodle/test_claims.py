"""Moodle's launches, quirk by quirk. K, M and quirk numbers are those of the plugin's README."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ltihost_moodle.claims import moodle_key, normalise
from tests.plugins.reading import CONTEXT_ROLE, CUSTOM, INSTITUTION_ROLE, RESOURCE_LINK, ROLES, SYSTEM_ROLE, Reader

CAPTURES = sorted((Path(__file__).parents[2] / "data" / "moodle").glob("launch-*.json"))
COURSE_SECTION = "http://purl.imsglobal.org/vocab/lis/v2/course#CourseSection"


def captured(name: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads((CAPTURES[0].parent / f"launch-{name}.json").read_text())["claims"]
    return claims


def test_there_are_captures_of_a_real_moodle() -> None:
    assert [path.stem for path in CAPTURES] == [
        "launch-admin",
        "launch-deeplinking-teacher1",
        "launch-student01",
        "launch-teacher1",
    ]


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_a_captures_claims_are_those_of_its_token(path: Path) -> None:
    capture = json.loads(path.read_text())
    payload = capture["hops"][-1]["fields"]["id_token"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) == capture["claims"]


@pytest.mark.parametrize(
    ("name", "message", "role", "link"),
    [
        ("student01", "resource_link", "learner", "1"),
        ("teacher1", "resource_link", "instructor", "1"),
        ("admin", "resource_link", "instructor", "1"),
        ("deeplinking-teacher1", "deep_linking", "instructor", None),
    ],
)
def test_captured_launches_are_read(moodle: Reader, name: str, message: str, role: str, link: str | None) -> None:
    launch = moodle.launch(captured(name))
    assert (launch["message"], launch["role"], launch["test_user"]) == (message, role, False)
    assert (launch["resource_link"] or {}).get("lms_id") == link
    assert launch["context"] == {
        "id": None,
        "lms_id": "2",
        "title": 'LTI 101: Peer "Review" & Fairness',
        "label": "LTI101",
        "types": [COURSE_SECTION],
    }


def test_m4_k5_captured_parameters_of_a_student(moodle: Reader) -> None:
    assert moodle.message(captured("student01")).custom == {
        "task": "42",
        "Mixed_Key": "abc",
        "space key": "x y",
        "semi": "a;b",
        "ctx": "2",
        "ctx_hist": "",
        "username": "student01",
        "mixedCase": "Hello",
        "sis": "SIS-LTI101",
        "groups": "1",
        "rlid": "1",
        "role": "Learner",
        "lis_person": "S0001",
        "uid": "7",
        "title": 'Peer review "q" & é',
        "section": 'LTI 101: Peer "Review" & Fairness',
    }


def test_m4_k5_captured_parameters_of_a_deep_linking_request(moodle: Reader) -> None:
    custom = moodle.message(captured("deeplinking-teacher1")).custom
    assert not {"rlid", "title", "start", "unknown", "lang", "context_memberships_url"} & set(custom)


def test_m4_k5_empty_sourcedid_is_absent(moodle: Reader) -> None:
    assert moodle.message(captured("admin")).lis.person_sourcedid is None
    assert moodle.message(captured("student01")).lis.person_sourcedid == "S0001"


@pytest.mark.parametrize("value", ["$ResourceLink.available.startDateTime", "$No.Such.Var", "$a.b", "$Person.timezone"])
def test_m4_quirk9_any_dotted_name_is_an_unresolved_variable(moodle: Reader, value: str) -> None:
    claims = moodle.sample("student") | {CUSTOM: {"asked": value, "kept": "x"}}
    assert moodle.message(claims).custom == {"kept": "x"}


@pytest.mark.parametrize(
    "value", ["$5", "$5 off", "$5.50", "$USD", "$a.b and more", "see $User.id", "$.x", "$a..b", ""]
)
def test_m4_quirk9_texts_with_a_dollar_survive(moodle: Reader, value: str) -> None:
    claims = moodle.sample("student") | {CUSTOM: {"asked": value}}
    assert moodle.message(claims).custom == {"asked": value}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"mixedCase": "a", "mixedcase": "a"}, {"mixedCase": "a"}),
        ({"mixedcase": "a", "mixedCase": "a"}, {"mixedCase": "a"}),
        ({"space key": "x", "space_key": "x"}, {"space key": "x"}),
        ({"Größe": "1", "gr____e": "1"}, {"Größe": "1"}),
        ({"Level": "1", "level": "2"}, {"Level": "1", "level": "2"}),
        ({"level": "1"}, {"level": "1"}),
    ],
)
def test_m4_quirk9_a_doubled_parameter_comes_once(moodle: Reader, sent: dict[str, str], kept: dict[str, str]) -> None:
    assert moodle.message(moodle.sample("student") | {CUSTOM: sent}).custom == kept


def test_moodle_key_never_fails() -> None:
    assert moodle_key(" A-b\ud800") == "a_b___"


def test_m4_quirk8_line_ends_of_the_description(moodle: Reader) -> None:
    link = moodle.message(moodle.sample("student")).resource_link
    assert link is not None
    assert link.description == "First line\nSecond line"


def test_quirk8_empty_description_is_absent(moodle: Reader) -> None:
    claims = moodle.sample("student") | {RESOURCE_LINK: {"id": "1", "title": "Lab 1", "description": ""}}
    link = moodle.message(claims).resource_link
    assert link is not None
    assert link.description is None


def test_m4_the_order_of_roles_does_not_matter(moodle: Reader) -> None:
    roles = [INSTITUTION_ROLE + "Administrator", f"{CONTEXT_ROLE}#Instructor", SYSTEM_ROLE + "Administrator"]
    claims = moodle.sample("student")
    assert {moodle.role(claims | {ROLES: order}) for order in (roles, roles[::-1])} == {"instructor"}


def test_quirk1_an_administrator_without_course_role_has_none_here(moodle: Reader) -> None:
    claims = moodle.sample("student") | {ROLES: [INSTITUTION_ROLE + "Administrator", SYSTEM_ROLE + "Administrator"]}
    assert moodle.role(claims) == "none"
    assert moodle.role(claims, institution_admin=True) == "administrator"


def test_m5_k7_the_launch_decides_for_a_non_editing_teacher(moodle: Reader) -> None:
    assert moodle.role(moodle.sample("non_editing_teacher")) == "instructor"


def test_services_of_an_activity(moodle: Reader) -> None:
    services = moodle.message(moodle.sample("student")).services
    assert services.line_item_url == "https://moodle.example.edu/mod/lti/services.php/2/lineitems/2/lineitem?type_id=1"
    assert services.memberships_url is not None
    assert services.nrps_versions == ("1.0", "2.0")


def test_claims_without_parameters_are_left_as_they_are() -> None:
    claims = {RESOURCE_LINK: {"id": "1"}}
    assert normalise(claims) is claims
