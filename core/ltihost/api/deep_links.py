"""Deep linking for applications: look at the conversation, and finish it with what was chosen."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import orjson
from fastapi import Depends, FastAPI
from pydantic import Field
from starlette.responses import JSONResponse, Response

from ltihost.api.callers import Callers
from ltihost.api.content_items import Item, form_of
from ltihost.api.ids import BODY, DeepLinkId, answers
from ltihost.api.models import DeepLinkingShape, Shape
from ltihost.flows.deep_linking import Answer, DeepLinkingFlow
from ltihost.handover import timestamp
from ltihost.host import Host
from ltihost.lti.content_items import MAX_ITEMS
from ltihost.store.deep_links import DeepLink
from ltihost.store.hot import ApiKey

SCOPE = "deeplink:write"


class FinishRequest(Shape):
    """What the person chose. No items: nothing was chosen, or it went wrong (`error`)."""

    items: list[Item] = Field(default=[], max_length=MAX_ITEMS)
    message: str | None = Field(default=None, max_length=500, description="Shown by the platform, plain text.")
    error: str | None = Field(default=None, max_length=500, description="Shown as an error; then there are no items.")


class FinishAnswer(Shape):
    continue_url: str = Field(description="Send the person's browser here, in the same frame. It works once.")
    warnings: list[str] = Field(
        description="What this LMS will keep otherwise than the items say, a sentence each: a rounded maximum, say."
    )


class DeepLinkShape(DeepLinkingShape):
    """A deep linking conversation. `state`: open, finished (waits for the browser), returned, expired."""

    id: str
    state: Literal["open", "finished", "returned", "expired"]
    context_id: str | None
    accept_media_types: list[str]
    expires_at: datetime


_SAYS = {
    403: "The key lacks the scope, or the person may not choose content",
    404: "No such conversation of this application",
    409: "Finished before with another answer, or something is switched off",
    410: "The conversation is over",
    422: "An item cannot be used; nothing was stored",
    502: "The plugin of this LMS failed",
}


def add_routes(api: FastAPI, host: Host, callers: Callers) -> None:
    """`GET /deep-links/{id}` and `POST /deep-links/{id}/finish`."""
    flow = DeepLinkingFlow(host)
    writer = Depends(callers.requires(SCOPE))

    @api.get(
        "/deep-links/{id}", response_model=DeepLinkShape, operation_id="showDeepLink",
        summary="Show a deep linking conversation", responses=answers(says=_SAYS), tags=["deep linking"],
    )  # fmt: skip
    async def show(id: DeepLinkId, key: ApiKey = writer) -> Response:  # noqa: A002 - the path's name
        """`id` is that of the launch's `deep_linking`."""
        tenant_id = await callers.tenant_for(key, "deep_link", id)
        link = await flow.show(tenant_id, key.application_id, id)
        return JSONResponse(_shown(link, host.clock()))

    @api.post(
        "/deep-links/{id}/finish", response_model=FinishAnswer, operation_id="finishDeepLink",
        summary="Return what was chosen", responses=answers(*BODY, says=_SAYS), tags=["deep linking"],
    )  # fmt: skip
    async def finish(id: DeepLinkId, body: FinishRequest, key: ApiKey = writer) -> Response:  # noqa: A002 - the path's name
        """Once: the same request again answers the same URL. A refused one leaves the conversation open."""
        answer = Answer(tuple(form_of(item) for item in body.items), body.message, body.error)
        tenant_id = await callers.tenant_for(key, "deep_link", id)
        finished = await flow.finish(tenant_id, key.application_id, id, answer)
        return JSONResponse({"continue_url": finished.continue_url, "warnings": list(finished.warnings)})


def _shown(link: DeepLink, now: float) -> dict[str, Any]:
    told, kept = orjson.loads(link.launch.launch_json), orjson.loads(link.launch.services_json)
    expired = link.state != "returned" and link.expires_at <= now
    return {
        **told["deep_linking"],
        "id": link.id,
        "state": "expired" if expired else link.state,
        "context_id": link.launch.context_id,
        "accept_media_types": kept["deep_linking"]["accept_media_types"],
        "expires_at": timestamp(link.expires_at),
    }
