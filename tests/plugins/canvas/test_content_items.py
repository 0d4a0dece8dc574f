"""Content items for Canvas, quirk by quirk. D and T numbers are those of the plugin's README."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.service_records import Unacceptable
from ltihost_canvas.content_items import GRADED_PLACEMENTS
from tests.plugins.reading import LTI_LINK, Reader, picking
from tests.plugins.scripted import ScriptedLms

DATA = "https://purl.imsglobal.org/spec/lti-dl/claim/data"
URL = "https://tool.example.org/lti/launch?item=itm_1"


def link(**more: Any) -> dict[str, Any]:
    custom = {"ltihost_item": "itm_1"}
    return {"type": LTI_LINK, "title": "Lab 1", "url": URL, "custom": custom, **more}


def linted(canvas: Reader, item: dict[str, Any], placement: str | None = None, **more: Any) -> dict[str, Any]:
    custom = {"canvas_placement": placement} if placement else {}
    found = canvas.item(item, picking("canvas", custom=custom, **more))
    assert not isinstance(found, Unacceptable)
    return dict(found)


def test_t20_d2_no_column_where_the_placement_takes_none(canvas: Reader) -> None:
    item = linted(canvas, link(lineItem={"scoreMaximum": 10}), "editor_button")
    assert item == link()


@pytest.mark.parametrize("placement", sorted(GRADED_PLACEMENTS))
def test_d2_a_column_where_the_placement_takes_one(canvas: Reader, placement: str) -> None:
    item = linted(canvas, link(lineItem={"scoreMaximum": 10}), placement)
    assert item["lineItem"] == {"scoreMaximum": 10, "label": "Lab 1"}


def test_d2_where_nothing_is_known_canvas_decides(canvas: Reader) -> None:
    assert "lineItem" in linted(canvas, link(lineItem={"scoreMaximum": 10}))


def test_d2_no_column_where_canvas_says_so(canvas: Reader) -> None:
    item = link(lineItem={"scoreMaximum": 10})
    assert "lineItem" not in linted(canvas, item, "assignment_selection", accept_line_item=False)


@pytest.mark.parametrize("column", [{}, {"scoreMaximum": 0}, {"scoreMaximum": None}, {"scoreMaximum": True}])
def test_t20_d3_a_column_needs_a_maximum(canvas: Reader, column: dict[str, Any]) -> None:
    found = canvas.item(link(lineItem=column), picking("canvas", custom={"canvas_placement": "assignment_selection"}))
    assert found == Unacceptable("Canvas makes a column only with a scoreMaximum above zero.")


def test_d3_label_and_title_stand_in_for_each_other(canvas: Reader) -> None:
    labelled = linted(canvas, link(title=None, lineItem={"scoreMaximum": 12.5, "label": "Points"}))
    assert (labelled["title"], labelled["lineItem"]) == ("Points", {"scoreMaximum": 12.5, "label": "Points"})


def test_d3_label_and_title_may_differ(canvas: Reader) -> None:
    item = link(lineItem={"scoreMaximum": 10, "label": "Points"})
    assert linted(canvas, item, "link_selection") == item


def test_d4_the_key_stays_in_url_and_custom(canvas: Reader) -> None:
    item = linted(canvas, link(lineItem={"scoreMaximum": 10}), "assignment_selection")
    assert (item["url"], item["custom"]) == (URL, {"ltihost_item": "itm_1"})


def test_d5_other_types_are_left_as_they_are(canvas: Reader) -> None:
    html = {"type": "html", "html": "<p>Hello</p>"}
    assert linted(canvas, html, "editor_button") == html


def test_t19_d1_no_data_where_none_came(canvas: Reader) -> None:
    adapter = canvas.adapter(ScriptedLms())
    assert DATA not in adapter.deep_linking_claims([link()], data=None, message=None, error=None)
    assert adapter.deep_linking_claims([], data="", message=None, error=None)[DATA] == ""
