"""The token endpoint of a simulated LMS: a tool's signed assertion for an access token. Security Framework 4.1.1."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import KeySet
from starlette.requests import Request
from starlette.responses import Response

from ltihost.testing.parts import Tool
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.profile import AGS_SCOPES
from ltihost.testing.services.answering import answered
from ltihost.testing.services.records import Answer
from ltihost.testing.services.rules_tokens import ASSERTION_TYPE, TokenRefused

ROSTER_SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
NOTICE_SCOPE = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
SCOPES = (*AGS_SCOPES, ROSTER_SCOPE, NOTICE_SCOPE)
#: Key sets are asked for this long at most (seconds).
FETCH_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Grant:
    """Whose an access token is, for what, and until when (Unix seconds)."""

    client_id: str
    scopes: frozenset[str]
    expires: float


class TokenDesk:
    """Gives access tokens for one LMS; `grants` holds what was given, by token, and `asked` counts requests."""

    def __init__(self, platform: SimulatedPlatform) -> None:
        self.grants: dict[str, Grant] = {}
        self.asked = 0
        self._platform = platform
        self._used: set[str] = set()

    async def answer(self, request: Request) -> Response:
        """The endpoint. The tool's key set is fetched every time."""
        self.asked += 1
        form = {name: str(value) for name, value in (await request.form()).items()}
        profile = self._platform.profile
        fault = self._platform.faults.meet("token")
        if fault == "token_error":
            return answered(Answer(500, "Internal Server Error", "text/plain"))
        if fault == "hang":
            await asyncio.sleep(self._platform.faults.hang_seconds)
        try:
            if fault == "token_refused":
                raise TokenRefused("invalid_client", "switched off by an administrator")
            tool, claims = self._claimed(form)
            body = self._grant(form, tool, claims, await fetch_keys(tool.jwks_url))
        except TokenRefused as refused:
            return answered(profile.token_refusal(refused))
        except (httpx2.HTTPError, ValueError, KeyError) as error:
            return answered(profile.token_refusal(TokenRefused("invalid_client", f"no key set: {error}")))
        return answered(profile.token_answer(body))

    def holder(self, token: str, now: float) -> Grant | None:
        """Whose token this is; None for an unknown or expired one."""
        grant = self.grants.get(token)
        return grant if grant is not None and grant.expires > now else None

    def revoke(self) -> None:
        """All tokens given so far stop working."""
        self.grants.clear()

    def _grant(self, form: Mapping[str, str], tool: Tool, claims: Mapping[str, Any], keys: KeySet) -> dict[str, Any]:
        platform, profile = self._platform, self._platform.profile
        self._verify(form["client_assertion"], keys)
        audiences = (platform.endpoints(tool.client_id)["token_url"], platform.issuer)
        profile.check_assertion(claims, audiences, self._used, platform.service_time())
        self._used.add(str(claims.get("jti")))
        granted = [scope for scope in SCOPES if scope in form.get("scope", "").split() and tool.may(scope)]
        if not granted:
            raise TokenRefused("invalid_scope", "none of these scopes can be had here")
        token = secrets.token_hex(16)
        seconds = profile.token_seconds_granted
        self.grants[token] = Grant(tool.client_id, frozenset(granted), platform.service_time() + seconds)
        return {"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": " ".join(granted)}

    def _claimed(self, form: Mapping[str, str]) -> tuple[Tool, Mapping[str, Any]]:
        """The tool that the assertion says it comes from; nothing is believed yet."""
        if form.get("grant_type") != "client_credentials":
            raise TokenRefused("unsupported_grant_type", "grant_type must be client_credentials")
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise TokenRefused("invalid_request", "client_assertion_type must be jwt-bearer")
        try:
            claims = json.loads(jws.extract_compact(form.get("client_assertion", "").encode()).payload)
            return self._platform.tool(claims["sub"] or ""), claims
        except (JoseError, ValueError, KeyError, TypeError):
            raise TokenRefused("invalid_client", "client_assertion names no tool that is known here") from None

    def _verify(self, assertion: str, keys: KeySet) -> None:
        bad = self._platform.profile.bad_signature
        kid = jws.extract_compact(assertion.encode()).headers().get("kid")
        if not kid:
            raise bad("no_kid")
        if kid not in {key.kid for key in keys.keys}:
            raise bad("unknown_kid")
        try:
            jws.deserialize_compact(assertion, keys, algorithms=["RS256"])
        except (BadSignatureError, JoseError, ValueError):
            raise bad("signature") from None


async def fetch_keys(jwks_url: str) -> KeySet:
    """A tool's key set, fetched now. Raises httpx2.HTTPError, ValueError or KeyError."""
    async with httpx2.AsyncClient(timeout=FETCH_SECONDS, trust_env=False) as client:
        found = (await client.get(jwks_url)).json()
    return KeySet.import_key_set({"keys": found["keys"]})
