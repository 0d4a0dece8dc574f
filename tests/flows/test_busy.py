"""Somebody else holds the database: whoever wants to write is told to come again, and then it works."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

import asyncpg
import httpx2
import pytest

from ltihost.settings import Settings
from ltihost.store import postgres, sqlite, tables
from ltihost.store.database import Database
from ltihost.store.hot_sqlite import SqliteHotPath
from tests.flows.gradebook import Desk, desk_of
from tests.flows.platform import put
from tests.flows.rig import Rig, code_in

LEARNER = put(lti_roles=["Learner"])


@pytest.fixture
async def hurried(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A desk with a learner's launch, of a host that waits a tenth of a second for a lock instead of five."""
    monkeypatch.setitem(postgres.SERVER_SETTINGS, "lock_timeout", "100ms")
    rig = Rig(settings)
    await rig.start()
    async with desk_of(rig) as made:
        await made.launch(LEARNER)
        await _hurry_sqlite(rig.host.database)
        yield made
    await rig.stop()


async def _hurry_sqlite(database: Database) -> None:
    """Both of its connections. Not from the start: there is one lock for everybody, and the host starts with writing."""
    if isinstance(database.hot, SqliteHotPath):
        await database.hot._writer.run(lambda file: file.execute("PRAGMA busy_timeout = 100"))
        await database.run_host(
            lambda session: session.connection().exec_driver_sql("PRAGMA busy_timeout = 100").close()
        )


@asynccontextmanager
async def held(settings: Settings) -> AsyncIterator[None]:
    """Nobody else can write meanwhile; everybody can read."""
    path = sqlite.database_path(settings.database)
    if path is not None:
        with closing(sqlite.connect(path)) as file:
            file.execute("BEGIN IMMEDIATE")
            yield
        return
    owner = await asyncpg.connect(settings.owner_database)
    try:
        await owner.execute("BEGIN")
        await owner.execute(f"LOCK TABLE {', '.join(tables.Base.metadata.tables)} IN EXCLUSIVE MODE")
        yield
    finally:
        await owner.close()


@dataclass(frozen=True)
class Request:
    """`send` may be called again and sends the very same; `done` is the status of what was done."""

    send: Callable[[], Awaitable[httpx2.Response]]
    done: int
    retry_after: str


async def requests(desk: Desk) -> dict[str, Request]:
    """A launch, an exchange and a score, each ready to be sent."""
    rig = desk.rig
    item = await desk.want(resource_id="quiz-1")
    flow, code = await rig.login(), code_in(await rig.launch(LEARNER, desk.ags()))
    token = rig.token(flow, LEARNER, desk.ags())
    score = {"user_id": desk.user_id, "given": 8, "maximum": 10}
    headers = {"authorization": f"Bearer {desk.key}", "idempotency-key": "k"}
    scores = f"/api/v1/line-items/{item['id']}/scores"
    return {
        "launch": Request(lambda: rig.post(flow, token), 303, "5"),
        "exchange": Request(lambda: rig.redeem(code), 200, "1"),
        "score": Request(lambda: rig.http.post(scores, json=score, headers=headers), 202, "1"),
    }


async def test_a_database_that_somebody_holds_costs_a_second_try(hurried: Desk) -> None:
    """R-04."""
    ready = await requests(hurried)
    before = await stored(hurried.rig)
    async with held(hurried.rig.settings):
        for name, request in ready.items():
            answer = await request.send()
            assert (answer.status_code, answer.headers["retry-after"]) == (503, request.retry_after), name
    assert await stored(hurried.rig) == before
    for name, request in ready.items():
        answer = await request.send()
        assert answer.status_code == request.done, (name, answer.text)
    assert await stored(hurried.rig) != before


async def stored(rig: Rig) -> list[str]:
    return sorted((await rig.dump()).splitlines())
