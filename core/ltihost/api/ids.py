"""Ids in paths and query strings: ours only. What is no id of ours (a platform's URL, say) is refused as unusable."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path

from ltihost.api.problems import Problem


def _id(prefix: str, what: str) -> Any:
    return Path(pattern=f"^{prefix}_[a-z2-7]{{26,36}}$", description=f"Our id of the {what}.")


LinkId = Annotated[str, _id("lnk", "resource link")]
LineItemId = Annotated[str, _id("lin", "line item")]
SessionId = Annotated[str, _id("ses", "session")]
RegistrationId = Annotated[str, _id("reg", "registration")]

_TEXTS = {
    401: "No valid key",
    403: "The key lacks the scope",
    404: "No such object of this application",
    409: "The state of the object forbids it, or something is switched off",
    410: "It is over",
    422: "Unusable value",
    429: "Too many requests",
    502: "The LMS did not do what it was asked",
}


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents that a route answers with, for the OpenAPI document."""
    content: dict[str, Any] = {"application/problem+json": {}}
    return {
        status: {"model": Problem, "description": _TEXTS[status], "content": content}
        for status in sorted({401, 403, 422, 429, *statuses})
    }
