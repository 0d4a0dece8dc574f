"""Deliveries: how far a person's score is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import Depends, FastAPI
from pydantic import Field
from starlette.responses import JSONResponse, Response

from ltihost.api.callers import Callers
from ltihost.api.ids import DeliveryId, LineItemId, answers
from ltihost.api.models import Shape
from ltihost.api.paging import Cursor, Limit, page, read_cursor, write_cursor
from ltihost.handover import timestamp
from ltihost.host import Host
from ltihost.store import grade_queries
from ltihost.store.grade_queries import Slot
from ltihost.store.grades import State
from ltihost.store.hot import ApiKey

SCOPE = "grades:read"


class ConfirmedShape(Shape):
    """What the LMS took last."""

    given: float | None
    maximum: float | None
    attempt: int | None
    at: datetime


class StandingShape(Shape):
    """What stood in the LMS's gradebook when it was last read. `overridden`: somebody changed it there."""

    given: float | None
    maximum: float
    overridden: bool


class DeliveryShape(Shape):
    """What should stand in the gradebook for one person, and how far that is.

    `state`: pending or leased (on its way), idle (the LMS has it), blocked, waiting_enrolment, conflict, dead; `code` says
    why it is not idle.
    """

    id: str
    line_item_id: str
    user_id: str
    state: State
    code: str | None
    note: str | None
    given: float | None
    maximum: float | None
    attempt: int | None = Field(description="The attempt that stands by the line item's policy.")
    confirmed: ConfirmedShape | None
    standing: StandingShape | None
    updated_at: datetime


class DeliveriesPage(Shape):
    data: list[DeliveryShape]
    next_cursor: str | None


def add_routes(api: FastAPI, host: Host, callers: Callers) -> None:
    reader = Depends(callers.requires(SCOPE))
    lister = Depends(callers.requires(SCOPE, pace="lists"))

    @api.get(
        "/deliveries/{delivery_id}",
        response_model=DeliveryShape,
        operation_id="getDelivery",
        summary="How far a person's score is",
        responses=answers(404),
        tags=["grades"],
    )
    async def show(delivery_id: DeliveryId, key: ApiKey = reader) -> Response:
        tenant_id = await callers.tenant_for(key, "delivery", delivery_id)
        return JSONResponse(shape(await host.database.run(tenant_id, grade_queries.get, delivery_id)))

    @api.get(
        "/line-items/{line_item_id}/deliveries",
        response_model=DeliveriesPage,
        operation_id="listDeliveries",
        summary="How far the scores of a line item are",
        responses=answers(404),
        tags=["grades"],
    )
    async def list_(
        line_item_id: LineItemId, cursor: Cursor = None, limit: Limit = 100, key: ApiKey = lister
    ) -> Response:
        tenant_id = await callers.tenant_for(key, "line_item", line_item_id)
        place = read_cursor(cursor, str)
        found = await host.database.run(
            tenant_id, grade_queries.page, line_item_id, after=place[0] if place else None, limit=limit + 1
        )
        more = write_cursor(found[limit - 1].delivery.id) if len(found) > limit else None
        return JSONResponse(page([shape(slot) for slot in found[:limit]], more))


def shape(slot: Slot) -> dict[str, Any]:
    """The JSON form of a slot."""
    delivery, confirmed, standing = slot.delivery, slot.confirmed, slot.standing
    return {
        "id": delivery.id,
        "line_item_id": delivery.line_item_id,
        "user_id": delivery.user_id,
        "state": delivery.state,
        "code": delivery.code,
        "note": slot.note,
        "given": number(delivery.given),
        "maximum": number(delivery.maximum),
        "attempt": delivery.attempt,
        "confirmed": confirmed and {
            "given": number(confirmed.given), "maximum": number(confirmed.maximum), "attempt": confirmed.attempt,
            "at": timestamp(slot.confirmed_at or 0.0),
        },
        "standing": standing and {
            "given": number(standing[0]), "maximum": number(standing[1]), "overridden": slot.overridden
        },
        "updated_at": timestamp(delivery.updated_at),
    }  # fmt: skip


def number(value: Any) -> float | None:
    """A decimal of at most fifteen digits, as JSON writes it."""
    return None if value is None else float(value)
