"""S-62, S-63: an LMS whose every text is an attack. On each page of the host it is text, and nothing else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from playwright.sync_api import Dialog, Frame, Page, Playwright, Route, expect

from ltihost.app import build_app
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings
from ltihost.store import admins, tenants
from ltihost.store.database import Database
from ltihost.testing.serving import listen, port_of, serving
from tests.browser.conftest import ACTOR, FLAGS, impatient, run_apart
from tests.browser.test_deep_link_return import KEY, introduce
from tests.find_browser import find_browser
from tests.flows.key_server import KeyServer
from tests.flows.picker import deep_linking
from tests.flows.platform import CLIENT, ISSUER, LTI, Change, claims, put

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

TEXT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}{% raw %}${7*7}"
URL = "javascript:alert(1)"
#: What a launch must say as it is to be one; the rest of it is hostile.
_FIXED = {
    "iss",
    "aud",
    "nonce",
    *(LTI + name for name in ("version", "message_type", "deployment_id", "target_link_uri")),
}


def hostile(payload: dict[str, Any]) -> None:
    """Every text of a launch becomes an attack, and texts are added wherever a platform can put one."""
    payload |= {"picture": "", "website": "", "zoneinfo": "", "phone_number": ""}
    payload[LTI + "custom"] = {"plain": "", "url": "", TEXT: ""}
    payload[LTI + "lis"] = dict.fromkeys(
        ("person_sourcedid", "course_offering_sourcedid", "course_section_sourcedid"), ""
    )
    payload[LTI + "tool_platform"] = dict.fromkeys(("guid", "name", "version", "product_family_code", "url"), "")
    payload[LTI + "launch_presentation"] = dict.fromkeys(("document_target", "return_url", "locale"), "")
    for name in payload.keys() - _FIXED:
        payload[name] = _attack(payload[name], name)


def _attack(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _attack(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_attack(inner, name) for inner in value]
    if isinstance(value, str):
        return URL if re.search(r"ur[li]s?$|picture|website|lineitems", name) else TEXT
    return value


@dataclass
class Stage:
    """A host on localhost; the LMS at `ISSUER` is played by the browser itself."""

    base_url: str
    api_key: str
    settings: Settings

    def api(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.base_url, headers={"authorization": f"Bearer {self.api_key}"})

    def login_url(self, **changes: str) -> str:
        target = f"{self.base_url}/lti/launch"
        sent = {
            "iss": ISSUER,
            "client_id": CLIENT,
            "login_hint": TEXT,
            "lti_message_hint": TEXT,
            "target_link_uri": target,
        }
        return f"{self.base_url}/lti/login?{urlencode(sent | changes)}"


@pytest.fixture(scope="module")
def stage(module_settings: Settings) -> Iterator[Stage]:
    with ExitStack() as stack:
        sockets = listen("127.0.0.1")
        settings = module_settings.model_copy(update={"base_url": f"http://localhost:{port_of(sockets)}"})
        keys = KeyServer()
        stack.callback(keys.close)
        keys.keys = [KEY.jwk()]
        api_key = run_apart(introduce(settings, keys.url))
        stack.enter_context(serving(build_app(settings, plugins=load_plugins(["lti"])), sockets, lifespan=True))
        yield Stage(settings.base_url, api_key, settings)


@dataclass
class Visit:
    """A page of the LMS with a frame, and what went wrong on it. `changes` is what the LMS puts into its next token."""

    stage: Stage
    page: Page
    changes: list[Change] = field(default_factory=lambda: [hostile])
    error: dict[str, str] = field(default_factory=dict)
    posted: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("dialog", self._dialog)
        self.page.on("console", lambda said: self.faults.append(said.text) if "Policy" in said.text else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.route(f"{ISSUER}/**", self._lms)
        script = impatient("CAPABILITIES", "PUT", "GET", by=10)
        self.page.route(
            "**/static/messages.js*", lambda route: route.fulfill(body=script, content_type="text/javascript")
        )

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(dialog.message)
        dialog.dismiss()

    def open(self, url: str) -> Frame:
        """Show it in the LMS's frame."""
        self.page.goto(f"{ISSUER}/page?{urlencode({'of': url})}")
        return self.page.frames[1]

    def go_on(self) -> None:
        """The LMS sends its answer."""
        self.page.frame_locator("iframe").get_by_role("button", name="Go on").click()

    def launch(self, http: httpx2.Client) -> dict[str, Any]:
        """Go through, as far as the browser is sent to the application: what that gets for the code."""
        self.open(self.stage.login_url())
        with self.page.expect_request("https://app.example/**") as sent:
            self.go_on()
        (code,) = parse_qs(urlsplit(sent.value.url).query)["code"]
        launch: dict[str, Any] = http.post("/api/v1/launches/exchange", json={"code": code}).json()
        return launch

    def _lms(self, route: Route) -> None:
        parts = urlsplit(route.request.url)
        query = dict(parse_qsl(parts.query))
        if parts.path == "/page":
            body = f'<iframe name="tool" src="{escape(query["of"])}"></iframe>'
        elif parts.path == "/auth":
            assert (query["login_hint"], query["lti_message_hint"]) == (TEXT, TEXT)
            body = self._form(query)
        else:
            self.posted.append(dict(parse_qsl(route.request.post_data or "")))
            body = "<p>Content added</p>"
        route.fulfill(body=body, content_type="text/html")

    def _form(self, query: dict[str, str]) -> str:
        payload = claims(time.time(), query["nonce"], query["redirect_uri"])
        for change in self.changes:
            change(payload)
        sent = {"state": query["state"]} | (self.error or {"id_token": KEY.sign(KEY.header(), payload)})
        fields = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in sent.items())
        return f'<form method="post" action="{query["redirect_uri"]}">{fields}<button>Go on</button></form>'

    def check(self, frame: Frame | Page) -> None:
        """What stands there is text: it made no element, ran nothing, and was no template."""
        assert frame.locator("img, [onerror], script:not([src]):not([nonce])").count() == 0
        assert frame.locator("a[href^='javascript:'], form[action^='javascript:']").count() == 0
        assert "49" not in frame.locator("body").inner_text()
        assert self.faults == []


