"""The simulated Canvas's services have Canvas's quirks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ltihost.testing.profile import LTI, MEMBERSHIP, Rate
from ltihost.testing.serving import RunningCampus
from ltihost_canvas.campus_services import SUBMISSION, CanvasServices
from tests.campus.service_client import ServiceClient, registered, stamp


@pytest.fixture
def canvas(campus: RunningCampus) -> Iterator[ServiceClient]:
    with registered(campus, "canvas") as found:
        yield found


def special(**members: Any) -> dict[str, Any]:
    return {SUBMISSION: members}


def message(answer: Any) -> str:
    return str(answer.json()["errors"]["message"])


def attempts(canvas: ServiceClient) -> int:
    book = canvas.platform.gradebook
    return book.cell(book.column_of("cell-quiz").number, "ada").attempts


@pytest.mark.parametrize("progress", ["Pending", "NotReady", "Failed"])
def test_a_score_that_is_no_grade_wipes_it(canvas: ServiceClient, progress: str) -> None:
    canvas.score(7)
    canvas.score(7, gradingProgress=progress)
    assert canvas.grade() is None


def test_a_score_without_points_wipes_it(canvas: ServiceClient) -> None:
    canvas.score(7)
    canvas.score(None, scoreMaximum=None)
    assert canvas.grade() is None


def test_preserve_score_keeps_it(canvas: ServiceClient) -> None:
    canvas.score(7)
    canvas.score(None, scoreMaximum=None, gradingProgress="Pending", **special(preserve_score=True))
    canvas.score(9, **special(preserve_score=True))
    assert canvas.grade() == 7


def test_prioritize_non_tool_grade_leaves_any_grade(canvas: ServiceClient) -> None:
    canvas.score(7, **special(prioritize_non_tool_grade=True))
    canvas.score(9, **special(prioritize_non_tool_grade=True))
    assert canvas.grade() == 7


def test_pending_manual_with_points_is_a_grade(canvas: ServiceClient) -> None:
    canvas.score(7, gradingProgress="PendingManual")
    assert canvas.grade() == 7


def test_every_score_is_an_attempt_unless_it_says_otherwise(canvas: ServiceClient) -> None:
    canvas.score(7)
    canvas.score(8)
    assert attempts(canvas) == 2
    canvas.score(9, **special(new_submission=False))
    canvas.score(9, **special(submission_type="none"))
    assert attempts(canvas) == 2
    handed_in = {"submittedAt": stamp(canvas.platform.clock() - 5)}
    canvas.score(9, submission=handed_in)
    canvas.score(9, submission=handed_in)
    assert attempts(canvas) == 3


def test_attempts_run_out(canvas: ServiceClient) -> None:
    book = canvas.platform.gradebook
    book.put(replace(book.column_of("cell-quiz"), attempts_allowed=1))
    assert canvas.score(7).status_code == 200
    refused = canvas.score(8)
    assert (refused.status_code, canvas.grade()) == (422, 7)
    assert message(refused).startswith("The maximum number of allowed attempts")
    assert canvas.score(8, **special(new_submission=False)).status_code == 200


def test_comments_pile_up(canvas: ServiceClient) -> None:
    canvas.score(7, comment="Good")
    canvas.score(7, comment="Good")
    canvas.score(7)
    book = canvas.platform.gradebook
    assert book.cell(book.column_of("cell-quiz").number, "ada").comments == ("Good", "Good")


def test_times_go_forward(canvas: ServiceClient) -> None:
    now = canvas.platform.clock()
    canvas.score(7, timestamp=stamp(now))
    assert canvas.score(8, timestamp=stamp(now)).status_code == 200
    stale = canvas.score(9, timestamp=stamp(now - 1))
    assert stale.status_code == 400
    assert "before last updated timestamp of" in message(stale)
    assert canvas.grade() == 8


@pytest.mark.parametrize("place", ["submission", "top", "extension"])
def test_nothing_is_handed_in_tomorrow(canvas: ServiceClient, place: str) -> None:
    tomorrow = stamp(canvas.platform.clock() + 120)
    bodies: dict[str, dict[str, Any]] = {
        "submission": {"submission": {"submittedAt": tomorrow}},
        "top": {"submittedAt": tomorrow},
        "extension": special(submitted_at=tomorrow),
    }
    assert canvas.score(7, **bodies[place]).status_code == 400
    assert canvas.grade() is None


def test_a_score_of_the_tool_replaces_the_teachers(canvas: ServiceClient) -> None:
    canvas.platform.override_grade("cell-quiz", "ada", 3)
    canvas.score(9)
    assert canvas.grade() == 9


def test_too_many_requests(canvas: ServiceClient) -> None:
    canvas.platform.faults.switch("throttled", times=1)
    answer = canvas.score(7)
    assert answer.status_code == 403
    assert "Rate Limit Exceeded" in answer.text
    assert answer.headers["x-rate-limit-remaining"] == "0.0"
    assert "retry-after" not in answer.headers
    following = canvas.score(7)
    assert (following.status_code, following.headers["x-request-cost"]) == (200, "0.5")
    assert float(following.headers["x-rate-limit-remaining"]) > 690


def test_the_bucket_runs_over_and_leaks(canvas: ServiceClient, monkeypatch: pytest.MonkeyPatch) -> None:
    now = canvas.platform.clock()
    canvas.platform.clock = lambda: now
    monkeypatch.setattr(CanvasServices, "rate", Rate(1.4, 1.0, 0.5))
    canvas.sign_in()
    assert [canvas.items().status_code for _ in range(3)] == [200, 200, 403]
    canvas.platform.clock = lambda: now + 2
    assert canvas.items().status_code == 200


def test_errors_have_type_and_message(canvas: ServiceClient, campus: RunningCampus) -> None:
    unknown = canvas.score(7, userId="nobody")
    assert unknown.status_code == 422
    assert unknown.json() == {
        "errors": {"type": "unprocessable_entity", "message": "User not found in course or is not a student"}
    }
    assert canvas.score(7, person="tess").status_code == 422
    assert canvas.score(-1).status_code == 422
    assert canvas.score(7, scoreMaximum=None).status_code == 422
    gone = canvas.item(canvas.items_url() + "/99999")
    assert (gone.status_code, gone.content) == (404, b"")
    url = canvas.make({"label": "Mine", "scoreMaximum": 5}).json()["id"]
    with registered(campus, "canvas") as other:
        refused = other.item(url)
        assert (refused.status_code, message(refused)) == (412, "Tool does not have permission to view line_item")
    canvas.sign_in("https://purl.imsglobal.org/spec/lti-ags/scope/score")
    assert (canvas.items().status_code, message(canvas.items())) == (401, "Insufficient permissions")
    canvas.platform.faults.switch("access_off")
    assert message(canvas.items()) == "Unknown or inactive Developer Key"


def test_the_column_of_an_assignment_is_not_deleted(canvas: ServiceClient) -> None:
    refused = canvas.delete(canvas.item_url())
    assert (refused.status_code, refused.content) == (401, b"")
    made = canvas.make({"label": "Mine", "scoreMaximum": 5}).json()["id"]
    assert canvas.delete(made).status_code == 204


def test_a_new_label_is_the_links_new_title(canvas: ServiceClient) -> None:
    canvas.put(canvas.item_url(), {"label": "Renamed", "scoreMaximum": 10})
    assert canvas.claims()[LTI + "resource_link"]["title"] == "Renamed"
    assert canvas.item(canvas.item_url()).json()["resourceLinkId"] == canvas.claims()[LTI + "resource_link"]["id"]


def test_points_stay_when_the_maximum_changes(canvas: ServiceClient) -> None:
    canvas.score(7)
    canvas.put(canvas.item_url(), {"label": "x", "scoreMaximum": 20})
    assert canvas.grade() == 7


def test_ten_line_items_a_page(canvas: ServiceClient) -> None:
    for number in range(9):
        canvas.make({"label": f"item {number}", "scoreMaximum": 5})
    answer = canvas.items()
    assert len(answer.json()) == 10
    assert answer.links.keys() == {"current", "next", "first", "last"}


def test_fifty_members_a_page(canvas: ServiceClient) -> None:
    canvas.platform.populate("biology", 90)
    answer = canvas.members(limit="1000")
    assert len(answer.json()["members"]) == 50
    second = canvas.members(url=answer.links["next"]["url"])
    assert "next" not in second.links
    assert len(second.json()["members"]) == 98 - 50


def test_roster_roles_are_whole_and_of_this_course_only(canvas: ServiceClient) -> None:
    (tess,) = canvas.members(role=MEMBERSHIP + "Instructor", limit="1").json()["members"]
    assert tess["roles"] == [MEMBERSHIP + "Instructor"]
    assert canvas.members(role="Instructor").json()["members"] == []
    assert canvas.user_id("sam") not in {member["user_id"] for member in canvas.members().json()["members"]}
    assert canvas.members(rlid="nonsense").status_code == 400


def test_parameters_of_each_member_in_a_links_roster(canvas: ServiceClient) -> None:
    rlid = canvas.claims()[LTI + "resource_link"]["id"]
    members = {member["user_id"]: member for member in canvas.members(rlid=rlid).json()["members"]}
    message = members[canvas.user_id("ada")]["message"][0]
    assert message[LTI + "custom"]["canvas_user_id"] == "7"
    assert message[LTI + "custom"]["sis_id"] == "$Canvas.user.sisid"


def test_an_assertion_is_not_old(canvas: ServiceClient) -> None:
    now = int(canvas.platform.clock())
    assert canvas.ask_token(iat=now - 310).status_code == 400
    assert canvas.ask_token(iat=now + 40).status_code == 400
    assert canvas.ask_token(iat=now - 290).status_code == 200
