"""Capabilities for applications: what can be done with one LMS, read from what it granted, never from its name."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from pydantic import Field
from starlette.responses import JSONResponse, Response

from ltihost.api.callers import Callers
from ltihost.api.ids import RegistrationId, answers
from ltihost.api.models import Shape
from ltihost.api.problems import ApiError
from ltihost.host import Host
from ltihost.lti.vocabulary import SCOPE_LINE_ITEM, SCOPE_RESULT_READ, SCOPE_SCORE
from ltihost.plugins.abilities import KeepsGradebook, PicksContent, ReadsRoster, SendsScores
from ltihost.records import Binding
from ltihost.store import capabilities
from ltihost.store.capabilities import Offered
from ltihost.store.hot import ApiKey


class WhatItCan(Shape):
    """Whether at least one context of the LMS offers it; a launch says it of its own context."""

    grades: bool
    line_items: bool
    results: bool
    roster: bool
    deep_linking: bool
    groups: bool
    copy_notices: bool


class RegistrationCapabilities(Shape):
    registration_id: str
    lms: str
    plugin: str
    deployment_ids: list[str] = Field(description="Where your application is placed under this registration.")
    capabilities: WhatItCan


def add_routes(api: FastAPI, host: Host, callers: Callers) -> None:
    """`GET /capabilities/{registration}`."""
    reader = Depends(callers.requires("launch:exchange"))

    @api.get(
        "/capabilities/{registration_id}", response_model=RegistrationCapabilities, operation_id="showCapabilities",
        summary="Show what an LMS can do", responses=answers(404, 409), tags=["launches"],
    )  # fmt: skip
    async def show(registration_id: RegistrationId, key: ApiKey = reader) -> Response:
        """It learns as launches come: before the first one from a course, nothing is known of its services."""
        tenant_id = await callers.tenant_for(key, "registration", registration_id)
        found = await host.database.run(tenant_id, capabilities.offered, registration_id, key.application_id)
        if not found.deployment_ids:
            raise ApiError(409, "deployment_disabled", "No deployment of your application is approved there.")
        binding = await host.binding(registration_id, found.deployment_ids[0])
        return JSONResponse(_document(binding, found, host.adapter(binding)))


def _document(binding: Binding, found: Offered, adapter: object) -> dict[str, Any]:
    registration = binding.registration
    return {
        "registration_id": registration.id,
        "lms": registration.plugin,
        "plugin": registration.plugin,
        "deployment_ids": list(found.deployment_ids),
        "capabilities": {
            "grades": isinstance(adapter, SendsScores) and SCOPE_SCORE in found.scopes,
            "line_items": isinstance(adapter, KeepsGradebook) and found.line_items and SCOPE_LINE_ITEM in found.scopes,
            "results": isinstance(adapter, SendsScores) and SCOPE_RESULT_READ in found.scopes,
            "roster": isinstance(adapter, ReadsRoster) and registration.nrps and found.roster,
            "deep_linking": isinstance(adapter, PicksContent)
            and registration.deep_linking
            and binding.application.picker_url is not None,
            "groups": found.groups,
            "copy_notices": found.notices,
        },
    }
