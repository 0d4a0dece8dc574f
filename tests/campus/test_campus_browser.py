"""The campus in a real browser: frames, platform storage and every way it can fail, pages on small screens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Frame, Page
from starlette.responses import PlainTextResponse

from ltihost.testing.serving import RunningCampus, listen, port_of, running_campus, serving
from tests.campus.conftest import KEYS, MAKERS, stub_tool
from tests.campus.stub_tool import StubTool

pytestmark = pytest.mark.browser

#: Asks the LMS's page or one of its frames, as a tool in a frame does; null when nobody answers in 400 ms.
ASK = """async ({ frame, message }) => {
  const root = window.parent !== window ? window.parent : window.opener;
  let target = root;
  try {
    if (frame) target = root.frames[frame];
  } catch {
    return "no such frame"; // Chromium throws for a name that a page of another origin does not have
  }
  const id = crypto.randomUUID();
  return await new Promise((resolve) => {
    const listen = (event) => {
      if (!event.data || event.data.message_id !== id) return;
      clearTimeout(timer);
      removeEventListener("message", listen);
      resolve({ origin: event.origin, ...event.data });
    };
    const timer = setTimeout(() => resolve(null), 400);
    addEventListener("message", listen);
    target.postMessage({ ...message, message_id: id }, "*");
  });
}"""

ADD_FRAME = """(url) => {
  const frame = document.createElement("iframe");
  Object.assign(frame, { name: "stranger", src: url });
  document.body.append(frame);
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[RunningCampus]:
    """Sign-in and storage frames on 127.0.0.2, courses on 127.0.0.1."""
    with running_campus([make() for make in MAKERS.values()], second_origin="127.0.0.2") as running:
        yield running


@pytest.fixture(scope="module")
def believer(site: RunningCampus) -> Iterator[StubTool]:
    with stub_tool(site) as found:
        yield found


@pytest.fixture
def page(chromium: Browser, believer: StubTool) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1100, "height": 800})
    yield context.new_page()
    context.close()


def tool_frame(page: Page) -> Frame:
    """The tool's frame, once the launch has arrived in it."""
    page.frame_locator("iframe[name=tool]").get_by_role("heading", name="Launched").wait_for()
    frame = page.frame("tool")
    assert frame
    return frame


def opened(page: Page, site: RunningCampus, key: str, query: str = "") -> Frame:
    page.goto(f"{site.base_url}/{key}/c/biology/l/cell-quiz{query}")
    return tool_frame(page)


def ask(frame: Frame, subject: str, place: str | None = None, **members: Any) -> Any:
    return frame.evaluate(ASK, {"frame": place, "message": {"subject": subject, **members}})


def put_and_get(frame: Frame, place: str | None, prefix: str = "") -> tuple[Any, Any]:
    put = ask(frame, prefix + "lti.put_data", place, key="state_1", value="secret-1")
    return put, ask(frame, prefix + "lti.get_data", place, key="state_1")


def offered(frame: Frame, subject: str = "lti.capabilities") -> dict[str, str | None]:
    """The subjects of the capabilities and the frame each is answered in."""
    answer = ask(frame, subject)
    assert answer["subject"] == subject + ".response"
    return {message["subject"]: message.get("frame") for message in answer["supported_messages"]}


@pytest.mark.parametrize("key", ["canvas", "blackboard"])
def test_storage_frame_keeps_data_and_answers_from_the_sign_in_origin(
    page: Page, site: RunningCampus, key: str
) -> None:
    frame = opened(page, site, key)
    name = site.platforms[key].profile.storage_frame
    assert offered(frame)["lti.put_data"] == offered(frame)["lti.get_data"] == name
    put, got = put_and_get(frame, name)
    assert (put["subject"], put["key"], put["value"]) == ("lti.put_data.response", "state_1", "secret-1")
    assert (got["subject"], got["key"], got["value"]) == ("lti.get_data.response", "state_1", "secret-1")
    assert put["origin"] == got["origin"] == site.platforms[key].endpoints("")["auth_url"].partition("/" + key)[0]
    assert put["origin"] != site.base_url


def test_storage_may_be_the_page_itself(page: Page, site: RunningCampus) -> None:
    frame = opened(page, site, "lti")
    assert offered(frame)["lti.put_data"] is None
    assert put_and_get(frame, None)[1]["value"] == "secret-1"


def test_an_lms_without_storage_answers_nothing(page: Page, site: RunningCampus, believer: StubTool) -> None:
    frame = opened(page, site, "moodle")
    assert ask(frame, "lti.capabilities") is None
    assert put_and_get(frame, None) == (None, None)
    assert "lti_storage_target" not in believer.logins[-1]


def test_a_window_of_its_own_reaches_storage_through_its_opener(page: Page, site: RunningCampus) -> None:
    opened(page, site, "canvas")
    with page.expect_popup() as opening:
        page.get_by_role("link", name="Open in a new window").click()
    window = opening.value
    window.get_by_role("heading", name="Launched").wait_for()
    assert put_and_get(window.main_frame, "post_message_forwarding")[1]["value"] == "secret-1"


def test_each_tool_origin_has_its_own_store(page: Page, site: RunningCampus) -> None:
    frame = opened(page, site, "canvas")
    put_and_get(frame, "post_message_forwarding")
    sockets = listen("localhost")
    with serving(PlainTextResponse("another tool"), sockets):
        page.evaluate(ADD_FRAME, f"http://localhost:{port_of(sockets)}/")
        page.frame_locator("iframe[name=stranger]").get_by_text("another tool").wait_for()
        stranger = page.frame("stranger")
        assert stranger
        assert ask(stranger, "lti.get_data", "post_message_forwarding", key="state_1")["value"] is None
    assert ask(frame, "lti.get_data", "post_message_forwarding", key="state_1")["value"] == "secret-1"


