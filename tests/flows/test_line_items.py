"""Line items: each wish is one column in the LMS, whatever happens on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ltihost.store import deployments, jobs
from tests.flows.gradebook import ALL_SCOPES, SCOPE, Desk, desk
from tests.flows.platform import DEPLOYMENT
from tests.flows.rig import ACTOR

__all__ = ["desk"]  # a fixture


async def pending(desk: Desk) -> list[tuple[str, str | None]]:
    rows = await desk.rig.host.database.run(desk.rig.tenant.id, jobs.listed)
    return [(row.state, row.code) for row in rows]


# Find or create


async def test_a_wish_has_an_id_at_once_and_becomes_a_column(desk: Desk) -> None:
    wanted = await desk.want("Quiz 1", 12.5, resource_id="quiz-1", tag="final")
    assert (wanted["state"], wanted["synced"], wanted["maximum"]) == ("wanted", False, 12.5)
    await desk.work()
    assert list(desk.gradebook.items.values()) == [
        {"id": desk.gradebook.item_url(1), "label": "Quiz 1", "scoreMaximum": 12.5, "resourceId": "quiz-1",
         "tag": "final"},
    ]  # fmt: skip
    made = await desk.show(wanted["id"])
    assert (made["state"], made["synced"], made["coupled"], made["code"]) == ("ready", True, False, None)


async def test_twenty_equal_wishes_make_one_column(desk: Desk) -> None:
    """R-22."""
    found = await asyncio.gather(*(desk.want(resource_id="quiz-1") for _ in range(20)))
    assert len({item["id"] for item in found}) == 1
    await asyncio.gather(*(desk.work() for _ in range(3)))
    assert desk.gradebook.creations() == 1
    assert (await desk.want(resource_id="quiz-1"))["id"] == found[0]["id"]


async def test_other_names_are_other_columns(desk: Desk) -> None:
    names: list[dict[str, Any]] = [
        {"resource_id": "a"}, {"resource_id": "a", "tag": "b"}, {"tag": "a"}, {"resource_id": 'a", "b'}, {},
    ]  # fmt: skip
    found = [await desk.want(**name) for name in names]
    assert len({item["id"] for item in found}) == len(names)
    await desk.work()
    assert desk.gradebook.creations() == len(names)


async def test_an_answer_that_got_lost_makes_no_second_column(desk: Desk) -> None:
    """R-22: it was created, nobody heard of it, and the look-up finds it."""
    desk.gradebook.faults.append(("POST", "/lineitems", "lose"))
    wanted = await desk.want(resource_id="quiz-1")
    await desk.work()
    waiting = await desk.show(wanted["id"])
    assert (waiting["state"], waiting["code"]) == ("wanted", "connection_failed")
    await desk.later(70)
    assert (await desk.show(wanted["id"]))["state"] == "ready"
    assert (desk.gradebook.creations(), len(desk.gradebook.items)) == (1, 1)


@pytest.mark.parametrize("fault", [500, 503, "reset"])
async def test_a_platform_that_is_down_gets_its_column_later(desk: Desk, fault: int | str) -> None:
    desk.gradebook.faults += [("GET", "/lineitems", fault)] * 3
    wanted = await desk.want(resource_id="quiz-1")
    await desk.work()
    assert (await desk.show(wanted["id"]))["state"] == "wanted"
    for _ in range(3):
        await desk.later(60)
    assert (await desk.show(wanted["id"]))["state"] == "ready"
    assert await pending(desk) == []
    assert desk.gradebook.creations() == 1


async def test_a_copied_course_keeps_its_column(desk: Desk) -> None:
    """LI3: it is known by resource id and tag, and what the teacher made of it stays."""
    desk.gradebook.add(label="Quiz, renamed", scoreMaximum=20, resourceId="quiz-1", tag="final")
    desk.gradebook.add(label="Another", scoreMaximum=20, resourceId="quiz-1", tag="draft")
    wanted = await desk.want("Quiz", 10, resource_id="quiz-1", tag="final")
    await desk.work()
    found = await desk.show(wanted["id"])
    assert (found["label"], found["maximum"], found["synced"]) == ("Quiz, renamed", 20.0, True)
    assert desk.gradebook.creations() == 0


async def test_a_platform_that_ignores_filters_and_pages_is_searched_whole(desk: Desk) -> None:
    for number in range(25):
        desk.gradebook.add(label=f"n{number}", scoreMaximum=1, resourceId=f"r{number}")
    desk.gradebook.page = 10
    wanted = await desk.want(resource_id="r24")
    await desk.work()
    assert (await desk.show(wanted["id"]))["label"] == "n24"
    assert desk.gradebook.creations() == 0


async def test_the_column_of_the_link_comes_before_a_new_one(desk: Desk) -> None:
    """LI4: without names of its own, the wish means what the LMS made with the link."""
    desk.gradebook.add(label="Activity", scoreMaximum=100, resourceLinkId="429785226")
    launch = await desk.launch(line_item=1)
    wanted = await desk.want("Quiz", 10, policy="latest")
    await desk.work()
    found = await desk.show(wanted["id"])
    assert (found["coupled"], found["label"], found["maximum"], found["policy"]) == (True, "Activity", 100.0, "latest")
    assert found["resource_link_id"] == launch["resource_link"]["id"]
    assert desk.gradebook.creations() == 0


async def test_the_link_s_column_is_found_without_the_claim(desk: Desk) -> None:
    lms_id = (await desk.launch())["resource_link"]["lms_id"]
    desk.gradebook.add(label="Extra", scoreMaximum=5, resourceLinkId=lms_id, resourceId="x")
    desk.gradebook.add(label="Activity", scoreMaximum=100, resourceLinkId=lms_id)
    wanted = await desk.want()
    await desk.work()
    found = await desk.show(wanted["id"])
    assert (found["coupled"], found["label"]) == (True, "Activity")


async def test_a_link_without_a_column_gets_one_and_keeps_it(desk: Desk) -> None:
    """Made without a resource link: a second one on the link would hide the LMS's own from the claim."""
    wanted = await desk.want("Quiz", 10)
    await desk.work()
    assert "resourceLinkId" not in desk.gradebook.items[1]
    desk.gradebook.add(label="Activity", scoreMaximum=100)
    await desk.launch(line_item=2)
    assert (await desk.want("Quiz", 10))["id"] == wanted["id"]
    assert (await desk.show(wanted["id"]))["label"] == "Quiz"


