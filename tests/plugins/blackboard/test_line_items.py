"""Columns of Learn's gradebook, quirk by quirk. C, E and T numbers are those of the plugin's README."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ltihost.errors import ServiceFailed
from ltihost.service_records import NeedsAttention
from tests.plugins.reading import Reader
from tests.plugins.scripted import COLUMN, ITEM, SCOPES, URLS, ScriptedLms, answer

STANDS = {"id": ITEM, "label": "Lab 1", "scoreMaximum": 10, "resourceId": "lab-1", "tag": "points"}
COUPLED: dict[str, Any] = {"id": f"{ITEM}&n=2", "label": "Lab 2", "scoreMaximum": 10, "resourceLinkId": "_47_1"}
RESULTS = [{"userId": "u1", "resultScore": 5, "resultMaximum": 10, "comment": ""}]


async def test_t16_c2_a_column_has_a_whole_maximum_and_no_link(blackboard: Reader) -> None:
    lms = ScriptedLms(answer({**STANDS, "scoreMaximum": 13}, 201))
    column = replace(COLUMN, url=None, maximum=Decimal("12.5"), resource_link="_47_1", starts_at="2026-10-01T00:00:00Z")
    made = await blackboard.adapter(lms).create_line_item(URLS, column)
    assert lms.requests[0].body == {"label": "Lab 1", "scoreMaximum": 13, "resourceId": "lab-1", "tag": "points"}
    assert made.maximum == 13


async def test_c2_the_same_whole_maximum_is_no_change(blackboard: Reader) -> None:
    stands = answer({**STANDS, "scoreMaximum": 13})
    lms = ScriptedLms(stands, stands)
    updated = await blackboard.adapter(lms).update_line_item(URLS, replace(COLUMN, maximum=Decimal("12.5")))
    assert (updated.maximum, [request.method for request in lms.requests]) == (Decimal(13), ["GET", "GET"])


async def test_t16_c3_a_link_finds_the_coupled_names_find_the_others(blackboard: Reader) -> None:
    lms = ScriptedLms(answer([STANDS, COUPLED]), answer([STANDS, COUPLED]))
    adapter = blackboard.adapter(lms)
    coupled = await adapter.line_items(URLS, resource_link="_47_1")
    named = await adapter.line_items(URLS, tag="points")
    assert ([item.label for item in coupled], [item.label for item in named]) == (["Lab 2"], ["Lab 1"])


async def test_t16_c5_a_put_holds_what_may_be_written(blackboard: Reader) -> None:
    stands = answer({**COUPLED, "gradesReleased": True})
    lms = ScriptedLms(stands, stands, answer({**COUPLED, "label": "Lab two"}))
    column = replace(COLUMN, label="Lab two", url=COUPLED["id"], resource_id=None, tag=None, coupled=True)
    await blackboard.adapter(lms).update_line_item(URLS, column)
    put = lms.requests[-1]
    assert (put.method, put.body) == ("PUT", {"label": "Lab two", "scoreMaximum": 10, "gradesReleased": True})


async def test_c6_the_maximum_of_a_used_column_stays(blackboard: Reader) -> None:
    stands = answer(STANDS)
    lms = ScriptedLms(stands, answer(RESULTS), stands, answer({**STANDS, "label": "Lab one"}))
    with pytest.raises(ServiceFailed) as failed:
        await blackboard.adapter(lms).update_line_item(URLS, replace(COLUMN, label="Lab one", maximum=Decimal(20)))
    assert failed.value.outcome == NeedsAttention("maximum_in_use")
    assert (lms.requests[-1].body["label"], lms.requests[-1].body["scoreMaximum"]) == ("Lab one", 10)


async def test_c6_the_maximum_of_an_unused_column_changes(blackboard: Reader) -> None:
    stands = answer(STANDS)
    lms = ScriptedLms(stands, answer(status=404), stands, answer({**STANDS, "scoreMaximum": 20}))
    updated = await blackboard.adapter(lms).update_line_item(URLS, replace(COLUMN, maximum=Decimal(20)))
    assert (updated.maximum, lms.requests[-1].body["scoreMaximum"]) == (Decimal(20), 20)


async def test_c6_who_may_not_read_results_leaves_the_maximum(blackboard: Reader) -> None:
    writing = replace(URLS, ags_scopes=(SCOPES + "lineitem",))
    lms = ScriptedLms(answer(STANDS), answer(STANDS))
    with pytest.raises(ServiceFailed) as failed:
        await blackboard.adapter(lms).update_line_item(writing, replace(COLUMN, maximum=Decimal(20)))
    assert failed.value.outcome == NeedsAttention("maximum_in_use")


async def test_c6_a_fault_while_looking_changes_nothing(blackboard: Reader) -> None:
    lms = ScriptedLms(answer(STANDS), answer(status=503))
    with pytest.raises(ServiceFailed) as failed:
        await blackboard.adapter(lms).update_line_item(URLS, replace(COLUMN, maximum=Decimal(20)))
    assert failed.value.status == 503


@pytest.mark.parametrize("call", ["read_line_item", "update_line_item"])
async def test_t20_e8_a_missing_column_and_a_missing_list_mean_no_tool(blackboard: Reader, call: str) -> None:
    lms = ScriptedLms(answer(status=404), answer(status=404))
    with pytest.raises(ServiceFailed) as failed:
        await getattr(blackboard.adapter(lms), call)(URLS, COLUMN)
    assert failed.value.outcome == NeedsAttention("application_not_installed")
