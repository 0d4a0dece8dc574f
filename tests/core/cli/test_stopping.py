"""Who connected before the server stopped listening is answered, wherever the request was by then."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from ltihost.commands import http_limits
from ltihost.commands.serve import listen, server_options
from ltihost.commands.stopping import Server

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
async def server() -> Server:
    """A server in this loop: it does nothing but while the test waits."""
    made = Server(uvicorn.Config(PlainTextResponse("ok"), **(server_options() | {"lifespan": "off"})))
    made.config.load()
    made.lifespan = made.config.lifespan_class(made.config)
    return made


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[tuple[socket.socket, Callable[[], Coroutine[None, None, None]]]]:
    """A connection to it, and what lets it stop."""
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    await server.startup([listener])
    with socket.create_connection(address, timeout=10) as client:
        yield client, lambda: server.shutdown([listener])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


async def test_a_connection_that_waits_to_be_accepted_is_answered(server: Server) -> None:
    async with connected(server) as (client, stop):
        client.sendall(REQUEST)
        assert not server.server_state.connections
        await stop()
        assert heard(client).startswith(b"HTTP/1.1 200 ")


async def test_a_connection_whose_request_is_on_its_way_is_answered(server: Server) -> None:
    async with connected(server) as (client, stop):
        await accepted(server)
        stopping = asyncio.create_task(stop())
        await asyncio.sleep(0)
        client.sendall(REQUEST)
        await stopping
        assert heard(client).startswith(b"HTTP/1.1 200 ")


async def test_a_connection_without_a_request_keeps_nobody_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "NEW_SECONDS", 0.2)
    async with connected(server) as (client, stop):
        await accepted(server)
        await asyncio.wait_for(stop(), 5)
        assert heard(client) == b""


async def accepted(server: Server) -> None:
    """Wait until it has let somebody in."""
    async with asyncio.timeout(10):
        while True:
            if server.server_state.connections:
                return
            await asyncio.sleep(0)


def heard(client: socket.socket) -> bytes:
    """All that is said until the other side closes the connection."""
    return b"".join(iter(lambda: client.recv(65_536), b""))
