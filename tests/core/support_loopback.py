"""A web server on loopback that does what a test tells it, well or badly, and counts who came."""

from __future__ import annotations

import asyncio
import json
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """`accepts` counts connections, `requests` holds what was asked, `asked` is set by the first request.

    `handler` may be changed at any time.
    """

    handler: Handler
    port: int = 0
    accepts: int = 0
    requests: list[Request] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/jwks", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepts += 1
        try:
            while True:
                request = await _request(reader)
                self.requests.append(request)
                self.asked.set()
                await self.handler(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            return  # the client has left
        finally:
            writer.transport.abort()


def under_way() -> set[str]:
    """What runs beside the test and its servers, by the names of the coroutines."""
    coroutines: list[Any] = [task.get_coro() for task in asyncio.all_tasks() - {asyncio.current_task()}]
    return {coroutine.__qualname__ for coroutine in coroutines} - {Server.serve.__qualname__}


async def _request(reader: asyncio.StreamReader) -> Request:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def loopback(
    handler: Handler | None = None, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """A server on a free port; without a handler it answers 200 `{}`."""
    server = Server(handler or answers({}))
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(server.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, host, port, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # lets the aborted transports close their sockets


def answer(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    fields = {"content-length": str(len(body)), "content-type": "application/json", **headers}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def answers(body: Any, status: int = 200, **headers: str) -> Handler:
    """Answer everything with this: bytes as they are, anything else as JSON. `cache_control` means Cache-Control."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = answer(status, raw, {name.replace("_", "-"): value for name, value in headers.items()})

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)

    return handler


def in_turn(*handlers: Handler) -> Handler:
    """The first handler for the first request and so on; the last one for all the rest."""
    waiting = list(handlers)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        chosen = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        await chosen(request, writer)

    return handler


async def hangs(request: Request, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def resets(request: Request, writer: asyncio.StreamWriter) -> None:
    """Break the connection instead of answering."""
    writer.transport.abort()


def drips(seconds: float) -> Handler:
    """A body that never ends, one byte at a time."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(seconds)

    return handler


async def bombs(request: Request, writer: asyncio.StreamWriter) -> None:
    """Ten GiB of zeros, gzipped to ten MiB."""
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    writer.write(b"HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
    for piece in (first, *(again for _ in range(10_239))):
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
