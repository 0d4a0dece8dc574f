"""Workers that are killed, frozen and stopped. The platform's ledger must equal the oracle."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import asyncpg
import httpcore2
import httpx2
import pytest

from ltihost.errors import Busy
from ltihost.settings import Settings
from ltihost.store import applications
from tests.core.grades.support import DeliveryTry, GradeEvent, GradeSlot
from tests.core.store.support import ACTOR
from tests.flows.grades.gradebook import Entry, gradebook
from tests.flows.grades.processes import Oracle, WorkerProcess, start_all
from tests.flows.grades.rig import Rig, make_rig

LTIHOST = str(Path(sys.executable).with_name("ltihost"))


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    """Ten learners, a platform with 20 ms latency that refuses old timestamps."""
    async with gradebook(latency=0.02) as lms:
        made = await make_rig(settings, lms, learners=10)
        yield made
        await made.host.close()


async def test_killed_workers_lose_nothing(rig: Rig, settings: Settings) -> None:
    """R-01, and R-07: every tenth answer is lost as well. Small counts; `make torture` has the large ones."""
    await kill_workers(rig, settings, kills=3, workers=2, scores=80)


async def kill_workers(rig: Rig, settings: Settings, *, kills: int, workers: int, scores: int) -> None:
    """Kill a worker now and then while scores come in, let the last ones finish, and compare."""
    dice, oracle = random.Random(1), Oracle(rig)

    async def lose(entry: Entry, writer: asyncio.StreamWriter) -> bool:
        if dice.random() >= 0.1:
            return False
        rig.lms.apply(entry)
        writer.transport.abort()
        return True

    rig.lms.rule = lose
    crew = [WorkerProcess(settings) for _ in range(workers)]
    await start_all(crew)

    async def produce() -> None:
        for _ in range(scores):
            await oracle.state(dice.randrange(len(rig.book.learners)), dice.randrange(100))
            await asyncio.sleep(dice.random() * 0.02)

    producing = asyncio.create_task(produce())
    try:
        for _ in range(kills):
            await asyncio.sleep(dice.random())
            victim = dice.randrange(workers)
            await crew[victim].end()
            crew[victim] = WorkerProcess(settings)
            await start_all([crew[victim]])
        await producing
        rig.lms.rule = None
        await oracle.settled()
    finally:
        for worker in crew:
            await worker.end()
    assert oracle.wrong() == []
    for user, posts in seconds_of(rig).items():
        assert posts == sorted(posts), user


def seconds_of(rig: Rig) -> dict[str, list[int]]:
    """The timestamps that were applied, by person, in the order in which they were."""
    found: dict[str, list[int]] = {}
    for entry in rig.lms.ledger:
        found.setdefault(entry.user, []).append(entry.second)
    return found


async def test_frozen_workers_do_no_harm(settings: Settings) -> None:
    """R-06: frozen for longer than a lease, to a platform where whatever comes last stands."""
    await freeze_workers(settings, freezes=2, scores=40)


async def freeze_workers(settings: Settings, *, freezes: int, scores: int) -> None:
    dice = random.Random(2)
    async with gradebook(strict=False, latency=0.02) as lms:
        rig = await make_rig(settings, lms, learners=10)
        oracle, crew = Oracle(rig), [WorkerProcess(settings) for _ in range(2)]
        await start_all(crew)
        try:
            for _ in range(freezes):
                victim = crew[dice.randrange(2)]
                for _ in range(scores // freezes // 2):
                    await oracle.state(dice.randrange(10), dice.randrange(50))
                victim.tell(signal.SIGSTOP)
                for _ in range(scores // freezes // 2):
                    await oracle.state(dice.randrange(10), dice.randrange(100))
                await asyncio.sleep(2.5)
                victim.tell(signal.SIGCONT)
            await oracle.settled()
        finally:
            for worker in crew:
                await worker.end()
        assert oracle.wrong() == []
        await rig.host.close()


async def test_a_worker_that_is_told_to_stop_finishes_and_gives_back(rig: Rig, settings: Settings) -> None:
    """R-26: what is on its way ends, what was not sent is free at once, the exit status is 0."""
    oracle = Oracle(rig)
    rig.lms.latency = 0.5
    for learner in range(10):
        await oracle.state(learner, 50)
    worker = WorkerProcess(settings, LTIHOST, "worker")
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


async def test_a_host_that_is_killed_while_it_takes_scores_in_has_each_once_or_not_at_all(
    rig: Rig, settings: Settings
) -> None:
    """R-02: 202 is said after the commit; who heard nothing repeats with the same key."""
    await kill_hosts(rig, settings, kills=2, posts=30)


async def kill_hosts(rig: Rig, settings: Settings, *, kills: int, posts: int) -> None:
    made = await rig.book.db.run_host(
        applications.create_key, rig.book.world.application, scopes=("grades:write",), actor=ACTOR
    )
    taken: dict[int, str] = {}
    answered: list[int] = []

    async def post(http: httpx2.AsyncClient, number: int) -> None:
        body = {"user_id": rig.book.learners[number % 10], "given": 1, "maximum": 10, "attempt": number + 1}
        headers = {"authorization": f"Bearer {made.text}", "idempotency-key": f"key-{number}"}
        with suppress(httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.HTTPError):
            answer = await http.post(f"/api/v1/line-items/{rig.book.line_item_id}/scores", json=body, headers=headers)
            if answer.status_code == 202:
                delivery = answer.json()["delivery"]["id"]
                answered.append(number)
                assert taken.setdefault(number, delivery) == delivery

    for kill in range(kills + 1):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        host = WorkerProcess(settings, LTIHOST, "serve", "--port", str(port))
        await host.start()
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await answers(http)
            answered.clear()
            sending = asyncio.gather(*(post(http, number) for number in range(posts)))
            if kill < kills:
                await until(lambda sent=sending: bool(answered) or sent.done())  # type: ignore[misc]
                await host.end()
            await sending
            if kill == kills:  # a client that got no answer repeats until it has one
                await asyncio.wait_for(_until_all(lambda number, http=http: post(http, number), posts, taken), 300)  # type: ignore[misc]
        await host.end()
    assert len(taken) == posts
    events = await rig.book.rows(GradeEvent)
    assert sorted(event.attempt for event in events) == list(range(1, posts + 1))


async def _until_all(post: Callable[[int], Awaitable[None]], posts: int, taken: Mapping[int, str]) -> None:
    while missing := [number for number in range(posts) if number not in taken]:
        await asyncio.gather(*(post(number) for number in missing[:200]))


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(30):
        while True:
            if holds():
                return
            await asyncio.sleep(0.001)


async def answers(http: httpx2.AsyncClient) -> None:
    """Wait until the host is there."""
    async with asyncio.timeout(30):
        while True:
            with suppress(httpcore2.NetworkError, httpx2.HTTPError):
                if (await http.get("/healthz")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


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
                while True:
                    with suppress(Busy):
                        await oracle.state(given % 10, given)
                        break
            await oracle.settled()
        finally:
            await admin.close()
            await worker.end()
        assert oracle.wrong() == []
        await rig.host.close()


@pytest.mark.postgres
async def test_a_lost_listener_costs_little_time(postgres_settings: Settings) -> None:
    """R-30: notices are hints. With the listening connection dead, work is found within a second and a half."""
    async with gradebook() as lms:
        rig = await make_rig(postgres_settings, lms)
        worker = WorkerProcess(postgres_settings)
        await start_all([worker])
        owner = await asyncpg.connect(postgres_settings.owner_database.replace("ltihost_owner", "postgres"))
        try:
            took = []
            for attempt in range(1, 4):
                await rig.book.take(attempt, 10, attempt=attempt, user_id=rig.book.learners[attempt % 2])
                started = time.monotonic()
                while (rig.standing(attempt % 2) or (0, 0))[0] != attempt:
                    assert time.monotonic() - started < 5
                    await asyncio.sleep(0.01)
                took.append(time.monotonic() - started)
                await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
                await asyncio.sleep(1.1)
        finally:
            await owner.close()
            await worker.end()
            await rig.host.close()
        assert max(took) < 2.5
