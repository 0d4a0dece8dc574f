"""The API as a FastAPI application: routes, and the OpenAPI document at `/api/v1/openapi.json`."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from starlette.responses import JSONResponse, Response

from ltihost import __version__
from ltihost.api import (
    capabilities,
    deep_links,
    deliveries,
    events,
    line_items,
    members,
    problems,
    results,
    scores,
    sessions,
)
from ltihost.api.callers import Callers
from ltihost.api.ids import BODY, answers
from ltihost.api.models import ExchangeRequest, LaunchShape
from ltihost.api.problems import ApiError
from ltihost.api.routes import Api
from ltihost.handover import SESSION_SECONDS, application_launch
from ltihost.host import Host
from ltihost.lti.state import digest
from ltihost.store.hot import ApiKey


def build_api(host: Host) -> FastAPI:
    """The API over `host`. Its pages of documentation are served elsewhere: nothing here loads from other sites."""
    callers = Callers(host)
    api = Api(
        callers.identify,
        title="ltihost",
        version=__version__,
        summary="Launches for your application, from every learning platform.",
        servers=[{"url": "/api/v1"}],
        docs_url=None,
        redoc_url=None,
        root_path_in_servers=False,
    )
    problems.install(api)
    exchanger = Depends(callers.requires("launch:exchange"))

    @api.post(
        "/launches/exchange",
        response_model=LaunchShape,
        operation_id="exchangeLaunch",
        summary="Exchange a one-time code for the launch",
        responses=answers(*BODY, says={410: "The code is unknown, spent or older than 60 s"}),
        tags=["launches"],
    )
    async def exchange(body: ExchangeRequest, key: ApiKey = exchanger) -> Response:
        """The browser brings `code` to your launch URL; your server exchanges it here, once, within a minute."""
        stored = await host.database.hot.redeem_code(
            digest(body.code), application_id=key.application_id, tenant_id=key.tenant_id, now=host.clock(),
            session_seconds=SESSION_SECONDS,
        )  # fmt: skip
        if stored is None:
            raise ApiError(410, "code_unusable", "The code is unknown, was used before, or is older than 60 seconds.")
        return JSONResponse(application_launch(stored))

    for module in (scores, deliveries, line_items, results, deep_links, members, sessions, events, capabilities):
        module.add_routes(api, host, callers)
    return api
