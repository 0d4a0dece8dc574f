"""Ids in paths, and what routes may answer. What is no id of ours (a platform's URL, say) is as unknown as any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path

from ltihost.api.problems import Problem


def _id(prefix: str, what: str) -> Any:
    return Path(description=f"Our id of the {what}, `{prefix}_…`.")


ContextId = Annotated[str, _id("ctx", "context")]
DeepLinkId = Annotated[str, _id("lch", "launch, as its `deep_linking` has it")]
DeliveryId = Annotated[str, _id("dlv", "delivery")]
LinkId = Annotated[str, _id("lnk", "resource link")]
LineItemId = Annotated[str, _id("lin", "line item")]
SessionId = Annotated[str, _id("ses", "session")]
RegistrationId = Annotated[str, _id("reg", "registration")]

#: What a route that takes a body answers besides.
BODY = (413, 415)
_ALWAYS = frozenset({401, 403, 422, 429, 503})
_TEXTS = {
    401: "No valid key",
    403: "The key lacks the scope",
    404: "No such object of this application",
    409: "The state of the object forbids it, or something is switched off",
    410: "It is over",
    413: "The body is too large",
    415: "The body is not sent as JSON",
    422: "Unusable value",
    429: "Too many requests",
    502: "The LMS did not do what it was asked",
    503: "The database did not answer in time; nothing was changed",
}


def answers(*statuses: int, says: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """The problem documents that a route answers with, for the OpenAPI document; `says` has texts of its own."""
    texts = {**_TEXTS, **(says or {})}
    return {
        status: {"model": Problem, "description": texts[status]}
        for status in sorted(_ALWAYS.union(statuses, says or ()))
    }
