"""The cookie ladder in a real browser: each rung is reached where the one before fails, and recorded."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Page, Request, Response, expect
from starlette.responses import HTMLResponse

from ltihost.testing.serving import listen, port_of, serving
from tests.browser.conftest import World, impatient, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
Start = Callable[..., BrowserContext]
WITH_STORAGE = ["lti", "canvas", "blackboard"]
ALL = [*WITH_STORAGE, "moodle"]


def open_link(world: World, browser: BrowserContext, lms: str, **choices: str) -> Page:
    page = browser.new_page()
    sign_in(page, world, lms, "ada")
    page.goto(world.link_url(lms, **choices))
    return page


def arrive(page: Page, go: Callable[[], object]) -> None:
    """Do `go` and wait until the application has answered in the frame.

    The answer is watched, not the frame: playwright loses a frame that changes its process while it looks at it.
    """
    with page.expect_response(lambda r: "/apps/demo/launch?code=" in r.url and r.status == 200, timeout=60_000):
        go()


def launch(world: World, browser: BrowserContext, lms: str, **choices: str) -> Page:
    """Open a link of this LMS with the tool in its frame, and arrive."""
    page = browser.new_page()
    sign_in(page, world, lms, "ada")
    arrive(page, lambda: page.goto(world.link_url(lms, **choices)))
    return page


def tool(page: Page, name: str = "tool") -> FrameLocator:
    return page.frame_locator(f'iframe[name="{name}"]')


def expect_arrived(frame: FrameLocator | Page, person: str = "Ada O'Brien") -> None:
    expect(frame.locator("body")).to_contain_text(person, timeout=40_000)


def requests_of(browser: BrowserContext, world: World) -> list[Request]:
    """What this browser asks of the host from now on."""
    asked: list[Request] = []
    browser.on("request", lambda request: asked.append(request) if world.base_url in request.url else None)
    return asked


def referred_after_launch(asked: list[Request]) -> list[str]:
    """S-67: the requests that follow the launch's post and say where they came from."""
    posted = next(number for number, request in enumerate(asked) if request.url.endswith("/lti/launch"))
    following = asked[posted + 1 :]
    assert any("/apps/demo/launch?code=" in request.url for request in following)
    return [request.url for request in following if request.all_headers().get("referer")]


def newest_rung(world: World) -> tuple[str | None, str]:
    attempt = world.attempts()[0]
    return attempt.rung, attempt.outcome


@pytest.mark.parametrize("lms", ALL)
def test_with_cookies_the_first_rung_holds(world: World, chromium: Start, lms: str) -> None:
    browser = chromium()
    asked = requests_of(browser, world)
    launch(world, browser, lms)
    assert newest_rung(world) == ("cookie", "accepted")
    assert referred_after_launch(asked) == []


def test_once_a_cookie_came_back_the_rung_page_is_not_needed_again(world: World, chromium: Start) -> None:
    page = launch(world, chromium(), "lti")
    probes: list[str] = []
    page.on("request", lambda request: probes.append(request.url) if "/login/probe" in request.url else None)
    arrive(page, page.reload)
    assert probes == []
    assert newest_rung(world) == ("cookie", "accepted")


@pytest.mark.parametrize("lms", WITH_STORAGE)
def test_without_cookies_platform_storage_holds(world: World, chromium: Start, lms: str) -> None:
    browser = chromium(blocked=True)
    asked = requests_of(browser, world)
    launch(world, browser, lms)
    assert newest_rung(world) == ("storage", "accepted")
    assert referred_after_launch(asked) == []


@pytest.mark.parametrize(
    ("lms", "choices"), [("moodle", {}), ("canvas", {"storage": "silent"}), ("canvas", {"storage": "none"})]
)
def test_without_cookies_and_storage_a_window_of_its_own_holds(
    world: World, chromium: Start, lms: str, choices: dict[str, str]
) -> None:
    browser = chromium(blocked=True)
    page = open_link(world, browser, lms, **choices)
    button = tool(page).get_by_role("link", name="Open in a new window")
    expect(button).to_be_visible(timeout=15_000)
    before = len(world.attempts())
    with browser.expect_page() as opened:
        button.click()
    expect_arrived(opened.value)
    expect(tool(page).get_by_role("heading")).to_have_text("It is open in the other window")
    assert newest_rung(world) == ("window", "accepted")
    assert len(world.attempts()) == before + 1


@pytest.mark.parametrize("lms", ["canvas", "blackboard"])
@pytest.mark.parametrize("storage", ["legacy", "other_frame"])
def test_storage_as_older_and_stranger_platforms_have_it(world: World, chromium: Start, lms: str, storage: str) -> None:
    launch(world, chromium(blocked=True), lms, storage=storage)
    assert newest_rung(world) == ("storage", "accepted")


#: What storage answers in our frame, told by the console.
LISTEN = """window.addEventListener("message", ({ data }) => {
  if (/_data.response$/.test(data.subject)) console.debug(data.subject, data.error ? "error" : "value");
});"""
#: What storage answers when the value that it kept is asked for.
GIVES_BACK = {
    "wrong_value": {"lti.get_data.response value"},
    "get_error": {"lti.get_data.response error"},
    "get_silent": set(),
}


def test_storage_that_does_not_give_back_what_it_kept(world: World, chromium: Start) -> None:
    browser = chromium(blocked=True)
    browser.add_init_script(LISTEN)
    browser.route("**/static/messages.js*", lambda route: route.fulfill(body=impatient("GET", by=10)))
    for storage, got in GIVES_BACK.items():
        page = browser.new_page()
        assert _answers_to_a_refused_launch(world, page, storage) == {"lti.put_data.response value", *got}
        page.close()


