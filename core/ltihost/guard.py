"""The guarded connect: resolve, check every address, then connect to a checked one. In this order, and only once.

httpx2's transport takes no network backend, so `GuardedTransport` hands requests to httpcore2's pools itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
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
                return await self._first(addresses[:_MAX_ADDRESSES], port, share)
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


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends httpx2 requests over httpcore2 pools whose connections are guarded.

    The request's extension `inside_only` chooses the pool, so a connection that was opened without that limit is
    never taken up by a request that has it. Raises httpcore2's errors and OutboundRefused.
    """

    def __init__(self, networks: Sequence[Network], resolve: Resolve) -> None:
        # With its defaults this reads SSL_CERT_FILE, the one way to add a school's own certificate authority.
        context = httpx2.create_ssl_context()
        self._pools = {
            inside_only: _pool(context, _GuardedBackend(networks, resolve, inside_only=inside_only))
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
        answer = await self._pools[request.extensions["inside_only"]].handle_async_request(core)
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


class _Body(httpx2.AsyncByteStream):
    """httpcore2's stream of a response in httpx2's clothes."""

    def __init__(self, parts: Any) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._parts:
            yield part

    async def aclose(self) -> None:
        await self._parts.aclose()


def _pool(context: ssl.SSLContext, backend: httpcore2.AsyncNetworkBackend) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(
        ssl_context=context,
        max_connections=_MAX_CONNECTIONS,
        max_keepalive_connections=_MAX_IDLE,
        keepalive_expiry=_IDLE_SECONDS,
        network_backend=backend,
    )


def is_tls_failure(error: BaseException | None) -> bool:
    """Whether an ssl error stands in the chain of causes."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
