"""The guarded connect: resolve, check every address, then connect to a checked one. In this order, and only once.

httpx2's transport takes no network backend, so `GuardedTransport` hands requests to httpcore2's connections itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2
import structlog

from ltihost.addresses import Address, Network, is_inside, is_public, literal, unwrapped
from ltihost.errors import OutboundRefused

log = structlog.get_logger()

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_MAX_ADDRESSES = 4
_MAX_CONNECTIONS = 512
_MAX_IDLE = 64
_IDLE_SECONDS = 30.0
_MAX_GATHERED = 65_536


class SystemResolver:
    """The system's resolver in threads of its own, so that a name server that hangs delays no other work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(16, "ltihost-resolve")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Every address of the name, in the system's order of preference. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _resolve, host, port)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _resolve(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to checked addresses; with `inside_only` to the operator's allowed networks alone."""

    def __init__(self, networks: Sequence[Network], resolve: Resolve, *, inside_only: bool) -> None:
        self._networks = networks
        self._resolve = resolve
        self._inside_only = inside_only
        self._tcp = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None, socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:  # fmt: skip
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._addresses(host, port)
                self._check(host, addresses)
                share = None if timeout is None else timeout / min(len(addresses), _MAX_ADDRESSES)
                return _Gathered(await self._first(addresses[:_MAX_ADDRESSES], port, share))
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"no connection to {host} in time") from error

    async def _addresses(self, host: str, port: int) -> list[Address]:
        address = literal(host)
        if address is not None:
            return [address]
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"the name {host} has no address") from error
        return [unwrapped(ip_address(text)) for text in found]

    def _check(self, host: str, addresses: Sequence[Address]) -> None:
        if not addresses:
            raise httpcore2.ConnectError(f"the name {host} has no address")
        for address in addresses:
            if not self._allowed(address):
                # The address stays in the operator's log: a tenant has no business to learn internal ones.
                log.warning("outbound.address_refused", host=host, address=str(address), inside_only=self._inside_only)
                text = f"{host} leads to an address outside LTIHOST_ALLOW_NETWORKS that is not reached like this."
                raise OutboundRefused("address_refused", text)

    def _allowed(self, address: Address) -> bool:
        return is_inside(address, self._networks) or (not self._inside_only and is_public(address))

    async def _first(
        self, addresses: Sequence[Address], port: int, share: float | None
    ) -> httpcore2.AsyncNetworkStream:
        """The first address that answers; each has its share of the time, in seconds."""
        for address in addresses[:-1]:
            try:
                return await self._tcp.connect_tcp(str(address), port, timeout=share)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._tcp.connect_tcp(str(addresses[-1]), port, timeout=share)


class _Gathered(httpcore2.AsyncNetworkStream):
    """Sends what was written when the answer is waited for, so that the head and the body of a request leave together."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._written = b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore2's signature
        self._written += buffer
        if len(self._written) > _MAX_GATHERED:
            await self._send(timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the same
        if self._written:
            with contextlib.suppress(httpcore2.WriteError):  # a server may answer, and close, before it read everything
                await self._send(timeout)
        return await self._stream.read(max_bytes, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the same
    ) -> httpcore2.AsyncNetworkStream:  # fmt: skip
        return _Gathered(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    async def _send(self, timeout: float | None) -> None:  # noqa: ASYNC109 - the same
        written, self._written = self._written, b""
        await self._stream.write(written, timeout)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends httpx2 requests over httpcore2 connections that are guarded.

    The request's extension `inside_only` chooses among the connections, so one that was opened without that limit is
    never taken up by a request that has it. Raises httpcore2's errors and OutboundRefused.
    """

    def __init__(self, networks: Sequence[Network], resolve: Resolve) -> None:
        # With its defaults this reads SSL_CERT_FILE, the one way to add a school's own certificate authority.
        context = httpx2.create_ssl_context()
        self._connections = {
            inside_only: _Connections(context, _GuardedBackend(networks, resolve, inside_only=inside_only))
            for inside_only in (False, True)
        }

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        core = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        return await self._connections[request.extensions["inside_only"]].send(core)

    async def aclose(self) -> None:
        for connections in self._connections.values():
            await connections.aclose()


class _Connections:
    """Connections behind one guard. A request has one for itself; afterwards the connection is kept for a while.

    (httpcore2's own pool looks at all its connections, and asks the socket of each idle one, whenever a request comes
    or goes. With 32 requests under way that was a third of what sending costs.)
    """

    def __init__(self, context: ssl.SSLContext, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._context = context
        self._backend = backend
        self._room = asyncio.Semaphore(_MAX_CONNECTIONS)
        #: With the time since when; the one that waits longest comes first.
        self._idle: dict[httpcore2.AsyncHTTPConnection, float] = {}

    async def send(self, request: httpcore2.Request) -> httpx2.Response:
        """The body must be closed: only then the connection is free. Raises httpcore2's errors and OutboundRefused."""
        await self._enter(request.extensions["timeout"]["pool"])
        try:
            connection = await self._take(request.url.origin)
            answer = await connection.handle_async_request(request)
        except BaseException:
            self._room.release()  # the connection has closed itself
            raise

        async def put_back() -> None:
            self._room.release()
            await self._put_back(connection)

        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream, put_back))

    async def aclose(self) -> None:
        idle, self._idle = list(self._idle), {}
        for connection in idle:
            await connection.aclose()

    async def _enter(self, timeout: float) -> None:  # noqa: ASYNC109 - httpcore2's word
        try:
            async with asyncio.timeout(timeout):
                await self._room.acquire()
        except TimeoutError as error:
            raise httpcore2.PoolTimeout("no free connection in time") from error

    async def _take(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        """The connection to this origin that was used last, or a new one."""
        while (
            found := next((item for item in reversed(self._idle) if item.can_handle_request(origin)), None)
        ) is not None:
            del self._idle[found]
            if not found.has_expired():  # it also asks whether the server closed it
                return found
            await found.aclose()
        return httpcore2.AsyncHTTPConnection(
            origin, ssl_context=self._context, keepalive_expiry=_IDLE_SECONDS, network_backend=self._backend
        )

    async def _put_back(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        """Keep it if it can serve again, and close those that nobody took for too long."""
        now = time.monotonic()
        if connection.is_idle():
            self._idle[connection] = now
        else:
            await connection.aclose()
        while self._idle:
            oldest, since = next(iter(self._idle.items()))
            if len(self._idle) <= _MAX_IDLE and now - since <= _IDLE_SECONDS:
                break
            del self._idle[oldest]
            await oldest.aclose()


class _Body(httpx2.AsyncByteStream):
    """httpcore2's stream of a response in httpx2's clothes. `after` is called once it is closed."""

    def __init__(self, parts: Any, after: Callable[[], Awaitable[None]]) -> None:
        self._parts = parts
        self._after = after

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._parts:
            yield part

    async def aclose(self) -> None:
        try:
            await self._parts.aclose()
        finally:
            await self._after()


def is_tls_failure(error: BaseException | None) -> bool:
    """Whether an ssl error stands in the chain of causes."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
