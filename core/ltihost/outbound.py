"""`Outbound`: the one HTTP client. Every request of the host to another server leaves through it.

Each URL is hostile until checked: it came from a form, a registration document or a token. So a request goes
1 check the form of the URL    https, a DNS name, an approved port, no credentials, no fragment
2 resolve the name             once, inside the connect
3 check every address          public, or inside the networks that the operator allows
4 connect                      to a checked address; TLS still checks the name
5 read                         a bounded number of bytes, counted after decompression, in a bounded time

Plain http, and ports that nobody approved, serve only inside the operator's own networks. Redirects are refused;
proxy variables, .netrc and cookies are ignored.
"""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

import aiohttp

from ltihost import __version__
from ltihost.addresses import Network, is_inside
from ltihost.errors import OutboundFailed, OutboundRefused
from ltihost.guard import GuardedSessions, Resolve, SystemResolver, tls_failure
from ltihost.server_urls import ServerUrl, check_form, parse, short

MAX_TRIES = 3
_PAUSE = 0.1
_REPEATABLE = frozenset({502, 503, 504})
_HEADERS = {"user-agent": f"ltihost/{__version__}", "accept-encoding": "gzip"}
#: What fails before a byte of the request leaves: no address, no connection, no TLS, no free connection, a header that
#: cannot be written.
_BEFORE_SENDING = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ValueError)
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
#: In bytes: what compressing may add to a body at most. Blocks that hold nothing could come without end.
_MAX_ADDED = 65_536
#: In bytes. aiohttp wants larger bodies as a file, of which it sends a piece at a time.
_MAX_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, whatever its status (redirects apart). Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to get a connection, resolving included; between two reads; for a whole call with its repeats."""

    connect: float = 5.0
    read: float = 10.0
    total: float = 20.0

    def for_each_step(self) -> aiohttp.ClientTimeout:
        """As aiohttp takes them. `total` also holds over repeats, so it is not aiohttp's."""
        return aiohttp.ClientTimeout(total=None, connect=self.connect, sock_read=self.read)


@dataclass(slots=True)
class _Request:
    """`inside_only`: it may lead only into the allowed networks. `status` is that of the last try, once its head came."""

    method: str
    url: ServerUrl
    inside_only: bool
    headers: Mapping[str, str]
    content: bytes | None
    status: int | None = None


@lru_cache(maxsize=1_024)
def approved_ports(*urls: str | None) -> frozenset[int]:
    """The ports that stand in these URLs, which an administrator approved.

    Ports below 1024 belong to other services (ssh, smtp), so nobody can approve one of them. Raises OutboundRefused
    (`url_invalid`).
    """
    ports = (parse(url).port for url in urls if url)
    return frozenset(port for port in ports if port is not None and port >= 1024)


class Outbound:
    """The guarded client; one per process, used from one event loop.

    `allow_networks` are private ranges that may be reached, plain http included. `resolve(host, port)` gives the
    addresses of a name; by default the system's resolver does. `heard(host, headers)` is told of every answer.
    """

    def __init__(
        self, allow_networks: Sequence[Network], *, resolve: Resolve | None = None, timeouts: Timeouts | None = None,
        heard: Callable[[str, Mapping[str, str]], None] = lambda *_: None,
    ) -> None:  # fmt: skip
        self._heard = heard
        self._networks = tuple(allow_networks)
        self._timeouts = timeouts or Timeouts()
        self._resolver = SystemResolver()
        self._sessions = GuardedSessions(self._networks, resolve or self._resolver, self._timeouts.for_each_step())

    def check_url(self, url: str, *, ports: frozenset[int] = frozenset()) -> None:
        """Check the form of a URL before it is saved; `ports` as from `approved_ports(url)`.

        Raises OutboundRefused: `url_invalid`, `url_scheme`, `url_credentials`, `url_fragment`, `url_host`,
        `url_port`, `address_refused`. What its name leads to is checked at each connect.
        """
        self._destination(url, ports)

    async def get(
        self, url: str, *, limit: int, accept: str = "application/json", ports: frozenset[int] = frozenset(),
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """GET with at most three tries: again after a connection error and after 502, 503 or 504.

        `limit` is in bytes, `ports` as from `approved_ports`. Raises OutboundRefused as `check_url` does, and
        OutboundFailed: `timeout`, `connection_failed`, `tls_failed`, `redirect_refused`, `too_large`,
        `body_unreadable`. A 4xx or 5xx is an Answer. A failure carries the status if one came, and whether the
        request may have been read.
        """
        request = self._request("GET", url, accept, ports, headers, None)
        async with self._in_time(request):
            for tried in range(MAX_TRIES - 1):
                try:
                    answer = await self._send(request, limit)
                    if not _worth_repeating(answer):
                        return answer
                except OutboundFailed as error:
                    if error.code != "connection_failed":
                        raise
                await asyncio.sleep(_pause(tried))
            return await self._send(request, limit)

    async def request(
        self, method: str, url: str, *, limit: int, accept: str = "application/json",
        ports: frozenset[int] = frozenset(), headers: Mapping[str, str] | None = None, content: bytes | None = None,
    ) -> Answer:  # fmt: skip
        """One try with any method; arguments and errors as for `get`."""
        request = self._request(method, url, accept, ports, headers, content)
        async with self._in_time(request):
            return await self._send(request, limit)

    async def aclose(self) -> None:
        await self._sessions.aclose()
        self._resolver.close()

    def _destination(self, text: str, ports: frozenset[int]) -> tuple[ServerUrl, bool]:
        """The URL as it will be requested, and whether it may lead only into the allowed networks."""
        url = parse(text)
        check_form(text, url)
        if url.address is not None and not is_inside(url.address, self._networks):
            raise OutboundRefused("address_refused", f"{short(text)} gives an address; it must name its host.")
        inside_only = url.scheme == "http" or (url.real_port != 443 and url.real_port not in ports)
        if inside_only and not self._networks:
            code = "url_scheme" if url.scheme == "http" else "url_port"
            raise OutboundRefused(code, f"{short(text)} must begin with https:// and use port 443 or an approved port.")
        return url, inside_only

    def _request(
        self, method: str, text: str, accept: str, ports: frozenset[int], headers: Mapping[str, str] | None,
        content: bytes | None,
    ) -> _Request:  # fmt: skip
        url, inside_only = self._destination(text, ports)
        return _Request(method, url, inside_only, {**_HEADERS, "accept": accept, **(headers or {})}, content)

    @asynccontextmanager
    async def _in_time(self, request: _Request) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeouts.total):
                yield
        except TimeoutError:
            raise _failed("timeout", request, f"took longer than {self._timeouts.total:g} seconds") from None

    async def _send(self, request: _Request, limit: int) -> Answer:
        request.status = None
        try:
            session = self._sessions.session(inside_only=request.inside_only)
            response = await session.request(
                request.method, request.url.requested(), headers=request.headers, data=_data(request.content),
                allow_redirects=False,
            )  # fmt: skip
            request.status = response.status
            try:
                answer = await _read(request, response, limit)
                self._heard(request.url.host, answer.headers)
                return answer
            finally:
                response.close()  # one that was read to its end has given its connection back already
        except zlib.error as error:
            raise _failed("body_unreadable", request, "sent a body that does not decompress") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            code, text = _described(error)
            sent = request.status is not None or not isinstance(error, _BEFORE_SENDING)
            raise _failed(code, request, text, sent=sent) from error


