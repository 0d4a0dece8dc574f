"""What holds for grades, rosters and content items with every LMS: the samples, and that no hook fails or forges."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ltihost_blackboard.errors
import ltihost_canvas.errors
import ltihost_moodle.errors
from ltihost.service_records import (
    ActivityProgress,
    GradingProgress,
    LeftOut,
    Operation,
    Outcome,
    Score,
    SentScore,
    ServiceAnswer,
    Unacceptable,
    Withheld,
)
from tests.plugins.reading import Reader
from tests.plugins.service_samples import ServiceSample, came_out, service_samples
from tests.plugins.test_every_plugin import KEYS, names, values

SAMPLES = [sample for key in KEYS for sample in service_samples(key)]
CLASSIFIED = {
    "canvas": ltihost_canvas.errors.classified,
    "moodle": ltihost_moodle.errors.classified,
    "blackboard": ltihost_blackboard.errors.classified,
}


@cache
def reader(key: str) -> Reader:
    return Reader(key)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.key}-{sample.kind}-{sample.stem}")
def test_service_sample_comes_out_as_it_says(sample: ServiceSample) -> None:
    assert came_out(reader(sample.key), sample) == sample.expected


points = st.decimals(min_value=0, max_value=1000, places=6)
maxima = st.decimals(min_value=Decimal("0.000001"), max_value=1000, places=6)
comments = st.none() | st.text(max_size=5)


@st.composite
def previous_scores(draw: st.DrawFn) -> SentScore:
    number = draw(st.none() | points)
    return SentScore(number, None if number is None else draw(maxima), draw(st.integers(1, 3)), draw(comments))


@st.composite
def scores(draw: st.DrawFn) -> Score:
    number = draw(st.none() | points)
    return Score(
        given=number,
        maximum=None if number is None else draw(maxima),
        activity_progress=draw(st.sampled_from(get_args(ActivityProgress))),
        grading_progress=draw(st.sampled_from(get_args(GradingProgress))),
        attempt=draw(st.integers(1, 3)),
        comment=draw(comments),
        previous=draw(st.none() | previous_scores()),
        repeated=draw(st.booleans()),
    )


def clears(score: Score) -> bool:
    return score.given is None and (score.activity_progress, score.grading_progress) == ("Initialized", "NotReady")


@pytest.mark.parametrize("key", KEYS)
@settings(deadline=None)
@given(number=st.just(Decimal(0)) | points, maximum=maxima, before=st.none() | previous_scores())
def test_a_final_score_always_leaves_with_its_very_number(
    key: str, number: Decimal, maximum: Decimal, before: SentScore | None
) -> None:
    found = reader(key).scaled(Score(number, maximum, "Completed", "FullyGraded", previous=before))
    assert isinstance(found, Score)
    assert (found.given, found.maximum, found.final) == (number, maximum, True)


@pytest.mark.parametrize("key", KEYS)
@settings(deadline=None)
@given(score=scores())
def test_no_number_is_invented(key: str, score: Score) -> None:
    """A number is the application's, or the one that was confirmed before when only a comment is new."""
    found = reader(key).scaled(score)
    if isinstance(found, Withheld) or found.given is None:
        return
    stood = score.previous if score.given is None else score
    assert stood is not None
    assert (found.given, found.maximum) == (stood.given, stood.maximum)


@pytest.mark.parametrize("key", KEYS)
@settings(deadline=None)
@given(score=scores())
def test_a_grade_is_cleared_when_that_is_asked_for_and_only_then(key: str, score: Score) -> None:
    found = reader(key).scaled(score)
    assert (isinstance(found, Score) and clears(found)) == clears(score)


@pytest.mark.parametrize("key", KEYS)
@settings(deadline=None)
@given(row=st.dictionaries(names | st.sampled_from(("roles", "name", "message", "user_id")), values, max_size=6))
def test_any_roster_row_is_read_without_fault(key: str, row: dict[str, Any]) -> None:
    member = reader(key).member(row)
    assert isinstance(member, LeftOut) or member.get("user_id") == row.get("user_id")


@pytest.mark.parametrize("key", KEYS)
@settings(deadline=None)
@given(
    item=st.dictionaries(names | st.sampled_from(("lineItem", "custom", "url")), values, max_size=6),
    kind=st.sampled_from(("ltiResourceLink", "link", "html")),
)
def test_any_content_item_is_read_without_fault(key: str, item: dict[str, Any], kind: str) -> None:
    found = reader(key).item({**item, "type": kind})
    assert isinstance(found, Unacceptable) or found["type"] == kind


@pytest.mark.parametrize("key", KEYS)
@settings(deadline=None)
@given(
    status=st.integers(400, 599),
    body=st.binary(max_size=40),
    operation=st.sampled_from(get_args(Operation)),
    headers=st.dictionaries(st.sampled_from(("retry-after", "x-rate-limit-remaining")), st.text(max_size=6)),
)
def test_any_error_answer_is_read_without_fault(
    key: str, status: int, body: bytes, operation: Operation, headers: Mapping[str, str]
) -> None:
    outcome = CLASSIFIED[key](ServiceAnswer(status, headers, body), operation)
    assert outcome is None or isinstance(outcome, get_args(Outcome))


@pytest.mark.parametrize("key", KEYS)
def test_the_plugin_asks_for_the_contract_that_has_these_hooks(key: str) -> None:
    assert reader(key).manifest.api == (1, 1)
