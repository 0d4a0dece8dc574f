"""The quiz: attempts are sent, the state of the grade is told, teachers see everybody, content goes back to the LMS."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from ltihost.testing.demo_app import Attempts, build_demo_app
from ltihost.testing.demo_app.quiz import QUIZZES, Attempt, quiz_for
from tests.campus.fake_host import FakeHost, column, delivered, member
from tests.campus.test_demo_app import LAUNCH, changed

Open = Callable[..., "Page"]


class Page:
    """What the application shows of one launch; `press` sends one of its forms."""

    def __init__(self, client: TestClient, answer: httpx2.Response) -> None:
        self._client = client
        self.answer = answer
        self.text = answer.text

    def press(self, action: str, **fields: str) -> Page:
        session = re.search(r'name="session" value="([^"]+)"', self.text)
        assert session, "the page has no form"
        assert f'action="/apps/demo/{action}"' in self.text
        data = {"session": session[1], **fields}
        return Page(self._client, self._client.post(f"/apps/demo/{action}", data=data, follow_redirects=False))


@pytest.fixture
def host() -> FakeHost:
    return FakeHost(line_items=[column()], delivery=delivered("idle"))


@pytest.fixture
def launched(host: FakeHost) -> Open:
    """Open the application with a launch."""
    demo = build_demo_app(host.api())

    def enter(launch: dict[str, Any] = LAUNCH) -> Page:
        async def with_launch(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/launch"):
                scope["ltihost.launch"] = launch
            await demo(scope, receive, send)

        client = TestClient(Starlette(routes=[Mount("/apps/demo", with_launch)]))
        return Page(client, client.get("/apps/demo/launch"))

    return enter


def right(count: int) -> dict[str, str]:
    questions = QUIZZES["cells"].questions
    return {f"q{n}": str(q.right if n < count else (q.right + 1) % len(q.choices)) for n, q in enumerate(questions)}


def scores(host: FakeHost) -> list[dict[str, Any]]:
    return [body for _, path, body in host.requests if path.endswith("/scores") and body]


def test_a_student_makes_attempts_and_sees_the_best(launched: Open, host: FakeHost) -> None:
    page = launched().press("answers", **right(3)).press("answers", **right(1))
    assert '<strong id="best">3 of 4</strong>' in page.text
    assert "2 attempts" in page.text
    assert "Attempt 2: <strong>1 of 4</strong>" in page.text
    first, second = scores(host)
    assert (first["given"], first["maximum"], first["attempt"], first["user_id"]) == (3, 4, 1, "u1")
    assert (second["given"], second["attempt"]) == (1, 2)
    assert len(set(host.keys)) == 2


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("idle", "sent"), ("pending", "waiting"), ("blocked", "waiting"), ("waiting_enrolment", "waiting"),
        ("conflict", "another one"), ("dead", "failed"),
    ],
)  # fmt: skip
def test_the_state_of_the_grade(launched: Open, host: FakeHost, state: str, shown: str) -> None:
    host.delivery = delivered(state)
    page = launched().press("answers", **right(3))
    assert f'id="grade">{shown}</strong>' in page.text
    if shown == "waiting":
        host.delivery = delivered("idle")
        assert 'id="grade">sent</strong>' in page.press("view").text


@pytest.mark.parametrize("state", ["conflict", "idle"])
def test_a_grade_that_a_teacher_set_is_shown_as_such(launched: Open, host: FakeHost, state: str) -> None:
    host.delivery = delivered(state, standing={"given": 6.0, "maximum": 7.5, "overridden": True})
    page = launched().press("answers", **right(3))
    assert '<strong class="sent" id="grade">6 / 7.5</strong><small>set by your teacher</small>' in page.text
    assert "Look again" not in page.text


def test_the_gradebook_s_own_points_are_told_where_they_are_others(launched: Open) -> None:
    with_column = changed(line_item={"id": "lin_1", "label": "Quiz", "maximum": 100})
    assert "3 / 4 is in the gradebook (75 of 100)" in launched(with_column).press("answers", **right(3)).text
    same = changed(line_item={"id": "lin_1", "label": "Quiz", "maximum": 4})
    assert "3 / 4 is in the gradebook</small>" in launched(same).press("answers", **right(3)).text


def test_a_link_without_points_keeps_its_scores(launched: Open, host: FakeHost) -> None:
    host.line_items.clear()
    page = launched().press("answers", **right(4))
    assert "this link has no points" in page.text
    assert scores(host) == []


def test_the_column_that_came_with_the_link_comes_first(launched: Open, host: FakeHost) -> None:
    host.line_items.insert(0, column(id="lin_0", coupled=False))
    launched().press("answers", **right(4))
    assert ("POST", "line-items/lin_1/scores") in [(method, path) for method, path, _ in host.requests]


def test_what_the_host_refuses_does_not_count(launched: Open, host: FakeHost) -> None:
    host.failing["/scores"] = "attempt_conflict"
    page = launched().press("answers", **right(4))
    assert "It failed: attempt_conflict" in page.text
    assert "Your best" not in page.text


def test_a_host_that_is_away_is_said(launched: Open, host: FakeHost) -> None:
    host.gone = True
    page = launched().press("answers", **right(4))
    assert page.answer.status_code == 200
    assert "The host did not answer: ConnectError" in page.text


def test_a_teacher_sees_the_class_and_overrides(launched: Open, host: FakeHost) -> None:
    host.members = [member("u1", "Ada <b>"), member("u2", "Zoë", active=False), member("t1", "Tess", role="instructor")]
    ours = {"delivery_id": "d", "given": 3.0, "maximum": 4.0, "attempt": 1, "state": "idle", "code": None}
    lms = {"given": 9.0, "maximum": 10.0, "overridden": True, "read_at": "2026-11-21T10:00:00Z"}
    host.results = [{"user_id": "u1", "ours": ours, "lms": lms}]
    page = launched(changed(role="instructor"))
    for text in ("Ada &lt;b&gt;", "3 / 4", "9 / 10", "set by a teacher", "left the course", 'value="Quiz"', ">10<"):
        assert text in page.text
    assert "Hand in" not in page.text


def test_what_the_host_has_not_read_yet_is_read_now(launched: Open, host: FakeHost) -> None:
    host.line_items[0] |= {"label": None, "maximum": None}
    host.read = column(label="As in the LMS", maximum=25.0)
    page = launched(changed(role="instructor"))
    assert 'value="As in the LMS"' in page.text
    assert '<strong id="maximum">25</strong>' in page.text


def test_a_teacher_changes_the_title(launched: Open, host: FakeHost) -> None:
    page = launched(changed(role="instructor")).press("title", label="New title")
    assert ("PATCH", "line-items/lin_1", {"label": "New title"}) in host.requests
    assert 'value="New title"' in page.text


def test_a_student_cannot_do_what_teachers_do(launched: Open, host: FakeHost) -> None:
    page = launched()
    session = re.search(r'name="session" value="([^"]+)"', page.text)
    assert session
    for action in ("title", "graded", "roster"):
        page._client.post(f"/apps/demo/{action}", data={"session": session[1], "label": "Mine"})
    assert host.requests == []


def test_a_teacher_asks_for_roster_and_results(launched: Open, host: FakeHost) -> None:
    page = launched(changed(role="instructor")).press("roster")
    assert "The roster is being read" in page.text
    assert ("POST", "contexts/c1/roster-sync", None) in host.requests
    host.failing["/results"] = "platform_down"
    page = page.press("results")
    assert "It failed: platform_down" in page.text


def test_a_teacher_makes_a_link_graded(launched: Open, host: FakeHost) -> None:
    host.line_items.clear()
    page = launched(changed(role="instructor"))
    assert "This link is not graded" in page.text
    page = page.press("graded")
    assert host.line_items[0]["resource_id"] == "quiz-cells"
    assert "Change the title" in page.text


DEEP_LINKING = {
    "id": "dl_1", "accept_types": ["ltiResourceLink"], "accept_targets": ["iframe"], "accept_multiple": True,
    "accept_line_item": None, "title": None, "text": None,
}  # fmt: skip


def picking(**settings: Any) -> dict[str, Any]:
    return changed(message="deep_linking", role="instructor", resource_link=None, deep_linking=DEEP_LINKING | settings)


def test_chosen_quizzes_go_back(launched: Open, host: FakeHost) -> None:
    page = launched(picking())
    assert 'type="checkbox"' in page.text
    answer = page.press("choose", quiz="rome", points="20").answer
    assert (answer.status_code, answer.headers["location"]) == (303, "/deep-links/once")
    _, path, body = host.requests[-1]
    assert path == "deep-links/dl_1/finish"
    assert body == {"items": [{
        "type": "ltiResourceLink", "title": "A morning in Rome", "text": "Stones and their stories.",
        "custom": {"quiz": "rome"}, "line_item": {"label": "A morning in Rome", "maximum": 20.0, "resource_id": "quiz-rome"},
    }]}  # fmt: skip


def test_one_quiz_where_only_one_is_taken_and_no_points_where_none_are(launched: Open, host: FakeHost) -> None:
    page = launched(picking(accept_multiple=False, accept_line_item=False))
    assert 'type="radio"' in page.text
    assert "Points in the gradebook" not in page.text
    page.press("choose", quiz="cells")
    assert "line_item" not in host.requests[-1][2]["items"][0]  # type: ignore[index]


def test_nothing_is_a_choice_too(launched: Open, host: FakeHost) -> None:
    assert launched(picking()).press("choose").answer.status_code == 303
    assert host.requests[-1][2] == {"items": []}


def test_a_conversation_that_is_over_is_said(launched: Open, host: FakeHost) -> None:
    host.failing["/finish"] = "deep_link_over"
    page = launched(picking()).press("choose", quiz="cells")
    assert "It failed: deep_link_over" in page.text


def test_a_review_shows_what_somebody_handed_in(launched: Open, host: FakeHost) -> None:
    launched().press("answers", **right(2))
    someone = {**LAUNCH["user"]}
    page = launched(changed(message="submission_review", role="instructor", for_user=someone))
    assert "What Ada O&#39;Brien handed in" in page.text
    assert "2 of 4" in page.text


@pytest.mark.parametrize("session", ["", "guessed"])
def test_nobody_without_a_session(launched: Open, session: str) -> None:
    page = launched()
    assert page._client.post("/apps/demo/answers", data={"session": session}).status_code == 404


def test_no_cookie_is_needed(launched: Open) -> None:
    assert "set-cookie" not in launched().answer.headers


def test_without_a_key_scores_stay_here() -> None:
    demo = build_demo_app()

    async def with_launch(scope: Scope, receive: Receive, send: Send) -> None:
        scope["ltihost.launch"] = LAUNCH
        await demo(scope, receive, send)

    client = TestClient(Starlette(routes=[Mount("/apps/demo", with_launch)]))
    page = Page(client, client.get("/apps/demo/launch")).press("answers", **right(4))
    assert "this application has no key" in page.text


@pytest.mark.parametrize(
    ("custom", "title", "key"),
    [
        ({"quiz": "rome"}, "Photosynthesis", "rome"),
        ({}, "Photosynthesis exercise", "light"),
        ({"quiz": "x"}, None, "cells"),
    ],
)
def test_which_quiz_a_link_is(custom: dict[str, str], title: str | None, key: str) -> None:
    assert quiz_for(custom, title).key == key


def test_attempts_are_remembered(tmp_path: Path) -> None:
    kept = Attempts(tmp_path / "quiz.jsonl")
    kept.keep(Attempt("k1", "u1", 1, 2, 4, 1.0, "dlv_1"))
    kept.keep(Attempt("k1", "u1", 2, 3, 4, 2.0))
    again = Attempts(tmp_path / "quiz.jsonl")
    assert again.of("k1", "u1") == kept.of("k1", "u1")
    assert again.best("k1", "u1") == kept.of("k1", "u1")[1]
    assert again.make("k1", "u1", 1, 4).number == 3
