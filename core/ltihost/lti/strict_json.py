"""JSON with one meaning: no member twice, no NaN, no endless nesting. RFC 8725 2.4, RFC 8259 4."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 32
# Possessive, and content with an unclosed string, so that no text makes it look twice at one place.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]+|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class StrictJsonError(ValueError):
    """The text is no JSON, or JSON that cannot be used."""


class DuplicateMemberError(StrictJsonError):
    """An object names a member twice, so that two readers could see two things."""


def read_json(raw: bytes) -> Any:
    """The value that the UTF-8 text `raw` stands for. Raises StrictJsonError or DuplicateMemberError, nothing else.

    Lone surrogates that were escaped (`\\ud800`) pass; whoever stores or shows a text deals with them.
    """
    if _depth(raw) > MAX_DEPTH:
        raise StrictJsonError(f"nested deeper than {MAX_DEPTH} levels")
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except StrictJsonError:
        raise
    except ValueError as error:
        raise StrictJsonError("not JSON") from error


def shown(value: object, limit: int = 200) -> str:
    """A value from outside as short ASCII text that any log and any database can hold."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _depth(raw: bytes) -> int:
    """An upper bound of the nesting that is cheap for ordinary texts and exact for those that come near the limit."""
    openings = raw.count(b"{") + raw.count(b"[")
    return openings if openings <= MAX_DEPTH else _exact_depth(raw)


def _exact_depth(raw: bytes) -> int:
    depth = deepest = 0
    for found in _STRING_OR_BRACKET.finditer(raw):
        mark = found.group()
        if mark in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
        elif mark in (b"}", b"]"):
            depth -= 1
    return deepest


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DuplicateMemberError("a member comes twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise StrictJsonError(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise StrictJsonError("a number is out of range")
    return value


# Made once: json.loads with hooks would build a decoder for every call.
_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant, parse_float=_finite)
