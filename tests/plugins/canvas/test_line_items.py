"""Columns of Canvas's gradebook, quirk by quirk. C and T numbers are those of the plugin's README."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ltihost.errors import ServiceFailed
from ltihost.service_records import GiveUp
from tests.plugins.reading import Reader
from tests.plugins.scripted import COLUMN, ITEM, ITEMS, URLS, ScriptedLms, answer

STANDS = {"id": ITEM, "label": "Lab 1", "scoreMaximum": 10, "resourceId": "lab-1", "tag": "points"}


async def test_c3_a_new_title_reaches_the_assignment(canvas: Reader) -> None:
    lms = ScriptedLms(answer(STANDS), answer({**STANDS, "label": "Lab one"}))
    updated = await canvas.adapter(lms).update_line_item(URLS, replace(COLUMN, label="Lab one"))
    assert (updated.label, lms.requests[1].method, lms.requests[1].body["label"]) == ("Lab one", "PUT", "Lab one")


async def test_t15_c5_an_assignments_column_is_not_deleted_and_the_token_lives(canvas: Reader) -> None:
    lms = ScriptedLms()
    with pytest.raises(ServiceFailed) as failed:
        await canvas.adapter(lms).delete_line_item(URLS, replace(COLUMN, coupled=True))
    assert failed.value.outcome == GiveUp("line_item_coupled", at_once=True)
    assert (lms.requests, lms.renewals) == ([], 0)


async def test_c5_a_column_of_its_own_is_deleted(canvas: Reader) -> None:
    lms = ScriptedLms(answer(status=204))
    await canvas.adapter(lms).delete_line_item(URLS, COLUMN)
    assert [(request.method, request.url) for request in lms.requests] == [("DELETE", ITEM)]


async def test_c6_all_pages_of_columns_are_read(canvas: Reader) -> None:
    def column(number: int) -> dict[str, Any]:
        return {"id": f"{ITEM}&n={number}", "label": f"Lab {number}", "scoreMaximum": 10}

    following = f"{ITEMS}&page=2"
    first = answer([column(n) for n in range(10)], link=f'<{ITEMS}>; rel="first", <{following}>; rel="next"')
    lms = ScriptedLms(first, answer([column(10)]))
    assert len(await canvas.adapter(lms).line_items(URLS)) == 11
    assert lms.requests[1].url == following