def _answers_to_a_refused_launch(world: World, page: Page, storage: str) -> set[str]:
    answers: set[str] = set()
    page.on("console", lambda message: answers.add(message.text))
    sign_in(page, world, "canvas", "ada")
    with page.expect_response(lambda r: "/lti/" in r.url and r.status >= 400, timeout=60_000) as refused:
        page.goto(world.link_url("canvas", storage=storage))
    attempt = world.attempts()[0]
    assert (attempt.outcome, attempt.refusal) == ("refused", "browser_binding")
    assert "recognising you" in refused.value.text()
    assert attempt.code in refused.value.text()
    return {text for text in answers if "_data.response" in text}


@pytest.mark.parametrize(
    ("lms", "blocked", "rung"), [("moodle", False, "cookie"), ("canvas", True, "storage"), ("lti", True, "storage")]
)
def test_ten_embeds_on_one_page_at_once(world: World, chromium: Start, lms: str, blocked: bool, rung: str) -> None:
    page = chromium(blocked=blocked).new_page()
    sign_in(page, world, lms, "ada")
    arrived: set[str] = set()

    def all_arrived(response: Response) -> bool:
        """The ten frames are judged by what they received: playwright loses frames that change process at once."""
        if "/apps/demo/launch?code=" in response.url and response.status == 200:
            arrived.add(response.url)
        return len(arrived) == 10

    with page.expect_response(all_arrived, timeout=60_000):
        page.goto(f"{world.campus.base_url}/{lms}/c/biology/embeds")
    newest = world.attempts()[:10]
    assert {(attempt.rung, attempt.outcome) for attempt in newest} == {(rung, "accepted")}


def test_a_window_of_the_platform_s_own(world: World, chromium: Start) -> None:
    browser = chromium()
    page = launch(world, browser, "moodle")
    with browser.expect_page() as opened:
        page.get_by_role("link", name="Open in a new window").first.click()
    expect_arrived(opened.value)
    assert newest_rung(world) == ("cookie", "accepted")


def test_reload_and_back_ask_to_open_the_link_again(world: World, chromium: Start) -> None:
    """The launch answers with a redirect: going back repeats the platform's post only where the person insists."""
    page = chromium().new_page()
    sign_in(page, world, "moodle", "ada")
    forms: list[tuple[str, str]] = []
    page.on(
        "request",
        lambda request: forms.append((request.url, request.post_data or "")) if request.method == "POST" else None,
    )
    page.goto(world.campus.launch_url("moodle", "ada", "cell-quiz"))
    expect_arrived(page)
    ((url, body),) = [(url, body) for url, body in forms if url.endswith("/lti/launch")]
    repeat = page.request.post(url, data=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert repeat.status == 401
    assert "Please open this link again" in repeat.text()
    assert world.attempts()[0].refusal == "state_used"


def _stolen_launch(world: World, attacker: BrowserContext, lms: str, *, window: bool) -> tuple[str, dict[str, str]]:
    """The attacker goes through a launch in his own browser and keeps the last post to himself."""
    page = attacker.new_page()
    attacker.route(re.compile(r"/lti/launch$"), lambda route: route.abort())
    sign_in(page, world, lms, "zoe")
    with attacker.expect_event(
        "request", lambda request: request.url.endswith("/lti/launch"), timeout=15_000
    ) as caught:
        page.goto(world.link_url(lms))
        if window:
            tool(page).get_by_role("link", name="Open in a new window").click(timeout=15_000)
    request: Request = caught.value
    assert (request.frame.parent_frame is None) is window
    return request.url, dict(parse_qsl(request.post_data or ""))


ATTACK = """<!doctype html><form id=f method=post action="{url}" target="{target}">{fields}</form>
<p id=count>0</p><iframe name=inner></iframe><script>
let loads = 0;
document.querySelector("iframe").onload = () => document.getElementById("count").textContent = ++loads;
document.getElementById("f").submit();
</script>"""


@pytest.mark.parametrize(
    ("lms", "blocked", "window", "target"),
    [
        *((lms, lms != "moodle", False, target) for lms in ("moodle", "canvas", "lti") for target in ("inner", "_top")),
        ("moodle", True, True, "_top"),
    ],
)
def test_an_attacker_s_launch_does_not_work_in_a_victim_s_browser(
    world: World, chromium: Start, lms: str, blocked: bool, window: bool, target: str
) -> None:
    """Two browsers, on every rung: the attacker's own state and token, posted by a page of his from the victim's browser."""
    url, stolen = _stolen_launch(world, chromium(blocked=blocked), lms, window=window)
    victim = chromium(blocked=blocked).new_page()
    sign_in(victim, world, lms, "ada")
    fields = "".join(f'<input type=hidden name="{name}" value="{value}">' for name, value in stolen.items())
    page = ATTACK.replace("{url}", url).replace("{target}", target).replace("{fields}", fields)
    sockets = listen("127.0.0.1")
    with serving(HTMLResponse(page), sockets):
        victim.goto(f"http://127.0.0.1:{port_of(sockets)}/")
        if target == "_top":
            expect(victim.get_by_role("heading")).to_contain_text("Your browser kept us", timeout=15_000)
        else:  # the attacker's page may not even frame ours
            expect(victim.locator("#count")).to_have_text("1", timeout=15_000)
    attempt = world.attempts()[0]
    assert attempt.refusal == "browser_binding"
    assert attempt.outcome in ("refused", "waiting")
