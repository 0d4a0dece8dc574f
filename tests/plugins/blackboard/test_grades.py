"""Scores and results in Learn's gradebook, quirk by quirk. S, R, E and T numbers are those of the plugin's README."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ltihost.service_records import (
    Delivered,
    LineItemGone,
    NeedsAttention,
    PausePlatform,
    RetryLater,
    Score,
    SentScore,
    Withheld,
)
from ltihost_blackboard.adapter import BlackboardAdapter
from tests.plugins.reading import Reader
from tests.plugins.scripted import (
    AT,
    AT_TEXT,
    CLEARED,
    COLUMN,
    ITEM,
    ITEMS,
    SCOPES,
    URLS,
    ScriptedLms,
    answer,
    confirmed,
    graded,
)

STANDS = {"id": ITEM, "label": "Lab 1", "scoreMaximum": 10, "resourceId": "lab-1", "tag": "points"}
RESULTS = ITEM.replace("?", "/results?") + "&limit=1000"


def scaled(blackboard: Reader, score: Score) -> Score:
    answered = blackboard.scaled(score)
    assert isinstance(answered, Score)
    return answered


def result(user: str, comment: str = "", given: float | None = 5) -> dict[str, Any]:
    number = {} if given is None else {"resultScore": given}
    return {"id": f"{ITEM}/{user}", "userId": user, "resultMaximum": 10, "comment": comment, **number}


async def sent(blackboard: Reader, score: Score, stands: Any = ()) -> dict[str, Any]:
    """The body in which it leaves, while `stands` are the results."""
    lms = ScriptedLms(answer(list(stands)), answer(status=204))
    outcome = await blackboard.adapter(lms).send_score(URLS, COLUMN, "u1", scaled(blackboard, score), AT)
    assert outcome == Delivered()
    body: dict[str, Any] = lms.requests[-1].body
    return body


async def told(blackboard: Reader, score: Score) -> dict[str, Any]:
    """The body in which it leaves without a look at the results."""
    lms = ScriptedLms(answer())
    outcome = await blackboard.adapter(lms).send_score(URLS, COLUMN, "u1", scaled(blackboard, score), AT)
    assert outcome == Delivered()
    body: dict[str, Any] = lms.requests[0].body
    return body


@pytest.mark.parametrize("activity", ["Initialized", "Started", "InProgress"])
@pytest.mark.parametrize("grading", ["NotReady", "Pending", "Failed"])
def test_t15_s4_progress_is_not_sent(blackboard: Reader, activity: str, grading: str) -> None:
    score = graded("3", activity_progress=activity, grading_progress=grading)
    reason = "Learn may take a report of progress for the removal of the grade."
    assert blackboard.scaled(score) == Withheld(reason)


def test_s6_failed_grading_is_not_sent(blackboard: Reader) -> None:
    assert isinstance(blackboard.scaled(graded(None, grading_progress="Failed")), Withheld)


@pytest.mark.parametrize(
    ("activity", "grading", "given"),
    [("Submitted", "Pending", None), ("Completed", "PendingManual", "7"), ("Submitted", "PendingManual", None)],
)
def test_t15_s2_s5_handed_in_goes_without_number(
    blackboard: Reader, activity: str, grading: str, given: str | None
) -> None:
    score = scaled(blackboard, graded(given, activity_progress=activity, grading_progress=grading))
    assert (score.given, score.maximum) == (None, None)
    assert (score.activity_progress, score.grading_progress) == ("Submitted", "Pending")


def test_s2_handed_in_again_leaves_the_grade_alone(blackboard: Reader) -> None:
    again = graded(None, activity_progress="Submitted", grading_progress="Pending", previous=confirmed("8"))
    reason = "Learn may take a hand-in without a number for the removal of the grade that stands."
    assert blackboard.scaled(again) == Withheld(reason)


def test_t15_s1_zero_of_ten_is_a_grade(blackboard: Reader) -> None:
    score = scaled(blackboard, graded("0", activity_progress="Submitted"))
    assert (score.given, score.maximum) == (Decimal(0), Decimal(10))
    assert (score.activity_progress, score.grading_progress) == ("Completed", "FullyGraded")


def test_t15_s3_only_the_clearing_form_removes(blackboard: Reader) -> None:
    score = replace(CLEARED, previous=confirmed("8"))
    assert blackboard.scaled(score) == score


def test_s3_a_comment_takes_the_number_along(blackboard: Reader) -> None:
    score = scaled(blackboard, graded(None, comment="See me", previous=confirmed("8")))
    assert (score.given, score.maximum, score.comment) == (Decimal(8), Decimal(10), "See me")
    assert isinstance(blackboard.scaled(graded(None, comment="See me")), Withheld)


async def test_s7_extra_points_and_the_maximum_are_sent(blackboard: Reader) -> None:
    body = await sent(blackboard, graded("12"))
    assert (body["scoreGiven"], body["scoreMaximum"], body["timestamp"]) == (12, 10, AT_TEXT)


async def test_t16_s8_the_score_keeps_its_own_maximum(blackboard: Reader) -> None:
    body = await sent(blackboard, graded("10", "12.5"))
    assert (body["scoreGiven"], body["scoreMaximum"]) == (10, Decimal("12.5"))


async def test_t17_s9_comments_are_html(blackboard: Reader) -> None:
    assert (await told(blackboard, graded(comment="a\nb <c>")))["comment"] == "a<br/>b &lt;c&gt;"
    assert (await told(blackboard, graded(comment='a\r\nb & "c"')))["comment"] == 'a<br/>b &amp; "c"'


async def test_t17_s9_comments_are_read_as_text(blackboard: Reader) -> None:
    html = "<p>See <b>me</b></p><p>x<br>y &lt;z&gt;</p>"
    lms = ScriptedLms(answer([result("u1", "x<br>y"), result("u2", html), result("u3", "<br/>")]))
    found = await blackboard.adapter(lms).results(URLS, COLUMN)
    assert [row.comment for row in found] == ["x\ny", "See me\nx\ny <z>", None]


async def test_t17_s10_the_teachers_comment_goes_back(blackboard: Reader) -> None:
    stands = [result("u2", "not this"), result("u1", "See me <b>after</b> class")]
    assert (await sent(blackboard, graded("9"), stands))["comment"] == "See me <b>after</b> class"


@pytest.mark.parametrize("comment", ["Good", "a\nb <c>"])
async def test_s10_a_comment_told_before_gives_way_to_what_the_teacher_made_of_it(
    blackboard: Reader, comment: str
) -> None:
    first = scaled(blackboard, graded("8", comment=comment))
    before = SentScore(first.given, first.maximum, first.attempt, first.comment)
    score = graded("9", comment=comment, previous=before)
    assert (await sent(blackboard, score, [result("u1", "Good, but late")]))["comment"] == "Good, but late"


async def test_s10_a_new_comment_wins_and_needs_no_reading(blackboard: Reader) -> None:
    assert (await told(blackboard, graded(comment="Better", previous=confirmed(comment="Good"))))["comment"] == "Better"


async def test_s10_an_empty_comment_takes_ours_away(blackboard: Reader) -> None:
    assert "comment" not in await told(blackboard, graded(comment="", previous=confirmed(comment="Good")))


async def test_s10_an_empty_comment_leaves_the_teachers(blackboard: Reader) -> None:
    assert (await sent(blackboard, graded(comment=""), [result("u1", "See me")]))["comment"] == "See me"


async def test_s10_our_comment_is_remembered_over_scores_that_have_none(blackboard: Reader) -> None:
    between = scaled(blackboard, graded("9", previous=confirmed(comment="a<br/>b")))
    told = SentScore(between.given, between.maximum, between.attempt, between.comment)
    again = graded("10", comment="a\nb", previous=told)
    assert (await sent(blackboard, again, [result("u1", "By the teacher")]))["comment"] == "By the teacher"


async def test_s10_without_comment_there_is_nothing_to_keep(blackboard: Reader) -> None:
    assert "comment" not in await sent(blackboard, graded(), [result("u1")])


async def test_s10_while_results_cannot_be_read_nothing_is_sent(blackboard: Reader) -> None:
    lms = ScriptedLms(answer(status=503))
    outcome = await blackboard.adapter(lms).send_score(URLS, COLUMN, "u1", graded(), AT)
    assert outcome == RetryLater("platform_error", applied="no")
    throttled = ScriptedLms(answer(status=429, **{"retry-after": "120"}))
    outcome = await blackboard.adapter(throttled).send_score(URLS, COLUMN, "u1", graded(), AT)
    assert outcome == PausePlatform("throttled", 120.0)


async def test_s10_who_may_not_read_results_sends_the_grade(blackboard: Reader) -> None:
    writing = replace(URLS, ags_scopes=(SCOPES + "score",))
    lms = ScriptedLms(answer())
    assert await blackboard.adapter(lms).send_score(writing, COLUMN, "u1", graded(), AT) == Delivered()
    assert [request.method for request in lms.requests] == ["POST"]


async def test_t19_r1_results_are_read_whole_and_the_last_row_counts(blackboard: Reader) -> None:
    rows = [result("u1", given=50), result("u2", given=95), result("u2", given=10)]
    lms = ScriptedLms(answer(rows))
    (found,) = await blackboard.adapter(lms).results(URLS, COLUMN, subject="u2")
    assert (found.given, [request.url for request in lms.requests]) == (Decimal(10), [RESULTS])


async def test_t19_r2_no_result_yet_is_none(blackboard: Reader) -> None:
    assert await blackboard.adapter(ScriptedLms(answer(status=404))).results(URLS, COLUMN, subject="u2") == ()


async def test_t19_r3_a_row_without_number_is_no_grade(blackboard: Reader) -> None:
    (found,) = await blackboard.adapter(ScriptedLms(answer([result("u1", given=None)]))).results(URLS, COLUMN)
    assert found.given is None


async def test_r3_a_maximum_of_zero_divides_nothing(blackboard: Reader) -> None:
    lms = ScriptedLms(answer([{**result("u1"), "resultMaximum": 0}]))
    (found,) = await blackboard.adapter(lms).results(URLS, COLUMN)
    assert found.maximum == 1


async def test_t20_e8_a_column_that_the_list_lacks_is_gone(blackboard: Reader) -> None:
    lms = ScriptedLms(answer([]), answer(status=404), answer([{**STANDS, "id": f"{ITEM}&n=2"}]))
    assert await blackboard.adapter(lms).send_score(URLS, COLUMN, "u1", graded(), AT) == LineItemGone()
    assert lms.requests[-1].url == ITEMS


async def test_t20_e8_where_the_list_is_gone_too_the_tool_is(blackboard: Reader) -> None:
    lms = ScriptedLms(answer([]), answer(status=404), answer(status=404))
    outcome = await blackboard.adapter(lms).send_score(URLS, COLUMN, "u1", graded(), AT)
    assert outcome == NeedsAttention("application_not_installed")


async def test_e8_a_column_that_is_listed_is_tried_again(blackboard: Reader) -> None:
    lms = ScriptedLms(answer([]), answer(status=404), answer([STANDS]))
    outcome = await blackboard.adapter(lms).send_score(URLS, COLUMN, "u1", graded(), AT)
    assert outcome == RetryLater("line_item_not_found", applied="no")


async def test_t20_an_empty_204_is_success(blackboard: Reader) -> None:
    lms = ScriptedLms(answer([]), answer(status=204))
    assert await blackboard.adapter(lms).send_score(URLS, COLUMN, "u1", graded(), AT) == Delivered()


def test_t18_s11_one_writer_and_no_faith_in_timestamps() -> None:
    assert (BlackboardAdapter.in_flight, BlackboardAdapter.enforces_timestamp) == (1, False)


def test_t21_no_deployment_in_the_assertion(blackboard: Reader) -> None:
    adapter = blackboard.adapter(ScriptedLms())
    assert (adapter.sends_deployment_claim, adapter.assertion_claims({"jti": "1"})) == (False, {"jti": "1"})
