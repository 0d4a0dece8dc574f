"""The REST API, read from its OpenAPI document and, for the codes of its errors, from its source."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from docs.blocks.markdown import code, joined, table
from docs.blocks.source import calls
from ltihost.api import application, authentication, build_api, problems
from ltihost.host import Host
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings

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
    rows = {found[1]: found for found in _errors()}
    return table(
        ("status", "code", "meaning"), ((status, code(name), text) for status, name, text in sorted(rows.values()))
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = (
        (status, answer["description"].replace("Successful Response", "The launch"))
        for status, answer in sorted(operation["responses"].items())
    )
    return joined(
        f"## {method} /api/v1{path}",
        f"{operation['summary']}. {operation.get('description', '')}",
        _body(operation.get("requestBody")),
        table(("status", "answer"), answers),
    )


def _body(body: dict[str, Any] | None) -> str | None:
    if body is None:
        return None
    schema = _resolved(body["content"]["application/json"]["schema"])
    required = schema.get("required", [])
    rows = (
        (
            code(name),
            f"{part.get('type', 'any')}{'' if name in required else ', optional'}",
            part.get("description", ""),
        )
        for name, part in schema["properties"].items()
    )
    return joined("Body (`application/json`):", table(("member", "type", "meaning"), rows))


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: dict[str, Any] = openapi()["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _errors() -> Iterator[tuple[int, str, str]]:
    """(status, code, detail) of each error of the API whose code is written out."""
    for module in (application, authentication, problems):
        for name in ("ApiError", "problem"):
            for status, code_, detail, *_ in calls(module, name):
                if isinstance(status, int) and isinstance(code_, str) and code_.islower():
                    yield status, code_, str(detail) if str(detail).endswith(".") else "The answer names what is wrong."
