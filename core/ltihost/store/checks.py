"""Values that people type: each function answers the value as it is stored, or raises Invalid saying what would do."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ltihost.errors import Invalid
from ltihost.targets import origin_of

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_YES_NO = {"yes": True, "no": False}
MAX_TEXT = 2_000


def slug(value: str) -> str:
    """A short name for command lines and URLs."""
    if not _SLUG.fullmatch(value):
        raise Invalid("slug_invalid", f"{value!r}: a slug has 1 to 63 of a-z, 0-9 and -, with no - at either end.")
    return value


def line(value: str) -> str:
    """Any text of one line."""
    if not value or len(value) > MAX_TEXT or not value.isprintable():
        raise Invalid("text_invalid", f"{value[:40]!r}: a printable text of 1 to {MAX_TEXT} characters is needed.")
    return value


def url(value: str) -> str:
    """An absolute http or https URL, kept exactly as it was typed. Whether http may be used is the guard's to say."""
    try:
        parts = urlsplit(line(value))
        good = parts.scheme in ("https", "http") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or " " in value or "\\" in value or parts.username is not None or parts.fragment:
        raise Invalid("url_invalid", f"{value[:80]!r}: an https URL without user name and #fragment is needed.")
    return value


def origin(value: str) -> str:
    """Scheme, host and port, as a browser's Origin header has them."""
    parts = urlsplit(url(value.rstrip("/")))
    if parts.path or parts.query or not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+/?", value):
        raise Invalid("origin_invalid", f"{value[:80]!a}: only scheme, host and port, like https://lms.example.org.")
    return str(origin_of(value))


def yes_or_no(value: str) -> bool:
    if value not in _YES_NO:
        raise Invalid("switch_invalid", f"{value[:40]!r}: yes or no is needed.")
    return _YES_NO[value]


def whole_number(value: str, *, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
        raise Invalid("number_invalid", f"{value[:40]!r}: a whole number from {least} to {most} is needed.")
    return int(value)


def one_of(value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise Invalid("choice_invalid", f"{value[:40]!r}: one of {', '.join(choices)} is needed.")
    return value


def items(value: str) -> list[str]:
    """The items of a comma list, without blanks."""
    return [item.strip() for item in value.split(",") if item.strip()]
