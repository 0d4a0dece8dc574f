"""Results for applications: what should stand in the gradebook by us, beside what the LMS shows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query
from pydantic import Field
from starlette.responses import JSONResponse, Response

from ltihost.api.callers import Callers
from ltihost.api.ids import LineItemId, answers
from ltihost.api.models import Shape
from ltihost.api.paging import Cursor, Limit, page, read_id_cursor, write_cursor
from ltihost.flows.results import ResultsFlow
from ltihost.handover import timestamp
from ltihost.host import Host
from ltihost.store import results
from ltihost.store.hot import ApiKey
from ltihost.store.results import Standing


class OursShape(Shape):
    """What your application's scores come to, and how far the delivery of it is."""

    delivery_id: str
    given: float | None
    maximum: float | None
    attempt: int | None
    state: Literal["idle", "pending", "leased", "blocked", "waiting_enrolment", "conflict", "dead"]
    code: str | None


class LmsShape(Shape):
    """What stood in the LMS at `read_at`; `given` is null where no grade stood."""

    given: float | None
    maximum: float
    overridden: bool = Field(description="It is not what the LMS confirmed to us: somebody graded by hand.")
    read_at: datetime


class ResultShape(Shape):
    user_id: str
    ours: OursShape | None
    lms: LmsShape | None


class ResultPage(Shape):
    data: list[ResultShape]
    next_cursor: str | None


def add_routes(api: FastAPI, host: Host, callers: Callers) -> None:
    """`GET /line-items/{id}/results`."""
    flow = ResultsFlow()
    lister = Depends(callers.requires("grades:read", pace="lists"))

    @api.get(
        "/line-items/{line_item_id}/results", response_model=ResultPage, operation_id="listResults",
        summary="List results, ours beside the LMS's", responses=answers(404, 409, 502), tags=["grades"],
    )  # fmt: skip
    async def list_results(
        line_item_id: LineItemId,
        cursor: Cursor = None,
        limit: Limit = 100,
        refresh: Annotated[bool, Query(description="Read them in the LMS first.")] = False,
        key: ApiKey = lister,
    ) -> Response:
        """By person. The host reads them ten minutes after a delivery and daily while scores come."""
        tenant_id = await callers.tenant_for(key, "line_item", line_item_id)
        after = read_id_cursor(cursor)
        if refresh:
            await flow.read(host, tenant_id, line_item_id)
        rows = await host.database.run(tenant_id, results.standings, line_item_id, after=after, limit=limit + 1)
        shown = rows[:limit]
        await callers.rows_read(key, tenant_id, "results", len(shown))
        more = write_cursor(shown[-1].user_id) if len(rows) > limit else None
        return JSONResponse(page([_result_json(row) for row in shown], more))


def _result_json(row: Standing) -> dict[str, Any]:
    return {"user_id": row.user_id, "ours": _ours(row), "lms": _lms(row)}


def _ours(row: Standing) -> dict[str, Any] | None:
    if row.slot is None:
        return None
    winner = row.winner
    return {
        "delivery_id": row.slot.id,
        "given": _number(winner.given if winner else None),
        "maximum": _number(winner.maximum if winner else None),
        "attempt": winner.attempt if winner else None,
        "state": row.slot.state,
        "code": row.slot.code,
    }


def _lms(row: Standing) -> dict[str, Any] | None:
    if row.lms is None:
        return None
    return {
        "given": _number(row.lms.given),
        "maximum": _number(row.lms.maximum),
        "overridden": row.lms.overridden,
        "read_at": timestamp(row.lms.read_at),
    }


def _number(value: str | None) -> float | None:
    return None if value is None else float(value)
