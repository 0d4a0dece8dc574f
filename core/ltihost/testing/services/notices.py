"""Notices of a simulated LMS: tools register handlers, the LMS tells them what happened. Platform Notification Service 1.0."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from starlette.routing import Route

from ltihost.testing.parts import Context, Tool
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.services.door import Door, Way, read_object
from ltihost.testing.services.records import Answer, Call, Refused
from ltihost.testing.services.rules_content import LTI
from ltihost.testing.services.rules_grades import written_time
from ltihost.testing.services.tokens import NOTICE_SCOPE

KNOWN = ("LtiHelloWorldNotice", "LtiContextCopyNotice")
_SECONDS = 300
_PATIENCE = 10


@dataclass(frozen=True, slots=True)
class SentNotice:
    """A notice and what the tool answered; `status` is 0 where it did not."""

    id: str
    type: str
    handler: str
    token: str
    status: int


class NoticeService:
    """Handlers by (client id, deployment id, type), and everything that was sent."""

    def __init__(self, platform: SimulatedPlatform) -> None:
        self.handlers: dict[tuple[str, str, str], str] = {}
        self.sent: list[SentNotice] = []
        self._platform = platform

    def routes(self, door: Door) -> list[Route]:
        path = self._platform.profile.notices_path
        if path is None:
            return []
        scopes = (NOTICE_SCOPE,)
        return [door.route(path, get=Way("notices", scopes, self.listed), put=Way("notices", scopes, self.register))]

    async def listed(self, call: Call, path: Mapping[str, Any]) -> Answer:
        tool = self._tool(call, path)
        handlers = [
            {"notice_type": kind, "handler": url}
            for (client, deployment, kind), url in self.handlers.items()
            if (client, deployment) == (tool.client_id, tool.deployment_id)
        ]
        ids = {"client_id": tool.client_id, "deployment_id": tool.deployment_id}
        return Answer(200, {**ids, "notice_handlers": handlers})

    async def register(self, call: Call, path: Mapping[str, Any]) -> Answer:
        """One handler per type; an empty one takes it away."""
        tool, body = self._tool(call, path), read_object(call)
        kind, handler = body.get("notice_type"), body.get("handler")
        if kind not in KNOWN or not isinstance(handler, str):
            raise Refused(400, "Unknown notice type, or no handler")
        key = (tool.client_id, tool.deployment_id, str(kind))
        if handler:
            self.handlers[key] = handler
        else:
            self.handlers.pop(key, None)
        return Answer(200, {"notice_type": kind, "handler": handler})

    async def copied(self, old: Context, new: Context) -> None:
        """Tell every tool that asked for it that a context was copied."""
        profile = self._platform.profile
        for tool in self._platform.tools:
            opening = self._platform.opening(self._platform.profile.people[0], new, None, tool)
            claims = {
                LTI + "context": profile.context_claim(opening),
                LTI + "origin_contexts": [profile.context_id(old)],
            }
            await self.send(tool, "LtiContextCopyNotice", claims)

    async def send(
        self, tool: Tool, kind: str, claims: Mapping[str, Any], *, notice_id: str | None = None
    ) -> SentNotice | None:
        """Sign a notice and post it to the tool's handler; None where the tool did not ask for this type."""
        handler = self.handlers.get((tool.client_id, tool.deployment_id, kind))
        if handler is None:
            return None
        identity = notice_id or secrets.token_hex(16)
        token = self._signed(tool, kind, identity, claims)
        self.sent.append(SentNotice(identity, kind, handler, token, await _post(handler, token)))
        return self.sent[-1]

    def _signed(self, tool: Tool, kind: str, identity: str, claims: Mapping[str, Any]) -> str:
        platform, now = self._platform, int(self._platform.clock())
        envelope = {
            "iss": platform.issuer, "aud": tool.client_id, "iat": now, "exp": now + _SECONDS,
            "nonce": secrets.token_hex(16), LTI + "version": "1.3.0", LTI + "deployment_id": tool.deployment_id,
            LTI + "notice": {"id": identity, "timestamp": written_time(now), "type": kind},
        }  # fmt: skip
        return platform.sign({**envelope, **claims}, client_id=tool.client_id)

    def _tool(self, call: Call, path: Mapping[str, Any]) -> Tool:
        """The deployment that the path names. Raises Refused."""
        try:
            return self._platform.tool(call.tool.client_id, path["tool"])
        except KeyError:
            raise Refused(404, "There is no such deployment") from None


async def _post(handler: str, token: str) -> int:
    try:
        async with httpx2.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
            return (await client.post(handler, json={"notices": [{"jwt": token}]})).status_code
    except httpx2.HTTPError:
        return 0
