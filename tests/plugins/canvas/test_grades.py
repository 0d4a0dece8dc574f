"""Scores and results in Canvas's gradebook, quirk by quirk. G and T numbers are those of the plugin's README."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ltihost.service_records import Delivered, GiveUp, Score, SentScore
from ltihost_canvas.adapter import CanvasAdapter
from ltihost_canvas.scores import SUBMISSION
from tests.plugins.reading import Reader
from tests.plugins.scripted import AT, AT_TEXT, CLEARED, COLUMN, ITEM, URLS, ScriptedLms, answer, confirmed, graded

EXHAUSTED = {
    "errors": {
        "type": "unprocessable_entity",
        "message": "The maximum number of allowed attempts has been reached for this submission",
    }
}


def scaled(canvas: Reader, score: Score) -> Score:
    answered = canvas.scaled(score)
    assert isinstance(answered, Score)
    return answered


def submission(canvas: Reader, score: Score) -> dict[str, Any]:
    found: dict[str, Any] = scaled(canvas, score).extensions[SUBMISSION]
    return found


async def sent(canvas: Reader, score: Score) -> dict[str, Any]:
    """The body in which it leaves."""
    lms = ScriptedLms(answer({"resultUrl": f"{ITEM}/results/1"}))
    assert await canvas.adapter(lms).send_score(URLS, COLUMN, "sub-1", scaled(canvas, score), AT) == Delivered()
    body: dict[str, Any] = lms.requests[0].body
    return body


@pytest.mark.parametrize(
    ("activity", "grading"), [("Started", "NotReady"), ("InProgress", "NotReady"), ("Submitted", "PendingManual")]
)
def test_t12_g1_what_is_not_final_leaves_the_grade_alone(canvas: Reader, activity: str, grading: str) -> None:
    score = graded(None, activity_progress=activity, grading_progress=grading, previous=confirmed("8"))
    assert submission(canvas, score)["preserve_score"] is True


@pytest.mark.parametrize("grading", ["Pending", "Failed", "NotReady"])
def test_g1_a_preliminary_number_leaves_the_grade_alone(canvas: Reader, grading: str) -> None:
    assert submission(canvas, graded("3", grading_progress=grading))["preserve_score"] is True


async def test_g1_a_comment_alone_leaves_the_grade_alone(canvas: Reader) -> None:
    body = await sent(canvas, graded(None, comment="Well done", previous=confirmed("8")))
    assert (body["comment"], body[SUBMISSION]["preserve_score"]) == ("Well done", True)


@pytest.mark.parametrize("grading", ["FullyGraded", "PendingManual"])
def test_g1_a_grade_is_written(canvas: Reader, grading: str) -> None:
    assert "preserve_score" not in submission(canvas, graded("8", grading_progress=grading))


def test_g1_only_the_clearing_form_empties_the_cell(canvas: Reader) -> None:
    score = replace(CLEARED, previous=confirmed("8"))
    assert submission(canvas, score) == {"new_submission": False}


async def test_t13_g2_g8_regrade_with_the_same_comment(canvas: Reader) -> None:
    first = await sent(canvas, graded("8", comment="Well done", submitted_at="2026-09-21T10:00:00Z"))
    again = await sent(canvas, graded("9", comment="Well done", previous=confirmed("8", comment="Well done")))
    assert (first["comment"], first[SUBMISSION]["new_submission"]) == ("Well done", True)
    assert first["submission"] == {"submittedAt": "2026-09-21T10:00:00Z"}
    assert ("comment" in again, again[SUBMISSION]["new_submission"]) == (False, False)
    assert (again["scoreGiven"], again["scoreMaximum"]) == (9, 10)


def test_g2_a_new_attempt_is_a_new_submission(canvas: Reader) -> None:
    assert submission(canvas, graded(attempt=2, previous=confirmed(attempt=1)))["new_submission"] is True


def test_g2_a_send_whose_answer_was_lost_counts_once(canvas: Reader) -> None:
    assert submission(canvas, graded(repeated=True))["new_submission"] is False


def test_g2_a_report_of_progress_is_no_submission(canvas: Reader) -> None:
    started = graded(None, activity_progress="Started", grading_progress="NotReady")
    assert submission(canvas, started)["new_submission"] is False
    assert submission(canvas, graded("8", previous=confirmed(None)))["new_submission"] is True


def test_g2_handed_in_work_is_a_submission(canvas: Reader) -> None:
    handed_in = graded(None, activity_progress="Submitted", grading_progress="PendingManual")
    assert submission(canvas, handed_in) == {
        "submission_type": "external_tool", "new_submission": True, "preserve_score": True,
    }  # fmt: skip


def test_g2_g12_what_describes_an_attempt_goes_with_a_new_one_only(canvas: Reader) -> None:
    said = {SUBMISSION: {"submission_type": "basic_lti_launch", "submission_data": "https://tool.example.org/a/1"}}
    first = submission(canvas, graded(extensions=said))
    again = submission(canvas, graded(extensions=said, previous=confirmed()))
    assert first == {**said[SUBMISSION], "new_submission": True}
    assert again == {"new_submission": False}


def test_g2_another_plugin_may_want_no_submission(canvas: Reader) -> None:
    said = {SUBMISSION: {"new_submission": False, "preserve_score": True}, "https://example.org/x": 1}
    score = scaled(canvas, graded(extensions=said))
    assert score.extensions == said


async def test_g8_another_comment_is_sent(canvas: Reader) -> None:
    body = await sent(canvas, graded(comment="Better", previous=confirmed(comment="Well done")))
    assert body["comment"] == "Better"


async def test_g8_a_comment_whose_answer_was_lost_is_sent_again(canvas: Reader) -> None:
    assert (await sent(canvas, graded(comment="Well done", repeated=True)))["comment"] == "Well done"


async def test_g8_a_comment_is_remembered_over_scores_that_have_none(canvas: Reader) -> None:
    between = scaled(canvas, graded("9", previous=confirmed(comment="Well done")))
    told = SentScore(between.given, between.maximum, between.attempt, between.comment)
    body = await sent(canvas, graded("10", comment="Well done", previous=told))
    assert "comment" not in body


async def test_g5_g6_points_leave_exactly_as_they_came(canvas: Reader) -> None:
    body = await sent(canvas, graded("0.333333", "12.5"))
    assert (body["scoreGiven"], body["scoreMaximum"]) == (Decimal("0.333333"), Decimal("12.5"))


async def test_g5_extra_points_and_zero_leave_as_they_came(canvas: Reader) -> None:
    assert (await sent(canvas, graded("12")))["scoreGiven"] == 12
    assert (await sent(canvas, graded("0")))["scoreGiven"] == 0


async def test_g3_handed_in_later_than_now_becomes_now(canvas: Reader) -> None:
    late = await sent(canvas, graded(submitted_at="2026-09-21T14:30:00Z"))
    early = await sent(canvas, graded(submitted_at="2026-09-21T10:00:00+02:00"))
    assert late["submission"] == {"submittedAt": AT_TEXT}
    assert early["submission"] == {"submittedAt": "2026-09-21T10:00:00+02:00"}


async def test_g3_the_extensions_own_moment_becomes_now_too(canvas: Reader) -> None:
    body = await sent(canvas, graded(extensions={SUBMISSION: {"submitted_at": "2026-09-22T00:00:00Z"}}))
    assert body[SUBMISSION]["submitted_at"] == AT_TEXT


async def test_t14_g4_the_moment_of_sending_is_the_given_second(canvas: Reader) -> None:
    assert (await sent(canvas, graded()))["timestamp"] == AT_TEXT
    assert CanvasAdapter.enforces_timestamp


async def test_g9_without_attempts_left_the_grade_goes_alone(canvas: Reader) -> None:
    lms = ScriptedLms(answer(EXHAUSTED, 422), answer())
    outcome = await canvas.adapter(lms).send_score(URLS, COLUMN, "sub-1", scaled(canvas, graded("9")), AT)
    first, second = (request.body for request in lms.requests)
    assert outcome == Delivered()
    assert (first[SUBMISSION]["new_submission"], second[SUBMISSION]) == (True, {"new_submission": False})
    assert (second["scoreGiven"], second["timestamp"]) == (9, first["timestamp"])


async def test_g9_refused_twice_it_is_given_up(canvas: Reader) -> None:
    lms = ScriptedLms(answer(EXHAUSTED, 422), answer(EXHAUSTED, 422))
    outcome = await canvas.adapter(lms).send_score(URLS, COLUMN, "sub-1", scaled(canvas, graded()), AT)
    assert outcome == GiveUp("attempts_exhausted", at_once=True)


async def test_t8_g10_the_row_of_a_merged_account_is_theirs(canvas: Reader) -> None:
    lms = ScriptedLms(answer([{"userId": "new-9", "resultScore": 8, "resultMaximum": 10}]))
    (result,) = await canvas.adapter(lms).results(URLS, COLUMN, subject="old-1")
    assert (result.subject, result.given) == ("old-1", Decimal(8))
    assert lms.requests[0].url.endswith("/lineitem/results?type_id=1&user_id=old-1")


async def test_t8_g10_among_several_rows_nobody_gets_anothers(canvas: Reader) -> None:
    rows = [{"userId": "new-9", "resultScore": 8}, {"userId": "x-2", "resultScore": 1}]
    assert await canvas.adapter(ScriptedLms(answer(rows))).results(URLS, COLUMN, subject="old-1") == ()


async def test_t8_g10_in_the_whole_list_ids_stay_as_they_are(canvas: Reader) -> None:
    rows = [{"userId": "new-9", "resultScore": 8}, {"userId": "x-2"}]
    found = await canvas.adapter(ScriptedLms(answer(rows))).results(URLS, COLUMN)
    assert [(row.subject, row.given) for row in found] == [("new-9", 8), ("x-2", None)]


async def test_g10_without_a_result_there_is_none(canvas: Reader) -> None:
    assert await canvas.adapter(ScriptedLms(answer([]))).results(URLS, COLUMN, subject="old-1") == ()


def test_t16_one_call_at_a_time() -> None:
    assert CanvasAdapter.in_flight == 1
