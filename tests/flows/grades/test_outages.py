"""Platforms that are down, or that let the host in no more: they are left alone, somebody is told, all arrives in the
end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from ltihost.flows import platforms
from ltihost.settings import Settings
from ltihost.store import audit, registrations
from ltihost.store.platforms import ACTION
from ltihost.worker import make_worker
from tests.core.cli.conftest import Cli, environment_of
from tests.core.grades.support import GradeSlot, PlatformHealth
from tests.core.store.support import ACTOR
from tests.flows.grades.gradebook import Gradebook, says
from tests.flows.grades.rig import Rig, make_rig
from tests.flows.key_server import KeyServer

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


@pytest.fixture
async def rig(settings: Settings, lms: Gradebook) -> AsyncIterator[Rig]:
    """Twenty learners, each with a score that waits."""
    made = await make_rig(settings, lms, learners=20)
    for learner in made.book.learners:
        await made.book.take(7, user_id=learner)
    yield made
    await made.host.close()


async def health(rig: Rig) -> PlatformHealth:
    """The breaker that all workers share."""
    found: list[PlatformHealth] = [row for row in await rig.book.rows(PlatformHealth) if row.kind == "score"]
    return found[0]


async def waiting(rig: Rig) -> bool:
    """Whether every score waits, and none was charged for more than what came before the platform was left alone."""
    slots = await rig.book.rows(GradeSlot)
    return {slot.state for slot in slots} == {"pending"} and max(slot.tries for slot in slots) <= 2


async def alerts(rig: Rig) -> list[dict[str, Any]]:
    """What was written for the administrators, newest first."""
    rows = await rig.host.database.run(rig.book.tenant_id, audit.page, rig.book.tenant_id, limit=500)
    return [row.details for row in rows if row.action == ACTION]


async def passed(rig: Rig, seconds: float, *, step: float) -> list[int]:
    """Let time pass; answers how many scores were posted in each of these steps."""
    counts = [len(rig.lms.posts)]
    for _ in range(int(seconds / step)):
        await rig.deliver(after=step)
        counts.append(len(rig.lms.posts))
    return [after - before for before, after in itertools.pairwise(counts)]


@pytest.mark.parametrize("outage", [HOUR, 3 * DAY], ids=["an hour", "three days"])
async def test_a_platform_that_is_down_is_left_alone_and_everything_arrives_afterwards(rig: Rig, outage: float) -> None:
    """R-12: hardly any probes, and ever fewer; nothing charged; all delivered within 15 minutes of the return."""
    rig.lms.rule = says(500)
    await rig.deliver()
    assert (await health(rig)).state == "open"
    probes = await passed(rig, HOUR, step=5.0)
    quarter = len(probes) // 4
    assert sum(probes[-quarter:]) < sum(probes[:quarter])
    assert sum(probes) <= 60
    assert sum(await passed(rig, outage - HOUR, step=HOUR)) <= outage / HOUR - 1
    assert await waiting(rig)
    rig.lms.rule = None
    await passed(rig, 15 * MINUTE, step=MINUTE)
    assert len(rig.lms.grades) == 20
    await rig.deliver(after=200)  # nobody knows what a 500 stored, so each goes once more
    assert {row.state for row in await rig.book.rows(GradeSlot)} == {"idle"}
    assert (await health(rig)).state == "closed"


# Let in no more


def refuse_tokens(lms: Gradebook) -> None:
    lms.rule = says(401)


def refuse_the_client(lms: Gradebook) -> None:
    lms.token_rule = lambda _: (401, {"error": "invalid_client"})


def mend(lms: Gradebook) -> None:
    lms.rule = lms.token_rule = None


@pytest.mark.parametrize(("refuse", "code"), [(refuse_tokens, "unauthorized"), (refuse_the_client, "invalid_client")])
async def test_a_platform_that_refuses_the_host_is_left_alone_and_somebody_is_told_once(
    rig: Rig, refuse: Any, code: str
) -> None:
    """R-16, R-17: for two days. No score is charged for it, and all are delivered after the repair."""
    refuse(rig.lms)
    await rig.deliver()
    tripped = await health(rig)
    assert (tripped.state, tripped.code) == ("open", code)
    asked = len(rig.lms.posts), rig.lms.tokens
    assert await rig.deliver(after=10) == 0  # the shortest pause is 15 seconds
    assert (len(rig.lms.posts), rig.lms.tokens) == asked
    await platforms.check(rig.host)
    assert await alerts(rig) == []
    await passed(rig, HOUR, step=MINUTE)
    with capture_logs() as logs:
        for _ in range(3):
            await platforms.check(rig.host)
    (told,) = await alerts(rig)
    assert (told["code"], told["waiting"]) == (code, 20)
    assert [line["log_level"] for line in logs if line["event"] == ACTION] == ["warning"]
    await passed(rig, 2 * DAY, step=HOUR)
    # Each probe is a score with the token at hand and again with a fresh one; or it ends at the token endpoint.
    assert len(rig.lms.posts) - asked[0] <= 2 * (60 + 48)
    assert rig.lms.tokens - asked[1] <= 60 + 48
    slots = await rig.book.rows(GradeSlot)
    assert {(slot.state, slot.tries) for slot in slots} == {("pending", 0)}
    mend(rig.lms)
    await passed(rig, 15 * MINUTE, step=MINUTE)
    assert {slot.state for slot in await rig.book.rows(GradeSlot)} == {"idle"}
    assert list(rig.lms.applied().values()) == [1] * 20
    await platforms.check(rig.host)
    assert len(await alerts(rig)) == 1


async def test_a_refusal_that_nothing_waits_for_is_worth_no_word(rig: Rig) -> None:
    refuse_tokens(rig.lms)
    await passed(rig, HOUR, step=MINUTE)
    await rig.book.set(GradeSlot, state="dead")
    await platforms.check(rig.host)
    assert await alerts(rig) == []


async def test_a_worker_tells_it_by_itself(rig: Rig) -> None:
    """Soon after its start, and from then on every five minutes."""
    refuse_tokens(rig.lms)
    await passed(rig, HOUR, step=MINUTE)
    stop = asyncio.Event()
    working = asyncio.create_task(make_worker(rig.host).run(stop))
    async with asyncio.timeout(10):
        while True:
            if await alerts(rig):
                break
            await asyncio.sleep(0.02)
    stop.set()
    await working


async def test_once_it_is_mended_a_check_of_the_registration_lets_scores_go_at_once(
    rig: Rig, settings: Settings, key_server: KeyServer
) -> None:
    """R-17."""
    registration = rig.book.world.registration.id
    await rig.book.db.run_host(registrations.update, registration, [("jwks-url", key_server.url)], actor=ACTOR)
    refuse_the_client(rig.lms)
    await passed(rig, HOUR, step=MINUTE)
    assert (await health(rig)).state == "open"
    mend(rig.lms)
    assert await rig.deliver() == 0
    ended = await asyncio.to_thread(Cli(environment_of(settings)).process, "registration", "check", registration)
    assert ended.status == 0, ended
    assert await rig.deliver() == 20
    assert (await health(rig)).state == "closed"
