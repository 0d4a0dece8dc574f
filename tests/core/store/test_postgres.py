"""PostgreSQL when it cannot serve: locks, lost connections, read-only. Each is Busy, and passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from ltihost.errors import Busy, ConfigurationError
from ltihost.settings import Settings
from ltihost.store import directory, hot_postgres, postgres
from ltihost.store.database import Database
from tests.conftest import Postgres, make_settings
from tests.core.store.support import World, opened_world

pytestmark = pytest.mark.postgres


@pytest.fixture
async def world(postgres_settings: Settings) -> AsyncIterator[World]:
    async with opened_world(postgres_settings) as made:
        yield made


async def test_one_nonce_over_two_pools(world: World, postgres_settings: Settings) -> None:
    other = Database(postgres_settings)
    await other.open()
    nonce = world.work().nonce_hash
    works = [world.work(nonce_hash=nonce) for _ in range(20)]
    outcomes = await asyncio.gather(
        *(db.hot.accept_launch(work) for db, work in zip([world.db, other] * 10, works, strict=True))
    )
    assert sorted(str(outcome.refusal) for outcome in outcomes) == ["None"] + ["state_used"] * 19
    assert (await world.counts())["launches"] == 1
    await other.close()


async def test_without_a_free_connection_it_is_busy_in_time(
    world: World, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not refused at once either: whoever gets one in time does not notice."""
    monkeypatch.setattr(hot_postgres, "ACQUIRE_SECONDS", 0.2)
    async with admin.transaction():
        await admin.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        asked = [asyncio.create_task(world.db.hot.api_key("k" * 16)) for _ in range(hot_postgres.POOL_SIZE + 1)]
        done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.exception()) for task in done] == [Busy]
    assert await asyncio.gather(*waiting) == [None] * hot_postgres.POOL_SIZE


async def test_a_lock_held_too_long_is_busy(
    world: World, postgres_settings: Settings, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres.SERVER_SETTINGS, "lock_timeout", "50ms")
    database = Database(postgres_settings)
    await database.open()
    work = world.work()
    async with admin.transaction():
        await admin.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        for attempt in (database.hot.accept_launch(work), database.run(world.tenant.id, directory.users)):
            with pytest.raises(Busy):
                await attempt
    assert (await database.hot.accept_launch(work)).refusal is None
    await database.close()


async def test_lost_connections_are_made_again(world: World, admin: asyncpg.Connection) -> None:
    """R-29: what hit the dead connection is Busy at worst; what follows works."""
    await world.db.run(world.tenant.id, directory.users)
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ltihost'")
    outcomes = await asyncio.gather(
        *(world.db.hot.accept_launch(world.work()) for _ in range(20)), return_exceptions=True
    )
    assert {type(outcome).__name__ for outcome in outcomes} <= {"AcceptOutcome", "Busy"}
    assert (await world.db.hot.accept_launch(world.work())).refusal is None
    assert len(await world.db.run(world.tenant.id, directory.users)) == 1


async def test_a_connection_lost_in_the_middle_is_busy(world: World, admin: asyncpg.Connection) -> None:
    work = world.work()
    async with admin.transaction():
        await admin.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        attempt = asyncio.create_task(world.db.hot.accept_launch(work))
        waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ltihost' AND wait_event_type = 'Lock'"
        while not await admin.fetch(waiting):
            await admin.execute("SELECT pg_sleep(0.01)")
        with pytest.raises(Busy):
            await attempt
    assert (await world.db.hot.accept_launch(work)).refusal is None


async def test_a_read_only_database_is_busy_and_passes(world: World, admin: asyncpg.Connection) -> None:
    """R-28, without a restart of either side."""
    await _set_read_only(admin, "on")
    await _until(world, ready=False)
    before = await _counts(admin)
    work = world.work()
    with pytest.raises(Busy):
        await world.db.hot.accept_launch(work)
    assert await _counts(admin) == before
    await _set_read_only(admin, "off")
    await _until(world, ready=True)
    assert (await world.db.hot.accept_launch(work)).refusal is None


async def _set_read_only(admin: asyncpg.Connection, value: str) -> None:
    await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await admin.execute("SELECT pg_reload_conf()")


async def _until(world: World, *, ready: bool) -> None:
    """Until the server's processes have read their new configuration."""
    while True:
        try:
            await world.db.ping()
            seen = True
        except Busy:
            seen = False
        if seen is ready:
            return
        await asyncio.sleep(0.01)


async def _counts(admin: asyncpg.Connection) -> list[object]:
    return [await admin.fetchval(f"SELECT count(*) FROM {name}") for name in ("launches", "nonces", "users", "audit")]


async def test_no_server_is_busy(postgres: Postgres) -> None:
    database = Database(make_settings("postgresql://ltihost_app@/nowhere?host=/nonexistent"))
    with pytest.raises(Busy):
        await database.open()
    unknown = Database(make_settings(postgres.url("ltihost_app", "nowhere")))
    with pytest.raises(ConfigurationError) as caught:
        await unknown.open()
    assert caught.value.code == "database_unreachable"
