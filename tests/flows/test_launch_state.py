"""State, nonce and browser: single use, this browser only, parallel launches apart."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import pytest

from ltihost.store import deployments, directory, registrations, tables, tenants
from tests.flows.platform import put
from tests.flows.rig import ACTOR, OTHER_KEY, Browser, Rig, code_in


async def test_another_browser_cannot_finish_a_login(rig: Rig) -> None:
    attacker, victim = Browser(), Browser()
    flow = await rig.login(attacker)
    token = rig.token(flow)
    assert await rig.refused(await rig.post(flow, token, victim)) == "browser_binding"
    assert (await rig.post(flow, token, attacker)).status_code == 303


async def test_another_login_s_cookie_does_not_help(rig: Rig) -> None:
    attacker, victim = Browser(), Browser()
    flow = await rig.login(attacker)
    await rig.login(victim)
    (name,), (value,) = attacker.cookies.keys(), victim.cookies.values()
    victim.cookies[name] = value
    assert await rig.refused(await rig.post(flow, rig.token(flow), victim)) == "browser_binding"


async def test_a_cookie_chosen_beforehand_is_worth_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-58: even one of the very name that the login will take."""
    monkeypatch.setattr("ltihost.flows.launch.login.token_hex", lambda _: "0badcafe")
    chosen = {"__Host-lti-0badcafe": f"{int(rig.clock())}.{'c' * 43}", "__Host-lti-seen": "chosen"}
    planted, victim = Browser(), Browser()
    planted.cookies, victim.cookies = dict(chosen), dict(chosen)
    flow = await rig.login(victim)
    token = rig.token(flow)
    assert victim.cookies["__Host-lti-0badcafe"] != chosen["__Host-lti-0badcafe"]
    assert "c" * 43 not in victim.cookies["__Host-lti-0badcafe"]
    assert await rig.refused(await rig.post(flow, token, planted)) == "browser_binding"
    probe = await rig.http.get("/lti/login/probe?flow=0badcafe", headers=victim.header)
    victim.keep(probe)
    assert victim.cookies["__Host-lti-seen"] == "1"
    assert (await rig.post(flow, token, victim)).status_code == 303


async def test_a_launch_is_completed_once(rig: Rig) -> None:
    flow = await rig.login()
    token = rig.token(flow)
    assert (await rig.post(flow, token)).status_code == 303
    assert await rig.refused(await rig.post(flow, token)) == "state_used"


async def test_a_launch_is_completed_once_whatever_cookies_are_kept(rig: Rig) -> None:
    flow = await rig.login()
    kept = Browser()
    kept.cookies = dict(rig.browser.cookies)
    token = rig.token(flow)
    assert (await rig.post(flow, token)).status_code == 303
    assert await rig.refused(await rig.post(flow, token, kept)) == "state_used"
    assert await rig.count(tables.User) == 1


async def test_of_twenty_posts_at_once_one_is_admitted(rig: Rig) -> None:
    flow = await rig.login()
    token = rig.token(flow)
    header = rig.browser.header
    form = {"state": flow.state, "id_token": token}
    answers = await asyncio.gather(*(rig.http.post("/lti/launch", data=form, headers=header) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [303] + [401] * 19
    assert {attempt.refusal for attempt in await rig.attempts()} == {None, "state_used"}


@pytest.mark.parametrize("order", [(2, 0, 1), (0, 1, 2), (1, 2, 0)])
async def test_parallel_launches_in_one_browser_do_not_disturb_each_other(rig: Rig, order: tuple[int, ...]) -> None:
    flows = [await rig.login() for _ in range(3)]
    for index in order:
        assert (await rig.post(flows[index], rig.token(flows[index]))).status_code == 303


async def test_a_parallel_login_s_nonce_is_refused_and_its_login_still_good(rig: Rig) -> None:
    first, second = await rig.login(), await rig.login()
    mixed = rig.token(second)
    assert await rig.refused(await rig.post(first, mixed)) == "nonce_mismatch"
    assert (await rig.post(second, mixed)).status_code == 303
    assert (await rig.post(first, rig.token(first))).status_code == 303


async def test_an_old_token_in_a_fresh_login_is_refused(rig: Rig) -> None:
    first = await rig.login()
    token = rig.token(first)
    assert (await rig.post(first, token)).status_code == 303
    assert await rig.refused(await rig.post(await rig.login(), token)) == "nonce_mismatch"


async def test_a_bad_signature_burns_nothing(rig: Rig) -> None:
    flow = await rig.login()
    good = rig.token(flow)
    tampered = good[:-2] + ("AA" if good[-2:] != "AA" else "BB")
    assert await rig.refused(await rig.post(flow, tampered)) == "sig_invalid"
    assert (await rig.post(flow, good)).status_code == 303


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": None}, "state_missing"),
        ({"state": ""}, "state_missing"),
        ({"state": "ls1.AAAA.BBBB"}, "state_invalid"),
        ({"state": "x" * 5000}, "state_invalid"),
        ({"id_token": None}, "form_invalid"),
        ({"id_token": ""}, "form_invalid"),
    ],
)
async def test_a_form_with_one_defect(rig: Rig, changes: dict[str, str | None], code: str) -> None:
    flow = await rig.login()
    sent = {"id_token": rig.token(flow)} | changes
    assert await rig.refused(await rig.post(flow, **sent)) == code  # type: ignore[arg-type]