async def test_a_claim_that_comes_before_the_job_is_taken(desk: Desk) -> None:
    wanted = await desk.want("Quiz", 10)
    desk.gradebook.add(label="Activity", scoreMaximum=100)
    await desk.launch(line_item=1)
    await desk.work()
    found = await desk.show(wanted["id"])
    assert (found["state"], found["coupled"], found["label"]) == ("ready", True, "Activity")
    assert desk.gradebook.creations() == 0


async def test_a_column_that_a_launch_named_and_a_wish_means_is_one(desk: Desk) -> None:
    """Deep linking declared its names; the launch brought its URL before anybody read the names."""
    desk.gradebook.add(label="Quiz", scoreMaximum=10, resourceId="quiz-1")
    launched = await desk.launch(line_item=1)
    wanted = await desk.want(resource_id="quiz-1")
    await desk.work()
    found = await desk.show(wanted["id"])
    assert (found["state"], found["coupled"]) == ("ready", True)
    assert launched["resource_link"]["id"] == found["resource_link_id"]
    listed = (await desk.call("GET", f"/resource-links/{desk.link_id}/line-items")).json()["data"]
    assert [item["id"] for item in listed] == [wanted["id"]]


async def test_without_the_scope_nothing_can_be_wanted(desk: Desk) -> None:
    await desk.launch(scopes=(SCOPE + "score", SCOPE + "lineitem.readonly"))
    refused = await desk.call("POST", f"/resource-links/{desk.link_id}/line-items", {"label": "Q", "maximum": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "line_items_unavailable")


async def test_a_scope_that_comes_back_lets_the_wish_come_true(desk: Desk) -> None:
    wanted = await desk.want(resource_id="quiz-1")
    await desk.launch(scopes=(SCOPE + "score",))
    await desk.work()
    stuck = await desk.show(wanted["id"])
    assert (stuck["state"], stuck["code"]) == ("wanted", "scope_missing")
    assert [alert["code"] for alert in await desk.alerts()] == ["scope_missing"]
    await desk.launch(scopes=ALL_SCOPES)
    await desk.work()
    assert (await desk.show(wanted["id"]))["state"] == "ready"
    assert await pending(desk) == []


async def test_what_is_switched_off_waits_and_counts_for_nothing(desk: Desk) -> None:
    wanted = await desk.want(resource_id="quiz-1")
    await desk.rig.operator(deployments.disable, desk.rig.registration.id, DEPLOYMENT, actor=ACTOR)
    await desk.work()
    await desk.later(30 * 86_400)
    assert await pending(desk) == [("pending", "deployment_disabled")]
    await desk.rig.approve(desk.rig.registration.id, DEPLOYMENT)
    await desk.later(200)
    assert (await desk.show(wanted["id"]))["state"] == "ready"


async def test_after_seven_days_a_person_is_asked(desk: Desk) -> None:
    wanted = await desk.want(resource_id="quiz-1")
    desk.gradebook.faults = [("GET", "/lineitems", 500)] * 500
    for _ in range(60):
        await desk.later(6 * 3600)
    assert [state for state, _ in await pending(desk)] == ["dead"]
    assert (await desk.alerts())[-1]["line_item_id"] == wanted["id"]
    desk.gradebook.faults = []


# Change


async def test_a_changed_title_and_maximum_reach_the_lms_and_all_else_stays(desk: Desk) -> None:
    """LI2: the whole object goes back, `resourceLinkId` and what we do not know among it."""
    desk.gradebook.add(
        label="Activity", scoreMaximum=100, resourceLinkId="7", tag="t", **{"https://lms.example/x": {"a": [1]}}
    )
    await desk.launch(line_item=1)
    item = await desk.want()
    await desk.work()
    changed = await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "New", "maximum": 50.5})
    assert (changed.status_code, changed.json()["synced"]) == (200, False)
    await desk.work()
    assert desk.gradebook.items[1] == {
        "id": desk.gradebook.item_url(1), "label": "New", "scoreMaximum": 50.5, "resourceLinkId": "7", "tag": "t",
        "https://lms.example/x": {"a": [1]},
    }  # fmt: skip
    shown = await desk.show(item["id"])
    assert (shown["label"], shown["maximum"], shown["synced"]) == ("New", 50.5, True)


