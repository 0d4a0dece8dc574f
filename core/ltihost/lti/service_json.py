"""Bodies of the services: JSON read with tolerance for its members, and written with exact numbers."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from ltihost.lti.strict_json import StrictJsonError

_BOM = b"\xef\xbb\xbf"
#: More digits before and after the point than any gradebook has; they keep 1e999999 from becoming a long text.
_MOST_DIGITS = 15
_MOST_PLACES = 100
#: What stands where a character was lost.
LOST = "\ufffd"
#: An escape in a JSON text; `lost` is one that no database holds: NUL, or half a character without its other half.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lost>\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))|\\."
)


def read_body(raw: bytes) -> Any:
    """The JSON value of an answer; None for an empty body. Raises StrictJsonError.

    A byte order mark is passed over: PHP sites send one when a file of theirs was saved with it. Half a character, which
    is left where a name was cut within one, and NUL become U+FFFD: one such name must not make a whole roster unreadable.
    """
    text = raw.removeprefix(_BOM).strip()
    if not text:
        return None
    if b"\\u0000" in text:
        text = _without_lost(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _read_again(_without_lost(text))


def _read_again(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise StrictJsonError("not JSON") from error


def _without_lost(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found["lost"] else found[0], text)


def write_body(body: Any) -> bytes:
    """JSON in which a Decimal is written digit for digit: 0.1 stays 0.1, 40.00 becomes 40."""
    return orjson.dumps(body, default=_exact)


def number(value: object) -> Decimal | None:
    """A number, also one sent as text; None for anything else, and for what no gradebook can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return read if usable(read) else None


def usable(value: Decimal) -> bool:
    """Whether it is a finite number of ordinary size."""
    exponent = value.as_tuple().exponent  # a letter for what is not finite
    return isinstance(exponent, int) and value.adjusted() < _MOST_DIGITS and exponent >= -_MOST_PLACES


def text(value: object) -> str | None:
    """A text that says something; None where it is absent, null or blank."""
    return value if isinstance(value, str) and value.strip() else None


def name(value: object) -> str | None:
    """An id: a text, or a whole number that should have been one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)


def _exact(value: object) -> orjson.Fragment:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is no JSON")
    whole = value == value.to_integral_value()
    return orjson.Fragment(format(value.quantize(Decimal(1)) if whole else value.normalize(), "f"))
