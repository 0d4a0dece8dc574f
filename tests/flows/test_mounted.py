"""An application in the host's own process: the same launch, exchanged at its door, for the browser that launched."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ltihost.settings import Settings
from ltihost.store import applications
from tests.flows.platform import put
from tests.flows.rig import ACTOR, BASE, Browser, Rig
from tests.flows.test_launch_storage import confirm, data_of, framed_login


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was given."""
    await JSONResponse(scope.get("ltihost.launch"))(scope, receive, send)


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    made = Rig(settings, applications={"here": application})
    await made.start()
    here = await made.operator(
        applications.create, made.tenant.id, "here", name="Here", launch_url=f"{BASE}/apps/here/launch", actor=ACTOR
    )
    await made.register(client_id="client-2", application=here)
    yield made
    await made.stop()


async def test_the_launch_is_in_the_scope(rig: Rig) -> None:
    answer = await rig.launch(put(aud="client-2"), client_id="client-2")
    location = answer.headers["location"]
    assert location.startswith(f"{BASE}/apps/here/launch?code=")
    launch = (await rig.http.get(location, headers=rig.browser.header)).json()
    assert (launch["user"]["name"], launch["role"], launch["message"]) == ("Ada Byron", "instructor", "resource_link")
    assert launch["session"]["id"]
    again = await rig.http.get(location, headers=rig.browser.header)
    assert (again.status_code, "Please open this link again" in again.text) == (401, True)


async def test_somebody_else_s_code_signs_nobody_in(rig: Rig) -> None:
    """An attacker launches, keeps the code, and sends a victim to the URL with it."""
    answer = await rig.launch(put(aud="client-2"), client_id="client-2")
    victim = await rig.http.get(answer.headers["location"])
    assert victim.status_code == 401
    assert "Ada" not in victim.text


async def test_a_browser_without_cookies_arrives_too(rig: Rig) -> None:
    flow, rung = await framed_login(rig, Browser(), client_id="client-2")
    page = data_of(
        await rig.post(flow, rig.token(flow, put(aud="client-2")), Browser(), headers={"sec-fetch-dest": "iframe"})
    )
    location = (await confirm(rig, page, rung["value"])).json()["location"]
    assert (await rig.http.get(location)).json()["browser"] == {"rung": "storage", "cookies": "none"}


async def test_a_code_for_another_application_opens_nothing_here(rig: Rig) -> None:
    code = (await rig.launch()).headers["location"].partition("code=")[2]
    assert (await rig.http.get(f"{BASE}/apps/here/launch?code={code}", headers=rig.browser.header)).status_code == 401


@pytest.mark.parametrize("query", ["", "?code=google-123", "?state=x&code=4%2F0Ab"])
async def test_requests_of_its_own_pass_untouched(rig: Rig, query: str) -> None:
    assert (await rig.http.get(f"{BASE}/apps/here/callback{query}")).json() is None
