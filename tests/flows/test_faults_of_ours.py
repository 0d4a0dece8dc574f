"""S-86: whatever breaks inside, the answer is a page or document with an id under which the log has it, and no more."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from ltihost import pages
from ltihost.app import build_app
from ltihost.plugins.loader import load_plugins
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import admins, applications
from ltihost.testing.serving import listen, port_of, serving
from tests.flows.picker import Picker, lti_link
from tests.flows.platform import put
from tests.flows.rig import ACTOR, BASE, Browser, Rig, code_in
from tests.flows.test_launch_storage import FRAME, confirm, to_storage_page
from tests.flows.test_notices import hello, post
from tests.log_sink import log_sink

WORDS = "/secret/path/of.py and SELECT * FROM users"
Place = Callable[[Rig, pytest.MonkeyPatch], Awaitable[httpx2.Response]]


def fails(*_: object, **__: object) -> Any:
    raise RuntimeError(WORDS)


async def broken_application(scope: Scope, receive: Receive, send: Send) -> None:
    fails()


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """As an operator gets it; what structlog writes for people takes a second for each traceback."""
    with log_sink() as stream:
        yield stream


@pytest.fixture
async def rig(sqlite_settings: Settings) -> AsyncIterator[Rig]:
    """With an application mounted in it; a server's own answer to an exception comes through. No fault is a database's."""
    made = Rig(sqlite_settings, applications={"here": broken_application})
    await made.start()
    transport = httpx2.ASGITransport(app=made.app, raise_app_exceptions=False, client=("203.0.113.7", 4711))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as made.http:
        yield made
    await made.stop()


async def login(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    patch.setattr(rig.host.routing, "routes", fails)
    return (await rig.login()).response


async def rung_page(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    patch.setattr(rig.host.pages, "rung", fails)
    return (await rig.login(headers=FRAME)).response


async def probe(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    patch.setattr(pages, "flow_secret", fails)
    return await rig.http.get("/lti/login/probe?flow=0badcafe")


async def launch(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    flow = await rig.login()
    patch.setattr(rig.host.calls, "normalise_claims", fails)
    return await rig.post(flow, rig.token(flow))


async def launch_store(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    flow = await rig.login()
    patch.setattr(rig.host.database.hot, "accept_launch", fails)
    return await rig.post(flow, rig.token(flow))


async def confirmation(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    _, page, secret = await to_storage_page(rig)
    patch.setattr(rig.host.calls, "map_roles", fails)
    return await confirm(rig, page, secret)


async def exchange(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    code = code_in(await rig.launch())
    patch.setattr(rig.host.database.hot, "redeem_code", fails)
    return await rig.redeem(code)


async def score(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    key = await rig.key(rig.application, "grades:write")
    patch.setattr("ltihost.api.scores.post_score", fails)
    headers = {"authorization": f"Bearer {key}", "idempotency-key": "one"}
    body = {"user_id": f"usr_{'a' * 26}", "attempt": 1, "given": 1, "maximum": 1}
    return await rig.http.post(f"/api/v1/line-items/lin_{'a' * 26}/scores", json=body, headers=headers)


async def choice(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    picker = await Picker.of(rig)
    link = await picker.begin()
    patch.setattr(rig.host.calls, "lint_content_item", fails)
    return await picker.finish(link, lti_link())


async def return_page(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    picker = await Picker.of(rig)
    url = (await picker.finish(await picker.begin(), lti_link())).json()["continue_url"]
    patch.setattr(rig.host.own_keys, "current", fails)
    return await picker.visit(url)


async def key_set(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    patch.setattr(rig.host.database, "run", fails)
    return await rig.http.get("/lti/jwks")


async def notice(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    patch.setattr("ltihost.flows.notices.read_notice", fails)
    return await post(rig, hello(rig))


async def invitation(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    made = await rig.operator(admins.create, HOST, "ada@example.org", actor=ACTOR)
    patch.setattr(rig.host.database, "run_lookup", fails)
    return await rig.http.get(f"/admin/invitation/{made.token}")


async def door(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    patch.setattr(rig.host.database.hot, "redeem_code", fails)
    return await rig.http.get(f"/apps/here/launch?code={'c' * 43}")


async def application(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    here = await rig.operator(
        applications.create, rig.tenant.id, "here", name="Here", launch_url=f"{BASE}/apps/here/launch", actor=ACTOR
    )
    await rig.register(client_id="client-2", application=here)
    answer = await rig.launch(put(aud="client-2"), client_id="client-2")
    return await rig.http.get(answer.headers["location"], headers=rig.browser.header)


async def readiness(rig: Rig, patch: pytest.MonkeyPatch) -> httpx2.Response:
    patch.setattr(rig.host.database, "ping", fails)
    return await rig.http.get("/readyz")


ATTEMPTS = (login, rung_page, launch, launch_store, confirmation)
OTHERS = (
    probe, exchange, score, choice, return_page, key_set, notice, invitation, door, application, readiness,
)  # fmt: skip


def expect_nothing_told(answer: httpx2.Response) -> None:
    assert answer.status_code == 500
    for word in ("RuntimeError", "secret", "path", "SELECT", "users", "Traceback", ".py", "line "):
        assert word not in answer.text, word
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("place", ATTEMPTS, ids=lambda place: place.__name__)
async def test_a_launch_ends_with_its_code(
    rig: Rig, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    answer = await place(rig, monkeypatch)
    expect_nothing_told(answer)
    newest = (await rig.attempts())[0]
    assert (newest.outcome, newest.refusal) == ("refused", "unexpected")
    assert newest.code in answer.text
    (line,) = [line for line in log.getvalue().splitlines() if "launch.failed" in line]
    told = json.loads(line)
    assert (told["code"], told["exception"].endswith("RuntimeError")) == (newest.code, True)


@pytest.mark.parametrize("place", OTHERS, ids=lambda place: place.__name__)
async def test_anything_else_ends_with_the_request_s_id(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    answer = await place(rig, monkeypatch)
    expect_nothing_told(answer)
    assert len(answer.headers["x-request-id"]) == 16
    assert answer.headers["x-request-id"] in answer.text


def test_the_server_s_log_has_it_under_the_id(
    sqlite_settings: Settings, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody handles it, the server writes it down, after the page is made."""
    app, sockets = build_app(sqlite_settings, plugins=load_plugins(["lti"])), listen("127.0.0.1")
    monkeypatch.setattr(app.state.host.database, "ping", fails)
    with serving(app, sockets, lifespan=True):
        answer = httpx2.get(f"http://127.0.0.1:{port_of(sockets)}/readyz")
    expect_nothing_told(answer)
    (line,) = [line for line in log.getvalue().splitlines() if "RuntimeError" in line]
    assert json.loads(line)["request_id"] == answer.headers["x-request-id"]
    assert WORDS not in line


async def test_what_was_broken_is_no_worse_afterwards(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same flow, by the same browser, once the fault is gone: nothing was spent."""
    browser = Browser()
    flow = await rig.login(browser)
    token = rig.token(flow)
    with monkeypatch.context() as patch:
        patch.setattr(rig.host.database.hot, "accept_launch", fails)
        assert (await rig.post(flow, token, browser)).status_code == 500
    assert (await rig.post(flow, token, browser)).status_code == 303
