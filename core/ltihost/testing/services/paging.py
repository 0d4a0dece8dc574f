"""Pages of a list and the URLs between them, as the services of LMSs have them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def with_query(url: str, changes: Mapping[str, object]) -> str:
    """`url` with these parameters set, and without those whose value is None; all others stay where they are."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in changes]
    set_now = [(name, str(value)) for name, value in changes.items() if value is not None]
    return urlunsplit(parts._replace(query=urlencode([*kept, *set_now])))


def whole_number(query: Mapping[str, str], name: str) -> int | None:
    """A parameter as a positive whole number; None if it is absent or anything else."""
    text = query.get(name, "")
    return int(text) if text.isdecimal() and int(text) > 0 else None


def link_header(links: Mapping[str, str]) -> str:
    """RFC 8288: the URLs by relation."""
    return ", ".join(f'<{url}>; rel="{relation}"' for relation, url in links.items())