def test_put_without_a_value_deletes(page: Page, site: RunningCampus) -> None:
    frame = opened(page, site, "canvas")
    place = "post_message_forwarding"
    put_and_get(frame, place)
    ask(frame, "lti.put_data", place, key="state_1", value=None)
    assert ask(frame, "lti.get_data", place, key="state_1")["value"] is None


@pytest.mark.parametrize(
    ("subject", "members", "code"),
    [
        ("lti.put_data", {"value": "x"}, "bad_request"),
        ("lti.put_data", {"key": "k", "value": "x" * 4097}, "storage_exhaustion"),
        ("lti.get_data", {}, "bad_request"),
        ("lti.dance", {}, "unsupported_subject"),
    ],
)
def test_errors_have_codes(page: Page, site: RunningCampus, subject: str, members: dict[str, str], code: str) -> None:
    answer = ask(opened(page, site, "canvas"), subject, "post_message_forwarding", **members)
    assert (answer["subject"], answer["error"]["code"]) == (subject + ".response", code)


def test_silent_storage_is_announced_and_never_answers(page: Page, site: RunningCampus, believer: StubTool) -> None:
    frame = opened(page, site, "canvas", "?storage=silent")
    assert believer.logins[-1]["lti_storage_target"] == "post_message_forwarding"
    assert ask(frame, "lti.capabilities") is None
    assert put_and_get(frame, "post_message_forwarding") == (None, None)


def test_no_storage_is_not_announced(page: Page, site: RunningCampus, believer: StubTool) -> None:
    frame = opened(page, site, "canvas", "?storage=none")
    assert "lti_storage_target" not in believer.logins[-1]
    assert ask(frame, "lti.capabilities") is None
    assert ask(frame, "lti.capabilities", "post_message_forwarding") == "no such frame"


def test_legacy_storage_knows_the_old_names_only(page: Page, site: RunningCampus) -> None:
    frame = opened(page, site, "canvas", "?storage=legacy")
    assert ask(frame, "lti.capabilities") is None
    assert "org.imsglobal.lti.put_data" in offered(frame, "org.imsglobal.lti.capabilities")
    assert put_and_get(frame, "post_message_forwarding") == (None, None)
    assert put_and_get(frame, "post_message_forwarding", "org.imsglobal.")[1]["value"] == "secret-1"


def test_wrong_value(page: Page, site: RunningCampus) -> None:
    put, got = put_and_get(opened(page, site, "canvas", "?storage=wrong_value"), "post_message_forwarding")
    assert put["value"] == "secret-1"
    assert got["value"] not in ("secret-1", None)


def test_storage_in_another_frame_than_announced(page: Page, site: RunningCampus, believer: StubTool) -> None:
    frame = opened(page, site, "canvas", "?storage=other_frame")
    announced = believer.logins[-1]["lti_storage_target"]
    real = offered(frame)["lti.put_data"]
    assert real not in (announced, None)
    assert ask(frame, "lti.capabilities", announced) == "no such frame"
    assert put_and_get(frame, real)[1]["value"] == "secret-1"


def test_a_tool_may_resize_and_close_its_frame(page: Page, site: RunningCampus) -> None:
    frame = opened(page, site, "canvas")
    frame.evaluate("parent.postMessage({ subject: 'lti.frameResize', height: 333 }, '*')")
    page.wait_for_function("document.querySelector('iframe[name=tool]').offsetHeight === 333")
    frame.evaluate("parent.postMessage({ subject: 'lti.close' }, '*')")
    page.get_by_text("The tool closed this frame.").wait_for()
    assert page.locator("iframe[name=tool]").count() == 0


@pytest.mark.parametrize("key", KEYS)
def test_ten_embeds_at_once(page: Page, site: RunningCampus, believer: StubTool, key: str) -> None:
    before = len(believer.launches)
    page.goto(f"{site.base_url}/{key}/c/biology/embeds")
    for number in range(1, 11):
        page.frame_locator(f"iframe[name=embed-{number}]").get_by_role("heading", name="Launched").wait_for()
    launches = believer.launches[before:]
    assert len({launch["state"] for launch in launches}) == len(launches) == 10
    assert all("id_token" in launch for launch in launches)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_fit_and_break_no_rule_of_their_own(page: Page, site: RunningCampus, key: str, width: int) -> None:
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", note)
    page.set_viewport_size({"width": width, "height": 740})
    for path in ("", *(f"c/biology{place}" for place in ("", "/people", "/grades", "/l/cell-quiz", "/pick"))):
        page.goto(f"{site.base_url}/{key}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
    tool_frame(page)
    assert complaints == []


def test_a_person_is_changed_by_hand_and_by_keyboard(page: Page, site: RunningCampus) -> None:
    page.goto(f"{site.base_url}/canvas/c/biology")
    page.locator(".who summary").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Ada O'Brien").click()
    page.wait_for_url("**/canvas/c/biology")
    assert "Student" in page.locator(".who summary").inner_text()
    assert page.get_by_role("link", name="Find an external tool").count() == 0


def test_choosing_a_fault_by_hand(page: Page, site: RunningCampus, believer: StubTool) -> None:
    opened(page, site, "canvas")
    page.get_by_text("Let something go wrong").click()
    page.get_by_label("The LMS answers: not this person (access_denied)").check()
    page.get_by_role("button", name="Open the link like this").click()
    page.wait_for_url("**fault=access_denied**")
    tool_frame(page)
    assert believer.launches[-1]["error"] == "access_denied"
