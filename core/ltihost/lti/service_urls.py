"""URLs made from the service URLs of a launch: their own query always stays. AGS 3.4.1, NRPS 2."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote


def below(url: str, segment: str) -> str:
    """`url` with one more path segment, in front of its query: `/item?type_id=1` gives `/item/scores?type_id=1`."""
    path, mark, query = url.partition("?")
    return f"{path.removesuffix('/')}/{segment}{mark}{query}"


def with_parameters(url: str, parameters: Mapping[str, str | int | None]) -> str:
    """`url` with more parameters in its query; None leaves one out. Everything but letters, digits and -._~ is escaped."""
    added = [f"{name}={quote(str(value), safe='')}" for name, value in parameters.items() if value is not None]
    if not added:
        return url
    mark = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return url + mark + "&".join(added)
