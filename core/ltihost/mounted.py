"""Applications that live in the host's own process: the one-time code is exchanged at their door.

A mounted application is an ordinary ASGI application below `/apps/<name>/`. A launch reaches it like any other, by a
redirect with a code; the code is spent here and the launch is put into the ASGI scope as `ltihost.launch`.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from ltihost.errors import REASONS
from ltihost.handover import SESSION_SECONDS, application_launch
from ltihost.host import Host
from ltihost.lti.state import digest
from ltihost.targets import permitted

LAUNCH = "ltihost.launch"
_OURS = re.compile(r"[A-Za-z0-9_-]{43}")
#: A one-time code of ours; an application's own `code` parameter (of another sign-in, say) is left alone.
_OURS = re.compile(r"[A-Za-z0-9_-]{43}")


class MountedApplication:
    """Wraps one application; `url` is where it is mounted."""

    def __init__(self, app: ASGIApp, host: Host, url: str) -> None:
        self._app = app
        self._host = host
        self._url = url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        code = _code(scope)
        if code:
            stored = await self._host.database.hot.redeem_code(
                digest(code),
                application_id=None,
                tenant_id=None,
                now=self._host.clock(),
                session_seconds=SESSION_SECONDS,
            )
            if stored is None or not permitted(stored.application.launch_url, (self._url,)):
                page = self._host.pages.refusal(REASONS["state_used"], "", None)
                await page(scope, receive, send)
                return
            scope[LAUNCH] = application_launch(stored)
        await self._app(scope, receive, send)


def _code(scope: Scope) -> str | None:
    """The one-time code, if one of our make is there; an application's own `code` parameter is left alone."""
    query = scope.get("query_string", b"").decode("latin-1") if scope["type"] == "http" else ""
    return next((code for code in parse_qs(query).get("code", ()) if _OURS.fullmatch(code)), None)
