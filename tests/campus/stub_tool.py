"""A tool that believes everything: it sends whoever logs in to the LMS and keeps what comes back."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ltihost.testing.platform import SimulatedPlatform


@dataclass
class StubTool:
    """Served at `base_url`; `logins` and `launches` are what it received, `extra` goes into its auth requests."""

    base_url: str
    logins: list[dict[str, str]] = field(default_factory=list)
    launches: list[dict[str, str]] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)
    auth_urls: dict[str, str] = field(default_factory=dict)

    def connect(self, platform: SimulatedPlatform) -> None:
        """Register with an LMS and remember where it signs people in."""
        tool = platform.register(
            login_url=self.base_url + "/login",
            launch_url=self.base_url + "/launch",
            jwks_url=self.base_url + "/jwks",
            name="Stub",
        )
        self.auth_urls[tool.client_id] = platform.endpoints(tool.client_id)["auth_url"]

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/login", self.login, methods=["GET", "POST"]),
                Route("/launch", self.launch, methods=["POST"]),
            ]
        )

    async def login(self, request: Request) -> Response:
        fields = request.query_params if request.method == "GET" else await request.form()
        login = {name: str(value) for name, value in fields.items()}
        self.logins.append(login)
        query = urlencode(auth_params(login, self.base_url + "/launch") | self.extra)
        return RedirectResponse(f"{self.auth_urls[login['client_id']]}?{query}", 302)

    async def launch(self, request: Request) -> Response:
        self.launches.append({name: str(value) for name, value in (await request.form()).items()})
        return HTMLResponse("<h1>Launched</h1>")


def auth_params(login: dict[str, str], redirect_uri: str) -> dict[str, str]:
    """An authentication request by the spec."""
    return {
        "scope": "openid",
        "response_type": "id_token",
        "response_mode": "form_post",
        "prompt": "none",
        "client_id": login["client_id"],
        "redirect_uri": redirect_uri,
        "login_hint": login["login_hint"],
        "lti_message_hint": login["lti_message_hint"],
        "state": secrets.token_urlsafe(16),
        "nonce": secrets.token_urlsafe(16),
    }


def payload(id_token: str) -> dict[str, Any]:
    """The claims of a token, unchecked."""
    part = id_token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims
