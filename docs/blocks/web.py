"""Cookies and headers, as the code writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Scope

from docs.blocks.markdown import code, joined, table
from ltihost import pages
from ltihost.admin import pages as admin_pages
from ltihost.asgi import RequestFrame
from ltihost.flows import key_set


def cookies() -> str:
    """Each cookie with its header, written by the functions that write it at run time."""
    written: tuple[tuple[str, str, Callable[[Response], None]], ...] = (
        ("a login begins", "The browser's half of one login. Another name for each, so parallel logins do not meet.",
         lambda response: pages.set_flow_cookie(response, "1a2b3c4d", "SECRET", 1_790_000_000)),
        ("a login after *Allow cookies here*", "The same without `Partitioned`: the person has let the frame use the cookies of the site.",
         lambda response: pages.set_flow_cookie(response, "1a2b3c4d", "SECRET", 1_790_000_000, partitioned=False)),
        ("its launch is done", "The secret is gone, the name stays: a reload is told from a blocked cookie.",
         lambda response: pages.spend_flow_cookie(response, "1a2b3c4d")),
        ("a cookie came back in a frame", "Cookies work in this place, so that the next login asks no more. It holds nothing.",
         pages.set_seen_cookie),
    )  # fmt: skip
    rows = ((when, code(_set_cookie(write)), why) for when, why, write in written)
    return joined(
        table(("when", "`Set-Cookie`", "why"), rows),
        f"At most {pages.MAX_FLOWS} logins live in one browser; the oldest gives way.",
    )


def headers() -> str:
    """What every answer has, and what pages and key sets set themselves."""
    return joined(
        "## Every answer",
        "An answer that sets one of these itself keeps its own, but for `X-Content-Type-Options`, "
        "`Strict-Transport-Security` and `X-Request-Id`, which are always the host's.",
        table(("header", "value", "below `/apps/`"), _every_answer()),
        "## Pages inside an LMS",
        "`ORIGINS` are the registration's frame origins; without any, `https:` and the registration's own http origins within `LTIHOST_ALLOW_NETWORKS`.",
        table(("header", "value"), _rows(pages.lti_headers("ORIGINS"))),
        "## Below `/admin`",
        table(("header", "value"), _rows(admin_pages.HEADERS)),
        "## Key sets",
        table(("header", "value"), _rows(key_set._HEADERS)),
    )


def _set_cookie(write: Callable[[Response], None]) -> str:
    response = Response()
    write(response)
    return response.headers["set-cookie"]


def _rows(found: dict[str, str]) -> list[tuple[str, str]]:
    return [(code(name.title()), code(value)) for name, value in found.items()]


def _every_answer() -> list[tuple[str, str, str]]:
    """An application that is mounted below `/apps/` decides about its pages itself."""
    everywhere, mounted = (asyncio.run(_framed(path)) for path in ("/", "/apps/one"))
    return [(*row, "yes" if row[0].strip("`").lower() in mounted else "no") for row in _rows(everywhere)]


async def _framed(path: str) -> dict[str, str]:
    """The headers that the outermost layer adds to an answer that has none."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await RequestFrame(PlainTextResponse(), https=True)(scope, receive, send)
    added = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    own = {name.decode() for name, _ in PlainTextResponse().raw_headers}
    found = {name: value for name, value in added.items() if name not in own}
    return found | {"x-request-id": "16 hex digits, also in the log"}