async def test_a_state_is_good_for_ten_minutes(rig: Rig) -> None:
    flow = await rig.login()
    rig.clock.now += 601
    assert await rig.refused(await rig.post(flow, rig.token(flow))) == "state_expired"


@pytest.mark.parametrize("name", ["state", "id_token"])
async def test_a_field_twice_in_one_form(rig: Rig, name: str) -> None:
    flow = await rig.login()
    fields = {"state": flow.state, "id_token": rig.token(flow)}
    body = urlencode([*fields.items(), (name, fields[name])])
    headers = rig.browser.header | {"content-type": "application/x-www-form-urlencoded"}
    assert await rig.refused(await rig.http.post("/lti/launch", content=body, headers=headers)) == "duplicate_parameter"


async def test_the_launch_url_opened_by_hand(rig: Rig) -> None:
    response = await rig.http.get("/lti/launch")
    assert response.status_code == 400
    assert await rig.refused(response) == "form_invalid"
    flow = await rig.login()
    by_get = await rig.http.get(
        "/lti/launch", params={"state": flow.state, "id_token": rig.token(flow)}, headers=rig.browser.header
    )
    assert await rig.refused(by_get) == "form_invalid"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("login_required", "login_required"),
        ("launch_no_longer_valid", "launch_no_longer_valid"),
        ("access_denied", "access_denied"),
        ("unauthorized_client", "platform_error"),
        ("<script>alert(1)</script>", "platform_error"),
    ],
)
async def test_the_platform_s_error_gets_a_page_and_spends_the_state(rig: Rig, error: str, code: str) -> None:
    flow = await rig.login()
    answer = await rig.post(flow, None, error=error, error_description="<img src=x onerror=alert(1)>")
    assert await rig.refused(answer) == code
    assert "<img" not in answer.text
    assert "<script>alert" not in answer.text
    assert error in str((await rig.attempts())[0].checks)
    assert await rig.refused(await rig.post(flow, rig.token(flow))) == "state_used"


async def test_an_error_by_get_and_an_error_without_description(rig: Rig) -> None:
    flow = await rig.login()
    answer = await rig.http.get(
        "/lti/launch", params={"state": flow.state, "error": "login_required"}, headers=rig.browser.header
    )
    assert await rig.refused(answer) == "login_required"


@pytest.mark.parametrize("state", ["", "rubbish"])
async def test_an_error_with_a_foreign_state_is_no_error_of_ours(rig: Rig, state: str) -> None:
    answer = await rig.http.post("/lti/launch", data={"state": state, "error": "login_required"})
    assert await rig.refused(answer) == ("state_invalid" if state else "state_missing")


async def test_nobody_spends_another_browser_s_state_with_an_error(rig: Rig) -> None:
    flow = await rig.login()
    await rig.post(flow, None, Browser(), error="access_denied")
    assert (await rig.post(flow, rig.token(flow))).status_code == 303