async def test_a_change_before_the_column_exists_is_in_it(desk: Desk) -> None:
    item = await desk.want("Old", 10, resource_id="quiz-1")
    await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "New"})
    await desk.work()
    assert [found["label"] for found in desk.gradebook.items.values()] == ["New"]


async def test_a_change_reaches_a_column_that_was_found(desk: Desk) -> None:
    desk.gradebook.add(label="Old", scoreMaximum=10, resourceId="quiz-1")
    item = await desk.want("Quiz", 10, resource_id="quiz-1")
    await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "New"})
    await desk.work()
    assert desk.gradebook.items[1]["label"] == "New"
    assert (await desk.show(item["id"]))["synced"] is True


async def test_a_change_during_the_telling_is_told_too(desk: Desk) -> None:
    item = await desk.want("One", 10, resource_id="quiz-1")
    await desk.work()
    seen: list[asyncio.Task[Any]] = []

    def change_meanwhile(request: Any) -> None:
        if request.method == "PUT" and not seen:
            seen.append(asyncio.ensure_future(desk.call("PATCH", f"/line-items/{item['id']}", {"label": "Three"})))

    desk.gradebook.before = change_meanwhile
    await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "Two"})
    await desk.work()
    await asyncio.gather(*seen)
    await desk.work()
    assert desk.gradebook.items[1]["label"] == "Three"
    assert (await desk.show(item["id"]))["label"] == "Three"


async def test_dates_are_told_and_taken_away(desk: Desk) -> None:
    item = await desk.want(resource_id="quiz-1", ends_at="2026-12-24T18:00:00+01:00")
    await desk.work()
    assert desk.gradebook.items[1]["endDateTime"] == "2026-12-24T18:00:00+01:00"
    await desk.call("PATCH", f"/line-items/{item['id']}", {"ends_at": None})
    await desk.work()
    assert desk.gradebook.items[1]["endDateTime"] == ""
    assert (await desk.show(item["id"]))["ends_at"] is None


async def test_a_rule_of_the_lms_shows_on_the_line_item(desk: Desk) -> None:
    """What the LMS refuses for good is believed at the third time, told, and takes nothing from what works."""
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    desk.gradebook.faults = [("PUT", "/lineitem", 422)] * 3
    await desk.call("PATCH", f"/line-items/{item['id']}", {"maximum": 99})
    await desk.work()
    for _ in range(2):
        await desk.later(3600)
    shown = await desk.show(item["id"])
    assert (shown["state"], shown["synced"]) == ("ready", False)
    assert shown["code"] == (await desk.alerts())[-1]["code"]
    assert desk.gradebook.items[1]["scoreMaximum"] == 10
