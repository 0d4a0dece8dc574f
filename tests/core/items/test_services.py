"""What a verified launch says of services: stored, refreshed, and held when it names another origin than before."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import NotFound
from ltihost.service_records import ServiceUrls
from ltihost.store import audit, jobs, line_items, services
from ltihost.store.database import Database
from ltihost.store.service_tables import Event, LineItem
from ltihost.store.services import origins_of
from tests.core.items.conftest import NOW, Placed

SCOPES = ("https://purl.imsglobal.org/spec/lti-ags/scope/lineitem",)
LMS = ServiceUrls(
    "https://lms.example/items?type_id=1", SCOPES, "https://lms.example/members", "https://lms.example/groups"
)
EVIL = ServiceUrls("https://evil.example/items", SCOPES, "https://lms.example/members")


async def note(
    db: Database, here: Placed, urls: ServiceUrls = LMS, line_item: str | None = None, **how: Any
) -> frozenset[str]:
    registration_id, deployment_id = here.place
    values: dict[str, Any] = {
        "registration_id": registration_id, "deployment_id": deployment_id, "context_id": here.context_id,
        "resource_link_id": here.link_id, "application": here.application, "urls": urls, "line_item_url": line_item,
        "origins": origins_of(urls, line_item), "now": NOW,
    }  # fmt: skip
    return await db.run(here.tenant_id, services.note, **values | how)


def rows(session: Session, model: type[Any]) -> list[Any]:
    return list(session.scalars(select(model)))


async def test_the_first_origin_is_accepted_and_audited(db: Database, here: Placed) -> None:
    """D15 in words: what a verified launch of an approved deployment says first is believed."""
    assert await note(db, here) == frozenset()
    assert await db.run(here.tenant_id, services.urls_of, here.context_id) == LMS
    found = await db.run(here.tenant_id, services.origins, *here.place)
    assert {(row.kind, row.origin, row.state) for row in found} == {
        ("line_items", "https://lms.example", "accepted"), ("memberships", "https://lms.example", "accepted"),
        ("groups", "https://lms.example", "accepted"),
    }  # fmt: skip
    trail = await db.run(here.tenant_id, audit.page, here.tenant_id)
    assert sum(row.action == "service_origin.accepted" for row in trail) == 3


async def test_another_origin_later_is_held(db: Database, here: Placed) -> None:
    """S-52: the launch is fine, its services are not used, and somebody hears of it, once."""
    await note(db, here)
    for _ in range(2):
        held = await note(db, here, EVIL, "https://evil.example/items/1")
        assert held == {"line_items"}
    found = await db.run(here.tenant_id, services.urls_of, here.context_id)
    assert found == LMS
    assert await db.run(here.tenant_id, services.coupled_line_item, here.link_id) is None
    (event,) = await db.run(here.tenant_id, rows, Event)
    assert (event.type, event.data["code"], event.data["origin"]) == (
        "alert.raised", "service_origin_changed", "https://evil.example",
    )  # fmt: skip


async def test_an_operator_can_accept_it(db: Database, here: Placed) -> None:
    await note(db, here)
    await note(db, here, EVIL)
    (row,) = await db.run_host(services.accept_origin, *here.place, "https://evil.example", actor="operator")
    assert (row.kind, row.state) == ("line_items", "accepted")
    assert await note(db, here, EVIL) == frozenset()
    found = await db.run(here.tenant_id, services.urls_of, here.context_id)
    assert found is not None
    assert found.line_items_url == EVIL.line_items_url
    trail = await db.run(here.tenant_id, audit.page, here.tenant_id)
    assert trail[0].actor == "operator"
    for origin in ("https://evil.example", "https://other.example"):
        with pytest.raises(NotFound):
            await db.run_host(services.accept_origin, *here.place, origin, actor="operator")


async def test_a_url_beside_the_judged_origin_is_not_stored(db: Database, here: Placed) -> None:
    """The line item lies elsewhere than the line items: nobody judged that place."""
    await note(db, here, LMS, "https://evil.example/items/1")
    assert await db.run(here.tenant_id, services.coupled_line_item, here.link_id) is None
    await note(db, here, EVIL, origins={"line_items": "https://lms.example"})
    found = await db.run(here.tenant_id, services.urls_of, here.context_id)
    assert found is not None
    assert found.line_items_url is None


async def test_a_launch_replaces_what_it_names_and_nothing_else(db: Database, here: Placed) -> None:
    """Not every placement of an LMS names every service."""
    await note(db, here)
    await note(db, here, ServiceUrls())
    assert await db.run(here.tenant_id, services.urls_of, here.context_id) == LMS
    fewer = ServiceUrls("https://lms.example/items?type_id=2", ())
    await note(db, here, fewer)
    found = await db.run(here.tenant_id, services.urls_of, here.context_id)
    assert found == ServiceUrls(fewer.line_items_url, (), LMS.memberships_url, LMS.groups_url)


async def test_the_link_s_line_item_is_one_row_whatever_its_url(db: Database, here: Placed) -> None:
    await note(db, here, LMS, "https://lms.example/items/1/lineitem?type_id=1")
    first = await db.run(here.tenant_id, services.coupled_line_item, here.link_id)
    assert first is not None
    assert (first.state, first.coupled, first.reservation) == ("ready", True, f"link|{here.link_id}")
    await note(db, here, LMS, "https://lms.example/items/2/lineitem?type_id=1", now=NOW + 9)
    second = await db.run(here.tenant_id, services.coupled_line_item, here.link_id)
    assert second is not None
    assert (second.id, second.url) == (first.id, "https://lms.example/items/2/lineitem?type_id=1")
    assert len(await db.run(here.tenant_id, rows, LineItem)) == 1
    assert [row.object_id for row in await db.run(here.tenant_id, jobs.listed, kind="line_item")] == [first.id]


async def test_noting_the_same_again_changes_nothing(db: Database, here: Placed) -> None:
    await note(db, here, LMS, "https://lms.example/items/1")
    before = [row.values() for row in await db.run(here.tenant_id, rows, LineItem)]
    await note(db, here, LMS, "https://lms.example/items/1", now=NOW + 60)
    assert [row.values() for row in await db.run(here.tenant_id, rows, LineItem)] == before


async def test_a_column_that_came_back_is_ready_again(db: Database, here: Placed) -> None:
    await note(db, here, LMS, "https://lms.example/items/1")
    row = await db.run(here.tenant_id, services.coupled_line_item, here.link_id)
    assert row is not None
    assert await db.run(here.tenant_id, line_items.lost, row.id, "https://lms.example/items/1", NOW)
    assert await db.run(here.tenant_id, services.coupled_line_item, here.link_id) is None
    await note(db, here, LMS, "https://lms.example/items/1")
    assert await db.run(here.tenant_id, services.coupled_line_item, here.link_id) is not None
