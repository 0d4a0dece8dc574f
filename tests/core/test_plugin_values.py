"""The hooks of the services: in which order plugins are asked, and what is believed of their answers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from ltihost.errors import PluginFailed
from ltihost.plugins.calls import Calls
from ltihost.records import Binding, Launch
from ltihost.service_records import (
    Delivery,
    GiveUp,
    LeftOut,
    LineItem,
    RosterChange,
    Score,
    ServiceAnswer,
    Unacceptable,
    Withheld,
)
from tests.core.test_plugins import binding, load

SCORE = Score(Decimal("9"), Decimal(10), "Completed", "FullyGraded")
ITEM = LineItem("lin_1", "Quiz", Decimal(10))
MEMBER: dict[str, Any] = {"user_id": "7", "name": "ada byron", "roles": ["Learner"]}
LINK: dict[str, Any] = {"type": "ltiResourceLink", "title": "A title that is long"}
LAUNCH = cast("Launch", None)  # the hooks of these plugins do not ask for it


def scaled(calls: Calls, binding: Binding, score: Score = SCORE) -> Score | Withheld:
    return calls.scale_score(score, ITEM, binding)


def normalised(member: dict[str, Any]) -> object:
    return Calls(load("good", "policy")).member_normaliser(binding("good", "good", "policy"))(member)


def test_a_score_passes_the_policy_first_and_the_dialect_last() -> None:
    """9 / 2 = 4.5, and only then whole points: 4. The other way round it would be 4.5."""
    answer = scaled(Calls(load("good", "policy")), binding("good", "good", "policy"))
    assert answer == replace(SCORE, given=Decimal(4))


def test_a_score_passes_as_it_is_where_no_plugin_differs() -> None:
    assert scaled(Calls(load("silent")), binding("silent")) is SCORE


def test_a_withheld_score_says_why() -> None:
    answer = scaled(Calls(load("good")), binding("good"), replace(SCORE, given=None))
    assert answer == Withheld("only final scores are taken")


def test_another_lms_s_plugin_is_not_asked() -> None:
    assert scaled(Calls(load("good", "silent")), binding("silent", "silent", "good")) is SCORE


def test_a_member_passes_the_dialect_first_and_keeps_who_they_are() -> None:
    answer = normalised(MEMBER)
    assert answer == MEMBER | {"name": "<Ada Byron>"}
    assert MEMBER["name"] == "ada byron"


def test_a_member_can_be_left_out() -> None:
    answer = normalised(MEMBER | {"robot": True})
    assert answer == LeftOut("robots are no members")


def test_a_content_item_is_linted_on_a_copy() -> None:
    answer = Calls(load("good", "policy")).lint_content_item(LINK, LAUNCH, binding("good", "good", "policy"))
    assert answer == LINK | {"title": "A title th"}
    assert LINK["title"] == "A title that is long"


def test_a_content_item_can_be_refused() -> None:
    answer = Calls(load("good")).lint_content_item({"type": "html"}, LAUNCH, binding("good"))
    assert answer == Unacceptable("this LMS takes links only")


@pytest.mark.parametrize(("body", "expected"), [(b"closed", GiveUp("closed")), (b"open", None)])
def test_only_the_lms_s_plugin_classifies(body: bytes, expected: object) -> None:
    answer = ServiceAnswer(422, {}, body)
    assert Calls(load("good", "policy")).classify_error(answer, "score", binding("good", "policy")) == expected


def test_a_plugin_that_fails_at_classifying_leaves_it_to_the_specs() -> None:
    with capture_logs() as logs:
        assert Calls(load("failing")).classify_error(ServiceAnswer(500, {}, b""), "score", binding("failing")) is None
    assert [log["event"] for log in logs] == ["plugin.hook_failed"]


@pytest.mark.parametrize(
    "call",
    [
        lambda calls, where: calls.scale_score(SCORE, ITEM, where),
        lambda calls, where: calls.member_normaliser(where)(MEMBER),
        lambda calls, where: calls.lint_content_item(LINK, LAUNCH, where),
    ],
    ids=["scale_score", "normalise_member", "lint_content_item"],
)
def test_a_failing_plugin_stops_the_work(call: Any) -> None:
    """Better late than wrong."""
    with capture_logs() as logs, pytest.raises(PluginFailed) as caught:
        call(Calls(load("failing")), binding("failing"))
    assert caught.value.code == "plugin_error"
    assert "failing" in caught.value.message
    assert len(logs) == 1


async def test_an_event_reaches_every_plugin_although_one_fails() -> None:
    calls, delivery = Calls(load("failing", "good")), Delivery("dlv_1", "lin_1", "usr_1", "idle", None, None, None)
    with capture_logs() as logs:
        await calls.grade_settled(delivery, binding("failing", "failing", "good"))
        await calls.roster_changed(RosterChange("ctx_1", 1), binding("failing"))
    assert [log["event"] for log in logs] == ["plugin.hook_failed"]
