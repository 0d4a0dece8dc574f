"""Sessions for applications: the launch again, as long as its session lives."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from starlette.responses import JSONResponse, Response

from ltihost.api.callers import Callers
from ltihost.api.ids import SessionId, answers
from ltihost.api.models import LaunchShape
from ltihost.handover import application_launch
from ltihost.host import Host
from ltihost.store import sessions
from ltihost.store.hot import ApiKey


def add_routes(api: FastAPI, host: Host, callers: Callers) -> None:
    """`GET /sessions/{id}`."""
    reader = Depends(callers.requires("launch:exchange"))

    @api.get(
        "/sessions/{session_id}", response_model=LaunchShape, operation_id="showSession",
        summary="Show the launch of a session", responses=answers(404), tags=["launches"],
    )  # fmt: skip
    async def show(session_id: SessionId, key: ApiKey = reader) -> Response:
        """What the exchange answered. 404 once the session is over, or somebody switched off what it rests on."""
        tenant_id = await callers.tenant_for(key, "session", session_id)
        return JSONResponse(
            application_launch(await host.database.run(tenant_id, sessions.launch, session_id, host.clock()))
        )
