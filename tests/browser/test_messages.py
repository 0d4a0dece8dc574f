"""The script that talks to platform storage, alone: whom it believes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from ltihost.testing.serving import listen, port_of, serving
from tests.browser.conftest import impatient

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

#: The page around ours, with another frame beside it. It gives its answer to every put, and unasked to the right id
#: as well: to our page itself, or through the frame beside it.
PARENT = """<!doctype html><body><script>
const told = new URLSearchParams(location.search);
for (const name of ["tool", "beside"]) {
  const frame = document.createElement("iframe");
  [frame.name, frame.src] = [name, told.get(name)];
  document.body.append(frame);
}
const answer = { subject: "lti.put_data.response", message_id: told.get("id"), key: "key", value: "value" };
window.heard = [];
window.addEventListener("message", (event) => {
  window.heard.push(event.data.subject);
  if (["ready", "lti.put_data"].includes(event.data.subject)) frames[told.get("through")].postMessage(answer, "*");
});
</script>"""
#: Says to our page what it is told to say.
BESIDE = """<!doctype html><script>
window.addEventListener("message", (event) => parent.frames.tool.postMessage(event.data, "*"));
</script>"""
#: Our page, with ids that others can guess.
TOOL = """<!doctype html><p id=result>waiting</p><script src="/messages.js"></script><script>
crypto.randomUUID = () => "known-id";
const origins = [new URLSearchParams(location.search).get("origin")];
PlatformStorage.put({ target: "_parent", origins }, "key", "value").then((kept) =>
  document.getElementById("result").textContent = kept ? "kept" : "not kept");
setInterval(() => parent.postMessage({ subject: "ready" }, "*"), 100);
</script>"""
PAGES = {"/": PARENT, "/beside": BESIDE, "/tool": TOOL}
#: Who answers, whose origin is the platform's, and the id of the answer: is it believed? All else is right.
ANSWERS = {
    ("around", "around", "known-id"): "kept",
    ("beside", "beside", "known-id"): "kept",
    ("around", "beside", "known-id"): "not kept",
    ("beside", "around", "known-id"): "not kept",
    ("around", "around", "other-id"): "not kept",
}


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGES[request.url.path])


async def script(_: Request) -> PlainTextResponse:
    """An attacker has a second for his answer."""
    return PlainTextResponse(impatient("CAPABILITIES", "PUT", by=5), media_type="text/javascript")


def test_only_an_answer_of_the_platform_s_origin_to_our_question_is_believed(
    chromium: Callable[..., BrowserContext],
) -> None:
    """And no other origin is told anything."""
    app = Starlette(routes=[Route("/messages.js", script), *(Route(path, page) for path in PAGES)])
    browser = chromium()
    with ExitStack() as stack:
        origins = {}
        for name, host in (("around", "127.0.0.1"), ("beside", "127.0.0.1"), ("tool", "localhost")):
            sockets = listen("127.0.0.1")
            stack.enter_context(serving(app, sockets))
            origins[name] = f"http://{host}:{port_of(sockets)}"
        pages = {case: _opened(browser.new_page(), origins, *case) for case in ANSWERS}
        for (_, trusted, _), opened in pages.items():
            expect(opened.frame_locator("[name=tool]").locator("#result")).not_to_have_text("waiting", timeout=30_000)
            heard = opened.evaluate("window.heard")
            assert "ready" in heard
            assert ("lti.put_data" in heard) is (trusted == "around")
        results = {case: opened.frame_locator("[name=tool]").locator("#result") for case, opened in pages.items()}
        assert {case: result.text_content() for case, result in results.items()} == ANSWERS


def _opened(page: Page, origins: dict[str, str], speaker: str, trusted: str, message_id: str) -> Page:
    told = {
        "tool": f"{origins['tool']}/tool?origin={origins[trusted]}", "beside": f"{origins['beside']}/beside",
        "through": "tool" if speaker == "around" else "beside", "id": message_id,
    }  # fmt: skip
    page.goto(f"{origins['around']}/?{urlencode(told)}")
    return page
