"""R-15: a token endpoint that is down. Who has a token goes on, who has none waits, and no score is lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.host import Host
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings
from ltihost.store import grade_queries
from ltihost.store.grade_queries import Fault
from ltihost.store.grades import Terms
from ltihost.store.grades_store import Grades
from tests.core.grades.support import DeliveryTry, GradeSlot, PlatformHealth
from tests.flows.grades.gradebook import Gradebook
from tests.flows.grades.rig import Rig, make_rig

MINUTE = 60.0


@pytest.fixture
async def rig(settings: Settings, lms: Gradebook) -> AsyncIterator[Rig]:
    made = await make_rig(settings, lms, learners=30)
    yield made
    await made.host.close()


def down(_: int) -> tuple[int, dict[str, Any]]:
    return 500, {}


async def take(rig: Rig, learner: int) -> None:
    await rig.book.take(7, user_id=rig.book.learners[learner])


async def outcomes(rig: Rig) -> list[tuple[str, str | None]]:
    return sorted({(row.outcome, row.code) for row in await rig.book.rows(DeliveryTry)})


async def breaker(rig: Rig) -> tuple[str, int, float]:
    health = await shown(rig, "score")
    return health.state, health.failures, health.open_until


async def shown(rig: Rig, kind: str) -> PlatformHealth:
    (health,) = [row for row in await rig.book.rows(PlatformHealth) if row.kind == kind]
    assert isinstance(health, PlatformHealth)
    return health


async def faults(rig: Rig, *, after: float = 0.0) -> set[str]:
    now = time.time() + rig.book.shift + after
    return {fault.code for fault in await rig.book.db.run_host(_faults, now)}


def _faults(session: Session, now: float) -> list[Fault]:
    return list(grade_queries.faults(session, now))


async def test_ten_minutes_without_tokens_fail_no_score_while_one_lives(rig: Rig) -> None:
    """They begin when it is time to renew the token, which has twelve minutes left."""
    await take(rig, 0)
    await rig.deliver()
    rig.lms.token_rule = down
    rig.book.shift = 48 * MINUTE
    for minute in range(1, 11):
        await take(rig, minute)
        assert await rig.deliver(after=MINUTE) == 1
        assert rig.standing(minute) == (7, 10)
    assert await outcomes(rig) == [("confirmed", None)]
    assert await breaker(rig) == ("closed", 0, 0.0)
    assert 1 < rig.lms.tokens <= 21
    rig.lms.token_rule = None
    await take(rig, 11)
    assert await rig.deliver(after=MINUTE) == 1
    assert await outcomes(rig) == [("confirmed", None)]


async def test_when_the_last_token_has_ended_scores_wait_and_arrive_afterwards(rig: Rig) -> None:
    await take(rig, 0)
    await rig.deliver()
    rig.lms.token_rule = down
    rig.book.shift = 60 * MINUTE
    asked = rig.lms.tokens
    for minute in range(1, 30):
        await take(rig, minute)
        await rig.deliver(after=MINUTE)
    slots = await rig.book.rows(GradeSlot)
    assert sorted(slot.state for slot in slots) == ["idle"] + 29 * ["pending"]
    assert sum(slot.tries for slot in slots) == 0
    assert await breaker(rig) == ("closed", 0, 0.0)
    assert rig.lms.tokens - asked < 30
    rig.lms.token_rule = None
    for _ in range(16):  # the longest pause of a breaker
        await rig.deliver(after=MINUTE)
    assert {slot.state for slot in await rig.book.rows(GradeSlot)} == {"idle"}
    assert len(rig.lms.grades) == 30
    assert max(rig.lms.applied().values()) == 1


async def test_days_without_tokens_kill_no_score(rig: Rig) -> None:
    rig.lms.token_rule = down
    await take(rig, 0)
    for _ in range(6 * 24):
        await rig.deliver(after=60 * MINUTE)
    rig.lms.token_rule = None
    for _ in range(16):
        await rig.deliver(after=MINUTE)
    assert rig.standing() == (7, 10)


async def test_a_worker_without_a_token_does_not_stop_one_that_has_one(rig: Rig, settings: Settings) -> None:
    """It was started anew, while the token endpoint is down."""
    await take(rig, 0)
    await rig.deliver()
    rig.lms.token_rule = down
    host = Host.build(settings, plugins=load_plugins(["lti"]), clock=lambda: time.time() + rig.book.shift)
    await host.open()
    fresh = ScoreRunner(host, Grades(host.database, shift=lambda now: now + rig.book.shift))
    for learner in range(1, 9):
        await take(rig, learner)
    assert await fresh.work_once() > 0
    assert len(rig.lms.posts) == 1
    rig.book.shift += 6
    assert await fresh.work_once() == 0  # its breaker is open
    assert await rig.deliver() == 8
    assert len(rig.lms.grades) == 9
    assert await breaker(rig) == ("closed", 0, 0.0)
    await host.close()


async def test_a_token_endpoint_that_throttles_is_asked_again_when_it_says(rig: Rig) -> None:
    """And scores are not paced for it."""
    rig.lms.token_rule = lambda _: (429, {})
    rig.lms.token_headers = {"retry-after": "90"}
    for learner in range(8):
        await take(rig, learner)
    await rig.deliver()
    assert await rig.deliver(after=85) == 0
    assert rig.lms.tokens == 1
    rig.lms.token_rule = None
    for _ in range(4):
        await rig.deliver(after=20)
    assert len(rig.lms.grades) == 8
    health = await shown(rig, "score")
    assert (health.state, health.rate) == ("closed", None)


async def test_scores_that_wait_for_a_token_say_so(rig: Rig) -> None:
    """Also those that nobody tried to send, and nobody else is kept from sending by it."""
    rig.lms.token_rule = down
    for learner in range(30):
        await take(rig, learner)
    await rig.deliver()
    slots = await rig.book.db.run_host(grade_queries.listed)
    assert {(slot.delivery.state, slot.delivery.code) for slot in slots} == {("pending", "token_unavailable")}
    assert None in {slot.code for slot in await rig.book.rows(GradeSlot)}
    assert await rig.book.grades.due() == [rig.book.platform]


async def test_scores_that_wait_for_a_token_are_not_forgotten(rig: Rig) -> None:
    rig.lms.token_rule = down
    for learner in range(30):
        await take(rig, learner)
    for _ in range(40):
        await rig.deliver(after=MINUTE)
        assert await faults(rig) == set()
    assert await faults(rig, after=60 * MINUTE) == {"forgotten"}  # no worker has said anything since
    rig.lms.token_rule = None
    for _ in range(16):
        await rig.deliver(after=MINUTE)
    tokens = await shown(rig, "token")
    assert (tokens.state, tokens.code) == ("closed", None)
    assert len(rig.lms.grades) == 30


async def test_a_client_that_is_refused_does_not_end_an_outage_of_tokens(rig: Rig) -> None:
    """It is no token either."""
    rig.lms.token_rule = down
    for learner in range(30):
        await take(rig, learner)
    await rig.deliver()
    rig.lms.token_rule = lambda _: (401, {"error": "invalid_client"})
    for _ in range(8):
        await rig.deliver(after=16 * MINUTE)
    assert (await breaker(rig))[0] == "open"
    assert (await shown(rig, "token")).state == "open"


async def test_a_score_whose_time_ended_before_it_had_a_token_was_not_sent(settings: Settings, lms: Gradebook) -> None:
    rig = await make_rig(settings, lms, terms=Terms(send=0.2))
    lms.tokens_flow.clear()
    await take(rig, 0)
    await rig.deliver()
    lms.tokens_flow.set()
    slot = await rig.book.slot()
    assert (slot.state, slot.code, slot.tries, slot.unknown_outcome) == ("pending", "timeout", 0, False)
    assert await breaker(rig) == ("closed", 0, 0.0)
    await rig.deliver(after=MINUTE)
    assert rig.standing() == (7, 10)
    await rig.host.close()
