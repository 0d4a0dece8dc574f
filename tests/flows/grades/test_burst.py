"""R-36: a whole year hands in at once. Every score is accepted over HTTP, few are posted, and the best ones stand."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from ltihost.settings import Settings
from ltihost.store import applications
from tests.core.grades.support import GradeEvent
from tests.core.store.support import ACTOR
from tests.flows.grades import forked
from tests.flows.grades.forked import Say
from tests.flows.grades.gradebook import gradebook
from tests.flows.grades.oracle import MAXIMUM, Oracle
from tests.flows.grades.processes import Command, Process, answers
from tests.flows.grades.rig import Rig, make_rig

#: What an LMS takes for a score.
LATENCY = 0.2
#: Posts under way at once. A connection that was idle for longer than this is not used again: the server closes them.
AT_ONCE, IDLE_SECONDS = 32, 2.0


async def test_a_burst_of_scores_is_accepted_whole_and_sent_in_few_posts(settings: Settings) -> None:
    """Small counts and no bound; `make torture` has ten thousand."""
    await burst(settings, posts=500, learners=12, seconds=0)


async def burst(settings: Settings, *, posts: int, learners: int, seconds: float) -> list[float]:
    """So many scores in so many seconds, or as fast as they are taken; answers how long each took, in order."""
    async with gradebook(latency=LATENCY) as lms:
        rig = await make_rig(settings, lms, learners=learners)
        oracle = Oracle(rig)
        async with hosted(settings) as url, application(rig, url) as http:
            times = await _post_all(oracle, http, posts, seconds)
            await oracle.settled(120, entirely=True)
        assert oracle.wrong() == []
        assert len(await rig.book.rows(GradeEvent)) == posts
        assert learners <= len(lms.posts) < posts / 4
        assert len(lms.ledger) == len(lms.posts)
        await rig.host.close()
    return sorted(times)


async def _post_all(oracle: Oracle, http: httpx2.AsyncClient, posts: int, seconds: float) -> list[float]:
    people, room, begun = oracle.rig.book.learners, asyncio.Semaphore(AT_ONCE), time.monotonic()

    async def post(number: int) -> float:
        await asyncio.sleep(begun + number * seconds / posts - time.monotonic())
        learner, given = number % len(people), number * 7 % posts
        body = {"user_id": people[learner], "given": given, "maximum": MAXIMUM, "attempt": number // len(people) + 1}
        async with room:
            started = time.monotonic()
            path = f"/api/v1/line-items/{oracle.rig.book.line_item_id}/scores"
            answer = await http.post(path, json=body, headers={"idempotency-key": f"key-{number}"})
            took = time.monotonic() - started
        assert answer.status_code == 202, answer.text
        oracle.accept(learner, given)
        return took

    return await asyncio.gather(*(post(number) for number in range(posts)))


@asynccontextmanager
async def hosted(settings: Settings) -> AsyncIterator[str]:
    """`ltihost serve`, and on PostgreSQL `ltihost worker` beside it; on SQLite `serve` delivers too. Its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    crew = [Process(settings, _serve, port)]
    if not settings.database.startswith("sqlite"):
        crew.append(Command(settings, "worker"))
    for process in crew:
        await process.start()
    try:
        await answers(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in crew:
            await process.end()


def _serve(say: Say, port: int) -> None:
    os.environ["LTIHOST_API_RATE_PER_MINUTE"] = "1000000"  # one key posts everything here
    forked.command(say, "serve", "--port", str(port))


@asynccontextmanager
async def application(rig: Rig, url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """What states grades there."""
    key = await rig.book.db.run_host(
        applications.create_key, rig.book.world.application, scopes=("grades:write",), actor=ACTOR
    )
    headers, limits = {"authorization": f"Bearer {key.text}"}, httpx2.Limits(keepalive_expiry=IDLE_SECONDS)
    async with httpx2.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=30) as http:
        yield http
