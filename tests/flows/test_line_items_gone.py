"""Line items that are not where they were, that go, and that are read again."""

from __future__ import annotations

import asyncio

import pytest

from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.store import line_items
from tests.flows.gradebook import ALL_SCOPES, SCOPE, Desk, desk

__all__ = ["desk"]  # a fixture


# Gone


async def test_a_column_that_moved_is_found_by_its_names(desk: Desk) -> None:
    """LI5."""
    item = await desk.want(resource_id="quiz-1", tag="final")
    await desk.work()
    moved = desk.gradebook.items.pop(1)
    desk.gradebook.add(**{name: value for name, value in moved.items() if name != "id"})
    await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "New"})
    await desk.work()
    assert desk.gradebook.items[2]["label"] == "New"
    assert (await desk.show(item["id"]))["state"] == "ready"
    assert desk.gradebook.creations() == 1


async def test_what_a_teacher_deleted_is_not_made_again(desk: Desk) -> None:
    """LI5, R-21: without the plugin's word for it."""
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    desk.gradebook.items.clear()
    await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "New"})
    await desk.work()
    shown = await desk.show(item["id"])
    assert (shown["state"], shown["code"]) == ("gone", "line_item_gone")
    assert [alert["code"] for alert in await desk.alerts()] == ["line_item_gone"]
    assert (await desk.want(resource_id="quiz-1"))["id"] == item["id"]
    assert desk.gradebook.creations() == 1
    refused = await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "Newer"})
    assert (refused.status_code, refused.json()["code"]) == (409, "line_item_gone")


async def test_an_application_that_lets_go_of_it_may_have_a_new_one(desk: Desk) -> None:
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    desk.gradebook.items.clear()
    assert (await desk.call("DELETE", f"/line-items/{item['id']}")).status_code == 202
    await desk.work()
    assert (await desk.call("GET", f"/line-items/{item['id']}")).status_code == 404
    again = await desk.want(resource_id="quiz-1")
    assert again["id"] != item["id"]
    await desk.work()
    assert (await desk.show(again["id"]))["state"] == "ready"


async def test_a_404_on_everything_deletes_nothing(desk: Desk) -> None:
    """The tool was removed from the course, or the LMS moved: not a word about the column."""
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    desk.gradebook.faults = [("GET", "/lineitem", 404)] * 2
    await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "New"})
    await desk.work()
    assert (await desk.alerts())[-1]["code"] == "service_not_found"
    assert (await desk.show(item["id"]))["code"] == "service_not_found"
    await desk.launch(scopes=(*ALL_SCOPES, SCOPE + "more"))
    await desk.work()
    assert (await desk.show(item["id"]))["state"] == "ready"


async def test_an_lms_that_contradicts_itself_is_asked_again_later(desk: Desk) -> None:
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    desk.gradebook.faults = [("GET", "/lineitem?", 404)] * 3
    await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "New"})
    await desk.work()
    await desk.later(3600)
    assert desk.gradebook.items[1]["label"] == "New"


# Delete


async def test_deleting_takes_the_column_away(desk: Desk) -> None:
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    answer = await desk.call("DELETE", f"/line-items/{item['id']}")
    assert (answer.status_code, answer.json()["state"]) == (202, "deleting")
    await desk.work()
    assert desk.gradebook.items == {}
    assert (await desk.call("GET", f"/line-items/{item['id']}")).status_code == 404


async def test_what_belongs_to_the_lms_is_not_deleted(desk: Desk) -> None:
    desk.gradebook.add(label="Activity", scoreMaximum=100)
    await desk.launch(line_item=1)
    item = await desk.want()
    for force in (False, True):
        refused = await desk.call("DELETE", f"/line-items/{item['id']}", force=force)
        assert (refused.status_code, refused.json()["code"]) == (409, "line_item_coupled")
    await desk.work()
    assert len(desk.gradebook.items) == 1


