"""Answers on the wire, and the answer that never comes."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ltihost.testing.services.records import Answer


def answered(answer: Answer) -> Response:
    """An answer as a response. Text stays as it is, everything else becomes JSON."""
    body = answer.body
    content = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = dict(answer.headers)
    if content or answer.status == 200:
        headers["Content-Type"] = f"{answer.media_type}; charset=utf-8"
    return Response(content, answer.status, headers)


class CutConnection(Response):
    """Closes the connection without a byte, as a power cut or a proxy's time-out does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # ASGI has no word for this, so it takes uvicorn's own: `receive` belongs to its cycle of one request.
        cycle: Any = receive.__self__  # type: ignore[attr-defined]
        cycle.transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
