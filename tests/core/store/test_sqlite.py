"""SQLite: durable settings on every connection, many writers, several processes, and group commit."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Busy, ConfigurationError
from ltihost.settings import Settings
from ltihost.store import sqlite, tables, tenants
from ltihost.store.database import Database
from ltihost.store.sqlite import DatabaseFile, connect, database_path
from ltihost.store.sqlite_writer import GROUP, GroupWriter
from tests.core.store.support import ACTOR, World, opened_world

PROMISED = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


@pytest.fixture
async def world(sqlite_settings: Settings) -> AsyncIterator[World]:
    async with opened_world(sqlite_settings) as made:
        yield made


def pragmas(connection: sqlite3.Connection) -> dict[str, object]:
    return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PROMISED}


async def test_every_connection_is_durable_and_checks_foreign_keys(world: World, path: Path) -> None:
    """R-03: the writer's, the ORM's, and any other."""
    connection = connect(path)
    assert pragmas(connection) == PROMISED
    connection.close()
    assert await world.db.hot._writer.run(pragmas) == PROMISED  # type: ignore[attr-defined]
    orm = await world.db.run_host(lambda session: session.connection().connection.driver_connection)
    assert orm is not None
    assert pragmas(orm) == PROMISED


def test_a_file_system_that_does_not_give_it_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sqlite._PRAGMAS, "synchronous", 9)
    with pytest.raises(ConfigurationError) as caught:
        connect(path)
    assert caught.value.code == "database_unsafe"


def test_only_the_owner_may_read_the_file(path: Path, tmp_path: Path) -> None:
    made = tmp_path / "new.db"
    sqlite.create_file(made)
    assert made.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError) as caught:
        sqlite.create_file(tmp_path / "missing" / "new.db")
    assert caught.value.code == "database_unreachable"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "nonsense", ""])
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        database_path(url)
    assert caught.value.code == "database_url_invalid"


# Many writers


def _count_up(session: Session) -> None:
    row = session.scalars(select(tables.TenantPlugin)).one()
    seen = row.position
    session.flush()
    row.position = seen + 1


async def test_read_then_write_by_eight_at_once(world: World, sqlite_settings: Settings) -> None:
    """R-04: with a deferred BEGIN most of these would fail or be lost."""
    await count_together(world, sqlite_settings, each=10)


async def count_together(world: World, settings: Settings, *, each: int) -> None:
    """Eight tasks count with one row, through connections of their own, while people launch."""
    databases = [Database(settings) for _ in range(8)]
    for database in databases:
        await database.open()

    async def count(database: Database) -> None:
        for _ in range(each):
            await database.run(world.tenant.id, _count_up)

    before = await world.db.run(world.tenant.id, _position)
    launching = asyncio.gather(*(world.db.hot.accept_launch(world.work()) for _ in range(50)))
    await asyncio.gather(*map(count, databases))
    assert {outcome.refusal for outcome in await launching} == {None}
    assert await world.db.run(world.tenant.id, _position) == before + 8 * each
    for database in databases:
        await database.close()


def _position(session: Session) -> int:
    return session.scalars(select(tables.TenantPlugin)).one().position


async def test_one_nonce_over_two_processes(world: World, sqlite_settings: Settings) -> None:
    """Twenty posts of one launch, ten in each of two processes: one is let in."""
    script = Path(__file__).with_name("launcher.py")
    arguments = (sqlite_settings.database, world.tenant.id, world.application.id, world.registration.id)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(script), *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    ended = [(await process.communicate(b"go\n"))[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(ended[0] + ended[1]) == [b"None"] + [b"state_used"] * 19
    assert (await world.counts())["launches"] == 1


# When it cannot be done


async def test_a_lock_held_too_long_is_busy(
    world: World, sqlite_settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sqlite._PRAGMAS, "busy_timeout", 50)
    database = Database(sqlite_settings)
    await database.open()
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    work = world.work()
    for attempt in (
        database.hot.accept_launch(work),
        database.run(world.tenant.id, _count_up),
        database.ping(),
    ):
        with pytest.raises(Busy):
            await attempt
    other.execute("ROLLBACK")
    other.close()
    assert (await database.hot.accept_launch(work)).refusal is None
    await database.ping()
    await database.close()


async def test_a_full_disk_is_busy_and_passes(world: World) -> None:
    """R-28: SQLite gives up the whole transaction; the next one works again once there is room."""
    writer: GroupWriter = world.db.hot._writer  # type: ignore[attr-defined]
    await writer.run(lambda db: db.execute("PRAGMA max_page_count = 1"))
    before = await world.counts()
    works = [world.work(launch_json="x" * 200_000) for _ in range(5)]
    outcomes = await asyncio.gather(*map(world.db.hot.accept_launch, works), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Busy}
    assert await world.counts() == before
    await writer.run(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    assert {(await world.db.hot.accept_launch(work)).refusal for work in works} == {None}


async def test_a_read_only_database_is_busy(world: World) -> None:
    writer: GroupWriter = world.db.hot._writer  # type: ignore[attr-defined]
    writer._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Busy):
        await world.db.hot.accept_launch(world.work())
    writer._connection.execute("PRAGMA query_only = OFF")
    assert (await world.db.hot.accept_launch(world.work())).refusal is None


# Group commit


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[GroupWriter]:
    path = tmp_path / "group.db"
    sqlite.create_file(path)
    made = GroupWriter(DatabaseFile(path))
    await made.run(lambda db: db.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, transaction_of INTEGER)"))
    yield made
    await made.close()


def _insert(number: int, *, fail: bool = False) -> Callable[[sqlite3.Connection], int]:
    def work(db: sqlite3.Connection) -> int:
        db.execute("INSERT INTO numbers (number) VALUES (?)", (number,))
        if fail:
            raise ValueError(number)
        return number

    return work


async def test_what_is_asked_together_is_committed_together(writer: GroupWriter) -> None:
    commits: list[str] = []
    writer._connection.set_trace_callback(commits.append)
    numbers = await asyncio.gather(*(writer.run(_insert(number)) for number in range(GROUP)))
    writer._connection.set_trace_callback(None)
    assert numbers == list(range(GROUP))
    assert commits.count("COMMIT") == 1
    more = await asyncio.gather(*(writer.run(_insert(number)) for number in range(100, 100 + GROUP * 3)))
    assert len(more) == GROUP * 3


async def test_a_failure_undoes_its_own_work_only(writer: GroupWriter) -> None:
    asked = [writer.run(_insert(number, fail=number % 3 == 0)) for number in range(9)]
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end).__name__ for end in ended] == ["ValueError", "int", "int"] * 3
    kept = await writer.run(lambda db: [row[0] for row in db.execute("SELECT number FROM numbers ORDER BY number")])
    assert kept == [1, 2, 4, 5, 7, 8]


async def test_a_rollback_that_fails_costs_one_group_only(
    writer: GroupWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails at the commit and at the rollback too: the writer goes on, with another connection."""
    writer._connection.close()
    writer._connection = sqlite3.connect(
        tmp_path / "group.db", isolation_level=None, check_same_thread=False, factory=Failing
    )
    with pytest.raises(Busy):
        await writer.run(_insert(1))
    assert await writer.run(_insert(2)) == 2
    assert await writer.run(lambda db: db.execute("SELECT number FROM numbers").fetchall()) == [(2,)]


