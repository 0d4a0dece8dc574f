"""The campus with all its LMSs, a believing tool on another site, and Chromium."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

import ltihost_blackboard.profile
import ltihost_canvas.profile
import ltihost_moodle.profile
from ltihost.testing import world
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.profile import Profile
from ltihost.testing.serving import RunningCampus, listen, port_of, serving
from tests.campus.stub_tool import StubTool
from tests.find_browser import find_browser

MAKERS = {
    "lti": world.profile,
    "canvas": ltihost_canvas.profile.profile,
    "moodle": ltihost_moodle.profile.profile,
    "blackboard": ltihost_blackboard.profile.profile,
}
KEYS = tuple(MAKERS)
TOOL = "https://tool.example.org/lti"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Clock:
    """Seconds that tests may shift."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def campus_profiles() -> Sequence[Profile]:
    return [make() for make in MAKERS.values()]


@pytest.fixture(params=KEYS)
def platform(request: pytest.FixtureRequest, clock: Clock) -> SimulatedPlatform:
    """One LMS after the other, with a tool registered."""
    return connected(request.param, clock)


def connected(key: str, clock: Clock) -> SimulatedPlatform:
    """The LMS of this key, with a tool registered."""
    found = SimulatedPlatform(MAKERS[key](), f"https://campus.example/{key}", clock=clock)
    found.register(login_url=f"{TOOL}/login", launch_url=f"{TOOL}/launch", jwks_url=f"{TOOL}/jwks")
    return found


@pytest.fixture
def tool(campus: RunningCampus) -> Iterator[StubTool]:
    """A tool on localhost, which is another site than the campus on 127.0.0.1; every LMS knows it."""
    with stub_tool(campus) as found:
        yield found


@contextmanager
def stub_tool(campus: RunningCampus) -> Iterator[StubTool]:
    """A believing tool that every LMS of this campus knows."""
    sockets = listen("localhost")
    found = StubTool(f"http://localhost:{port_of(sockets)}")
    for platform in campus.platforms.values():
        found.connect(platform)
    with serving(found.app(), sockets):
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = find_browser()
    assert path, "Chromium is needed; see tests/find_browser.py"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
