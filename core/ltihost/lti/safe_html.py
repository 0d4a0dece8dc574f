"""HTML from an application, before it is put into a page of the LMS: what could run there is taken out."""

from __future__ import annotations

from collections.abc import Callable

import nh3

_TAGS = (nh3.ALLOWED_TAGS | {"iframe"}) - {"map", "area"}
_ATTRIBUTES = nh3.ALLOWED_ATTRIBUTES | {"iframe": {"src", "width", "height", "title", "allowfullscreen"}}
_URLS = frozenset({"href", "src", "cite"})


def safe_html(html: str, usable: Callable[[str], bool]) -> str:
    """`html` without scripts, handlers, styles and forms; a URL stays only if `usable` says so. Empty if nothing is left."""

    def keep(_: str, attribute: str, value: str) -> str | None:
        return value if attribute not in _URLS or usable(value) else None

    return nh3.clean(html, tags=_TAGS, attributes=_ATTRIBUTES, attribute_filter=keep).strip()
