"""Scores and results in Moodle's gradebook, quirk by quirk. K, M and quirk numbers are those of the plugin's README."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ltihost.service_records import Delivered, GiveUp, Score, Withheld
from ltihost_moodle.adapter import MoodleAdapter
from tests.plugins.reading import Reader
from tests.plugins.scripted import AT, AT_TEXT, CLEARED, COLUMN, ITEM, URLS, ScriptedLms, answer, confirmed, graded


def scaled(moodle: Reader, score: Score) -> Score:
    answered = moodle.scaled(score)
    assert isinstance(answered, Score)
    return answered


async def sent(moodle: Reader, score: Score) -> dict[str, Any]:
    """The body in which it leaves."""
    lms = ScriptedLms(answer())
    outcome = await moodle.adapter(lms).send_score(URLS, COLUMN, "7", scaled(moodle, score), AT)
    assert outcome == Delivered()
    body: dict[str, Any] = lms.requests[0].body
    return body


@pytest.mark.parametrize("grading", ["Pending", "PendingManual", "Failed", "NotReady"])
@pytest.mark.parametrize("given", ["3", None])
def test_m9_k13_quirk50_what_is_not_final_is_not_sent(moodle: Reader, grading: str, given: str | None) -> None:
    score = graded(given, "50", grading_progress=grading, previous=confirmed("40", maximum="50"))
    assert moodle.scaled(score) == Withheld("Moodle keeps no progress and would erase the grade that stands.")


def test_k13_progress_is_not_sent_before_the_first_grade_either(moodle: Reader) -> None:
    started = graded(None, activity_progress="Started", grading_progress="NotReady")
    assert isinstance(moodle.scaled(started), Withheld)


def test_m9_k13_a_comment_takes_the_number_along(moodle: Reader) -> None:
    score = graded(None, comment="See me", previous=confirmed("40", maximum="50"))
    assert scaled(moodle, score) == replace(score, given=Decimal(40), maximum=Decimal(50))


def test_k13_a_comment_without_any_number_is_not_sent(moodle: Reader) -> None:
    assert moodle.scaled(graded(None, comment="See me")) == Withheld("Moodle takes no comment without a number.")


def test_k13_only_the_clearing_form_erases(moodle: Reader) -> None:
    score = replace(CLEARED, previous=confirmed("8", comment="Good"))
    assert moodle.scaled(score) == score


async def test_quirk51_the_last_comment_goes_with_every_score(moodle: Reader) -> None:
    assert (await sent(moodle, graded("9", previous=confirmed("8", comment="Good"))))["comment"] == "Good"


async def test_quirk51_a_new_comment_wins_and_an_empty_one_takes_it_away(moodle: Reader) -> None:
    before = confirmed(comment="Good")
    assert (await sent(moodle, graded(comment="Better", previous=before)))["comment"] == "Better"
    assert "comment" not in await sent(moodle, graded(comment="", previous=before))


async def test_quirk51_comments_are_plain_text_with_lines(moodle: Reader) -> None:
    assert (await sent(moodle, graded(comment="a\nb <c>")))["comment"] == "a\nb <c>"


@pytest.mark.parametrize("maximum", ["0", "-5"])
def test_quirk49_a_maximum_of_zero_is_refused(moodle: Reader, maximum: str) -> None:
    assert isinstance(moodle.scaled(graded("7", maximum)), Withheld)


async def test_quirk49_points_leave_exactly_as_they_came(moodle: Reader) -> None:
    body = await sent(moodle, graded("7.25", "12.5"))
    assert (body["scoreGiven"], body["scoreMaximum"]) == (Decimal("7.25"), Decimal("12.5"))


async def test_quirk54_zero_is_a_grade(moodle: Reader) -> None:
    assert (await sent(moodle, graded("0")))["scoreGiven"] == 0


async def test_m8_k12_quirk46_whole_seconds(moodle: Reader) -> None:
    assert (await sent(moodle, graded()))["timestamp"] == AT_TEXT
    assert MoodleAdapter.enforces_timestamp


async def test_m9_k14_quirk48_a_cut_score_is_told(moodle: Reader) -> None:
    lms = ScriptedLms(answer())
    outcome = await moodle.adapter(lms).send_score(URLS, COLUMN, "7", graded("75", "50"), AT)
    assert outcome == Delivered("Moodle keeps no more than the maximum of the column.")


async def test_m6_k9_quirk32_scores_and_results_go_before_the_query(moodle: Reader) -> None:
    lms = ScriptedLms(answer(), answer([]))
    adapter = moodle.adapter(lms)
    await adapter.send_score(URLS, COLUMN, "7", graded(), AT)
    await adapter.results(URLS, COLUMN)
    urls = [ITEM.replace("?", "/scores?"), ITEM.replace("?", "/results?")]
    assert [request.url for request in lms.requests] == urls


@pytest.mark.parametrize("subject", ["abc", "", "7.5", "\u0667"])
async def test_quirk30_an_id_that_is_no_number_is_not_sent(moodle: Reader, subject: str) -> None:
    lms = ScriptedLms()
    outcome = await moodle.adapter(lms).send_score(URLS, COLUMN, subject, graded(), AT)
    assert (outcome, lms.requests) == (GiveUp("user_id_invalid", at_once=True), [])


async def test_m7_k11_quirk44_results_are_never_paged(moodle: Reader) -> None:
    lms = ScriptedLms(answer([{"userId": "7", "resultScore": 8, "resultMaximum": 10}]))
    assert len(await moodle.adapter(lms).results(URLS, COLUMN, subject="7")) == 1
    assert "limit" not in lms.requests[0].url


async def test_quirk54_a_row_without_number_is_no_grade(moodle: Reader) -> None:
    rows = [{"userId": "7", "resultScore": 0, "resultMaximum": 10}, {"userId": "8"}]
    found = await moodle.adapter(ScriptedLms(answer(rows))).results(URLS, COLUMN)
    assert [row.given for row in found] == [0, None]
