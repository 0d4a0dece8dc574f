"""The token endpoint of a simulated LMS: a tool's signed assertion for an access token. Security Framework 4.1.1."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ltihost.testing.parts import Tool
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.profile import AGS_SCOPES

SCOPES = (*AGS_SCOPES, "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly")
TOKEN_SECONDS = 3600
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LEEWAY = 60


class TokenRefused(Exception):
    """The request gets no token; `code` is an error of RFC 6749 5.2."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(frozen=True, slots=True)
class Grant:
    """Whose an access token is, for what, and until when (Unix seconds)."""

    client_id: str
    scopes: frozenset[str]
    expires: float


class TokenDesk:
    """Gives access tokens for one LMS; `grants` holds what was given, by token."""

    def __init__(self, platform: SimulatedPlatform) -> None:
        self.grants: dict[str, Grant] = {}
        self._platform = platform
        self._used: set[str] = set()

    async def answer(self, request: Request) -> Response:
        """The endpoint. The tool's key set is fetched every time."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            tool = self._tool(form)
            async with httpx2.AsyncClient(timeout=10, trust_env=False) as client:
                keys = (await client.get(tool.jwks_url)).json()
            body = self._grant(form, tool, keys)
        except TokenRefused as refused:
            return JSONResponse({"error": refused.code, "error_description": str(refused)}, 400)
        except (httpx2.HTTPError, json.JSONDecodeError) as error:
            return JSONResponse({"error": "invalid_client", "error_description": f"no key set: {error}"}, 400)
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    def _grant(self, form: Mapping[str, str], tool: Tool, keys: Mapping[str, Any]) -> dict[str, Any]:
        self._check(form["client_assertion"], tool, keys)
        granted = [scope for scope in SCOPES if scope in form.get("scope", "").split()]
        if not granted:
            raise TokenRefused("invalid_scope", "none of these scopes can be had here")
        token = secrets.token_urlsafe(32)
        self.grants[token] = Grant(tool.client_id, frozenset(granted), self._platform.clock() + TOKEN_SECONDS)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": " ".join(granted),
        }

    def _tool(self, form: Mapping[str, str]) -> Tool:
        """The tool that the assertion says it comes from; nothing is believed yet."""
        if form.get("grant_type") != "client_credentials":
            raise TokenRefused("unsupported_grant_type", "grant_type must be client_credentials")
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise TokenRefused("invalid_request", "client_assertion_type must be jwt-bearer")
        try:
            claims = json.loads(jws.extract_compact(form.get("client_assertion", "").encode()).payload)
            return self._platform.tool(claims["sub"])
        except (JoseError, ValueError, KeyError, TypeError):
            raise TokenRefused("invalid_client", "client_assertion names no tool that is known here") from None

    def _check(self, assertion: str, tool: Tool, keys: Mapping[str, Any]) -> None:
        """Signature, issuer, audience, times and single use. Raises TokenRefused."""
        token_url = self._platform.endpoints(tool.client_id)["token_url"]
        rules = jwt.JWTClaimsRegistry(
            now=int(self._platform.clock()),
            leeway=_LEEWAY,
            iss={"essential": True, "value": tool.client_id},
            aud={"essential": True, "values": [token_url, self._platform.issuer]},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
        )
        try:
            token = jwt.decode(assertion, KeySet.import_key_set({"keys": keys["keys"]}), algorithms=["RS256"])
            rules.validate(token.claims)
        except (JoseError, ValueError, KeyError) as error:
            raise TokenRefused("invalid_client", str(error)) from None
        if token.claims["jti"] in self._used:
            raise TokenRefused("invalid_client", "client_assertion was used before")
        self._used.add(token.claims["jti"])
