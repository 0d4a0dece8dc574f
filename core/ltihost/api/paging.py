"""Lists a page at a time: `{data, next_cursor}`. A cursor is opaque; it holds the last row's place in the order."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import orjson
from fastapi import Query

from ltihost.api.problems import ApiError
from ltihost.store.hot_values import findable

MOST = 500

#: Query parameters of every list.
Cursor = Annotated[
    str | None,
    Query(max_length=500, description="The `next_cursor` of the page before; without it the list begins."),
]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows a page.")]


def write_cursor(*place: str | int) -> str:
    """A place in a list as applications hand it back."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def read_cursor(cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The place; None for the beginning. Raises ApiError 422 (`cursor_invalid`) for what is no cursor of such a list."""
    if cursor is None:
        return None
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        place = None
    fits = isinstance(place, list) and [type(part) for part in place] == list(kinds)
    if not fits or not all(map(_storable, place)):
        raise ApiError(422, "cursor_invalid", "The cursor is not one of this list; begin without.")
    return tuple(place)


def _storable(part: str | int) -> bool:
    """Whether a database can be asked for it."""
    return 0 <= part < 1 << 63 if isinstance(part, int) else findable(part)


def read_id_cursor(cursor: str | None) -> str | None:
    """The last id of the page before, in lists that go by id. Raises ApiError as `read_cursor` does."""
    place = read_cursor(cursor, str)
    return None if place is None else str(place[0])


def page(data: list[Any], next_cursor: str | None) -> dict[str, Any]:
    """The body of a list."""
    return {"data": data, "next_cursor": next_cursor}
