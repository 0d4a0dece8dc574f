"""Events for applications that ask instead of being told: everything once at least, in an order that misses nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import Depends, FastAPI
from pydantic import Field
from starlette.responses import JSONResponse, Response

from ltihost.api.callers import Callers
from ltihost.api.ids import answers
from ltihost.api.models import Shape
from ltihost.api.paging import Cursor, Limit, page, read_cursor, write_cursor
from ltihost.handover import timestamp
from ltihost.host import Host
from ltihost.store import events
from ltihost.store.events import Mark
from ltihost.store.hot import ApiKey


class EventShape(Shape):
    """Something that happened. Thin: ids and changed facts; read the object itself for the rest."""

    id: str
    type: str = Field(examples=["grade.delivered", "grade.overridden", "link.created", "alert.raised"])
    tenant_id: str
    at: datetime
    data: dict[str, Any]


class EventPage(Shape):
    data: list[EventShape]
    next_cursor: str = Field(description="Ask again with it, now or later: it is good on an empty page too.")


def add_routes(api: FastAPI, host: Host, callers: Callers) -> None:
    """`GET /events`."""
    lister = Depends(callers.requires("events:read", pace="lists"))

    @api.get(
        "/events", response_model=EventPage, operation_id="listEvents",
        summary="List events since a cursor", responses=answers(), tags=["events"],
    )  # fmt: skip
    async def list_events(cursor: Cursor = None, limit: Limit = 100, key: ApiKey = lister) -> Response:
        """The oldest first. Keep `next_cursor` once you have dealt with a page: from there on nothing is left out, also
        not what was stored late, and a page that you did not finish comes again."""
        place = read_cursor(cursor, int)
        after = place[0] if place else 0
        marks = await host.database.run_lookup(events.numbered, key.application_id, key.tenant_id, after, limit)
        rows = await _read(host, marks)
        return JSONResponse(page(rows, write_cursor(marks[-1].seq if marks else after)))


async def _read(host: Host, marks: Sequence[Mark]) -> list[dict[str, Any]]:
    """What the events say, each read as its tenant, in their order. One that was cleared away meanwhile is left out."""
    by_tenant: defaultdict[str, list[str]] = defaultdict(list)
    for mark in marks:
        by_tenant[mark.tenant_id].append(mark.id)
    found = {
        id_: row
        for tenant_id, ids in by_tenant.items()
        for id_, row in (await host.database.run(tenant_id, events.by_ids, ids)).items()
    }
    return [
        {"id": row.id, "type": row.type, "tenant_id": row.tenant_id, "at": timestamp(row.at), "data": row.data}
        for row in (found.get(mark.id) for mark in marks)
        if row is not None
    ]
