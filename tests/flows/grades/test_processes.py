"""Workers that are killed, frozen and stopped. The platform's ledger must equal the oracle."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from ltihost.settings import Settings
from tests.core.grades.support import DeliveryTry, GradeSlot
from tests.flows.grades.gradebook import Entry, gradebook
from tests.flows.grades.oracle import Oracle, connected, producing
from tests.flows.grades.processes import HALT, SAY, Command, HostProcess, WorkerProcess, start_all, until, until_true
from tests.flows.grades.rig import Rig, make_rig

#: Lease, deadline and longest send of workers that are frozen for longer.
FREEZING = (1.0, 0.4, 0.4)


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    """Ten learners, a platform with 20 ms latency that refuses old timestamps."""
    async with gradebook(latency=0.02) as lms:
        made = await make_rig(settings, lms, learners=10)
        yield made
        await made.host.close()


async def test_killed_workers_lose_nothing(settings: Settings) -> None:
    """R-01, and R-07: every tenth answer is lost as well. Small counts; `make torture` has the large ones."""
    async with killing_ground(settings, learners=10) as rig:
        await kill_workers(rig, settings, kills=3, workers=2)


@asynccontextmanager
async def killing_ground(settings: Settings, *, learners: int) -> AsyncIterator[Rig]:
    """A slow platform that refuses old timestamps, so that a kill meets scores that are on their way."""
    async with gradebook(latency=0.2) as lms:
        rig = await make_rig(settings, lms, learners=learners)
        yield rig
        await rig.host.close()


async def kill_workers(
    rig: Rig, settings: Settings, *, kills: int, workers: int, scores: int = 0, entirely: bool = False
) -> None:
    """Kill workers while they send, as long as scores come in by two ways; let the last ones finish, and compare."""
    dice, oracle = random.Random(1), Oracle(rig)

    async def lose(entry: Entry, writer: asyncio.StreamWriter) -> bool:
        if dice.random() >= 0.1:
            return False
        rig.lms.apply(entry)
        writer.transport.abort()
        return True

    rig.lms.rule = lose
    host, crew = HostProcess(settings), [WorkerProcess(settings) for _ in range(workers)]
    try:
        await start_all([host, *crew])
        async with connected(oracle) as client, producing(oracle, [oracle.state, client.at(host.url)], dice):
            for _ in range(kills):
                victim = await next_to_send(crew)
                await asyncio.sleep(dice.random() * rig.lms.latency)
                await crew[victim].end()
                crew[victim] = WorkerProcess(settings)
                await start_all([crew[victim]])
            await until(lambda: oracle.accepted >= scores, 1_200)
        rig.lms.rule = None
        await oracle.settled(300, entirely=entirely)
    finally:
        for process in (host, *crew):
            await process.end()
    assert oracle.wrong() == []
    assert await oracle.faults() == []
    cut_off = [one for one in await rig.book.rows(DeliveryTry) if one.outcome == "started"]
    assert len(cut_off) >= kills / 4
    assert sum((await oracle.stored()).values()) == oracle.accepted


async def next_to_send(crew: Sequence[WorkerProcess]) -> int:
    """Which of them sends something next."""
    for worker in crew:
        worker.forget()
        worker.tell(SAY)
    await until(lambda: any(worker.has_said_something for worker in crew))
    return next(number for number, worker in enumerate(crew) if worker.has_said_something)


async def test_frozen_workers_send_nothing_any_more(settings: Settings) -> None:
    """R-06: frozen between claim and send, to a platform where whatever comes last stands."""
    await freeze_workers(settings, freezes=2)


async def freeze_workers(settings: Settings, *, freezes: int, anywhere: int = 0) -> None:
    """Freeze workers that are about to send, in turn until another one sent something newer and for a random time; then
    some at any moment, for a random time."""
    dice = random.Random(2)
    async with gradebook(strict=False, latency=0.02) as lms:
        rig = await make_rig(settings, lms, learners=10)
        oracle, crew = Oracle(rig), [WorkerProcess(settings, FREEZING) for _ in range(2)]
        outdone = 0
        try:
            await start_all(crew)
            async with producing(oracle, [oracle.state], dice):
                for number in range(freezes):
                    seconds = 0.5 + 2.5 * dice.random() if number % 2 else None
                    outdone += await freeze(crew[dice.randrange(2)], rig, seconds)
                assert given_of(rig) == {user: sorted(given) for user, given in given_of(rig).items()}
                for _ in range(anywhere):
                    victim = crew[dice.randrange(2)]
                    victim.tell(signal.SIGSTOP)
                    await asyncio.sleep(0.5 + 2.5 * dice.random())
                    victim.tell(signal.SIGCONT)
            # What was cut off between the last look at the clock and the first byte is outdone two minutes later.
            await oracle.settled(300, entirely=anywhere > 0)
        finally:
            for worker in crew:
                await worker.end()
        assert oracle.wrong() == []
        assert outdone >= freezes / 4
        await rig.host.close()


def given_of(rig: Rig) -> dict[str, list[float]]:
    """What stood, by person, one after the other."""
    found: dict[str, list[float]] = {}
    for entry in rig.lms.ledger:
        found.setdefault(entry.user, []).append(entry.given or 0)
    return found


async def freeze(victim: WorkerProcess, rig: Rig, seconds: float | None) -> bool:
    """Freeze a worker that is about to send, so long, or until something newer stands; it must not send any more.

    Answers whether something newer stood by then.
    """
    victim.tell(HALT)
    _, try_id, user, given = await victim.says()

    def is_outdone() -> bool:
        standing = rig.lms.standing(user)
        return standing is not None and (standing[0] or 0) > float(given)

    if seconds is not None:
        await asyncio.sleep(seconds)
    else:
        with suppress(TimeoutError):  # a transaction that is frozen, too, lets nobody pass
            await until(is_outdone, 4)
    outdone = is_outdone()
    victim.tell(signal.SIGCONT)
    one = await until_true(lambda: ended(rig, try_id))
    assert one is not None
    assert (one.outcome in ("unsent", "stale"), one.http_status) == (True, None)
    return outdone


async def ended(rig: Rig, try_id: str) -> DeliveryTry | None:
    """This try, if its worker has stored what became of it."""
    rows = await rig.book.rows(DeliveryTry)
    return next((row for row in rows if row.id == try_id and row.outcome != "started"), None)


async def test_a_worker_that_is_told_to_stop_finishes_and_gives_back(rig: Rig, settings: Settings) -> None:
    """R-26: what is on its way ends, what was not sent is free at once, the exit status is 0."""
    oracle = Oracle(rig)
    rig.lms.latency = 0.5
    for learner in range(10):
        await oracle.state(learner, 50)
    worker = Command(settings, "worker")
    await worker.start()
    await until(lambda: len(rig.lms.posts) >= 4)
    started = time.monotonic()
    assert await worker.end(signal.SIGTERM) == 0
    assert time.monotonic() - started < 10
    states = [row.state for row in await rig.book.rows(GradeSlot)]
    assert "leased" not in states
    assert states.count("idle") == len(rig.lms.ledger) >= 4
    assert "pending" in states
    outcomes = [row.outcome for row in await rig.book.rows(DeliveryTry)]
    assert "started" not in outcomes
    assert "unsent" in outcomes
    await rig.deliver()
    assert oracle.wrong() == []
    assert max(rig.lms.applied().values()) == 1


@pytest.mark.postgres
async def test_a_database_that_breaks_its_connections_loses_nothing(postgres_settings: Settings) -> None:
    """R-29: every connection of the host is cut, again and again, while scores come in and go out."""
    async with gradebook(latency=0.01) as lms:
        rig = await make_rig(postgres_settings, lms, learners=10)
        oracle, worker = Oracle(rig), WorkerProcess(postgres_settings)
        await start_all([worker])
        admin = await asyncpg.connect(postgres_settings.owner_database.replace("ltihost_owner", "postgres"))
        try:
            for given in range(60):
                if given % 20 == 10:
                    await admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ltihost_app'"
                    )
                await oracle.state(given % 10, given)
            await oracle.settled()
        finally:
            await admin.close()
            await worker.end()
        assert oracle.wrong() == []
        await rig.host.close()
