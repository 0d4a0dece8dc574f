"""Platform storage: the rung for a browser that keeps no cookies in frames, and what cannot be done with it."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import httpx2
import pytest

from tests.flows.rig import BASE, Browser, Flow, Rig, code_in

FRAME = {"sec-fetch-dest": "iframe", "sec-fetch-site": "cross-site"}
OWN = {"sec-fetch-site": "same-origin", "origin": BASE}


def data_of(page: httpx2.Response) -> dict[str, str]:
    """The data attributes of a page of ours."""
    return {name: html.unescape(value) for name, value in re.findall(r'data-([a-z-]+)="([^"]*)"', page.text)}


async def framed_login(rig: Rig, browser: Browser, **changes: Any) -> tuple[Flow, dict[str, str]]:
    """A login in a frame: the rung page's data, and the flow it begins."""
    flow = await rig.login(browser, headers=FRAME, lti_storage_target="_parent", **changes)
    assert flow.response.status_code == 200
    data = data_of(flow.response)
    flow.query = dict(httpx2.URL(data["auth-url"]).params)
    flow.state, flow.nonce = flow.query["state"], flow.query["nonce"]
    return flow, data


async def confirm(
    rig: Rig, page: dict[str, str], secret: str, headers: dict[str, str] | None = None, **changes: str
) -> httpx2.Response:
    rig.clock.now += 0.001
    body = {"id_token": page["id-token"], "state": page["state"], "ticket": page["ticket"], "secret": secret} | changes
    return await rig.http.post(
        "/lti/launch/confirm", content=json.dumps(body), headers=OWN if headers is None else headers
    )


async def to_storage_page(rig: Rig) -> tuple[Flow, dict[str, str], str]:
    """As far as the page that asks platform storage, in a browser without cookies."""
    flow, rung = await framed_login(rig, Browser())
    page = await rig.post(flow, rig.token(flow), Browser(), headers=FRAME)
    assert page.status_code == 200
    return flow, data_of(page), rung["value"]


async def test_a_frame_without_a_cookie_gets_the_rung_page(rig: Rig) -> None:
    browser = Browser()
    flow, data = await framed_login(rig, browser)
    assert data["auth-url"].startswith("https://lms.example/auth?tenant=7&")
    assert data["origins"] == "https://lms.example"
    assert data["target"] == "_parent"
    assert data["key"].startswith("ltihost.")
    assert any(value.endswith("." + data["value"]) for value in browser.cookies.values())
    assert data["value"] not in flow.state
    probe = await rig.http.get(data["probe-url"].removeprefix(BASE), headers=browser.header)
    assert probe.json() == {"cookie": True}
    blocked = await rig.http.get(data["probe-url"].removeprefix(BASE))
    assert blocked.json() == {"cookie": False}


async def test_a_frame_with_a_cookie_of_ours_goes_straight_on(rig: Rig) -> None:
    browser = Browser()
    _, data = await framed_login(rig, browser)
    browser.keep(await rig.http.get(data["probe-url"].removeprefix(BASE), headers=browser.header))
    assert "__Host-lti-seen" in browser.cookies
    straight = await rig.login(browser, headers=FRAME)
    assert straight.response.status_code == 302
    launch = await rig.exchange(await rig.post(straight, rig.token(straight), browser, headers=FRAME))
    assert launch["browser"] == {"rung": "cookie", "cookies": "partitioned"}


async def test_the_button_repeats_the_login_in_a_window_of_its_own(rig: Rig) -> None:
    browser = Browser()
    flow = await rig.login(browser, method="POST", headers=FRAME, lti_message_hint='{"a":"b&c"}')
    (link,) = re.findall(r'id="window" href="([^"]+)"', flow.response.text)
    response = await rig.http.get(html.unescape(link).removeprefix(BASE), headers={"sec-fetch-dest": "document"})
    window = Browser()
    window.keep(response)
    again = Flow(response, window.cookies, query=dict(httpx2.URL(response.headers["location"]).params))
    again.state, again.nonce = again.query["state"], again.query["nonce"]
    assert again.query["lti_message_hint"] == '{"a":"b&c"}'
    launch = await rig.exchange(await rig.post(again, rig.token(again), window))
    assert launch["browser"] == {"rung": "window", "cookies": "first_party"}


async def test_the_secret_from_storage_completes_the_launch(rig: Rig) -> None:
    _, page, secret = await to_storage_page(rig)
    answer = await confirm(rig, page, secret)
    location = answer.json()["location"]
    assert location.startswith("https://app.example/tool?code=")
    redeemed = (await rig.redeem(location.partition("code=")[2])).json()
    assert redeemed["browser"] == {"rung": "storage", "cookies": "none"}
    (attempt,) = await rig.attempts()
    assert (attempt.outcome, attempt.rung) == ("accepted", "storage")


