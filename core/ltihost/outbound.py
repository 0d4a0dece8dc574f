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
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

import httpcore2
import httpx2

from ltihost import __version__
from ltihost.addresses import Network, is_inside, is_name, literal
from ltihost.errors import OutboundFailed, OutboundRefused
from ltihost.guard import GuardedTransport, Resolve, SystemResolver, is_tls_failure

MAX_TRIES = 3
_PAUSE = 0.1
_REPEATABLE = frozenset({502, 503, 504})
_HEADERS = {"user-agent": f"ltihost/{__version__}", "accept-encoding": "gzip, deflate"}
_DEFAULT_PORTS = {"https": 443, "http": 80}
#: What fails before a byte of the request leaves: no address, no connection, no TLS, no free connection.
_BEFORE_SENDING = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, whatever its status (redirects apart). Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to resolve and connect, between two reads, and for a whole call with its repeats."""

    connect: float = 5.0
    read: float = 10.0
    total: float = 20.0

    def for_each_step(self) -> dict[str, float]:
        """As httpcore2 takes them."""
        return {"connect": self.connect, "read": self.read, "write": self.read, "pool": self.connect}


def approved_ports(*urls: str | None) -> frozenset[int]:
    """The ports that stand in these URLs, which an administrator approved.

    Ports below 1024 belong to other services (ssh, smtp), so nobody can approve one of them. Raises OutboundRefused
    (`url_invalid`).
    """
    ports = (_parsed(url).port for url in urls if url)
    return frozenset(port for port in ports if port is not None and port >= 1024)


class Outbound:
    """The guarded client; one per process, used from one event loop.

    `allow_networks` are private ranges that may be reached, plain http included. `resolve(host, port)` gives the
    addresses of a name; by default the system's resolver does.
    """

    def __init__(
        self, allow_networks: Sequence[Network], *, resolve: Resolve | None = None, timeouts: Timeouts | None = None
    ) -> None:
        self._networks = tuple(allow_networks)
        self._timeouts = timeouts or Timeouts()
        self._resolver = SystemResolver()
        # httpx2's client would add cookies, redirects and credentials from the environment; nothing of it is wanted.
        self._transport = GuardedTransport(self._networks, resolve or self._resolver)

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
        await self._transport.aclose()
        self._resolver.close()

    def _destination(self, text: str, ports: frozenset[int]) -> tuple[httpx2.URL, bool]:
        """The URL as it will be requested, and whether it may lead only into the allowed networks."""
        url = _parsed(text)
        _check_form(text, url)
        address = literal(_host(url))
        if address is not None and not is_inside(address, self._networks):
            raise OutboundRefused("address_refused", f"{_short(text)} gives an address; it must name its host.")
        port = _DEFAULT_PORTS[url.scheme] if url.port is None else url.port
        inside_only = url.scheme == "http" or (port != 443 and port not in ports)
        if inside_only and not self._networks:
            code = "url_scheme" if url.scheme == "http" else "url_port"
            raise OutboundRefused(
                code, f"{_short(text)} must begin with https:// and use port 443 or an approved port."
            )
        return url, inside_only

    def _request(
        self, method: str, text: str, accept: str, ports: frozenset[int], headers: Mapping[str, str] | None,
        content: bytes | None,
    ) -> httpx2.Request:  # fmt: skip
        url, inside_only = self._destination(text, ports)
        return httpx2.Request(
            method,
            url,
            headers={**_HEADERS, "accept": accept, **(headers or {})},
            content=content,
            extensions={"inside_only": inside_only, "timeout": self._timeouts.for_each_step()},
        )

    @asynccontextmanager
    async def _in_time(self, request: httpx2.Request) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeouts.total):
                yield
        except TimeoutError:
            raise _failed("timeout", request, f"took longer than {self._timeouts.total:g} seconds") from None

    async def _send(self, request: httpx2.Request, limit: int) -> Answer:
        status: int | None = None
        try:
            response = await self._transport.handle_async_request(request)
            status = response.status_code
            try:
                return await _read(request, response, limit)
            finally:
                await response.aclose()
        except httpcore2.TimeoutException as error:
            raise _broken("timeout", request, "did not answer in time", error, status) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            if is_tls_failure(error):
                text = f"offers no TLS that can be trusted here: {error!s:.200}"
                raise _broken("tls_failed", request, text, error, status) from error
            text = f"could not be reached: {error!s:.200}"
            raise _broken("connection_failed", request, text, error, status) from error
        except httpx2.DecodingError as error:
            raise _failed("body_unreadable", request, "sent a body that does not decompress", status) from error


async def _read(request: httpx2.Request, response: httpx2.Response, limit: int) -> Answer:
    if 300 <= response.status_code < 400:
        target = _short(response.headers.get("location", ""))
        text = f"answered with a redirect to {target}; save the URL that answers itself"
        raise _failed("redirect_refused", request, text, response.status_code)
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > limit:
            raise _failed("too_large", request, f"answered with more than {limit} bytes", response.status_code)
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body))


def _failed(
    code: str, request: httpx2.Request, text: str, status: int | None = None, *, sent: bool = True
) -> OutboundFailed:
    return OutboundFailed(code, f"{_host(request.url)} {text}.", status, sent=sent)


def _broken(code: str, request: httpx2.Request, text: str, error: Exception, status: int | None) -> OutboundFailed:
    return _failed(code, request, text, status, sent=not isinstance(error, _BEFORE_SENDING))


@lru_cache(maxsize=64)
def _parsed(text: str) -> httpx2.URL:
    try:
        return httpx2.URL(text)
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise OutboundRefused("url_invalid", f"{_short(text)} is not a URL.") from error


def _short(text: str) -> str:
    """A text from outside, quoted and fit for a message."""
    return ascii(text)[:200]


def _host(url: httpx2.URL) -> str:
    """The host as it is resolved: ASCII, lower case, international names in punycode."""
    return url.raw_host.decode("ascii")


def _check_form(text: str, url: httpx2.URL) -> None:
    faults = {
        "url_scheme": url.scheme not in _DEFAULT_PORTS,
        "url_credentials": bool(url.userinfo),
        "url_fragment": "#" in text,
        "url_host": not is_name(_host(url)) and literal(_host(url)) is None,
        "url_port": url.port is not None and not 0 < url.port < 65_536,
    }
    for code, found in faults.items():
        if found:
            raise OutboundRefused(code, f"{_short(text)} cannot be used as the URL of a server: {_FAULTS[code]}.")


_FAULTS = {
    "url_scheme": "it must begin with https://",
    "url_credentials": "it must not hold a user name or password",
    "url_fragment": "it must have no part after #",
    "url_host": "its host must be a DNS name",
    "url_port": "its port must lie between 1 and 65535",
}


def _worth_repeating(answer: Answer) -> bool:
    """A server that names a time with Retry-After is not asked again before it."""
    return answer.status in _REPEATABLE and "retry-after" not in answer.headers


def _pause(tried: int) -> float:
    """Seconds before the next try: doubling, between half and all of it, so that callers spread out."""
    return _PAUSE * (1 << tried) * (500 + secrets.randbelow(501)) / 1000
