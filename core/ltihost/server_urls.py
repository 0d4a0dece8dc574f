"""The form of a URL that the host may be told to request, checked before anything is resolved.

A URL is taken apart here, by the grammar of RFC 3986, and put together again from its checked parts. So what is
requested is what was checked, whatever another parser would have made of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import quote

import idna
from yarl import URL

from ltihost.addresses import Address, is_name, literal
from ltihost.errors import OutboundRefused

DEFAULT_PORTS = {"https": 443, "http": 80}

_MAX_LENGTH = 65_536
_URL = re.compile(r"(?:([a-z][a-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.I | re.S)
_AUTHORITY = re.compile(r"(?:(.*)@)?(\[[^\[\]]*\]|[^:@\[\]]*)(?::([0-9]{0,9}))?")
#: What stays as it is. Everything else, and what is not ASCII, no request line may hold: it is percent-encoded.
_PATH = "!$%&'()*+,/:;=@[\\]^|~"
_QUERY = _PATH + "?`{}"


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """`host` is in ASCII and lower case, international names in punycode; `address` is set if it is no name.

    `port` is None if the URL names none.
    """

    scheme: str
    userinfo: str | None
    host: str
    address: Address | None
    port: int | None
    path: str
    query: str

    @property
    def real_port(self) -> int:
        return DEFAULT_PORTS[self.scheme] if self.port is None else self.port

    def requested(self) -> URL:
        """As aiohttp takes it: nothing in it is encoded again."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return URL.build(
            scheme=self.scheme, authority=f"{host}:{self.real_port}", path=self.path or "/", query_string=self.query,
            encoded=True,
        )  # fmt: skip


@lru_cache(maxsize=64)
def parse(text: str) -> ServerUrl:
    """The parts of a URL; nothing is said about whether it may be used. Raises OutboundRefused (`url_invalid`)."""
    try:
        if len(text) > _MAX_LENGTH or any(character < " " or character == "\x7f" for character in text):
            raise ValueError("too long, or with control characters")
        scheme, authority, path, query = _matched(_URL, text)
        userinfo, spelled, port = _matched(_AUTHORITY, authority or "")
        host = _ascii(spelled or "")
        return ServerUrl(
            scheme=(scheme or "").lower(),
            userinfo=userinfo,
            host=host,
            address=literal(host),
            port=int(port) if port else None,
            path=quote(path or "", safe=_PATH),
            query=quote(query or "", safe=_QUERY),
        )
    except ValueError as error:  # UnicodeError is one, and so is an idna error
        raise OutboundRefused("url_invalid", f"{short(text)} is not a URL.") from error


def _matched(pattern: re.Pattern[str], text: str) -> tuple[str | None, ...]:
    if (match := pattern.fullmatch(text)) is None:
        raise ValueError("does not follow the grammar")
    return match.groups()


def _ascii(host: str) -> str:
    if host.startswith("["):
        IPv6Address(host[1:-1])
        return host[1:-1].lower()
    return host.lower() if host.isascii() else idna.encode(host.lower()).decode("ascii")


def check_form(text: str, url: ServerUrl) -> None:
    """Raises OutboundRefused: `url_scheme`, `url_credentials`, `url_fragment`, `url_host`, `url_port`."""
    faults = {
        "url_scheme": url.scheme not in DEFAULT_PORTS,
        "url_credentials": url.userinfo is not None,
        "url_fragment": "#" in text,
        "url_host": not is_name(url.host) and url.address is None,
        "url_port": url.port is not None and not 0 < url.port < 65_536,
    }
    for code, found in faults.items():
        if found:
            raise OutboundRefused(code, f"{short(text)} cannot be used as the URL of a server: {_FAULTS[code]}.")


_FAULTS = {
    "url_scheme": "it must begin with https://",
    "url_credentials": "it must not hold a user name or password",
    "url_fragment": "it must have no part after #",
    "url_host": "its host must be a DNS name",
    "url_port": "its port must lie between 1 and 65535",
}


def short(text: str) -> str:
    """A text from outside, quoted and fit for a message."""
    return ascii(text)[:200]
