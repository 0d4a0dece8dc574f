"""The return page in a real browser: inside an LMS of another site it posts the answer there, once, with and without scripts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ltihost.app import build_app
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings
from ltihost.store import applications, registrations, tenants
from ltihost.store.database import Database
from ltihost.testing.serving import listen, port_of, serving
from tests.browser.conftest import ACTOR, FLAGS, run_apart
from tests.find_browser import find_browser
from tests.flows.key_server import KeyServer
from tests.flows.picker import deep_linking
from tests.flows.platform import CLIENT, DEPLOYMENT, ISSUER, Key, claims

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
KEY = Key("key-1")


@dataclass
class Lms:
    """A page with a frame, and the place to which answers come; `posted` are their fields, `query` those of the URL."""

    origin: str = ""
    posted: list[dict[str, str]] = field(default_factory=list)
    query: list[str] = field(default_factory=list)

    @property
    def return_url(self) -> str:
        return f"{self.origin}/return?course=2&sesskey=a%20b"

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/page", self._page), Route("/return", self._return, methods=["POST"])])

    async def _page(self, request: Request) -> HTMLResponse:
        return HTMLResponse(f'<h1>LMS</h1><iframe name="tool" src="{request.query_params["of"]}"></iframe>')

    async def _return(self, request: Request) -> HTMLResponse:
        self.posted.append(dict(parse_qsl((await request.body()).decode())))
        self.query.append(request.url.query)
        return HTMLResponse("<p>Content added</p>")


@dataclass
class Stage:
    """A host on localhost and an LMS on 127.0.0.1: two sites to a browser."""

    base_url: str
    lms: Lms
    api_key: str

    def continue_url(self, title: str = "Lab 1") -> str:
        """Launch the picker and finish, as an application does; without a browser, since that is not the matter here."""
        with httpx2.Client(base_url=self.base_url) as http:
            target = f"{self.base_url}/lti/launch"
            login = {"iss": ISSUER, "login_hint": "u", "target_link_uri": target, "client_id": CLIENT}
            sent = http.get("/lti/login", params=login)
            query = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
            cookie = "; ".join(header.partition(";")[0] for header in sent.headers.get_list("set-cookie"))
            payload = claims(time.time(), query["nonce"], target)
            deep_linking(deep_link_return_url=self.lms.return_url)(payload)
            form = {"state": query["state"], "id_token": KEY.sign(KEY.header(), payload)}
            launched = http.post("/lti/launch", data=form, headers={"cookie": cookie})
            code = dict(parse_qsl(urlsplit(launched.headers["location"]).query))["code"]
            bearer = {"authorization": f"Bearer {self.api_key}"}
            launch = http.post("/api/v1/launches/exchange", json={"code": code}, headers=bearer).json()
            body: dict[str, Any] = {"items": [{"type": "ltiResourceLink", "title": title}]}
            path = f"/api/v1/deep-links/{launch['deep_linking']['id']}/finish"
            return str(http.post(path, json=body, headers=bearer).json()["continue_url"])


@pytest.fixture(scope="module")
def stage(module_settings: Settings) -> Iterator[Stage]:
    with ExitStack() as stack:
        host, campus = listen("127.0.0.1"), listen("127.0.0.1")
        settings = module_settings.model_copy(update={"base_url": f"http://localhost:{port_of(host)}"})
        keys = KeyServer()
        stack.callback(keys.close)
        keys.keys = [KEY.jwk()]
        lms = Lms(f"http://127.0.0.1:{port_of(campus)}")
        api_key = run_apart(introduce(settings, keys.url))
        stack.enter_context(serving(build_app(settings, plugins=load_plugins(["lti"])), host, lifespan=True))
        stack.enter_context(serving(lms.app(), campus))
        yield Stage(settings.base_url, lms, api_key)


async def introduce(settings: Settings, jwks_url: str) -> str:
    """One tenant, application and registration. Answers the application's key."""
    database = Database(settings)
    await database.open()
    run = database.run_host
    tenant = await run(tenants.create, "uni", name="Uni", actor=ACTOR)
    application = await run(
        applications.create, tenant.id, "tool", name="Tool", launch_url="https://app.example/tool",
        picker_url="https://app.example/pick", actor=ACTOR,
    )  # fmt: skip
    key = await run(applications.create_key, application, scopes=("launch:exchange", "deeplink:write"), actor=ACTOR)
    values = {
        "issuer": ISSUER, "client-id": CLIENT, "auth-url": "https://lms.example/auth", "jwks-url": jwks_url,
        "token-url": "https://lms.example/token", "deployment-id": DEPLOYMENT,
    }  # fmt: skip
    made = await run(
        registrations.create, tenant.id, plugin="lti", name="LMS", application=application,
        values=list(values.items()), actor=ACTOR,
    )  # fmt: skip
    await run(registrations.approve, made.id, actor=ACTOR)
    await database.close()
    return str(key.text)


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    running = playwright.chromium.launch(executable_path=find_browser(), headless=True, args=FLAGS)
    yield running
    running.close()


def open_in_lms(page: Page, stage: Stage, url: str, origin: str = "") -> None:
    page.goto(f"{origin or stage.lms.origin}/page?of={url}")


def test_the_answer_arrives_in_the_lms_by_itself(stage: Stage, browser: Browser) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    before = len(stage.lms.posted)
    with page.expect_response(lambda answer: answer.url == stage.lms.return_url and answer.status == 200):
        open_in_lms(page, stage, stage.continue_url("</script><script>document.title='x'</script>"))
    expect(page.frame_locator('iframe[name="tool"]').locator("body")).to_contain_text("Content added")
    assert list(stage.lms.posted[before]) == ["JWT"]
    assert stage.lms.posted[before]["JWT"].count(".") == 2
    assert stage.lms.query[before] == "course=2&sesskey=a%20b"
    assert [text for text in complaints if "Policy" in text] == []
    page.close()


def test_without_scripts_it_takes_a_click(stage: Stage, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    before = len(stage.lms.posted)
    open_in_lms(page, stage, stage.continue_url())
    button = page.frame_locator('iframe[name="tool"]').get_by_role("button", name="Continue")
    expect(button).to_be_visible()
    assert len(stage.lms.posted) == before
    with page.expect_response(lambda answer: answer.url == stage.lms.return_url and answer.status == 200):
        button.click()
    assert len(stage.lms.posted) == before + 1
    context.close()


def test_a_second_visit_posts_nothing(stage: Stage, browser: Browser) -> None:
    page = browser.new_page()
    url = stage.continue_url()
    with page.expect_response(lambda answer: answer.url == stage.lms.return_url and answer.status == 200):
        open_in_lms(page, stage, url)
    before = len(stage.lms.posted)
    with page.expect_response(lambda answer: answer.url == url and answer.status == 410):
        open_in_lms(page, stage, url)
    expect(page.frame_locator('iframe[name="tool"]').locator("h1")).to_have_text("This page was used already")
    assert len(stage.lms.posted) == before
    page.close()


def test_no_other_site_can_show_the_page(stage: Stage, browser: Browser) -> None:
    """S-61: the LMS of the verified launch may frame it, and nobody else."""
    stranger, sockets = Lms(), listen("127.0.0.1")
    with serving(stranger.app(), sockets):
        page = browser.new_page()
        before = len(stage.lms.posted)
        with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            open_in_lms(page, stage, stage.continue_url(), f"http://127.0.0.1:{port_of(sockets)}")
        assert len(stage.lms.posted) == before
        page.close()
