"""Reads the parameters of a login or launch request: once each, bounded, bytes kept."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from ltihost.errors import Refused

MAX_FIELDS = 50
MAX_FIELD = 131_072


async def read_fields(request: Request, check: str) -> Mapping[str, str]:
    """Query and form parameters; the form wins. Raises Refused (`duplicate_parameter`, `parameter_invalid`).

    Undecodable bytes survive as surrogates, so that a hint goes back to the platform byte for byte.
    """
    fields = _parse(request.scope["query_string"], check)
    if request.method == "POST":
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            fields |= _parse(await request.body(), check)
    return fields


def _parse(raw: bytes, check: str) -> dict[str, str]:
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("utf-8", "surrogateescape"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise Refused("parameter_invalid", check, expected=f"at most {MAX_FIELDS} parameters") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise Refused("duplicate_parameter", check, expected="each parameter once", received=f"{twice[0]!a} twice")
    if any(len(value) > MAX_FIELD for value in fields.values()):
        raise Refused("parameter_invalid", check, expected=f"at most {MAX_FIELD} characters", received="more")
    return fields
