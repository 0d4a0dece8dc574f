"""Scores that cannot be, each with one defect beside a good one that stays as it was. S-70 to S-72, S-76 through the API."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ltihost.store import applications
from ltihost.store.hot import ContextSeen
from tests.core.grades.support import GradeEvent, GradeSlot, add_line_item, launch, make_book
from tests.core.store.support import ACTOR
from tests.flows.grades.gradebook import Gradebook
from tests.flows.grades.rig import Rig
from tests.flows.grades.test_api import ALL, Api, api

__all__ = ["api"]  # a fixture


async def stored(api: Api) -> list[Any]:
    """Everything that was stated, and which of it is wanted in the gradebook."""
    facts = [row.values() for row in await api.book.rows(GradeEvent)]
    slots = [(row.id, row.user_id, row.desired_rev, row.winner_event_id) for row in await api.book.rows(GradeSlot)]
    return [facts, slots]


@pytest.fixture
async def kept(api: Api) -> list[Any]:
    """A good score, taken in before."""
    assert (await api.post({"given": 7}, idempotency="good")).status_code == 202
    return await stored(api)


async def refused(api: Api, body: dict[str, Any] | str, **how: Any) -> tuple[int, str]:
    answer = await api.post(body, idempotency="bad", **how)
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


# Whose it is: S-70, S-71


async def strangers(api: Api) -> dict[str, str]:
    """People whom the context does not know as learners."""
    book = api.book
    south = await make_book(book.db, slug="south")
    teacher, _ = await launch(book.world, "teacher", role="instructor", roles_json='["Instructor"]')
    elsewhere, _ = await launch(book.world, "chemist", role="learner")
    return {"another tenant": south.learners[0], "instructor only": teacher, "in the course": elsewhere}


async def test_only_learners_of_the_context_are_graded(api: Api, kept: list[Any]) -> None:
    """S-70: another tenant's person, nobody, and a teacher; a learner who just launched is taken."""
    people = await strangers(api)
    learner = people.pop("in the course")
    for name, user_id in (people | {"nobody": "usr_nobody"}).items():
        assert await refused(api, {"user_id": user_id, "attempt": 2}) == (422, "user_not_in_context"), name
        assert await stored(api) == kept, name
    assert (await api.post({"user_id": learner}, idempotency="another")).status_code == 202


async def test_a_learner_of_another_context_is_not_graded_in_this_one(api: Api, kept: list[Any]) -> None:
    """S-70."""
    world = api.book.world
    outcome = await world.db.hot.accept_launch(world.work(context=ContextSeen("chemistry", "C", "C", ())))
    item = await add_line_item(world, str(outcome.context_id))
    assert await refused(api, {"attempt": 2}, item=item) == (422, "user_not_in_context")
    assert await stored(api) == kept


async def test_a_foreign_line_item_is_as_unknown_as_none(api: Api, kept: list[Any]) -> None:
    """S-71: another tenant's, another application's, and none at all, word for word."""
    south = await make_book(api.book.db, slug="south")
    neighbour = await api.book.db.run_host(
        applications.create, api.book.tenant_id, "neighbour", name="N", launch_url="https://n.example/", actor=ACTOR
    )
    foreign = [
        south.line_item_id,
        await add_line_item(api.book.world, api.book.context_id, application_id=neighbour.id),
        "lin_" + "a" * 26,
    ]
    answers = [await api.post({"attempt": 2}, item=item, idempotency="bad") for item in foreign]
    assert {answer.status_code for answer in answers} == {404}
    assert [answer.json()["code"] for answer in answers] == ["line_item_unknown"] * 3
    assert len({answer.content for answer in answers}) == 1
    assert await stored(api) == kept
    assert await south.rows(GradeEvent) == []


# Numbers and times: S-72


NUMBERS = {
    "NaN": "invalid_request", "Infinity": "invalid_request", "-Infinity": "invalid_request", "1e999": "invalid_request",
    "-1": "invalid_request", "-0.000001": "invalid_request", '"90"': "invalid_request", "7.0000001": "invalid_request",
    "[7]": "invalid_request", "10.000001": "given_above_maximum", "11": "given_above_maximum",
}  # fmt: skip