async def test_deleting_what_was_never_answered_deletes_it_too(desk: Desk) -> None:
    desk.gradebook.faults.append(("POST", "/lineitems", "lose"))
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    await desk.call("DELETE", f"/line-items/{item['id']}")
    await desk.later(70)
    assert desk.gradebook.items == {}
    assert (await desk.call("GET", f"/line-items/{item['id']}")).status_code == 404


async def test_a_deletion_that_is_refused_leaves_it_as_it_was(desk: Desk) -> None:
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    desk.gradebook.faults = [("DELETE", "/lineitem", 403)] * 5
    await desk.call("DELETE", f"/line-items/{item['id']}")
    await desk.work()
    for _ in range(4):
        await desk.later(3600)
    shown = await desk.show(item["id"])
    assert shown["state"] in ("ready", "deleting")
    assert shown["code"] is not None
    desk.gradebook.faults = []


# Refresh


async def test_refreshing_shows_what_the_teacher_changed(desk: Desk) -> None:
    item = await desk.want(resource_id="quiz-1")
    other = await desk.want(resource_id="quiz-2")
    await desk.work()
    numbers = {column["resourceId"]: number for number, column in desk.gradebook.items.items()}
    desk.gradebook.items[numbers["quiz-1"]] |= {"label": "By hand", "scoreMaximum": 7}
    del desk.gradebook.items[numbers["quiz-2"]]
    path = f"/resource-links/{desk.link_id}/line-items"
    before = {row["id"]: row for row in (await desk.call("GET", path)).json()["data"]}
    assert before[item["id"]]["label"] == "Quiz"
    after = {row["id"]: row for row in (await desk.call("GET", path, refresh=True)).json()["data"]}
    assert (after[item["id"]]["label"], after[item["id"]]["maximum"]) == ("By hand", 7.0)
    assert after[other["id"]]["state"] == "gone"


async def test_refreshing_says_when_the_lms_does_not_answer(desk: Desk) -> None:
    await desk.want(resource_id="quiz-1")
    await desk.work()
    desk.gradebook.faults = [("GET", "/lineitems", 500)]
    answer = await desk.call("GET", f"/resource-links/{desk.link_id}/line-items", refresh=True)
    assert answer.status_code == 502


# With an LMS whose plugin allows what the specs leave open


@pytest.fixture
async def remaking(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An LMS where a line item that went may be made again."""
    monkeypatch.setattr(LtiAdapter, "may_recreate_line_items", True)
    return desk


async def test_where_the_plugin_allows_it_a_lost_column_is_made_once(remaking: Desk) -> None:
    """R-21: with fifty scores that found it missing."""
    desk = remaking
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    url = desk.gradebook.item_url(1)
    desk.gradebook.items.clear()
    database, tenant_id = desk.rig.host.database, desk.rig.tenant.id
    await asyncio.gather(
        *(database.run(tenant_id, line_items.lost, item["id"], url, desk.rig.clock()) for _ in range(50))
    )
    await asyncio.gather(*(desk.work() for _ in range(3)))
    assert (desk.gradebook.creations(), len(desk.gradebook.items)) == (2, 1)
    assert (await desk.show(item["id"]))["state"] == "ready"
    # A score that comes back late from the old place changes nothing any more.
    assert await database.run(tenant_id, line_items.lost, item["id"], url, desk.rig.clock()) is False
    await desk.work()
    assert desk.gradebook.creations() == 2


async def test_without_the_scope_it_is_not_made_again(remaking: Desk) -> None:
    desk = remaking
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    desk.gradebook.items.clear()
    await desk.launch(scopes=(SCOPE + "lineitem.readonly", SCOPE + "score"))
    await desk.call("GET", f"/resource-links/{desk.link_id}/line-items", refresh=True)
    await desk.work()
    shown = await desk.show(item["id"])
    assert (shown["state"], shown["code"]) == ("gone", "line_item_gone")
    assert [alert["code"] for alert in await desk.alerts()] == ["line_item_gone"]