def _data(content: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(content) if content is not None and len(content) > _MAX_AT_ONCE else content


async def _read(request: _Request, response: aiohttp.ClientResponse, limit: int) -> Answer:
    _check_status(request, response)
    unpacker = _Unpacker() if response.headers.get("content-encoding", "").strip().lower() in _COMPRESSED else None
    came, body = 0, bytearray()
    async for part in response.content.iter_any():
        came += len(part)
        body += part if unpacker is None else unpacker.unpack(part, limit + 1 - len(body))
        if len(body) > limit or came > limit + _MAX_ADDED:
            raise _failed("too_large", request, f"answered with more than {limit} bytes")
    if unpacker is not None and came:  # a body of no bytes holds nothing to unpack, whatever its header says
        unpacker.finish()
    return Answer(response.status, _headers(response), bytes(body))


def _check_status(request: _Request, response: aiohttp.ClientResponse) -> None:
    if response.status < 200:  # 101: the server takes it that another protocol begins, which nobody asked for
        text = f"answered with the status {response.status}, which says nothing about the request"
        raise _failed("connection_failed", request, text)
    if 300 <= response.status < 400:
        target = short(response.headers.get("location", ""))
        text = f"answered with a redirect to {target}; save the URL that answers itself"
        raise _failed("redirect_refused", request, text)


class _Unpacker:
    """Unpacks a body that is one compressed stream from its first byte to its last. Its methods raise zlib.error."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)

    def unpack(self, part: bytes, most: int) -> bytes:
        """The bytes behind the next piece, at most so many."""
        if self._stream.eof:
            raise zlib.error("more follows the end")
        unpacked = self._stream.decompress(part, most)
        if self._stream.unused_data:
            raise zlib.error("more follows the end")
        return unpacked

    def finish(self) -> None:
        if not self._stream.eof:
            raise zlib.error("the end is missing")


def _headers(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    """By name in lower case; what a server sends in several lines of the same name is one list (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _described(error: Exception) -> tuple[str, str]:
    """The code of a failure and what happened. Nothing that the server sent is quoted, and no address."""
    if isinstance(error, TimeoutError):
        return "timeout", "did not answer in time"
    if (refusal := tls_failure(error)) is not None:
        return "tls_failed", f"offers no TLS that can be trusted here: {refusal}"
    return "connection_failed", f"could not be reached: {_reason(error)}"


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name has no address"
    if isinstance(error, aiohttp.ClientResponseError):
        return "it answered with something that is not HTTP, or too long"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    if isinstance(error, ValueError):
        return "a header cannot be sent as it is"
    number = _errno(error)
    return "the connection was closed" if number is None else os.strerror(number)


def _errno(error: BaseException | None) -> int | None:
    """The system's number of an error in the chain of causes, if there is one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__
    return None


def _failed(code: str, request: _Request, text: str, *, sent: bool = True) -> OutboundFailed:
    return OutboundFailed(code, f"{request.url.host} {text}.", request.status, sent=sent)


def _worth_repeating(answer: Answer) -> bool:
    """A server that names a time with Retry-After is not asked again before it."""
    return answer.status in _REPEATABLE and "retry-after" not in answer.headers


def _pause(tried: int) -> float:
    """Seconds before the next try: doubling, between half and all of it, so that callers spread out."""
    return _PAUSE * (1 << tried) * (500 + secrets.randbelow(501)) / 1000
