"""A SQLite file that is moved, deleted or replaced while the host has it open: nothing is answered as stored any more."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from ltihost.errors import Busy
from ltihost.settings import Settings
from ltihost.store import sqlite, tenants
from ltihost.store.sqlite import DatabaseFile, connect
from ltihost.store.sqlite_writer import GroupWriter
from tests.core.store.support import ACTOR, World, opened_world
from tests.core.store.test_sqlite import Failing


def delete(path: Path) -> None:
    """As far as the path goes: so that it can be undone."""
    path.rename(path.with_name("kept.db"))


def replace(path: Path) -> None:
    """A restore by `mv`, while the host runs."""
    shutil.copyfile(path, path.with_name("backup.db"))
    delete(path)
    path.with_name("backup.db").rename(path)


def put_back(path: Path) -> None:
    path.with_name("kept.db").rename(path)


@pytest.fixture
async def world(sqlite_settings: Settings) -> AsyncIterator[World]:
    async with opened_world(sqlite_settings) as made:
        yield made


@pytest.mark.parametrize("lose", [delete, replace])
async def test_nothing_is_stored_in_a_file_that_is_gone(world: World, path: Path, lose: Callable[[Path], None]) -> None:
    db, before = world.db, await world.counts()
    lose(path)
    for attempt in (
        db.hot.accept_launch(world.work()),
        db.run_host(tenants.suspend, "north", actor=ACTOR),
        db.hot.route(world.registration.id),
        db.ping(),
    ):
        with pytest.raises(Busy) as caught:
            await attempt
        assert caught.value.code == "database_gone"
    put_back(path)
    assert await world.counts() == before
    assert (await db.hot.accept_launch(world.work())).refusal is None
    await db.ping()


async def test_it_is_looked_for_once_more_before_the_commit(world: World, path: Path) -> None:
    """The work may have waited long for its turn."""

    def suspend(session: Session) -> None:
        tenants.suspend(session, "north", actor=ACTOR)
        delete(path)

    with pytest.raises(Busy):
        await world.db.run_host(suspend)
    put_back(path)
    assert (await world.db.run_host(tenants.by_slug, "north")).active


# The group writer


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "group.db"
    sqlite.create_file(path)
    connection = connect(path)
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    connection.close()
    return path


@pytest.fixture
async def writer(numbers: Path) -> AsyncIterator[GroupWriter]:
    made = GroupWriter(DatabaseFile(numbers))
    yield made
    await made.close()


def _insert(number: int, then: Callable[[], None] = lambda: None) -> Callable[[sqlite3.Connection], None]:
    def work(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO numbers VALUES (?)", (number,))
        then()

    return work


def _numbers(db: sqlite3.Connection) -> list[Any]:
    return [number for (number,) in db.execute("SELECT number FROM numbers")]


async def test_a_group_is_given_up_when_the_file_goes_meanwhile(writer: GroupWriter, numbers: Path) -> None:
    with pytest.raises(Busy) as caught:
        await writer.run(_insert(1, lambda: delete(numbers)))
    assert caught.value.code == "database_gone"
    put_back(numbers)
    await writer.run(_insert(2))
    assert await writer.run(_numbers) == [2]


async def test_a_writer_that_has_to_connect_again_takes_no_other_file(writer: GroupWriter, numbers: Path) -> None:
    """Nor does it mistake that one for its own once the first is back."""
    writer._connection.close()
    writer._connection = sqlite3.connect(numbers, isolation_level=None, check_same_thread=False, factory=Failing)
    with capture_logs() as logs, pytest.raises(Busy):
        await writer.run(_insert(1, lambda: replace(numbers)))
    assert [line["event"] for line in logs] == ["writer.rollback_failed", "writer.not_reconnected"]
    put_back(numbers)
    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
        await writer.run(_insert(2))
    await writer.run(_insert(3))
    assert await writer.run(_numbers) == [3]
