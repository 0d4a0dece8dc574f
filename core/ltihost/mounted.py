"""Applications that live in the host's own process: the one-time code is exchanged at their door.

A mounted application is an ordinary ASGI application below `/apps/<name>/`. A launch reaches it like any other, by a
redirect with a code; the code is spent here and the launch is put into the ASGI scope as `ltihost.launch`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ltihost.errors import REASONS
from ltihost.handover import SESSION_SECONDS, application_launch
from ltihost.host import Host
from ltihost.lti.state import digest
from ltihost.pages import has_code_cookie
from ltihost.targets import permitted

LAUNCH = "ltihost.launch"
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
            here = stored is not None and permitted(stored.application.launch_url, (self._url,))
            launch = application_launch(stored) if stored and here else None
            if launch is None or not _brought_by_its_browser(scope, launch, code):
                page = self._host.pages.refusal(REASONS["state_used"], "", None)
                await page(scope, receive, send)
                return
            scope[LAUNCH] = launch
        await self._app(scope, receive, send)


def _code(scope: Scope) -> str | None:
    """The one-time code, if one of our make is there; an application's own `code` parameter is left alone."""
    query = scope.get("query_string", b"").decode("latin-1") if scope["type"] == "http" else ""
    return next((code for code in parse_qs(query).get("code", ()) if _OURS.fullmatch(code)), None)


def _brought_by_its_browser(scope: Scope, launch: Mapping[str, Any], code: str) -> bool:
    """Somebody's own code in a link that he sends to others must not sign them in as him.

    Where the browser keeps no cookies (the storage rung) there is nothing to ask for.
    """
    return launch["browser"]["cookies"] == "none" or has_code_cookie(Request(scope).cookies, code)
