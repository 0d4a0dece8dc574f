"""Pages, headers and limits: what a browser is told, and what never leaves the host."""

from __future__ import annotations

import ipaddress
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ltihost.errors import REASONS
from ltihost.pages import WORDS, Pages, redirect
from ltihost.records import Registration
from ltihost.settings import Settings
from ltihost.store.sqlite import database_path
from tests.flows.platform import put
from tests.flows.rig import BASE, Browser, Rig, code_in
from tests.flows.test_launch_storage import FRAME

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def registration(**fields: Any) -> Registration:
    values = {"issuer": "https://lms.example", "auth_url": "https://sso.example/auth"} | fields
    return Registration("reg_1", "ten_1", "LMS", "lti", "active", **values)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://app.example/a?b=%20c&d=(1)#e", "https://app.example/a?b=%20c&d=(1)#e"),
        ("https://app.example/a b?c=<d>", "https://app.example/a%20b?c=%3Cd%3E"),
        ("https://app.example/\N{LATIN SMALL LETTER U WITH DIAERESIS}", "https://app.example/%C3%BC"),
        ("https://app.example/\r\nSet-Cookie: a=b", "https://app.example/%0D%0ASet-Cookie:%20a=b"),
    ],
    ids=["plain", "unsafe", "not-ascii", "lines"],
)
def test_a_redirect_goes_where_it_says_and_nothing_else_comes_of_it(url: str, sent: str) -> None:
    response = redirect(url)
    assert response.status_code == 302
    assert response.headers["location"] == sent
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"


async def test_pages_inside_an_lms(rig: Rig) -> None:
    page = (await rig.login(headers=FRAME)).response
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors https:"
    )
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["permissions-policy"] == "camera=(), microphone=(), geolocation=(), payment=()"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "x-frame-options" not in page.headers
    assert "cross-origin-opener-policy" not in page.headers
    assert "<script>" not in page.text
    assert "onload=" not in page.text


@pytest.mark.parametrize(
    ("fields", "ancestors"),
    [
        ({}, "https:"),
        ({"frame_origins": ("https://a.example", "https://b.example")}, "https://a.example https://b.example"),
        (
            {"issuer": "http://127.0.0.1:8090", "auth_url": "http://127.0.0.1:8090/auth.php"},
            "https: http://127.0.0.1:8090",
        ),
        ({"issuer": "http://10.0.0.7", "auth_url": "http://127.0.0.1:1/a"}, "https: http://127.0.0.1:1"),
    ],
)
def test_who_may_frame_a_page(fields: dict[str, Any], ancestors: str) -> None:
    assert Pages(LOOPBACK).frame_ancestors(registration(**fields)) == ancestors


def test_no_http_origin_without_permission() -> None:
    local = registration(issuer="http://127.0.0.1:8090", auth_url="http://127.0.0.1:8090/auth.php")
    assert Pages(()).frame_ancestors(local) == "https:"
    assert Pages(()).frame_ancestors(None) == "https:"


async def test_two_registrations_do_not_list_each_other_s_origins(rig: Rig) -> None:
    await rig.set(rig.registration.id, frame_origins="https://one.example")
    await rig.register((), client_id="client-2", frame_origins="https://two.example")
    first = (await rig.login(Browser(), headers=FRAME)).response.headers["content-security-policy"]
    second = (await rig.login(Browser(), headers=FRAME, client_id="client-2")).response.headers[
        "content-security-policy"
    ]
    assert first.endswith("frame-ancestors https://one.example")
    assert second.endswith("frame-ancestors https://two.example")


@pytest.mark.parametrize(
    "origin", ["https://a.example; script-src *", "https://a.example\nx", "https://a.example/path", "a.example", "*"]
)
async def test_an_origin_that_would_change_the_policy_is_not_saved(rig: Rig, origin: str) -> None:
    from ltihost.errors import Invalid

    with pytest.raises(Invalid):
        await rig.set(rig.registration.id, frame_origins=origin)


def test_every_refusal_has_words_and_a_status() -> None:
    for code, reason in REASONS.items():
        assert reason.page in WORDS, code
        assert 400 <= reason.status <= 503, code
        assert reason.cause.endswith(".") or reason.cause.endswith(")."), code


async def test_whoever_opens_the_host_s_own_address_reads_what_it_is(rig: Rig) -> None:
    page = await rig.http.get("/")
    assert page.status_code == 200
    assert "This is an ltihost" in page.text
    assert "/readyz" in page.text


async def test_the_hand_over_is_not_kept_and_sends_no_referrer(rig: Rig) -> None:
    response = await rig.launch()
    assert response.status_code == 303
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    (cookie,) = response.headers.get_list("set-cookie")
    assert cookie.endswith("=spent; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=None; Partitioned")


