"""What all routes of the API have in common: the key comes before the body, and errors are described as what they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ltihost.api.problems import MEDIA_TYPE, ApiError

#: Finds out whose request it is, keeps that for the route, and counts it. Raises ApiError.
Identify = Callable[[Request], Awaitable[None]]


class Api(FastAPI):
    """FastAPI, whose routes read a body only from callers that are known, and only as JSON."""

    def __init__(self, identify: Identify, **about: Any) -> None:
        super().__init__(**about)
        self.state.identify = identify
        self.router.route_class = _KeyFirst

    def openapi(self) -> dict[str, Any]:
        """FastAPI's document; there, errors have the media type of the good answers."""
        document = super().openapi()
        for item in document["paths"].values():
            for operation in item.values():
                for status, answer in operation["responses"].items():
                    if int(status) >= 400 and MEDIA_TYPE not in answer["content"]:
                        answer["content"] = {MEDIA_TYPE: answer["content"]["application/json"]}
        return document


class _KeyFirst(APIRoute):
    """FastAPI reads a body before it asks a route's dependencies who is calling."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def key_first(request: Request) -> Response:
            await request.app.state.identify(request)
            if self.body_field is None:
                return await answer(request)
            _check_type(request.headers.get("content-type", ""))
            try:
                return await answer(request)
            except HTTPException as error:
                raise ApiError(422, "invalid_request", "The body is not JSON in UTF-8, or nested too deep.") from error

        return key_first


def _check_type(media_type: str) -> None:
    if media_type.partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "content_type", "Send the body as JSON, with `Content-Type: application/json`.")
