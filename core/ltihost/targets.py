"""Where a launch may lead: only to URLs of the application, compared part by part (never by text prefix)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from ltihost.records import Application

_PORTS = {"https": 443, "http": 80}
_AMBIGUOUS = re.compile(r"[\\\s\x00-\x1f]")


def permitted(url: str, registered: Iterable[str]) -> bool:
    """Whether `url` is one of `registered` or lies below one, at a border of path segments."""
    found = _parts(url)
    return found is not None and any(_below(found, parts) for item in registered if (parts := _parts(item)) is not None)


def leads_to(application: Application, url: str) -> bool:
    """Whether a launch may end at this URL. A `code` of its own would stand before ours, and somebody could plant his."""
    ours = permitted(url, (application.launch_url, *application.allowed_targets))
    return ours and "code" not in parse_qs(urlsplit(url).query, keep_blank_values=True)


def same_page(url: str, other: str) -> bool:
    """Whether both name the same page: everything but the query is equal."""
    first, second = _parts(url), _parts(other)
    return first is not None and second is not None and _place(first) == _place(second) and first.path == second.path


def with_query(url: str, query: str) -> str:
    """`url` with `query` (already encoded) appended to its own; a fragment is dropped."""
    bare = url.partition("#")[0]
    return f"{bare}{'&' if '?' in bare else '?'}{query}"


def origin_of(url: str | None) -> str | None:
    """Scheme, host and port as a browser writes an origin; None for what is no web URL."""
    return _origin(url) if url else None


@lru_cache(256)  # launches name the same few services again and again
def _origin(url: str) -> str | None:
    parts = _parts(url)
    if parts is None:
        return None
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    port = parts.port or _PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if port == _PORTS[parts.scheme] else f":{port}")


def _parts(url: str) -> SplitResult | None:
    """None for whatever two readers could understand differently: credentials, backslashes, dot segments."""
    if _AMBIGUOUS.search(url):
        return None
    try:
        parts = urlsplit(url)
        sound = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError:
        return None
    if not sound or "@" in parts.netloc or not parts.netloc.isascii():
        return None
    # Some servers read `..;x` as `..`: parameters of a segment do not count.
    segments = {item.partition(";")[0] for item in unquote(unquote(parts.path)).replace("\\", "/").split("/")}
    return None if {".", ".."} & segments else parts


def _place(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def _below(found: SplitResult, registered: SplitResult) -> bool:
    base = registered.path.rstrip("/")
    inside = found.path == registered.path or found.path == base or found.path.startswith(base + "/")
    return _place(found) == _place(registered) and inside
