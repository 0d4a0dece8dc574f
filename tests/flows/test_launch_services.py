"""Where the LMS's services are: kept for the application's later calls, and only at origins that are believed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Busy
from ltihost.service_records import ServiceUrls
from ltihost.store import line_items, services
from ltihost.store.service_tables import Event, LineItem
from tests.flows.platform import DEPLOYMENT, Change
from tests.flows.rig import ACTOR, Rig

AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
SCORE = "https://purl.imsglobal.org/spec/lti-ags/scope/score"


def ags(origin: str = "https://lms.example", *, item: str | None = None) -> Change:
    """The claim of the grade service at this origin."""

    def change(payload: dict[str, Any]) -> None:
        payload[AGS] = {"scope": [SCORE], "lineitems": f"{origin}/ctx/1/lineitems?type_id=1"}
        if item is not None:
            payload[AGS]["lineitem"] = f"{origin}{item}"

    return change


async def urls(rig: Rig, context_id: str) -> ServiceUrls | None:
    return await rig.host.database.run(rig.tenant.id, services.urls_of, context_id)


async def rows(rig: Rig, table: Any) -> Any:
    def all_of(session: Session) -> Any:
        return list(session.scalars(select(table)))

    return await rig.host.database.run(rig.tenant.id, all_of)


async def test_a_launch_says_where_the_services_are(rig: Rig) -> None:
    launch = await rig.exchange(await rig.launch(ags(item="/ctx/1/lineitem?type_id=1")))
    assert await urls(rig, launch["context"]["id"]) == ServiceUrls(
        "https://lms.example/ctx/1/lineitems?type_id=1", (SCORE,), "https://lms.example/members?memberships=1"
    )
    [item] = await rows(rig, LineItem)
    assert (item.coupled, item.state, item.url) == (True, "ready", "https://lms.example/ctx/1/lineitem?type_id=1")
    assert item.resource_link_id == launch["resource_link"]["id"]
    assert launch["line_item"] == {"id": item.id, "label": None, "maximum": None}


async def test_a_link_s_column_keeps_its_id_when_its_url_changes(rig: Rig) -> None:
    for item in ("/items/1", "/items/1", "/items/2"):
        assert (await rig.launch(ags(item=item))).status_code == 303
    [row] = await rows(rig, LineItem)
    assert row.url == "https://lms.example/items/2"


async def test_a_known_origin_that_changes_is_held(rig: Rig) -> None:
    """The launch goes on; nothing of the new origin is stored, so no token can go there."""
    before = await rig.exchange(await rig.launch(ags()))
    assert before["capabilities"]["grades"] is True
    rig.clock.now += 60
    after = await rig.exchange(await rig.launch(ags("https://evil.example", item="/item")))
    assert (after["capabilities"]["grades"], after["capabilities"]["roster"]) == (False, True)
    assert any("evil.example" in warning for warning in after["warnings"])
    known = await urls(rig, before["context"]["id"])
    assert known is not None
    assert known.line_items_url == "https://lms.example/ctx/1/lineitems?type_id=1"
    assert await rows(rig, LineItem) == []
    [event] = await rows(rig, Event)
    assert (event.type, event.data["origin"]) == ("alert.raised", "https://evil.example")


async def test_an_accepted_origin_serves_from_the_next_launch(rig: Rig) -> None:
    await rig.launch(ags())
    await rig.launch(ags("https://new.example"))
    await rig.operator(services.accept_origin, rig.registration.id, DEPLOYMENT, "https://new.example", actor=ACTOR)
    launch = await rig.exchange(await rig.launch(ags("https://new.example")))
    assert launch["capabilities"]["grades"] is True
    known = await urls(rig, launch["context"]["id"])
    assert known is not None
    assert known.line_items_url == "https://new.example/ctx/1/lineitems?type_id=1"


async def test_a_launch_without_services_leaves_those_that_are_known(rig: Rig) -> None:
    before = await rig.exchange(await rig.launch(ags()))

    def without(payload: dict[str, Any]) -> None:
        payload.pop(AGS)
        payload.pop(NRPS)

    assert (await rig.launch(without)).status_code == 303
    assert await urls(rig, before["context"]["id"]) is not None


async def test_a_launch_that_is_stored_goes_on_when_its_services_are_not(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its nonce is spent: refused now, the person could not come in again. The next launch tells the services."""
    await rig.launch()
    noted = services.note

    def busy(*args: Any, **kwargs: Any) -> Any:
        if kwargs["context_id"] is not None:
            raise Busy("busy", "Later.")
        return noted(*args, **kwargs)

    monkeypatch.setattr(services, "note", busy)
    launch = await rig.exchange(await rig.launch(ags()))
    assert launch["line_item"] is None
    monkeypatch.undo()
    await rig.launch(ags())
    known = await urls(rig, launch["context"]["id"])
    assert known is not None
    assert known.line_items_url == "https://lms.example/ctx/1/lineitems?type_id=1"


async def test_what_waits_for_a_context_is_tried_again_by_its_launches(rig: Rig) -> None:
    """A column that was gone may be back, although launches say what they always said."""
    launch = await rig.exchange(await rig.launch(ags(item="/items/1")))
    tenant_id, item_id = rig.tenant.id, launch["line_item"]["id"]
    await rig.host.database.run(tenant_id, line_items.lost, item_id, "https://lms.example/items/1", rig.clock.now)
    await rig.launch(ags(item="/items/1"))
    assert [row.state for row in await rows(rig, LineItem)] == ["gone"]
    rig.clock.now += 301
    await rig.launch(ags(item="/items/1"))
    assert [row.state for row in await rows(rig, LineItem)] == ["ready"]
