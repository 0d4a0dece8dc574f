"""Content items for Learn, quirk by quirk. D and T numbers are those of the plugin's README."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.records import RoleName
from ltihost.service_records import Unacceptable
from tests.plugins.reading import LTI_LINK, Reader, picking
from tests.plugins.scripted import ScriptedLms

DATA = "https://purl.imsglobal.org/spec/lti-dl/claim/data"
URL = "https://tool.example.org/lti/launch?item=itm_1"


def link(**more: Any) -> dict[str, Any]:
    return {"type": LTI_LINK, "title": "Lab 1", "url": URL, "custom": {"exercise": "lab-1"}, **more}


def linted(blackboard: Reader, item: dict[str, Any]) -> dict[str, Any]:
    found = blackboard.item(item)
    assert not isinstance(found, Unacceptable)
    return dict(found)


def test_t23_d3_a_column_is_whole_named_and_shown(blackboard: Reader) -> None:
    item = linted(blackboard, link(lineItem={"scoreMaximum": 12.5, "resourceId": "lab-1"}))
    column = {"scoreMaximum": 13, "label": "Lab 1", "resourceId": "lab-1", "gradesReleased": True}
    assert item == link(lineItem=column)


def test_d3_what_was_said_stays(blackboard: Reader) -> None:
    column = {"scoreMaximum": 10, "label": "Points", "gradesReleased": False, "tag": "points"}
    assert linted(blackboard, link(lineItem=column)) == link(lineItem=column)


@pytest.mark.parametrize("maximum", [0, -1, None, True, "10", float("inf"), float("nan")])
def test_d3_a_column_needs_a_maximum(blackboard: Reader, maximum: Any) -> None:
    found = blackboard.item(link(lineItem={"scoreMaximum": maximum}))
    assert found == Unacceptable("Learn makes a column only with a scoreMaximum above zero.")


def test_d3_a_column_needs_a_name(blackboard: Reader) -> None:
    found = blackboard.item(link(title="", lineItem={"scoreMaximum": 10}))
    assert isinstance(found, Unacceptable)
    assert found.reason.startswith("Learn makes a column only with a name")


@pytest.mark.parametrize("url", [None, ""])
def test_t23_d2_a_link_needs_a_url(blackboard: Reader, url: str | None) -> None:
    found = blackboard.item(link(url=url))
    assert found == Unacceptable("Learn finds the tool of a link by its url, so that a link needs one.")


def test_d5_an_ungraded_link_stays_ungraded(blackboard: Reader) -> None:
    assert linted(blackboard, link()) == link()


def test_d6_web_links_are_left_as_they_are(blackboard: Reader) -> None:
    web = {"type": "link", "url": "https://example.org/x"}
    assert linted(blackboard, web) == web


@pytest.mark.parametrize("role", ["learner", "mentor", "member", "none"])
def test_t23_d7_only_authors_add_content(blackboard: Reader, role: RoleName) -> None:
    assert isinstance(blackboard.item(link(), picking("blackboard", role=role)), Unacceptable)


@pytest.mark.parametrize("role", ["instructor", "teaching_assistant", "content_developer", "administrator"])
def test_d7_authors_do(blackboard: Reader, role: RoleName) -> None:
    assert blackboard.item(link(), picking("blackboard", role=role)) == link()


def test_t23_d1_sub_and_data(blackboard: Reader) -> None:
    data = "_4_1::_14_1::2::false::true::_13_1::e7a75af804fd4d9fb76812c7cde8ca70::false::false"
    claims = blackboard.adapter(ScriptedLms()).deep_linking_claims([link()], data=data, message=None, error=None)
    assert (claims["sub"], claims[DATA]) == ("client-7", data)
