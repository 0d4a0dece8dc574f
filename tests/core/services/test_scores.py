"""Scores by the spec, byte for byte, and results read back. AGS 2.0 sections 3.3 and 3.4."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltihost.errors import ServiceFailed
from ltihost.lti.service_json import number, write_body
from ltihost.lti.service_urls import below, with_parameters
from ltihost.lti.vocabulary import SCOPE_LINE_ITEM, SCOPE_SCORE
from ltihost.plugins import Delivered, GiveUp, LineItemGone, LtiAdapter, NeedsAttention, Result, RetryLater, Score
from tests.core.services.rig import SCORE, form, paged, replies, rig

PROGRESS = Score(None, None, "Started", "NotReady")


# Sending


async def test_a_score_goes_to_the_line_items_path_with_its_query_kept() -> None:
    """A-03, A-10."""
    async with rig() as at:
        assert await at.send() == Delivered()
        (request,) = at.lms.calls
        assert (request.method, request.path) == ("POST", "/items/7/scores?type_id=1")
        assert request.headers["content-type"] == "application/vnd.ims.lis.v1.score+json"
        assert request.headers["authorization"] == "Bearer token-1"
        assert request.body == (
            b'{"userId":"u1","timestamp":"2027-01-15T08:00:00.000Z","activityProgress":"Completed",'
            b'"gradingProgress":"FullyGraded","scoreGiven":8,"scoreMaximum":10}'
        )
        assert SCOPE_SCORE in form(at.lms.token_requests[0])["scope"].split()


@pytest.mark.parametrize(
    ("url", "scores"),
    [
        ("https://l/i/1?type_id=1", "https://l/i/1/scores?type_id=1"),
        ("https://l/i/1", "https://l/i/1/scores"),
        ("https://l/i/1/", "https://l/i/1/scores"),
        ("https://l/i/1/?a=b/c&d=?", "https://l/i/1/scores?a=b/c&d=?"),
        ("https://l/I/aB?X=Y", "https://l/I/aB/scores?X=Y"),
    ],
)
def test_a_segment_goes_in_front_of_the_query(url: str, scores: str) -> None:
    assert below(url, "scores") == scores


@given(st.text(), st.sampled_from(["", "?", "?a=1", "?a=1&", "?a=%2F&b"]))
def test_a_parameter_joins_the_query_whole(value: str, query: str) -> None:
    joined = with_parameters(f"https://l/i{query}", {"tag": value, "none": None})
    assert joined.startswith(f"https://l/i{query}")
    assert parse_qsl(urlsplit(joined).query, keep_blank_values=True)[-1] == ("tag", value)


async def test_everything_that_is_stated_is_sent() -> None:
    async with rig() as at:
        full = replace(
            SCORE, comment="Good <b>work</b>\nline 2", started_at="2027-01-15T07:00:00Z",
            submitted_at="2027-01-15T07:30:00Z", extensions={"https://lms.example/x": {"a": True}},
        )  # fmt: skip
        await at.send(full)
        sent = json.loads(at.lms.calls[0].body)
        assert sent["comment"] == "Good <b>work</b>\nline 2"
        assert sent["submission"] == {"startedAt": "2027-01-15T07:00:00Z", "submittedAt": "2027-01-15T07:30:00Z"}
        assert sent["https://lms.example/x"] == {"a": True}


async def test_progress_and_clearing_have_no_numbers_in_them() -> None:
    async with rig() as at:
        await at.send(PROGRESS)
        await at.send(Score(None, Decimal(10), "Initialized", "NotReady"))
        assert [set(json.loads(request.body)) for request in at.lms.calls] == [
            {"userId", "timestamp", "activityProgress", "gradingProgress"}
        ] * 2


@pytest.mark.parametrize(
    ("given", "maximum", "written"),
    [
        ("0", "10", b'"scoreGiven":0,"scoreMaximum":10'),
        ("15", "10", b'"scoreGiven":15,"scoreMaximum":10'),
        ("0.1", "0.3", b'"scoreGiven":0.1,"scoreMaximum":0.3'),
        ("33.3333333333333333", "100.00", b'"scoreGiven":33.3333333333333333,"scoreMaximum":100'),
        ("1e2", "1E+3", b'"scoreGiven":100,"scoreMaximum":1000'),
        ("0E-7", "1", b'"scoreGiven":0,"scoreMaximum":1'),
    ],
)
async def test_numbers_are_written_digit_for_digit(given: str, maximum: str, written: bytes) -> None:
    """A-13."""
    async with rig() as at:
        assert await at.send(replace(SCORE, given=Decimal(given), maximum=Decimal(maximum))) == Delivered()
        assert written in at.lms.calls[0].body


@given(st.decimals(min_value=0, max_value=10**14, places=8))
def test_a_written_number_is_the_number(value: Decimal) -> None:
    assert json.loads(write_body({"x": value}), parse_float=Decimal, parse_int=Decimal)["x"] == value


@pytest.mark.parametrize(
    ("given", "maximum"),
    [("-0.1", "10"), ("NaN", "10"), ("Infinity", "10"), ("sNaN", "10"), ("1e16", "10"), ("1", "0"), ("1", "-1"),
     ("1", "NaN"), ("1", None)],
)  # fmt: skip
async def test_numbers_that_harm_are_never_sent(given: str, maximum: str | None) -> None:
    """A-13, S-72."""
    async with rig() as at:
        score = replace(SCORE, given=Decimal(given), maximum=None if maximum is None else Decimal(maximum))
        assert await at.send(score) == GiveUp("score_invalid", at_once=True)
        assert at.lms.server.requests == []


async def test_a_user_id_of_digits_stays_a_text() -> None:
    async with rig() as at:
        await at.send(subject="0040899")
        assert json.loads(at.lms.calls[0].body)["userId"] == "0040899"


async def test_a_repeat_is_the_same_message() -> None:
    async with rig() as at:
        score = replace(SCORE, comment="c", extensions={"https://a": 1, "https://b": 2})
        await at.send(score)
        await at.send(score)
        first, second = at.lms.calls
        assert first.body == second.body


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b"[]", b"no JSON", b'{"resultUrl": "https://l/r"}'])
async def test_any_success_is_one(status: int, body: bytes) -> None:
    """A-17."""
    async with rig(replies(b"" if status == 204 else body, status)) as at:
        assert await at.send() == Delivered()


async def test_without_the_offered_scope_nothing_is_sent() -> None:
    async with rig() as at:
        urls = replace(at.urls, ags_scopes=(SCOPE_LINE_ITEM,))
        outcome = await at.adapter().send_score(urls, at.line_item, "u1", SCORE, 1)
        assert outcome == NeedsAttention("scope_missing")
        assert at.lms.server.requests == []


async def test_without_a_url_the_line_item_is_gone() -> None:
    async with rig() as at:
        outcome = await at.adapter().send_score(at.urls, replace(at.line_item, url=None), "u1", SCORE, 1)
        assert outcome == LineItemGone()


class Wordy(LtiAdapter):
    def score_body(self, line_item: Any, subject: str, score: Score, at: int) -> dict[str, Any]:
        return super().score_body(line_item, subject, score, at) | {"comment": f"of {line_item.label}"}


async def test_a_plugin_changes_what_is_sent() -> None:
    async with rig() as at:
        await at.adapter(Wordy).send_score(at.urls, at.line_item, "u1", SCORE, 1)
        assert json.loads(at.lms.calls[0].body)["comment"] == "of Quiz"


# Results


def row(subject: Any = "u1", **members: Any) -> dict[str, Any]:
    return {"id": "https://l/r", "userId": subject} | members


async def test_results_are_asked_for_below_the_line_item() -> None:
    async with rig(replies([])) as at:
        assert await at.adapter().results(at.urls, at.line_item) == ()
        assert await at.adapter().results(at.urls, at.line_item, subject="u&1") == ()
        assert at.lms.paths == ["/items/7/results?type_id=1", "/items/7/results?type_id=1&user_id=u%261"]
        assert {call.headers["accept"] for call in at.lms.calls} == {"application/vnd.ims.lis.v2.resultcontainer+json"}


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (row(resultScore=8.25, resultMaximum=10), Result("u1", Decimal("8.25"), Decimal(10))),
        (row(resultScore=0, resultMaximum=10), Result("u1", Decimal(0), Decimal(10))),
        (row(resultScore=0.83), Result("u1", Decimal("0.83"), Decimal(1))),
        (row(resultScore=None, resultMaximum=10), Result("u1", None, Decimal(10))),
        (row(), Result("u1", None, Decimal(1))),
        (row(resultScore="7.5", resultMaximum=0), Result("u1", Decimal("7.5"), Decimal(1))),
        (row(resultScore=1, comment="", scoringUserId=None), Result("u1", Decimal(1))),
        (
            row(resultScore=1, comment="c", scoringUserId="t"),
            Result("u1", Decimal(1), comment="c", scoring_subject="t"),
        ),
        (row(17, resultScore=1), Result("17", Decimal(1))),
    ],
)
async def test_a_result_is_read_with_its_defaults(sent: dict[str, Any], read: Result) -> None:
    async with rig(replies([sent])) as at:
        assert await at.adapter().results(at.urls, at.line_item) == (read,)


@pytest.mark.parametrize("value", [True, "NaN", "x", "", [], "1e400", float("1e300")])
def test_what_is_no_number_of_a_gradebook_is_none(value: object) -> None:
    assert number(value) is None


async def test_the_last_row_of_a_user_counts_and_other_users_are_left_out() -> None:
    rows = [row("u1", resultScore=1), row("u2", resultScore=2), row("u1", resultScore=3), 7, {"resultScore": 1}]
    async with rig(replies(rows)) as at:
        results = await at.adapter().results(at.urls, at.line_item)
        assert {result.subject: result.given for result in results} == {"u1": 3, "u2": 2}
        assert await at.adapter().results(at.urls, at.line_item, subject="u2") == (Result("u2", Decimal(2)),)


async def test_all_pages_of_results_are_read() -> None:
    pages = {
        "/items/7/results?type_id=1": ([row("u1")], '<results?p=2>; rel="next"'),
        "/items/7/results?p=2": ([row("u2")], None),
    }
    async with rig(paged(pages)) as at:
        assert len(await at.adapter().results(at.urls, at.line_item)) == 2


class Aliased(LtiAdapter):
    sends_user_id_filter = False
    result_limit = 1000

    def match_result(self, result: Result, subject: str) -> bool:
        return result.subject in (subject, "old-" + subject)


async def test_an_lms_may_want_another_way_of_asking() -> None:
    async with rig(replies([row("old-u1", resultScore=4), row("u2")])) as at:
        (result,) = await at.adapter(Aliased).results(at.urls, at.line_item, subject="u1")
        assert result.given == 4
        assert at.lms.paths == ["/items/7/results?type_id=1&limit=1000"]


async def test_an_answer_that_a_plugin_takes_for_empty_is_empty() -> None:
    async with rig(replies(b"<html>", 404)) as at:
        at.classify = lambda answer, operation: Delivered() if (answer.status, operation) == (404, "results") else None
        assert await at.adapter().results(at.urls, at.line_item) == ()


async def test_results_that_cannot_be_read_should_pass() -> None:
    async with rig(replies(b"<html>")) as at:
        with pytest.raises(ServiceFailed) as failed:
            await at.adapter().results(at.urls, at.line_item)
        assert failed.value.outcome == RetryLater("answer_unreadable")
        assert (failed.value.status, failed.value.excerpt) == (200, "<html>")
