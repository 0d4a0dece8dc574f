"""Columns of Moodle's gradebook, quirk by quirk. K, M and quirk numbers are those of the plugin's README."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ltihost.errors import ServiceFailed
from ltihost.service_records import GiveUp, NeedsAttention
from tests.plugins.reading import Reader
from tests.plugins.scripted import COLUMN, ITEM, ITEMS, SCOPES, URLS, ScriptedLms, answer

STANDS = {
    "id": ITEM, "label": "Lab 1", "scoreMaximum": 10, "resourceId": "lab-1", "tag": "points",
    "resourceLinkId": "3", "ltiLinkId": "3", "submissionReview": {"url": "https://tool.example.org/review"},
}  # fmt: skip
#: Somebody has been graded.
RESULTS = [{"userId": "7", "resultScore": 8, "resultMaximum": 10}]


async def test_quirk43_columns_are_asked_for_without_limit(moodle: Reader) -> None:
    lms = ScriptedLms(answer([STANDS]))
    assert len(await moodle.adapter(lms).line_items(URLS, tag="points")) == 1
    assert lms.requests[0].url == f"{ITEMS}&tag=points"


async def test_m7_k10_quirk43_pages_with_curly_quotes_are_followed(moodle: Reader) -> None:
    link = f"<{ITEMS}&amp;limit=1&amp;from=1>; rel=“next”"
    lms = ScriptedLms(answer([STANDS], link=link), answer([{**STANDS, "id": f"{ITEM}&n=2"}]))
    assert len(await moodle.adapter(lms).line_items(URLS)) == 2
    assert lms.requests[1].url == f"{ITEMS}&limit=1&from=1"


async def test_m10_k16_quirk36_a_new_title_leaves_all_else(moodle: Reader) -> None:
    lms = ScriptedLms(answer(STANDS), answer(STANDS), answer({**STANDS, "label": "Lab one"}))
    updated = await moodle.adapter(lms).update_line_item(URLS, replace(COLUMN, label="Lab one"))
    put = lms.requests[-1]
    assert (put.method, updated.label) == ("PUT", "Lab one")
    assert put.body == {**{name: value for name, value in STANDS.items() if name != "id"}, "label": "Lab one"}


async def test_m10_quirk37_the_maximum_of_a_used_column_stays(moodle: Reader) -> None:
    stands = answer(STANDS)
    lms = ScriptedLms(stands, answer(RESULTS), stands, answer({**STANDS, "label": "Lab one"}))
    with pytest.raises(ServiceFailed) as failed:
        await moodle.adapter(lms).update_line_item(URLS, replace(COLUMN, label="Lab one", maximum=Decimal(20)))
    assert failed.value.outcome == NeedsAttention("maximum_in_use")
    assert (lms.requests[-1].body["label"], lms.requests[-1].body["scoreMaximum"]) == ("Lab one", 10)


async def test_quirk37_the_maximum_of_an_unused_column_changes(moodle: Reader) -> None:
    stands = answer(STANDS)
    lms = ScriptedLms(stands, answer([]), stands, answer({**STANDS, "scoreMaximum": 20}))
    updated = await moodle.adapter(lms).update_line_item(URLS, replace(COLUMN, maximum=Decimal(20)))
    assert (updated.maximum, lms.requests[-1].body["scoreMaximum"]) == (Decimal(20), 20)


async def test_quirk37_where_results_cannot_be_read_the_maximum_stays(moodle: Reader) -> None:
    writing = replace(URLS, ags_scopes=(SCOPES + "lineitem",))
    lms = ScriptedLms(answer(STANDS), answer(STANDS))
    with pytest.raises(ServiceFailed) as failed:
        await moodle.adapter(lms).update_line_item(writing, replace(COLUMN, maximum=Decimal(20)))
    assert failed.value.outcome == NeedsAttention("maximum_in_use")
    assert [request.method for request in lms.requests] == ["GET", "GET"]


async def test_quirk37_a_fault_while_looking_changes_nothing(moodle: Reader) -> None:
    lms = ScriptedLms(answer(STANDS), answer(status=503))
    with pytest.raises(ServiceFailed) as failed:
        await moodle.adapter(lms).update_line_item(URLS, replace(COLUMN, maximum=Decimal(20)))
    assert failed.value.status == 503
    assert [request.method for request in lms.requests] == ["GET", "GET"]


@pytest.mark.parametrize(
    "change", [{"maximum": Decimal(0)}, {"maximum": Decimal(-5)}, {"tag": "t" * 256}, {"resource_id": "r" * 256}]
)
async def test_quirk30_34_35_what_would_break_moodle_is_not_sent(moodle: Reader, change: dict[str, Any]) -> None:
    lms = ScriptedLms()
    with pytest.raises(ServiceFailed) as failed:
        await moodle.adapter(lms).create_line_item(URLS, replace(COLUMN, url=None, **change))
    assert (failed.value.outcome, lms.requests) == (GiveUp("line_item_invalid", at_once=True), [])


async def test_quirk30_a_long_label_is_cut(moodle: Reader) -> None:
    lms = ScriptedLms(answer(STANDS, 201))
    await moodle.adapter(lms).create_line_item(URLS, replace(COLUMN, url=None, label="L" * 300))
    assert len(lms.requests[0].body["label"]) == 255
