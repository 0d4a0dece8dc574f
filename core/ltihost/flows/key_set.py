"""Key sets: the public keys under which platforms check what the host signs.

    GET /lti/jwks                     the host's key set, for registrations on the shared URLs
    GET /r/{registration}/lti/jwks    one registration's own

Security Framework 6.3.
"""

from __future__ import annotations

import hashlib
import time

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ltihost.host import Host
from ltihost.records import HOST
from ltihost.store import keys

KEPT_SECONDS = 5.0
_HEADERS = {
    "Cache-Control": "public, max-age=3600, stale-if-error=86400",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class KeySetFlow:
    """Answers key sets; public halves only."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._kept: dict[str, tuple[float, bytes]] = {}

    def routes(self) -> list[Route]:
        return [Route("/lti/jwks", self.answer), Route("/r/{registration}/lti/jwks", self.answer)]

    async def _document(self, owner: str, tenant_id: str) -> bytes:
        """Kept for a few seconds: whoever asks often must not come before launches at the database."""
        kept = self._kept.get(owner)
        if kept is None or kept[0] <= time.monotonic():
            public = await self.host.database.run(tenant_id, keys.public_keys, owner)
            kept = self._kept[owner] = (time.monotonic() + KEPT_SECONDS, orjson.dumps({"keys": public}))
        return kept[1]

    async def answer(self, request: Request) -> Response:
        owner = request.path_params.get("registration", HOST)
        route = await self.host.routing.route(owner) if owner != HOST else None
        if route is None and owner != HOST:
            return PlainTextResponse("no such registration", 404)
        body = await self._document(owner, route.tenant.id if route else HOST)
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = _HEADERS | {"ETag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)