async def test_key_sets_are_public_and_hold_nothing_private(rig: Rig) -> None:
    for path in ("/lti/jwks", f"/r/{rig.registration.id}/lti/jwks"):
        answer = await rig.http.get(path)
        assert answer.headers["cache-control"] == "public, max-age=3600, stale-if-error=86400"
        assert answer.headers["access-control-allow-origin"] == "*"
        (key,) = answer.json()["keys"]
        assert set(key) == {"kty", "n", "e", "kid", "alg", "use"}
        again = await rig.http.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert (await rig.http.get("/r/reg_unknown/lti/jwks")).status_code == 404


async def test_health_and_readiness_say_one_word(rig: Rig) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await rig.http.get(path)
        assert (answer.status_code, answer.text) == (200, "ok")
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


async def test_a_database_file_that_is_gone_is_not_ready(sqlite_settings: Settings) -> None:
    """Else launches are stored in a file that no longer has a name, and an operator's command makes a new one."""
    rig = Rig(sqlite_settings)
    await rig.start()
    path = database_path(sqlite_settings.database)
    assert path is not None
    path.rename(path.with_suffix(".away"))
    answer = await rig.http.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "database")
    path.with_suffix(".away").rename(path)
    assert (await rig.http.get("/readyz")).status_code == 200
    await rig.stop()


async def test_a_body_too_large_is_refused_before_it_is_read(rig: Rig) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1600):
            sent += 65_536
            yield b"x" * 65_536

    form = {"content-type": "application/x-www-form-urlencoded"}
    declared = await rig.http.post("/lti/launch", content=b"x" * 300_000, headers=form)
    assert declared.status_code == 413
    tracemalloc.start()
    streamed = await rig.http.post("/lti/launch", content=endless(), headers=form)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert streamed.status_code == 413
    assert sent < 512 * 1024
    assert peak < 2 * 1024 * 1024


async def test_a_form_of_too_many_fields_is_refused(rig: Rig) -> None:
    answer = await rig.http.post("/lti/launch", data={f"field{number}": "x" for number in range(60)})
    assert await rig.refused(answer) == "parameter_invalid"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/lti/login", "/lti/launch", "/lti/jwks"])
async def test_other_methods_are_not_allowed(rig: Rig, method: str, path: str) -> None:
    assert (await rig.http.request(method, path)).status_code == 405


async def test_hostile_names_arrive_as_text(rig: Rig) -> None:
    hostile = "<script>alert(1)</script>{{7*7}}\"'><img src=x onerror=alert(1)>"
    launch = await rig.exchange(await rig.launch(put(name=hostile, lti_resource_link={"id": "r", "title": hostile})))
    assert launch["user"]["name"] == hostile
    assert launch["resource_link"]["title"] == hostile


async def test_every_exchange_opens_a_session_of_its_own(rig: Rig) -> None:
    first, second = await rig.exchange(await rig.launch()), await rig.exchange(await rig.launch())
    assert first["session"]["id"] != second["session"]["id"]
    assert first["user"]["id"] == second["user"]["id"]


async def test_a_code_is_exchanged_once_within_a_minute(rig: Rig) -> None:
    code = code_in(await rig.launch())
    assert (await rig.redeem(code)).status_code == 200
    spent = await rig.redeem(code)
    assert (spent.status_code, spent.json()["code"]) == (410, "code_unusable")
    late = code_in(await rig.launch())
    rig.clock.now += 61
    assert (await rig.redeem(late)).status_code == 410
    assert (await rig.redeem("rubbish")).json() == spent.json()


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({}, {"code": "x"}, 401, "key_invalid"),
        ({"authorization": "Basic x"}, {"code": "x"}, 401, "key_invalid"),
        ({"authorization": "Bearer ltih_live_aaaaaaaaaaaaaaaa_x_y"}, {"code": "x"}, 401, "key_invalid"),
        ({"cookie": "__Host-lti=1"}, {"code": "x"}, 401, "key_invalid"),
        (None, {}, 422, "invalid_request"),
        (None, {"code": "x", "more": 1}, 422, "invalid_request"),
        (None, {"code": 1}, 422, "invalid_request"),
        (None, {"code": ""}, 422, "invalid_request"),
        (None, {"code": "x"}, 410, "code_unusable"),
    ],
)
async def test_the_api_says_what_is_wrong(
    rig: Rig, headers: dict[str, str] | None, body: Any, status: int, code: str
) -> None:
    bearer = {"authorization": f"Bearer {rig.api_key}"} if headers is None else headers
    answer = await rig.http.post("/api/v1/launches/exchange", json=body, headers=bearer)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_openapi_document_describes_the_exchange(rig: Rig) -> None:
    document = (await rig.http.get("/api/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "/launches/exchange" in document["paths"]
    assert set(document["components"]["schemas"]["LaunchShape"]["required"]) >= {
        "id",
        "user",
        "context",
        "session",
        "browser",
    }


async def test_the_exchanged_launch_is_what_the_document_says(rig: Rig) -> None:
    from ltihost.api.models import LaunchShape

    LaunchShape.model_validate(await rig.exchange(await rig.launch()))
    assert BASE.startswith("http://localhost")
