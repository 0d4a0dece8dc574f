"""The REST API, read from its OpenAPI document and, for the codes of its errors, from its source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from docs.blocks.markdown import code, joined, table
from docs.blocks.source import COMPUTED, calls
from ltihost import app, bindings
from ltihost.api import application, build_api, callers, capabilities, members, paging, problems, routes
from ltihost.api.models import LaunchShape
from ltihost.app import MAX_BODY
from ltihost.flows import deep_linking
from ltihost.flows.grades import intake
from ltihost.host import Host
from ltihost.lti import content_items
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings
from ltihost.store import deep_links, failures, grades_intake, grades_rules, line_items, rosters, sessions

#: Where the errors of the API are made.
_PLACES = (
    application, callers, capabilities, members, paging, problems, routes, app, bindings, deep_linking, intake,
    content_items, deep_links, failures, grades_intake, grades_rules, line_items, rosters.place, sessions,
)  # fmt: skip
#: What makes them, with the status that each has by itself.
_MAKERS = {kind.__name__: status for kind, status in problems.STATUS.items()}
#: In a detail: something is told, whatever else is computed.
_WORDS = re.compile(r"\w \w")
_UNTOLD = "The answer says it."
#: Codes that are put together, as `calls` shows them, and what can stand at the mark.
_FAMILIES = {
    f"{COMPUTED}_unknown": ("resource_link", "registration", "line_item", "delivery", "session", "context"),
    f"line_item_{COMPUTED}": ("gone", "deleting"),
}
_METHODS = ("get", "post", "put", "patch", "delete")


@cache
def openapi() -> dict[str, Any]:
    """The document that `/api/v1/openapi.json` answers. Nothing is opened or stored for it."""
    settings = Settings(base_url="https://lti.example.org", secret_key="-" * 32)
    return build_api(Host.build(settings, plugins=load_plugins([]))).openapi()


def operations() -> str:
    """One section per operation."""
    return joined(*(_section(method, path, operation) for method, path, operation in each_operation()))


def each_operation() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path below `/api/v1`, operation."""
    for path, item in openapi()["paths"].items():
        for method in _METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def errors() -> str:
    """Every code a problem document can have, found where the API makes it."""
    rows: dict[tuple[int, str], str] = {}
    for status, name, text in _errors():
        if rows.get((status, name), _UNTOLD) == _UNTOLD:
            rows[status, name] = text
    return table(
        ("status", "code", "meaning"), ((status, code(name), text) for (status, name), text in sorted(rows.items()))
    )


def limits() -> str:
    """What a body may weigh; the other limits stand beside its members."""
    return f"A body has at most {MAX_BODY:,} bytes; a larger one is answered 413 `body_too_large` before anything else is looked at."


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = ((status, _answer(answer)) for status, answer in sorted(operation["responses"].items()))
    return joined(
        f"## {method} /api/v1{path}",
        f"{operation['summary']}. {operation.get('description', '')}",
        _scope(operation),
        _parameters(operation.get("parameters", [])),
        _body(operation.get("requestBody")),
        table(("status", "answer"), answers),
    )


def _scope(operation: dict[str, Any]) -> str:
    scopes = (scope for wanted in operation["security"] for found in wanted.values() for scope in found)
    return f"Scope: {', '.join(map(code, scopes))}."


def _answer(answer: dict[str, Any]) -> str:
    """What comes back: of a good answer its members, where a record lists them."""
    if answer["description"] != "Successful Response":
        return str(answer["description"])
    schema = _resolved(answer["content"]["application/json"]["schema"])
    if schema["title"] == LaunchShape.__name__:
        return "The launch"
    rows = _resolved(schema["properties"].get("data", {}).get("items", {}))
    listed = f"; each of `data` has {_names(rows)}" if "properties" in rows else ""
    return f"{_names(schema)}{listed}"


def _names(schema: dict[str, Any]) -> str:
    return ", ".join(map(code, schema["properties"]))


def _parameters(parameters: list[dict[str, Any]]) -> str | None:
    """Those of query and header; what stands in the path says itself."""
    rows = [
        (code(item["name"]), item["in"] + ("" if item.get("required") else ", optional"), item.get("description", ""))
        for item in parameters
        if item["in"] != "path"
    ]
    return table(("parameter", "where", "meaning"), rows) if rows else None


def _body(body: dict[str, Any] | None) -> str | None:
    if body is None:
        return None
    schema = _resolved(body["content"]["application/json"]["schema"])
    required = schema.get("required", [])
    rows = (
        (
            code(name),
            f"{_type(part)}{_bounds(part)}{'' if name in required else ', optional'}",
            part.get("description", ""),
        )
        for name, part in schema["properties"].items()
    )
    return joined("Body (`application/json`):", table(("member", "type", "meaning"), rows))


def _type(part: dict[str, Any]) -> str:
    """The types of a member in JSON's words; choices are named."""
    part = _resolved(part)
    if "enum" in part:
        return " or ".join(map(code, part["enum"]))
    kinds = part.get("anyOf") or part.get("oneOf")
    return " or ".join(dict.fromkeys(map(_type, kinds))) if kinds else part.get("type", "any")


def _bounds(part: dict[str, Any]) -> str:
    """How long or large a value may be, where the schema says so."""
    part = next((kind for kind in part.get("anyOf", ()) if kind.get("type") != "null"), part)
    words = [f"{text} {part[name]:,.10g}{unit}" for name, text, unit in _BOUNDS if name in part]
    return f", {', '.join(words)}" if words else ""


#: Members of a JSON schema that bound a value.
_BOUNDS = (
    ("minimum", "at least", ""), ("exclusiveMinimum", "above", ""), ("maximum", "at most", ""),
    ("maxLength", "at most", " characters"), ("maxItems", "at most", " of them"),
)  # fmt: skip


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: dict[str, Any] = openapi()["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _errors() -> Iterator[tuple[int, str, str]]:
    """(status, code, detail) of each error of the API, those last that speak of any kind of object.

    Computed codes that no family names are passed on from elsewhere.
    """
    for status, name, detail in sorted(_made(), key=lambda made: COMPUTED in made[1]):
        told = detail if _WORDS.search(detail) else _UNTOLD
        if COMPUTED not in name:
            yield status, name, told
        for kind in _FAMILIES.get(name, ()):
            yield status, name.replace(COMPUTED, kind), told.replace(COMPUTED, kind.replace("_", " "))


def _made() -> Iterator[tuple[int, str, str]]:
    for place in _PLACES:
        for maker in ("ApiError", "problem"):
            for status, name, detail, *_ in calls(place, maker):
                if isinstance(status, int):
                    yield status, str(name), str(detail)
        for maker, status in _MAKERS.items():
            for name, *_, detail in calls(place, maker):
                yield status, str(name), str(detail)
    for name, _, detail in calls(content_items, "_fault"):
        yield 422, str(name), f"items.{COMPUTED}: {detail}."
