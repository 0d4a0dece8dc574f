"""Content items for Moodle, quirk by quirk. K, M and quirk numbers are those of the plugin's README."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.service_records import Unacceptable
from tests.plugins.reading import LTI_LINK, Reader
from tests.plugins.scripted import ScriptedLms

CLAIM = "https://purl.imsglobal.org/spec/lti-dl/claim/"
URL = "https://tool.example.org/lti/launch?item=itm_1"


def link(**more: Any) -> dict[str, Any]:
    return {"type": LTI_LINK, "title": "Lab 1", "url": URL, "custom": {"ltihost_item": "itm_1"}, **more}


def linted(moodle: Reader, item: dict[str, Any]) -> dict[str, Any]:
    found = moodle.item(item)
    assert not isinstance(found, Unacceptable)
    return dict(found)


@pytest.mark.parametrize("kind", ["link", "file", "html", "image"])
def test_m11_k17_quirk63_only_links_to_this_tool(moodle: Reader, kind: str) -> None:
    found = moodle.item({"type": kind, "url": "https://example.org/x", "html": "<p>x</p>"})
    assert found == Unacceptable("Moodle takes links to this tool only: return an item of type ltiResourceLink.")


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        (1, 1),
        (10, 10),
        (10.0, 10),
        (100, 100),
        (7.5, 8),
        (12.1, 13),
        (0.5, 1),
        (99.5, 100),
        (100.5, 100),
        (101, 100),
        (500, 100),
        (float("inf"), 100),
    ],
)
def test_m11_k17_quirk61_whole_maximum_from_1_to_100(moodle: Reader, asked: float, made: int) -> None:
    column = linted(moodle, link(lineItem={"scoreMaximum": asked, "resourceId": "lab-1"}))["lineItem"]
    assert column == {"scoreMaximum": made, "resourceId": "lab-1"}
    assert isinstance(column["scoreMaximum"], int)


@pytest.mark.parametrize("maximum", [0, -1, None, True, "10"])
def test_k17_quirk61_a_column_needs_a_maximum(moodle: Reader, maximum: Any) -> None:
    found = moodle.item(link(lineItem={"scoreMaximum": maximum}))
    assert found == Unacceptable("Moodle makes a column only with a scoreMaximum above zero.")


def test_m11_k17_quirk61_titles_of_255(moodle: Reader) -> None:
    assert len(linted(moodle, link(title="T" * 300))["title"]) == 255
    assert linted(moodle, link(title="T" * 255))["title"] == "T" * 255


def test_quirk62_without_title_the_label_is_the_name(moodle: Reader) -> None:
    item = linted(moodle, link(title="", lineItem={"scoreMaximum": 10, "label": "Points"}))
    assert item["title"] == "Points"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb=c", "a\\nb=c"),
        ("a\r\nb\rc", "a\\nb\\nc"),
        ({"deep": [1]}, '{"deep": [1]}'),
        (5, "5"),
        (True, "true"),
        ("", ""),
        ("x=y", "x=y"),
    ],
)
def test_m11_k17_quirk65_custom_parameters_are_single_lines(moodle: Reader, value: Any, text: str) -> None:
    custom = linted(moodle, link(custom={"ltihost_item": "itm_1", "note": value, "none": None}))["custom"]
    assert custom == {"ltihost_item": "itm_1", "note": text}


@pytest.mark.parametrize("name", ["a=b", "a\nb", ""])
def test_k17_quirk65_a_name_that_would_split_is_refused(moodle: Reader, name: str) -> None:
    assert isinstance(moodle.item(link(custom={name: "x"})), Unacceptable)


def test_quirk64_68_url_and_key_stay(moodle: Reader) -> None:
    assert linted(moodle, link()) == link()


def test_m11_quirk66_an_empty_list_is_an_answer(moodle: Reader) -> None:
    claims = moodle.adapter(ScriptedLms()).deep_linking_claims([], data=None, message="Nothing chosen.", error=None)
    assert (claims[CLAIM + "content_items"], claims[CLAIM + "msg"]) == ([], "Nothing chosen.")
    assert CLAIM + "data" not in claims
