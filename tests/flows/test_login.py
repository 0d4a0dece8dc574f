"""Login initiation: which registration, what goes back to the platform, what is never done."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltihost.store import launches, registrations, tenants
from tests.flows.platform import CLIENT, DEPLOYMENT, ISSUER
from tests.flows.rig import ACTOR, BASE, Rig

JSON_HINT = '{"cmid":3,"launchid":"ltilaunch1_552607096"}'


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_browser_goes_to_the_registered_endpoint_with_every_parameter(rig: Rig, method: str) -> None:
    flow = await rig.login(method=method)
    location = flow.response.headers["location"]
    assert location.startswith("https://lms.example/auth?tenant=7&scope=openid&")
    assert flow.query == {
        "tenant": "7", "scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none",
        "client_id": CLIENT, "redirect_uri": f"{BASE}/lti/launch", "login_hint": "user-1", "lti_message_hint": "hint-1",
        "state": flow.state, "nonce": flow.nonce,
    }  # fmt: skip
    assert min(len(flow.nonce), len(flow.state)) >= 43
    assert flow.nonce != flow.state
    assert flow.response.headers["cache-control"] == "no-store"
    assert flow.response.headers["referrer-policy"] == "no-referrer"


async def test_the_registration_s_own_urls(rig: Rig) -> None:
    flow = await rig.login(path=f"/r/{rig.registration.id}/lti/login", client_id=None)
    assert flow.query["redirect_uri"] == f"{BASE}/r/{rig.registration.id}/lti/launch"
    response = await rig.post(flow, rig.token(flow), path=f"/r/{rig.registration.id}/lti/launch")
    assert response.status_code == 303


async def test_an_answer_to_the_other_url_is_refused(rig: Rig) -> None:
    flow = await rig.login(path=f"/r/{rig.registration.id}/lti/login")
    assert await rig.refused(await rig.post(flow, rig.token(flow), path="/lti/launch")) == "state_invalid"


@pytest.mark.parametrize("hint", [JSON_HINT, "a+b/c=d&e%20f", "ключ ✓", "x" * 4096, "0"])
async def test_hints_go_back_exactly(rig: Rig, hint: str) -> None:
    flow = await rig.login(lti_message_hint=hint, login_hint=hint)
    assert flow.query["lti_message_hint"] == hint
    assert flow.query["login_hint"] == hint


async def test_a_hint_of_undecodable_bytes_goes_back_byte_for_byte(rig: Rig) -> None:
    query = f"iss={quote(ISSUER)}&login_hint=%ff%FE%00z&target_link_uri=x&client_id={CLIENT}"
    response = await rig.http.get(f"/lti/login?{query}")
    assert "login_hint=%FF%FE%00z" in response.headers["location"]


@given(hint=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
async def test_any_hint_goes_back(rig: Rig, hint: str) -> None:
    assert (await rig.login(lti_message_hint=hint)).query["lti_message_hint"] == hint


async def test_an_absent_message_hint_stays_absent(rig: Rig) -> None:
    assert "lti_message_hint" not in (await rig.login(lti_message_hint=None)).query


async def test_parameters_in_the_url_of_a_post_count_and_the_form_wins(rig: Rig) -> None:
    flow = await rig.login(
        method="POST", path="/lti/login?lti_message_hint=of-the-url&login_hint=of-the-url", lti_message_hint=None
    )
    assert flow.query["lti_message_hint"] == "of-the-url"
    assert flow.query["login_hint"] == "user-1"


async def test_unknown_parameters_are_ignored(rig: Rig) -> None:
    flow = await rig.login(canvas_region="eu", redirect_uri="https://evil.example/", scope="everything")
    assert flow.query["redirect_uri"] == f"{BASE}/lti/launch"
    assert "canvas_region" not in flow.query


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
async def test_the_login_never_leads_to_its_target(rig: Rig, target: str) -> None:
    flow = await rig.login(target_link_uri=target)
    assert urlsplit(flow.response.headers["location"]).netloc == "lms.example"
    assert "evil.example" not in flow.response.headers["location"]


@pytest.mark.parametrize("name", ["iss", "login_hint", "target_link_uri"])
@pytest.mark.parametrize("value", [None, ""])
async def test_a_missing_parameter_is_named_to_the_administrator(rig: Rig, name: str, value: str | None) -> None:
    flow = await rig.login(**{name: value})
    assert flow.response.status_code == 400
    assert await rig.refused(flow.response) == "missing_parameter"
    assert (await rig.attempts())[0].checks[0].expected == name


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://unknown.example"}, "unknown_registration"),
        ({"iss": ISSUER + "/"}, "unknown_registration"),
        ({"iss": ISSUER.upper()}, "unknown_registration"),
        ({"client_id": "client-9"}, "unknown_registration"),
    ],
)
async def test_what_is_not_registered_exactly_is_unknown(rig: Rig, changes: dict[str, str], code: str) -> None:
    flow = await rig.login(**changes)
    assert flow.response.status_code == 403
    assert await rig.refused(flow.response) == code
    assert ISSUER not in flow.response.text


async def test_a_parameter_twice_is_refused(rig: Rig) -> None:
    response = await rig.http.get(f"/lti/login?iss={quote(ISSUER)}&iss={quote(ISSUER)}&login_hint=1&target_link_uri=x")
    assert response.status_code == 400
    assert await rig.refused(response) == "duplicate_parameter"


async def test_several_clients_of_one_issuer(rig: Rig) -> None:
    second = await rig.register(("deployment-2",), client_id="client-2")
    ambiguous = await rig.login(client_id=None, lti_deployment_id=None)
    assert await rig.refused(ambiguous.response) == "ambiguous_registration"
    assert (await rig.login(client_id="client-2")).query["client_id"] == "client-2"
    by_deployment = await rig.login(client_id=None, lti_deployment_id="deployment-2")
    assert by_deployment.query["client_id"] == "client-2"
    by_url = await rig.login(client_id=None, lti_deployment_id=None, path=f"/r/{second.id}/lti/login")
    assert by_url.query["client_id"] == "client-2"


async def test_one_client_of_an_issuer_needs_no_client_id(rig: Rig) -> None:
    assert (await rig.login(client_id=None)).query["client_id"] == CLIENT


async def test_a_second_key_set_for_the_same_client_lives_at_its_own_urls(rig: Rig) -> None:
    second = await rig.register((), jwks_url=f"{rig.keys.origin}/other-jwks")
    assert await rig.refused((await rig.login()).response) == "ambiguous_registration"
    assert (await rig.login(path=f"/r/{second.id}/lti/login")).response.status_code == 302


async def test_unknown_and_switched_off_look_the_same(rig: Rig) -> None:
    unknown = await rig.login(iss="https://unknown.example")
    await rig.operator(registrations.disable, rig.registration.id, actor=ACTOR)
    off = await rig.login()
    codes = [attempt.code for attempt in (await rig.attempts())[:2]]
    assert unknown.response.status_code == off.response.status_code
    assert unknown.response.text.replace(codes[1], "") == off.response.text.replace(codes[0], "")
    assert [attempt.refusal for attempt in (await rig.attempts())[:2]] == [
        "registration_inactive",
        "unknown_registration",
    ]


async def test_a_disabled_plugin_answers_with_a_plain_page(rig: Rig) -> None:
    await rig.operator(tenants.disable_plugin, rig.tenant.id, "lti", actor=ACTOR)
    assert await rig.refused((await rig.login()).response) == "plugin_disabled"


async def test_a_suspended_tenant_s_login_is_refused(rig: Rig) -> None:
    await rig.operator(tenants.suspend, "uni", actor=ACTOR)
    assert await rig.refused((await rig.login()).response) == "tenant_suspended"


async def test_logins_write_nothing_and_refused_ones_a_bounded_number(rig: Rig) -> None:
    for number in range(100):
        await rig.login(iss=f"https://flood-{number}.example")
        assert (await rig.login()).response.status_code == 302
    attempts = await rig.attempts()
    assert len(attempts) == 60
    assert {attempt.refusal for attempt in attempts} == {"unknown_registration"}
    assert await rig.operator(launches.only_counted, rig.clock.now - 120) == 40
    rig.clock.now += 60
    await rig.login(iss="https://later.example")
    assert len(await rig.attempts()) == 61


async def test_every_login_has_a_cookie_of_its_own_with_all_attributes(rig: Rig) -> None:
    first, second = await rig.login(), await rig.login()
    headers = [flow.response.headers.get_list("set-cookie") for flow in (first, second)]
    assert all(len(cookies) == 1 for cookies in headers)
    for (cookie,) in headers:
        pair, *attributes = cookie.split("; ")
        assert pair.startswith("__Host-lti-")
        assert attributes == ["Max-Age=600", "Path=/", "Secure", "HttpOnly", "SameSite=None", "Partitioned"]
    assert headers[0] != headers[1]


async def test_at_most_forty_logins_live_in_one_browser_and_the_newest_stay(rig: Rig) -> None:
    names = []
    for _ in range(45):
        rig.clock.now += 1
        before = set(rig.browser.cookies)
        await rig.login()
        names += [name for name in rig.browser.cookies if name not in before]
    assert list(rig.browser.cookies) == names[5:]


async def test_nothing_of_a_login_can_be_found_in_the_database(rig: Rig) -> None:
    flow = await rig.login()
    (cookie,) = rig.browser.cookies.values()
    secret = cookie.partition(".")[2]
    assert len(secret) >= 43
    for step in ("login", "launch"):
        if step == "launch":
            assert (await rig.post(flow, rig.token(flow))).status_code == 303
        dump = await rig.dump()
        assert rig.registration.id in dump
        assert [text for text in (flow.state, flow.nonce, secret) if text in dump] == [], step
    assert list(rig.browser.cookies.values()) == ["spent"]


async def test_the_deployment_may_be_named_without_its_prefix(rig: Rig) -> None:
    flow = await rig.login(lti_deployment_id=None, deployment_id=DEPLOYMENT)
    refused = await rig.post(
        flow,
        rig.token(
            flow,
            lambda payload: payload.update({"https://purl.imsglobal.org/spec/lti/claim/deployment_id": "deployment-2"}),
        ),
    )
    assert await rig.refused(refused) == "deployment_mismatch"
