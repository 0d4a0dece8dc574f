"""What an answer means for a slot, without a platform."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from ltihost.flows.grades.judge import DAY, judge, judge_stale, same_grade
from ltihost.service_records import (
    Delivered,
    GiveUp,
    LineItem,
    LineItemGone,
    NeedsAttention,
    Outcome,
    PausePlatform,
    Result,
    RetryLater,
    Score,
    ServiceUrls,
    Stale,
    WaitForEnrolment,
)
from ltihost.store.grades import Claim, Platform, Verdict

NOW = 1_790_000_000.0
SCORE = Score(Decimal(8), Decimal(10), "Completed", "FullyGraded")
CLAIM = Claim(
    platform=Platform("ten", "reg"), slot_id="dlv", try_id="dlt", deployment_id="1", lease_no=1, rev=1,
    second=int(NOW), claimed_at=NOW, winner_id="gev", user_id="usr", subject="7",
    line_item=LineItem("lin", "Quiz", Decimal(10), "https://lms.example/1"), line_item_id="lin",
    override_policy="platform_wins", application=("ten", "app"), urls=ServiceUrls(), score=SCORE, code=None, tries=0,
    stale_tries=0, first_failed_at=None, paused_seconds=0.0, unknown=False, settling=False,
)  # fmt: skip


def verdict(outcome: Outcome, *, enforces_timestamp: bool = True, **claim: object) -> Verdict:
    return judge(outcome, replace(CLAIM, **claim), SCORE, enforces_timestamp=enforces_timestamp)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "end", "code", "platform"),
    [
        (Delivered(), "confirmed", None, "ok"),
        (RetryLater("timeout"), "retry", "timeout", "failed"),
        (PausePlatform("throttled", 9.0), "retry", "throttled", "throttled"),
        (PausePlatform("throttled"), "retry", "throttled", "throttled"),
        (PausePlatform("unauthorized"), "retry", "unauthorized", "refused"),
        (LineItemGone(), "blocked", "line_item_gone", "ok"),
        (NeedsAttention("scope_missing"), "blocked", "scope_missing", "ok"),
        (WaitForEnrolment(), "waiting_enrolment", "user_not_enrolled", "ok"),
        (GiveUp("refused"), "retry", "refused", "ok"),
        (GiveUp("service_origin", at_once=True), "dead", "service_origin", "ok"),
        (Stale(), "resend", "stale_timestamp", "ok"),
    ],
)
def test_each_outcome_has_its_verdict(outcome: Outcome, end: str, code: str | None, platform: str) -> None:
    found = verdict(outcome)
    assert found.platform is not None
    assert (found.end, found.code, found.platform.kind) == (end, code, platform)


@pytest.mark.parametrize(("applied", "unknown"), [("perhaps", True), ("no", False)])
def test_only_what_surely_did_not_leave_is_certain(applied: object, unknown: bool) -> None:
    assert verdict(RetryLater("x", applied=applied)).unknown is unknown  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("enforces", "unknown", "settle"),
    [(False, True, True), (True, True, False), (False, False, False), (True, False, False)],
)
def test_an_unclear_try_is_outdone_where_older_scores_may_win(enforces: bool, unknown: bool, settle: bool) -> None:
    assert verdict(Delivered(), enforces_timestamp=enforces, unknown=unknown).settle is settle


def test_a_fault_of_the_platform_is_tried_later_and_later() -> None:
    assert 2.5 <= verdict(RetryLater("x")).after <= 5
    assert 2_560 <= verdict(RetryLater("x"), tries=10).after <= 5_120
    assert verdict(RetryLater("x", after=7_000.0), tries=3).after >= 7_000
    assert not verdict(PausePlatform("throttled", 9.0)).counts


def test_a_refusal_is_believed_at_the_third_time_after_an_hour() -> None:
    first = verdict(GiveUp("refused"), code="platform_error", tries=9, first_failed_at=NOW - 9 * 3_600)
    assert (first.end, first.afresh) == ("retry", True)
    assert first.after >= 1_800
    soon = verdict(GiveUp("refused"), code="refused", tries=2, first_failed_at=NOW - 3_599)
    assert (soon.end, soon.afresh) == ("retry", False)
    early = verdict(GiveUp("refused"), code="refused", tries=1, first_failed_at=NOW - 7_200)
    assert early.end == "retry"
    third = verdict(GiveUp("refused"), code="refused", tries=2, first_failed_at=NOW - 3_700)
    assert (third.end, third.final) == ("dead", False)
    assert verdict(GiveUp("x", at_once=True)).final


def test_who_is_not_enrolled_is_waited_for_fourteen_days() -> None:
    waiting = verdict(WaitForEnrolment(), code="user_not_enrolled", first_failed_at=NOW - 13.9 * DAY)
    assert waiting.end == "waiting_enrolment"
    over = verdict(WaitForEnrolment(), code="user_not_enrolled", first_failed_at=NOW - 14.1 * DAY)
    assert (over.end, over.final) == ("dead", True)
    other = verdict(WaitForEnrolment(), code="timeout", first_failed_at=NOW - 20 * DAY)
    assert (other.end, other.afresh) == ("waiting_enrolment", True)


@pytest.mark.parametrize(
    ("failing", "paused", "end"),
    [(6.9, 0.0, "retry"), (7.1, 0.0, "dead"), (20.9, 14.0, "retry"), (21.1, 30.0, "dead"), (8.0, 2.0, "retry")],
)
def test_the_horizon_stands_still_while_others_are_to_blame(failing: float, paused: float, end: str) -> None:
    found = verdict(RetryLater("timeout"), first_failed_at=NOW - failing * DAY, paused_seconds=paused * DAY)
    assert (found.end, found.final) == (end, False)


def test_what_a_column_or_a_person_must_clear_waits() -> None:
    for outcome in (LineItemGone(), NeedsAttention("scope_missing")):
        assert 0.9 * DAY <= verdict(outcome).after <= DAY


@pytest.mark.parametrize(("tries", "end"), [(0, "resend"), (4, "resend"), (5, "conflict")])
def test_something_newer_is_met_with_five_new_timestamps(tries: int, end: str) -> None:
    claim = replace(CLAIM, stale_tries=tries)
    assert judge_stale(claim, SCORE, Result("7", Decimal(3), Decimal(10)), code="stale_timestamp").end == end


def test_what_stands_there_already_is_confirmed() -> None:
    standing = Result("7", Decimal(80), Decimal(100))
    found = judge_stale(replace(CLAIM, unknown=True), SCORE, standing, code="stale_timestamp")
    assert (found.end, found.settle) == ("confirmed", False)


@pytest.mark.parametrize(
    ("given", "maximum", "held", "of", "same"),
    [
        ("8", "10", "80", "100", True),
        ("1", "3", "33.33333", "100", True),
        ("1", "3", "33.3", "100", False),
        ("8", "10", None, "1", False),
        (None, None, None, "1", True),
        (None, None, "0", "1", False),
        ("0", "10", "0", "1", True),
    ],
)
def test_grades_are_compared_whatever_their_maximum(
    given: str | None, maximum: str | None, held: str | None, of: str, same: bool
) -> None:
    sent = replace(SCORE, given=given and Decimal(given), maximum=maximum and Decimal(maximum))
    assert same_grade(sent, Result("7", held and Decimal(held), Decimal(of))) is same  # type: ignore[arg-type]


def test_nothing_there_is_no_grade() -> None:
    assert not same_grade(SCORE, None)
    assert same_grade(replace(SCORE, given=None), None)