async def test_login_and_launch_name_the_same_deployment(rig: Rig) -> None:
    await rig.approve(rig.registration.id, "deployment-2")
    assert await rig.refused(await rig.launch(put(lti_deployment_id="deployment-2"))) == "deployment_mismatch"


async def test_the_signed_target_counts_and_a_difference_is_noted(rig: Rig) -> None:
    launch = await rig.exchange(await rig.launch(target_link_uri="https://app.example/tool/other"))
    assert launch["target_link_uri"] == "https://app.example/tool"
    assert "another target" in (await rig.attempts())[0].warnings[0]


SWITCHES = {
    "tenant_suspended": lambda rig: rig.operator(tenants.suspend, "uni", actor=ACTOR),
    "registration_inactive": lambda rig: rig.operator(registrations.disable, rig.registration.id, actor=ACTOR),
    "deployment_disabled": lambda rig: rig.operator(
        deployments.disable, rig.registration.id, "deployment-1", actor=ACTOR
    ),
    "plugin_disabled": lambda rig: rig.operator(tenants.disable_plugin, rig.tenant.id, "lti", actor=ACTOR),
    "user_suspended": lambda rig: rig.host.database.run(
        rig.tenant.id, directory.suspend_user, rig.user_id, actor=ACTOR
    ),
}


@pytest.mark.parametrize("code", SWITCHES)
async def test_whatever_is_switched_off_while_a_login_is_under_way(rig: Rig, code: str) -> None:
    rig.user_id = (await rig.exchange(await rig.launch()))["user"]["id"]
    flow = await rig.login()
    await SWITCHES[code](rig)
    assert await rig.refused(await rig.post(flow, rig.token(flow))) == code


@pytest.mark.parametrize("code", SWITCHES)
async def test_the_transaction_itself_looks_again(rig: Rig, code: str) -> None:
    """The cache may be five seconds behind; what admits is read in the launch's own transaction."""
    launch = await rig.exchange(await rig.launch())
    rig.user_id = launch["user"]["id"]
    flow = await rig.login()
    fresh, rig.host.routing.forget = rig.host.routing.forget, lambda: None  # type: ignore[method-assign]
    await SWITCHES[code](rig)
    rig.host.routing.forget = fresh  # type: ignore[method-assign]
    assert await rig.refused(await rig.post(flow, rig.token(flow))) == code


#: A plugin that is disabled lets nobody in; whoever is in stays.
ENDING = [code for code in SWITCHES if code != "plugin_disabled"]


@pytest.mark.parametrize("code", ENDING)
async def test_a_code_is_worth_nothing_once_something_is_off(rig: Rig, code: str) -> None:
    rig.user_id = (await rig.exchange(await rig.launch()))["user"]["id"]
    one_time = code_in(await rig.launch())
    await SWITCHES[code](rig)
    assert (await rig.redeem(one_time)).status_code == 410


@pytest.mark.parametrize("code", ENDING)
async def test_a_session_ends_with_what_it_rests_on(rig: Rig, code: str) -> None:
    """S-15."""
    launch = await rig.exchange(await rig.launch())
    rig.user_id = launch["user"]["id"]
    path, bearer = f"/api/v1/sessions/{launch['session']['id']}", {"authorization": f"Bearer {rig.api_key}"}
    assert (await rig.http.get(path, headers=bearer)).status_code == 200
    await SWITCHES[code](rig)
    gone = await rig.http.get(path, headers=bearer)
    assert (gone.status_code, gone.json()["code"]) == (404, "session_unknown")


async def test_a_token_of_another_client_of_the_same_issuer_is_a_mix_up(rig: Rig) -> None:
    await rig.register((), client_id="client-2")
    assert await rig.refused(await rig.launch(put(aud="client-2"))) == "mix_up"


async def test_a_token_of_another_platform_is_refused(rig: Rig) -> None:
    """Signed by B, with B's key and B's name, in a login of A."""
    other = await rig.register(issuer="https://b.example")
    rig.keys.keys.append(OTHER_KEY.jwk())
    flow = await rig.login()
    token = rig.token(flow, put(iss="https://b.example"), key=OTHER_KEY)
    assert await rig.refused(await rig.post(flow, token)) == "issuer_mismatch"
    assert other.id != rig.registration.id
