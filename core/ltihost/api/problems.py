"""Errors of the API as problem documents with stable codes. RFC 9457."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from ltihost.asgi import id_of_request
from ltihost.bindings import NotBound
from ltihost.errors import (
    Busy,
    Conflict,
    Gone,
    Invalid,
    LtihostError,
    NotFound,
    NotPermitted,
    OutboundError,
    PluginFailed,
    ServiceFailed,
)

log = structlog.get_logger()
#: Of problem documents. RFC 9457.
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """A problem document. `code` is stable and meant for programs, `detail` for people."""

    type: str = Field(
        description="A URI reference that names the kind of problem.", examples=["urn:ltihost:code_unusable"]
    )
    title: str
    status: int
    code: str
    detail: str


class ApiError(Exception):
    """Answers `status` with a problem document."""

    def __init__(self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


_TITLES = {
    400: "Bad request", 401: "Not authenticated", 403: "Not permitted", 404: "Not found", 405: "Method not allowed",
    409: "Conflict", 410: "Gone", 413: "Too large", 415: "Unsupported media type", 422: "Unusable value",
    429: "Too many requests", 500: "Internal error", 502: "A server that is asked failed", 503: "Unavailable",
}  # fmt: skip


#: The status of each kind of error, the first that fits.
STATUS: dict[type[LtihostError], int] = {
    NotFound: 404, NotPermitted: 403, Conflict: 409, NotBound: 409, Gone: 410, Invalid: 422, PluginFailed: 502,
    ServiceFailed: 502, OutboundError: 502,
}  # fmt: skip


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    body = Problem(
        type=f"urn:ltihost:{code}", title=_TITLES.get(status, "Error"), status=status, code=code, detail=detail
    )
    return JSONResponse(body.model_dump(), status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Every error of `app` becomes a problem document; none shows what is inside."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(LtihostError, _named)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _api_error(_: Request, error: Any) -> Response:
    return problem(error.status, error.code, error.detail, error.headers)


async def _busy(_: Request, error: Any) -> Response:
    return problem(
        503, "busy", "The database did not answer in time; nothing was changed. Try again.", {"Retry-After": "1"}
    )


async def _named(_: Request, error: Any) -> Response:
    """An error of the host's own tree, by its code; one that callers cannot help is no business of theirs."""
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), None)
    return await _unexpected(_, error) if status is None else problem(status, error.code, error.message)


async def _invalid(_: Request, error: Any) -> Response:
    return problem(422, "invalid_request", "; ".join(_fault(item, error.body) for item in error.errors()[:10]))


def _fault(item: Any, body: Any) -> str:
    """One fault in words. What is no JSON is found at a character of the body."""
    if item["type"] == "json_invalid":
        before = body[: item["loc"][-1]]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"The body is not JSON (line {line}, column {column}): {item['ctx']['error']}."
    return f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"


async def _http_error(_: Request, error: Any) -> Response:
    return problem(error.status_code, f"http_{error.status_code}", str(error.detail), getattr(error, "headers", None))


async def _unexpected(_: Request, error: Any) -> Response:
    log.error("api.failed", error=type(error).__name__, exc_info=error)
    return problem(500, "unexpected", f"Something failed on the host. In its log the request is {id_of_request()}.")
