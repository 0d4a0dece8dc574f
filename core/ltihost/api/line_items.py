"""Line items for applications: find or make, change and delete columns of the LMS's gradebook."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from fastapi import Depends, FastAPI, Query
from pydantic import AwareDatetime, Field, field_validator, model_validator
from starlette.responses import JSONResponse, Response

from ltihost.api.callers import Callers
from ltihost.api.ids import BODY, LineItemId, LinkId, answers
from ltihost.api.models import Shape
from ltihost.api.paging import Cursor, Limit, page, read_id_cursor, write_cursor
from ltihost.flows.line_items import LineItemFlow
from ltihost.handover import timestamp
from ltihost.host import Host
from ltihost.lti.claims import usable_id
from ltihost.lti.line_items import MAX_TEXT
from ltihost.service_records import OverridePolicy, Policy
from ltihost.store import line_items
from ltihost.store.hot import ApiKey
from ltihost.store.line_items import Wish
from ltihost.store.service_tables import LineItem

Label = Annotated[str, Field(min_length=1, max_length=4_000, description=f"Cut to {MAX_TEXT} characters in the LMS.")]
Maximum = Annotated[float, Field(ge=0.0001, le=1e9, allow_inf_nan=False, strict=True)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class _Checked(Shape):
    @field_validator("label", "resource_id", "tag", check_fields=False)
    @classmethod
    def _shown(cls, value: str | None) -> str | None:
        text = value and value[:MAX_TEXT]
        if text and (usable_id(text) is None or not text.strip()):
            raise ValueError("must show something, without control characters")
        return text

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        starts, ends = (getattr(self, name) for name in ("starts_at", "ends_at"))
        if starts and ends and ends <= starts:
            raise ValueError("ends_at must lie after starts_at")
        return self


class LineItemRequest(_Checked):
    """A column that should be there. Without `resource_id` and `tag` the link's own is meant; equal names are one."""

    label: Label
    maximum: Maximum
    resource_id: Name | None = Field(default=None, description="Your id of what is graded; it survives course copies.")
    tag: Name | None = None
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    grades_released: bool | None = None
    policy: Policy | None = Field(default=None, description="Which attempt counts; `highest` if you do not say.")
    override_policy: OverridePolicy | None = Field(
        default=None,
        description="Who wins when a teacher changed a grade in the LMS; `platform_wins` if you do not say.",
    )
    extra_credit: bool | None = Field(default=None, description="Whether a score may exceed the maximum.")