async def test_the_post_alone_is_stored_as_waiting(rig: Rig) -> None:
    await to_storage_page(rig)
    (attempt,) = await rig.attempts()
    assert (attempt.outcome, attempt.refusal) == ("waiting", "browser_binding")


@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_a_wrong_or_missing_secret_is_refused(rig: Rig, secret: str) -> None:
    _, page, _ = await to_storage_page(rig)
    answer = await confirm(rig, page, secret)
    assert answer.status_code == 401
    assert answer.json()["refusal"]["code"] == (await rig.attempts())[0].code
    assert [attempt.refusal for attempt in await rig.attempts()] == ["browser_binding"]


async def test_another_login_s_secret_is_refused(rig: Rig) -> None:
    _, page, _ = await to_storage_page(rig)
    _, _, other = await to_storage_page(rig)
    assert (await confirm(rig, page, other)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"sec-fetch-site": "same-site", "origin": "http://other.localhost:8700"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
)
async def test_the_right_secret_from_a_page_of_another_site_proves_nothing(rig: Rig, headers: dict[str, str]) -> None:
    """An attacker knows his own secret; he may make a victim's browser send it, but not from a page of ours."""
    _, page, secret = await to_storage_page(rig)
    answer = await confirm(rig, page, secret, headers=headers)
    assert answer.status_code == 401
    assert (await rig.attempts())[0].refusal == "browser_binding"


async def test_the_secret_in_a_form_post_proves_nothing(rig: Rig) -> None:
    flow, page, secret = await to_storage_page(rig)
    answer = await rig.post(flow, page["id-token"], Browser(), secret=secret, ticket=page["ticket"])
    assert "location" not in answer.headers


async def test_a_confirmation_counts_once(rig: Rig) -> None:
    _, page, secret = await to_storage_page(rig)
    assert "location" in (await confirm(rig, page, secret)).json()
    assert (await confirm(rig, page, secret)).status_code == 401
    assert sorted(str(attempt.refusal) for attempt in await rig.attempts()) == ["None", "state_used"]


@pytest.mark.parametrize("part", ["ticket", "state", "id_token"])
async def test_every_part_of_a_confirmation_must_be_of_the_same_launch(rig: Rig, part: str) -> None:
    _, page, secret = await to_storage_page(rig)
    _, other, _ = await to_storage_page(rig)
    answer = await confirm(rig, page, secret, **{part: other[part.replace("_", "-")]})
    assert answer.status_code == 400
    assert (await rig.attempts())[0].refusal == "form_invalid"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"id_token":1,"state":2,"ticket":3,"secret":4}', b"\xff", b"null"]
)
async def test_rubbish_is_no_confirmation(rig: Rig, body: bytes) -> None:
    answer = await rig.http.post("/lti/launch/confirm", content=body, headers=OWN)
    assert answer.status_code == 400


async def test_the_token_is_judged_by_the_moment_of_its_post(rig: Rig) -> None:
    """A token that lived when it was posted does not die while storage is asked."""
    flow, rung = await framed_login(rig, Browser())
    token = rig.token(flow)
    rig.clock.now += 300 + 59
    page = data_of(await rig.post(flow, token, Browser(), headers=FRAME))
    rig.clock.now += 3
    assert "location" in (await confirm(rig, page, rung["value"])).json()


async def test_a_confirmation_comes_within_a_minute(rig: Rig) -> None:
    _, page, secret = await to_storage_page(rig)
    rig.clock.now += 61
    assert (await confirm(rig, page, secret)).status_code == 400


async def test_a_top_level_post_without_a_cookie_is_not_passed_on(rig: Rig) -> None:
    flow = await rig.login(Browser())
    assert await rig.refused(await rig.post(flow, rig.token(flow), Browser())) == "browser_binding"


@pytest.mark.parametrize("target", ["a b", "x" * 65, '"><script>', "frames[0]"])
async def test_an_odd_storage_target_is_not_taken(rig: Rig, target: str) -> None:
    flow = await rig.login(Browser(), headers=FRAME, lti_storage_target=target)
    assert data_of(flow.response)["target"] == ""


async def test_parallel_storage_launches_on_one_page(rig: Rig) -> None:
    launches = [await to_storage_page(rig) for _ in range(3)]
    assert len({page["key"] for _, page, _ in launches}) == 3
    for _, page, secret in reversed(launches):
        assert "location" in (await confirm(rig, page, secret)).json()


async def test_the_launch_s_code_works_like_any_other(rig: Rig) -> None:
    assert code_in(await rig.launch())
