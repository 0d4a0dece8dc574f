"""The outermost layer: the headers that every answer has."""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive, Scope, Send

from ltihost.asgi import RequestFrame

NOSNIFF = ("x-content-type-options", "nosniff")
HSTS = ("strict-transport-security", "max-age=31536000; includeSubDomains")
DEFAULT = [
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
]


async def framed(*own: tuple[str, str], path: str = "/lti/login", https: bool = True) -> list[tuple[str, str]]:
    """The headers of an answer with `own` headers as it leaves the host, but for the id of the request, which is last."""
    sent: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in own]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await RequestFrame(application, https=https)({"type": "http", "path": path}, receive, send)
    *found, (name, value) = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    assert name == "x-request-id"
    assert len(value) == 16
    return found


async def test_an_answer_without_headers_gets_all() -> None:
    assert await framed() == [NOSNIFF, HSTS, *DEFAULT]


async def test_over_plain_http_nobody_is_told_to_use_https() -> None:
    assert await framed(https=False) == [NOSNIFF, *DEFAULT]


async def test_an_application_of_its_own_decides_about_its_pages() -> None:
    assert await framed(path="/apps/quiz/") == [NOSNIFF, HSTS]


@pytest.mark.parametrize("path", ["/lti/login", "/apps/quiz/"])
async def test_what_every_answer_has_cannot_be_weakened(path: str) -> None:
    weaker = [("x-content-type-options", "sniff"), ("strict-transport-security", "max-age=0"), ("x-request-id", "mine")]
    found = await framed(*weaker, path=path)
    assert found[:2] == [NOSNIFF, HSTS]
    assert not set(weaker) & set(found)


@pytest.mark.parametrize("name", [name for name, _ in DEFAULT])
async def test_an_answer_keeps_its_own(name: str) -> None:
    found = await framed((name, "its own"))
    assert found == [(name, "its own"), NOSNIFF, HSTS, *(header for header in DEFAULT if header[0] != name)]


async def test_cookies_repeat() -> None:
    cookies = [("set-cookie", "a=1"), ("set-cookie", "b=2")]
    assert (await framed(*cookies))[:2] == cookies