class LineItemChange(_Checked):
    """What is to change. The LMS is told by and by: `state` and `code` say how far that is."""

    label: Label | None = None
    maximum: Maximum | None = None
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    grades_released: bool | None = None
    policy: Policy | None = None
    override_policy: OverridePolicy | None = None
    extra_credit: bool | None = None

    @field_validator("label", "maximum", "policy", "override_policy", "extra_credit")
    @classmethod
    def _stated(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("cannot be taken away")
        return value


class LineItemState(Shape):
    """A line item as it is known. Scores may be posted in every state but `deleting`; they wait for `ready`.

    `coupled`: the LMS made it with the link. `state`: wanted (to be found or made in the LMS), ready, gone (it was
    deleted there), deleting. `code` says what hinders it, `synced` whether the LMS was told the newest change.
    """

    id: str
    context_id: str
    resource_link_id: str | None
    label: str | None
    maximum: float | None
    resource_id: str | None
    tag: str | None
    starts_at: str | None
    ends_at: str | None
    grades_released: bool | None
    policy: Policy
    override_policy: OverridePolicy
    extra_credit: bool
    coupled: bool
    state: Literal["wanted", "ready", "gone", "deleting"]
    synced: bool
    code: str | None
    updated_at: datetime


class LineItemPage(Shape):
    data: list[LineItemState]
    next_cursor: str | None


def add_routes(api: FastAPI, host: Host, callers: Callers) -> None:
    """`/resource-links/{id}/line-items` and `/line-items/{id}`."""
    flow = LineItemFlow()
    lister = Depends(callers.requires("lineitems:read", pace="lists"))
    reader = Depends(callers.requires("lineitems:read"))
    writer = Depends(callers.requires("lineitems:write"))

    @api.get(
        "/resource-links/{link_id}/line-items", response_model=LineItemPage, operation_id="listLineItems",
        summary="List a link's line items", responses=answers(404, 409, 502), tags=["line items"],
    )  # fmt: skip
    async def list_line_items(
        link_id: LinkId,
        cursor: Cursor = None,
        limit: Limit = 100,
        refresh: Annotated[bool, Query(description="Read them in the LMS first.")] = False,
        key: ApiKey = lister,
    ) -> Response:
        """Those of your application. What the LMS shows of them was read some time ago unless you ask to refresh."""
        tenant_id = await callers.tenant_for(key, "resource_link", link_id)
        after = read_id_cursor(cursor)
        if refresh:
            await flow.refresh(host, tenant_id, link_id, key.application_id)
        rows = await host.database.run(
            tenant_id, line_items.of_link, link_id, key.application_id, after=after, limit=limit + 1
        )
        more = write_cursor(rows[limit - 1].id) if len(rows) > limit else None
        return JSONResponse(page([line_item_json(row) for row in rows[:limit]], more))

    @api.post(
        "/resource-links/{link_id}/line-items", response_model=LineItemState, operation_id="findOrCreateLineItem",
        summary="Find or make a line item", responses=answers(404, 409, *BODY) | {201: {"model": LineItemState}},
        tags=["line items"],
    )  # fmt: skip
    async def find_or_create(link_id: LinkId, body: LineItemRequest, key: ApiKey = writer) -> Response:
        """200 with the one that is known already, 201 with a new one. Its id takes scores at once. Call it as often as
        you like: equal `resource_id` and `tag` in a context are one line item, here and in the LMS."""
        tenant_id = await callers.tenant_for(key, "resource_link", link_id)
        row, made = await flow.want(host, tenant_id, link_id, _wish(body))
        return JSONResponse(line_item_json(row), 201 if made else 200)

    @api.get(
        "/line-items/{line_item_id}", response_model=LineItemState, operation_id="showLineItem",
        summary="Show a line item", responses=answers(404), tags=["line items"],
    )  # fmt: skip
    async def show(line_item_id: LineItemId, key: ApiKey = reader) -> Response:
        tenant_id = await callers.tenant_for(key, "line_item", line_item_id)
        return JSONResponse(line_item_json(await host.database.run(tenant_id, line_items.get, line_item_id)))

    @api.patch(
        "/line-items/{line_item_id}", response_model=LineItemState, operation_id="changeLineItem",
        summary="Change a line item", responses=answers(404, 409, *BODY), tags=["line items"],
    )  # fmt: skip
    async def change(line_item_id: LineItemId, body: LineItemChange, key: ApiKey = writer) -> Response:
        """A changed label, maximum or date reaches the LMS; all else of the column stays as it is there."""
        tenant_id = await callers.tenant_for(key, "line_item", line_item_id)
        row = await flow.change(host, tenant_id, line_item_id, _changes(body))
        return JSONResponse(line_item_json(row))

    @api.delete(
        "/line-items/{line_item_id}", status_code=202, response_model=LineItemState, operation_id="deleteLineItem",
        summary="Delete a line item", responses=answers(404, 409), tags=["line items"],
    )  # fmt: skip
    async def delete(
        line_item_id: LineItemId,
        force: Annotated[bool, Query(description="Also with all grades in it.")] = False,
        key: ApiKey = writer,
    ) -> Response:
        """The column goes from the LMS, with the grades in it, and nobody there can bring them back."""
        tenant_id = await callers.tenant_for(key, "line_item", line_item_id)
        row = await flow.delete(host, tenant_id, line_item_id, force=force, actor=f"key {key.id}")
        return JSONResponse(line_item_json(row), 202)


def line_item_json(row: LineItem) -> dict[str, Any]:
    """A line item as applications see it."""
    same = (
        "id", "context_id", "resource_link_id", "label", "resource_id", "tag", "grades_released", "policy",
        "override_policy", "extra_credit", "coupled", "state", "code",
    )  # fmt: skip
    return {name: getattr(row, name) for name in same} | {
        "maximum": None if row.maximum is None else float(row.maximum),
        "starts_at": row.starts_at or None,
        "ends_at": row.ends_at or None,
        "synced": row.state == "ready" and row.version == row.synced_version,
        "updated_at": timestamp(row.updated_at),
    }


def _wish(body: LineItemRequest) -> Wish:
    return Wish(
        label=body.label,
        maximum=_exact(body.maximum),
        resource_id=body.resource_id,
        tag=body.tag,
        starts_at=_moment(body.starts_at),
        ends_at=_moment(body.ends_at),
        grades_released=body.grades_released,
        policy=body.policy,
        override_policy=body.override_policy,
        extra_credit=body.extra_credit,
    )


def _changes(body: LineItemChange) -> dict[str, Any]:
    """What was stated. A date that is taken away is told to the LMS as a blank: left out it would stay. AGS 3.2.12."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if body.maximum is not None:
        changes["maximum"] = _exact(body.maximum)
    for name in {"starts_at", "ends_at"} & changes.keys():
        changes[name] = _moment(changes[name]) or ""
    return changes


def _exact(number: float) -> Decimal:
    """The decimal that was written, not the binary fraction that it became."""
    return Decimal(repr(number))


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")
