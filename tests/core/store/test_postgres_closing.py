"""Closing PostgreSQL: no connection outlives it, whatever was going on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from ltihost.errors import Busy
from ltihost.settings import Settings
from ltihost.store.database import Database
from ltihost.store.groups import Groups

pytestmark = pytest.mark.postgres
OURS = "FROM pg_stat_activity WHERE application_name = 'ltihost'"
LOCK = "LOCK TABLE nonces IN ACCESS EXCLUSIVE MODE"


@pytest.fixture
async def database(postgres_settings: Settings) -> Database:
    """It is open, and has used all its pools. The tests close it."""
    made = Database(postgres_settings)
    await made.open()
    await made.run_host(_read)
    return made


def _read(session: Session) -> None:
    session.connection().execute(text("SELECT count(*) FROM nonces"))


async def _until(admin: asyncpg.Connection, condition: str) -> None:
    async with asyncio.timeout(10):
        while not await admin.fetchval(f"SELECT {condition}"):
            await admin.execute("SELECT pg_sleep(0.01)")


async def _until_waiting(admin: asyncpg.Connection) -> None:
    await _until(admin, f"count(*) > 0 {OURS} AND wait_event_type = 'Lock'")


async def _until_gone(admin: asyncpg.Connection) -> None:
    await _until(admin, f"count(*) = 0 {OURS}")


async def test_it_finishes_the_work_in_hand(database: Database, admin: asyncpg.Connection) -> None:
    async with admin.transaction():
        await admin.execute(LOCK)
        work = asyncio.create_task(database.run_host(_read))
        await _until_waiting(admin)
        closing = asyncio.create_task(database.close())
        await asyncio.wait([closing], timeout=0.05)
        assert not closing.done()
    await closing
    await work
    await _until_gone(admin)


async def test_nothing_is_begun_any_more(database: Database, admin: asyncpg.Connection) -> None:
    await database.close()
    with pytest.raises(Busy):
        await database.run_host(_read)
    with pytest.raises(Busy):
        await database.hot.consume_nonce("reg", b"nonce", 1.0)
    await _until_gone(admin)


async def test_work_that_is_cut_off_keeps_nothing_open(database: Database, admin: asyncpg.Connection) -> None:
    async with admin.transaction():
        await admin.execute(LOCK)
        work = asyncio.create_task(database.run_host(_read))
        await _until_waiting(admin)
        work.cancel()
        await database.close()
    assert work.cancelled()
    await _until_gone(admin)


@pytest.mark.parametrize("which", ["launches", "scores"])
async def test_cut_off_while_a_group_is_stored_it_still_disconnects(
    database: Database, admin: asyncpg.Connection, which: str
) -> None:
    groups: Groups = database.hot._groups if which == "launches" else database.groups  # type: ignore[attr-defined]
    storing = asyncio.Event()

    async def never(_: Sequence[object]) -> Sequence[object]:
        storing.set()
        await asyncio.Event().wait()
        return ()

    work = asyncio.create_task(groups.join("place", None, never))
    await storing.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.wait([closing], timeout=0.05)
    closing.cancel()
    await asyncio.wait([closing])
    work.cancel()
    assert closing.cancelled()
    await _until_gone(admin)


async def test_cut_off_itself_it_still_disconnects(database: Database, admin: asyncpg.Connection) -> None:
    async with admin.transaction():
        await admin.execute(LOCK)
        work = asyncio.create_task(database.hot.consume_nonce("reg", b"nonce", 1.0))
        await _until_waiting(admin)
        closing = asyncio.create_task(database.close())
        await asyncio.wait([closing], timeout=0.05)
        closing.cancel()
        await asyncio.wait([closing])
        with pytest.raises(Busy):
            await work
    assert closing.cancelled()
    await _until_gone(admin)
