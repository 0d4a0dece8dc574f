"""Key sets: the public keys under which platforms check what the host signs.

    GET /lti/jwks                     the host's key set, for registrations on the shared URLs
    GET /r/{registration}/lti/jwks    one registration's own

Security Framework 6.3.
"""

from __future__ import annotations

import hashlib

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ltihost.host import Host
from ltihost.records import HOST
from ltihost.store import keys

_HEADERS = {
    "Cache-Control": "public, max-age=3600, stale-if-error=86400",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class KeySetFlow:
    """Answers key sets; public halves only."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def routes(self) -> list[Route]:
        return [Route("/lti/jwks", self.answer), Route("/r/{registration}/lti/jwks", self.answer)]

    async def answer(self, request: Request) -> Response:
        owner = request.path_params.get("registration", HOST)
        route = await self.host.routing.route(owner) if owner != HOST else None
        if route is None and owner != HOST:
            return PlainTextResponse("no such registration", 404)
        public = await self.host.database.run(route.tenant.id if route else HOST, keys.public_keys, owner)
        body = orjson.dumps({"keys": public})
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = _HEADERS | {"ETag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)
