"""The script that talks to platform storage, alone: whom it believes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from ltihost.pages import STATIC
from ltihost.testing.serving import listen, port_of, serving

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

#: The page around ours: it answers whatever is asked, and sends one answer nobody asked it for, with the right id.
PARENT = """<!doctype html><iframe src="{tool}/tool?origin={trusted}"></iframe><script>
window.heard = [];
const answer = (id, key, value) => document.querySelector("iframe").contentWindow.postMessage(
  {{ subject: "lti.put_data.response", message_id: id, key, value }}, "*");
window.addEventListener("message", (event) => {{
  window.heard.push(event.data.subject);
  if (event.data.subject === "ready") answer("known-id", "key", "value");
  if (event.data.subject === "lti.put_data") answer(event.data.message_id, event.data.key, event.data.value);
}});
</script>"""
#: Our page, with ids that the page around it can guess.
TOOL = """<!doctype html><p id=result>waiting</p><script src="/messages.js"></script><script>
crypto.randomUUID = () => "known-id";
const origins = [new URLSearchParams(location.search).get("origin")];
PlatformStorage.put({ target: "_parent", origins }, "key", "value").then((kept) =>
  document.getElementById("result").textContent = kept ? "kept" : "not kept");
setInterval(() => parent.postMessage({ subject: "ready" }, "*"), 100);
</script>"""


def _impatient(script: str) -> str:
    """Waits a fifth of the time for answers that do not come; an attacker has a second for his."""
    impatient, times = re.subn(r"(CAPABILITIES|PUT)_MS = (\d)000;", r"\1_MS = \g<2>000 / 5;", script)
    assert times == 2
    return impatient


@pytest.mark.parametrize(("trusts_parent", "result"), [(True, "kept"), (False, "not kept")])
def test_only_the_platform_s_origin_is_believed(
    chromium: Callable[..., BrowserContext], trusts_parent: bool, result: str
) -> None:
    """Right subject, right id, right key and value, from a window of another origin: ignored. And it is told nothing."""
    around, tool = listen("127.0.0.1"), listen("127.0.0.1")
    parent_origin, tool_origin = f"http://127.0.0.1:{port_of(around)}", f"http://localhost:{port_of(tool)}"
    trusted = parent_origin if trusts_parent else "https://sso.example"

    async def parent(_: Request) -> HTMLResponse:
        return HTMLResponse(PARENT.format(tool=tool_origin, trusted=trusted))

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(TOOL)

    async def script(_: Request) -> PlainTextResponse:
        return PlainTextResponse(_impatient((STATIC / "messages.js").read_text()), media_type="text/javascript")

    tool_app = Starlette(routes=[Route("/tool", page), Route("/messages.js", script)])
    with serving(Starlette(routes=[Route("/", parent)]), around), serving(tool_app, tool):
        browser = chromium().new_page()
        browser.goto(parent_origin + "/")
        frame = browser.frames[1]
        frame.wait_for_function("document.getElementById('result').textContent !== 'waiting'", timeout=30_000)
        assert frame.text_content("#result") == result
        heard = browser.evaluate("window.heard")
    assert "ready" in heard
    assert ("lti.put_data" in heard) is trusts_parent