@pytest.fixture(scope="module")
def browser_of_all(playwright: Playwright) -> Iterator[Any]:
    ours = (
        "--disable-features=LocalNetworkAccessChecks",  # else a page of a public site may not frame one of this machine
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
    )
    running = playwright.chromium.launch(executable_path=find_browser(), headless=True, args=[*FLAGS, *ours])
    yield running
    running.close()


@pytest.fixture
def visit(stage: Stage, browser_of_all: Any) -> Iterator[Visit]:
    context = browser_of_all.new_context()
    yield Visit(stage, context.new_page())
    context.close()


def test_the_page_that_looks_for_a_rung(visit: Visit) -> None:
    visit.page.route("**/lti/login/probe?*", lambda route: route.abort())
    frame = visit.open(visit.stage.login_url(lti_storage_target=TEXT))
    window = frame.get_by_role("link", name="Open in a new window").first
    expect(window).to_be_visible(timeout=15_000)
    repeated = parse_qs(urlsplit(window.get_attribute("href") or "").query)
    assert (repeated["login_hint"], repeated["lti_message_hint"]) == ([TEXT], [TEXT])
    visit.check(frame)


def test_the_launch_reaches_the_application_as_it_is(visit: Visit) -> None:
    """Which shows that the LMS really says all this."""
    with visit.stage.api() as http:
        launch = visit.launch(http)
    assert (launch["context"]["title"], launch["resource_link"]["title"], launch["user"]["subject"]) == (
        TEXT,
        TEXT,
        TEXT,
    )
    assert launch["presentation"]["return_url"] is None
    assert visit.faults == []


def test_the_storage_page_and_what_it_says_in_the_end(visit: Visit) -> None:
    visit.open(visit.stage.login_url())
    expect(visit.page.frame_locator("iframe").get_by_role("button", name="Go on")).to_be_visible(timeout=15_000)
    visit.page.context.clear_cookies()
    visit.go_on()
    said = visit.page.frame_locator("iframe").get_by_role("heading", name="Your browser kept us from recognising you")
    expect(said).to_be_visible(timeout=15_000)
    visit.check(visit.page.frames[1])


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (put(lti_deployment_id=TEXT), "This place is waiting for approval"),
        (put(lti_target_link_uri=URL), "This link could not be checked"),
        ({"error": TEXT, "error_description": TEXT}, "Please open this link again"),
    ],
    ids=["pending", "target", "error"],
)
def test_pages_that_refuse(visit: Visit, change: Change | dict[str, str], title: str) -> None:
    if isinstance(change, dict):
        visit.error = change
    else:
        visit.changes.append(change)
    visit.open(visit.stage.login_url())
    visit.go_on()
    expect(visit.page.frame_locator("iframe").get_by_role("heading").first).to_have_text(title, timeout=15_000)
    visit.check(visit.page.frames[1])


def test_the_page_that_returns_content(visit: Visit) -> None:
    back = f"{ISSUER}/return?{urlencode({'x': TEXT})}"
    visit.changes.append(deep_linking(deep_link_return_url=back, data=TEXT, title=TEXT, text=TEXT))
    visit.changes.append(put(lti_roles=["Instructor"]))
    with visit.stage.api() as http:
        path = f"/api/v1/deep-links/{visit.launch(http)['deep_linking']['id']}/finish"
        item = {"type": "ltiResourceLink", "title": TEXT, "text": TEXT, "custom": {"plain": TEXT}}
        answer = http.post(path, json={"items": [item], "message": TEXT})
    assert answer.status_code == 200, answer.text
    visit.open(answer.json()["continue_url"])
    expect(visit.page.frame_locator("iframe").locator("body")).to_have_text("Content added")
    assert [list(fields) for fields in visit.posted] == [["JWT"]]
    visit.open(answer.json()["continue_url"])
    expect(visit.page.frame_locator("iframe").get_by_role("heading").first).to_have_text("This page was used already")
    visit.check(visit.page.frames[1])


def test_the_page_of_an_invitation(visit: Visit) -> None:
    async def invite() -> str:
        database = Database(visit.stage.settings)
        await database.open()
        tenant = await database.run_host(tenants.create, "hostile", name=TEXT, actor=ACTOR)
        made = await database.run_host(admins.create, tenant.id, "{{7*7}}'onfocus='x@uni.example", actor=ACTOR)
        await database.close()
        return made.token

    visit.page.goto(f"{visit.stage.base_url}/admin/invitation/{run_apart(invite())}")
    expect(visit.page.locator("main")).to_contain_text(TEXT)
    expect(visit.page.get_by_label("Account")).to_have_value("{{7*7}}'onfocus='x@uni.example")
    visit.check(visit.page)
