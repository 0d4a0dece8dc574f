"""Calls that fail, and how."""

from __future__ import annotations

import asyncio

import pytest

from ltihost.errors import OutboundError, OutboundFailed
from ltihost.outbound import Outbound, Timeouts
from tests.core.support_loopback import LOOPBACK, Handler, Request, loopback
from tests.core.support_names import Names

QUICK = Timeouts(connect=0.3, read=0.3, total=0.8)


def sends(raw: bytes) -> Handler:
    """Answer everything with these bytes."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return handler


async def failure(url: str, outbound: Outbound, limit: int = 10) -> OutboundFailed:
    with pytest.raises(OutboundError) as failed:
        await outbound.get(url, limit=limit)
    await outbound.aclose()
    assert isinstance(failed.value, OutboundFailed)
    return failed.value


async def fails(
    code: str, handler: Handler, *, limit: int = 10, requests: int | None = None, resolve: Names | None = None
) -> None:
    async with loopback(handler) as server:
        outbound = Outbound(LOOPBACK, resolve=resolve, timeouts=QUICK)
        url = server.url(host="lms.example" if resolve else "127.0.0.1")
        assert (await failure(url, outbound, limit)).code == code
    assert requests in (None, len(server.requests))
