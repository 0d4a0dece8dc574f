"""The page of an invitation, as browsers and strangers ask for it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from argon2 import PasswordHasher

from ltihost.app import build_app
from ltihost.host import Host
from ltihost.plugins.loader import load_plugins
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import admins, tables, tenants

BASE = "http://localhost:8700"
GOOD = "tulip engine forty"
OWN = {"origin": BASE, "sec-fetch-site": "same-origin"}


@dataclass
class Console:
    """The host with one invitation."""

    host: Host
    http: httpx2.AsyncClient
    token: str

    @property
    def url(self) -> str:
        return f"/admin/invitation/{self.token}"

    async def form(self) -> str:
        """The token that is in the form."""
        found = re.search(r'name="form" value="([0-9a-f]{64})"', (await self.http.get(self.url)).text)
        assert found is not None
        return found[1]

    async def post(self, *, headers: dict[str, str] = OWN, **changes: Any) -> httpx2.Response:
        fields = {"form": changes.pop("form", None) or await self.form(), "password": GOOD, "again": GOOD} | changes
        return await self.http.post(self.url, data=fields, headers=headers)

    async def account(self) -> tables.Admin:
        return (await self.host.database.run_host(admins.listed))[0]


@pytest.fixture
async def console(settings: Settings) -> AsyncIterator[Console]:
    app = build_app(settings, plugins=load_plugins(["lti"]))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        http = await stack.enter_async_context(
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE)
        )
        host: Host = app.state.host
        invitation = await host.database.run_host(admins.create, HOST, "ada@example.org", actor="tests")
        yield Console(host, http, invitation.token)


async def test_a_person_sets_the_password_once(console: Console) -> None:
    shown = await console.http.get(console.url)
    assert shown.status_code == 200
    assert "ada@example.org" in shown.text
    done = await console.post()
    assert done.status_code == 200
    assert "Your account is ready" in done.text
    assert "has none yet" in done.text
    stored = (await console.account()).password_hash
    assert PasswordHasher().verify(stored or "", GOOD)
    for again in (await console.http.get(console.url), await console.post(form="0" * 64)):
        assert again.status_code == 410


async def test_looking_at_the_link_spends_nothing(console: Console) -> None:
    for _ in range(3):
        assert (await console.http.get(console.url)).status_code == 200
    assert (await console.http.head(console.url)).status_code == 200
    assert (await console.post()).status_code == 200


async def test_the_page_names_the_organisation(console: Console) -> None:
    tenant = await console.host.database.run_host(tenants.create, "uni", "Uni <Nord>", actor="tests")
    made = await console.host.database.run_host(admins.create, tenant.id, "tom@uni.example", actor="tests")
    shown = await console.http.get(f"/admin/invitation/{made.token}")
    assert "Uni &lt;Nord&gt;" in shown.text
    assert "tom@uni.example" in shown.text


async def test_unknown_spent_and_expired_look_the_same(console: Console) -> None:
    tokens = ("x", "A" * 43, console.token[:-1], "\ud800".encode(errors="surrogatepass").decode("latin-1"))
    answers = [await console.http.get(f"/admin/invitation/{token}") for token in tokens]
    now = console.host.clock()
    console.host.clock = lambda: now + 8 * 86_400
    answers += [await console.http.get(console.url), await console.post(form="0" * 64)]
    console.host.clock = lambda: now
    await console.post()
    answers.append(await console.http.get(console.url))
    assert {answer.status_code for answer in answers} == {410}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"origin": "null"},
        {"origin": BASE, "sec-fetch-site": "cross-site"},
        {"origin": BASE, "sec-fetch-site": "same-site"},
        {"origin": BASE, "sec-fetch-site": "none"},
        {"origin": f"{BASE}.evil.example"},
    ],
    ids=str,
)
async def test_a_form_of_another_site_changes_nothing(console: Console, headers: dict[str, str]) -> None:
    answer = await console.post(headers=headers)
    assert answer.status_code == 403
    assert (await console.account()).password_hash is None
    assert (await console.post()).status_code == 200


@pytest.mark.parametrize("headers", [{"origin": BASE}, {"sec-fetch-site": "same-origin"}], ids=str)
async def test_one_word_of_the_browser_is_enough(console: Console, headers: dict[str, str]) -> None:
    assert (await console.post(headers=headers)).status_code == 200


async def test_the_form_of_another_invitation_does_not_serve(console: Console) -> None:
    made = await console.host.database.run_host(admins.create, HOST, "bob@example.org", actor="tests")
    other = await Console(console.host, console.http, made.token).form()
    for form in (other, "", "é"):
        answer = await console.http.post(console.url, data={"form": form, "password": GOOD, "again": GOOD}, headers=OWN)
        assert answer.status_code == 403
    assert (await console.account()).password_hash is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"password": "short", "again": "short"}, "at least 12"),
        ({"password": "Password2024!", "again": "Password2024!"}, "guess"),
        ({"again": "tulip engine fifty"}, "differ"),
        ({"again": ""}, "differ"),
        ({"password": "", "again": ""}, "at least 12"),
    ],
)
async def test_a_password_that_will_not_do_is_said_and_can_be_mended(
    console: Console, fields: dict[str, str], said: str
) -> None:
    answer = await console.post(**fields)
    assert answer.status_code == 422
    assert said in answer.text
    assert GOOD not in answer.text
    assert (await console.account()).password_hash is None
    assert (await console.post()).status_code == 200


async def test_a_body_that_is_no_form_changes_nothing(console: Console) -> None:
    for headers in ({"content-type": "application/json"}, {"content-type": "multipart/form-data; boundary=x"}):
        answer = await console.http.post(console.url, content=b'{"password": "x"}', headers=OWN | headers)
        assert answer.status_code in (400, 403)
    assert (await console.post()).status_code == 200


async def test_every_answer_has_the_headers_of_admin_pages(console: Console) -> None:
    """Never framed, nothing inline, the link kept from other sites."""
    answers = (
        await console.http.get(console.url),
        await console.http.get("/admin/invitation/x"),
        await console.post(headers={}),
        await console.post(password="short", again="short"),
        await console.post(),
    )
    for answer in answers:
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["vary"] == "Cookie"
        assert "set-cookie" not in answer.headers
        assert "<script" not in answer.text
        assert "style=" not in answer.text
    assert (await console.http.put(console.url)).status_code == 405