class Failing(sqlite3.Connection):
    """Ends no transaction."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql in ("COMMIT", "ROLLBACK"):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return super().execute(sql, *parameters)


async def test_a_caller_who_gives_up_stops_nobody(writer: GroupWriter) -> None:
    first = asyncio.ensure_future(writer.run(_insert(1)))
    await asyncio.sleep(0)
    first.cancel()
    assert await writer.run(_insert(2)) == 2


async def test_closing_finishes_what_was_asked_and_takes_no_more(writer: GroupWriter, tmp_path: Path) -> None:
    asked = asyncio.gather(*(writer.run(_insert(number)) for number in range(5)))
    await asyncio.sleep(0)
    await writer.close()
    assert await asked == [0, 1, 2, 3, 4]
    with pytest.raises(Busy):
        await writer.run(_insert(6))
    stored = connect(tmp_path / "group.db")
    assert stored.execute("SELECT count(*) FROM numbers").fetchone() == (5,)
    stored.close()


async def test_a_change_and_its_audit_row_are_one(world: World) -> None:
    """S-89: where the audit row cannot be written, the change is not made."""
    await world.db.run_host(
        lambda session: session.connection().exec_driver_sql(
            "CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    )
    started = time.time()
    with pytest.raises(Exception, match="It exists already"):
        await world.db.run_host(tenants.suspend, "north", actor=ACTOR)
    assert time.time() - started < 5
    assert (await world.db.run_host(tenants.by_slug, "north")).active
    with pytest.raises(Exception, match="It exists already"):
        await world.db.hot.accept_launch(world.work())
    assert (await world.counts())["launches"] == 0