async def test_a_number_that_cannot_be_leaves_what_was_there(api: Api, kept: list[Any]) -> None:
    """S-72; the same body with a number that can be is taken."""
    body = '{"user_id": "%s", "given": %s, "maximum": 10, "attempt": 2}'
    for given, code in NUMBERS.items():
        assert await refused(api, body % (api.book.learners[0], given)) == (422, code), given
        assert await stored(api) == kept, given
    assert (await api.post(body % (api.book.learners[0], "10"), idempotency="bad")).status_code == 202


@pytest.mark.parametrize("name", ["started_at", "submitted_at"])
async def test_times_are_past_but_for_a_clock_a_minute_ahead(api: Api, kept: list[Any], name: str) -> None:
    def ahead(seconds: int) -> dict[str, Any]:
        return {name: (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(), "attempt": 2}

    assert await refused(api, ahead(90)) == (422, "time_in_future")
    assert await stored(api) == kept
    assert (await api.post(ahead(30), idempotency="soon")).status_code == 202


async def test_sums_that_binary_numbers_miss_reach_the_gradebook_exactly(rig: Rig, lms: Gradebook) -> None:
    """S-72: 0.1 + 0.2 is 0.3 here, and the wire has no other digits."""
    await rig.book.take(str(Decimal("0.1") + Decimal("0.2")), "0.3")
    await rig.deliver()
    (request,) = [request for request in lms.server.requests if request.path.endswith("/scores")]
    assert b'"scoreGiven":0.3,"scoreMaximum":0.3' in request.body


# The same key: S-76


async def test_of_different_bodies_under_one_key_at_once_one_is_taken(api: Api) -> None:
    """S-76: none is half stored, and whoever loses is told why."""
    key = await api.key(*ALL)
    answers = await asyncio.gather(*(api.post({"given": number}, key=key) for number in range(1, 9)))
    codes = Counter(answer.json().get("code", "taken") for answer in answers)
    assert codes == {"taken": 1, "idempotency_mismatch": 7}
    (fact,) = await api.book.rows(GradeEvent)
    (taken,) = [number for number, answer in enumerate(answers, 1) if answer.status_code == 202]
    assert fact.given == str(taken)


KEYS = {
    "": "invalid_request", "a" * 201: "invalid_request", "caf\u00e9": "idempotency_key_invalid",
    "tab\there": "idempotency_key_invalid",
}  # fmt: skip


async def test_a_key_that_is_none_is_refused(api: Api, kept: list[Any]) -> None:
    bearer = f"Bearer {await api.key(*ALL)}".encode()
    for key, code in KEYS.items():
        headers = {b"authorization": bearer, b"idempotency-key": key.encode()}
        answer = await api.http.post(
            f"/api/v1/line-items/{api.book.line_item_id}/scores", json=api.body(attempt=2), headers=headers
        )
        assert (answer.status_code, answer.json()["code"]) == (422, code), key
        assert await stored(api) == kept


# What is said beside a score


async def test_a_comment_goes_with_its_own_score_and_with_no_other(rig: Rig, lms: Gradebook) -> None:
    """A-14: the platform clears one that is not repeated, so the better attempt without one has none."""
    await rig.book.take(7, comment="Good")
    await rig.deliver()
    await rig.book.take(9, attempt=2)
    await rig.deliver(after=2)
    await rig.book.take(10, attempt=3, comment="Better")
    await rig.deliver(after=2)
    assert [entry.body.get("comment") for entry in lms.ledger] == ["Good", None, "Better"]


# An LMS that answers nonsense


async def test_a_token_endpoint_that_answers_a_page_delivers_nothing_until_it_is_well(rig: Rig, lms: Gradebook) -> None:
    """200 and no token, as a page about maintenance is: the score was not sent, so it waits."""
    lms.token_rule = lambda _: (200, {"access_token": ""})
    await rig.book.take(8)
    await rig.deliver()
    slot = await rig.book.slot()
    assert (slot.state, slot.confirmed_rev, slot.unknown_outcome) == ("pending", 0, False)
    assert lms.posts == []
    lms.token_rule = None
    for _ in range(10):
        await rig.deliver(after=120)
    assert rig.standing() == (8, 10)
    assert (await rig.book.slot()).state == "idle"
