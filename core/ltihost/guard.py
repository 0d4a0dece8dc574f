"""The guarded connect: resolve, check every address, then connect to a checked one. In this order, and only once.

aiohttp asks its resolver for the addresses of a name and connects to exactly those; it keeps none of them. For a host
that is an address it asks no resolver, so the guard looks again at each address when its socket is made.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult

from ltihost.addresses import Address, Network, is_inside, is_public, unwrapped
from ltihost.connections import Connections
from ltihost.errors import OutboundRefused

log = structlog.get_logger()

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_MAX_ADDRESSES = 4
_MAX_CONNECTIONS = 512
_MAX_IDLE = 64
_IDLE_SECONDS = 30.0
#: A server that is connected to cannot do this before TLS begins, and while it goes on that is how it refuses.
_CUT_OFF = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
#: In bytes, name and value; some servers state long policies in one.
_MAX_HEADER = 32_768


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


class _Guard(AbstractResolver):
    """Gives out checked addresses alone; with `inside_only` those in the operator's allowed networks."""

    def __init__(self, networks: Sequence[Network], resolve: Resolve, *, inside_only: bool) -> None:
        self._networks = networks
        self._resolve = resolve
        self._inside_only = inside_only

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError if the name has no address, and OutboundRefused if one of them may not be reached."""
        try:
            found = [unwrapped(ip_address(text)) for text in await self._resolve(host, port)]
        except UnicodeError as error:
            raise OSError(f"{host} is no name") from error
        if not found:
            raise OSError(f"the name {host} has no address")
        for address in found:
            self._check(host, address)
        return [_result(host, port, address) for address in found[:_MAX_ADDRESSES]]

    async def close(self) -> None:
        """Nothing is kept."""

    def socket(self, destination: aiohttp.AddrInfoType) -> socket.socket:
        """A socket for this address. Raises OutboundRefused if it may not be reached."""
        family, kind, protocol, _, (host, *_) = destination
        self._check(str(host), unwrapped(ip_address(host)))
        return socket.socket(family, kind, protocol)

    def _check(self, host: str, address: Address) -> None:
        if not self._allowed(address):
            # The address stays in the operator's log: a tenant has no business to learn internal ones.
            log.warning("outbound.address_refused", host=host, address=str(address), inside_only=self._inside_only)
            text = f"{host} leads to an address outside LTIHOST_ALLOW_NETWORKS that is not reached like this."
            raise OutboundRefused("address_refused", text)

    def _allowed(self, address: Address) -> bool:
        return is_inside(address, self._networks) or (not self._inside_only and is_public(address))


def _result(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )


class GuardedSessions:
    """aiohttp's sessions behind the guard: one for requests that may go anywhere public, one for those that may not.

    So a connection that was opened without the limit to the allowed networks is never taken up by a request that has
    it. A session is made when it is first asked for, since aiohttp needs the event loop for that.
    """

    def __init__(self, networks: Sequence[Network], resolve: Resolve, timeout: aiohttp.ClientTimeout) -> None:
        self._networks = networks
        self._resolve = resolve
        self._timeout = timeout
        self._tls = _tls_context()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def session(self, *, inside_only: bool) -> aiohttp.ClientSession:
        if inside_only not in self._sessions:
            guard = _Guard(self._networks, self._resolve, inside_only=inside_only)
            self._sessions[inside_only] = self._guarded_by(guard)
        return self._sessions[inside_only]

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()

    def _guarded_by(self, guard: _Guard) -> aiohttp.ClientSession:
        connections = Connections(
            resolver=guard, socket_factory=guard.socket, use_dns_cache=False, ssl=self._tls,
            limit=_MAX_CONNECTIONS, max_idle=_MAX_IDLE, keepalive_timeout=_IDLE_SECONDS,
        )  # fmt: skip
        return aiohttp.ClientSession(
            connector=connections, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False,
            skip_auto_headers=["content-type"], auto_decompress=False, middlewares=[_once], max_field_size=_MAX_HEADER,
        )  # fmt: skip


def _tls_context() -> ssl.SSLContext:
    """SSL_CERT_FILE, or SSL_CERT_DIR, is the one way to add a school's own certificate authority."""
    cafile = os.environ.get("SSL_CERT_FILE") or None
    context = ssl.create_default_context(cafile=cafile, capath=None if cafile else os.environ.get("SSL_CERT_DIR"))
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request one time: aiohttp would repeat a GET, PUT or DELETE by itself when the connection breaks."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error


def tls_failure(error: BaseException | None) -> str | None:
    """What went wrong with TLS, if that is what went wrong."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _CUT_OFF):
        return "it hung up"
    found = None
    while error is not None:
        found = error if isinstance(error, ssl.SSLError) else found  # aiohttp's own words stand around the system's
        error = error.__cause__ or error.__context__
    return None if found is None else str(found)[:200]
