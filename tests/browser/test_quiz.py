"""The quiz in the LMS's frame, on every rung: content is chosen, answers are sent, the grade arrives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect

from ltihost.testing.demo_app.quiz import QUIZZES
from tests.browser.conftest import World, sign_in
from tests.browser.test_ladder import arrive, launch, newest_rung, tool

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
Start = Callable[..., BrowserContext]
SLOW = 20_000


def answer(frame: FrameLocator | Page, right: int) -> None:
    """One attempt with so many right answers."""
    for index, question in enumerate(QUIZZES["cells"].questions):
        choice = question.right if index < right else (question.right + 1) % len(question.choices)
        frame.locator(f'input[name="q{index}"]').nth(choice).check()
    frame.get_by_role("button", name="Hand in").click()


@pytest.mark.parametrize(("lms", "blocked"), [("moodle", False), ("canvas", True)])
def test_an_attempt_reaches_the_gradebook(world: World, chromium: Start, lms: str, blocked: bool) -> None:
    page = launch(world, chromium(blocked=blocked), lms)
    assert newest_rung(world)[0] == ("storage" if blocked else "cookie")
    answer(tool(page), 3)
    expect(tool(page).locator("#best")).to_have_text("3 of 4", timeout=SLOW)
    expect(tool(page).locator("#grade")).to_have_text("sent", timeout=SLOW)
    assert world.campus.platforms[lms].gradebook.shown("cell-quiz", "ada") == 7.5
    page.goto(f"{world.campus.base_url}/{lms}/c/biology/grades")
    expect(page.locator("td .value").first).to_have_text("7.5")


@pytest.mark.parametrize("lms", ["moodle", "blackboard"])
def test_a_teacher_adds_a_quiz_from_the_frame(world: World, chromium: Start, lms: str) -> None:
    page = chromium().new_page()
    sign_in(page, world, lms, "tess")
    arrive(page, lambda: page.goto(f"{world.campus.base_url}/{lms}/c/biology/pick"))
    before = len(world.campus.platforms[lms].contexts["biology"].links)
    tool(page).get_by_role("button", name="Add to the course").click()
    if lms == "moodle":  # it asks once more
        expect(tool(page).get_by_role("heading", name="Add this to the course?")).to_be_visible(timeout=SLOW)
        tool(page).get_by_role("button", name="Add to the course").click()
    expect(tool(page).get_by_role("heading", name="Added to the course")).to_be_visible(timeout=SLOW)
    links = world.campus.platforms[lms].contexts["biology"].links
    assert (len(links), links[-1].title, links[-1].maximum) == (before + 1, "Inside a cell", 10)
    arrive(page, lambda: tool(page).get_by_role("link", name="Open Inside a cell").click())
    expect(tool(page).locator("#maximum")).to_have_text("10", timeout=SLOW)
