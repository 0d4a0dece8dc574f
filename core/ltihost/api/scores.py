"""Scores for line items: accepted once they are stored, delivered by workers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Header
from starlette.responses import JSONResponse, Response

from ltihost.api.callers import Callers
from ltihost.api.ids import BODY, LineItemId, answers
from ltihost.api.models import Shape
from ltihost.api.problems import ApiError
from ltihost.flows.grades.intake import MAX_KEY, ScoreBody, post_score
from ltihost.host import Host
from ltihost.store.grades import State
from ltihost.store.hot import ApiKey

SCOPE = "grades:write"
OVERRIDE_SCOPE = "grades:override"
_SAYS = {
    404: "The application has no such line item",
    409: "This attempt was stated differently before",
    422: "Unusable body, unknown person, or an Idempotency-Key of another body",
}

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=MAX_KEY,
        description="Your own id of this request. Send it again with the same body when no answer came.",
    ),
]  # fmt: skip


class DeliveryState(Shape):
    """`state` is "pending" until the LMS has it ("idle"), or until something has to be waited for or looked at."""

    id: str
    state: State


class ScoreAnswer(Shape):
    delivery: DeliveryState


def add_routes(api: FastAPI, host: Host, callers: Callers) -> None:
    caller = Depends(callers.requires(SCOPE))

    @api.post(
        "/line-items/{line_item_id}/scores",
        status_code=202,
        response_model=ScoreAnswer,
        operation_id="postScore",
        summary="State what a person reached",
        responses=answers(*BODY, says=_SAYS),
        tags=["grades"],
    )
    async def post(
        line_item_id: LineItemId, body: ScoreBody, idempotency_key: IdempotencyKey, key: ApiKey = caller
    ) -> Response:
        """202 is a promise: the score is stored, and is delivered however long the LMS is away.

        Of several attempts the line item's policy says which one stands. `GET /deliveries/{id}` tells how far it is.
        """
        if body.override is not None and OVERRIDE_SCOPE not in key.scopes:
            raise ApiError(403, "scope_missing", f"An override needs the scope {OVERRIDE_SCOPE}.")
        tenant_id = key.tenant_id or await callers.tenant_for(key, "line_item", line_item_id)
        delivery = await post_score(host, key, tenant_id, line_item_id, body, idempotency_key)
        return JSONResponse({"delivery": {"id": delivery.id, "state": delivery.state}}, 202)
