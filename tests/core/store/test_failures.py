"""What drivers raise, in the host's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from sqlalchemy import exc

from ltihost.errors import Busy, ConfigurationError, Conflict, Invalid
from ltihost.settings import Settings
from ltihost.store.database import Database
from ltihost.store.failures import driver_errors
from ltihost.store.migrations import migrate
from ltihost.store.sqlite import database_path
from tests.conftest import make_settings


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("it says")
    error.sqlite_errorcode = code
    return error


def wrapped(error: Exception, *, invalidated: bool = False) -> exc.DBAPIError:
    return exc.DBAPIError("SELECT 1", None, error, connection_invalidated=invalidated)


CASES: list[tuple[Exception, type[Exception]]] = [
    (sqlite_error(sqlite3.SQLITE_BUSY), Busy),
    (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), Busy),
    (sqlite_error(sqlite3.SQLITE_ERROR), sqlite3.OperationalError),
    (sqlite_error(sqlite3.SQLITE_NOTADB), ConfigurationError),
    (sqlite_error(sqlite3.SQLITE_CORRUPT), ConfigurationError),
    (sqlite3.IntegrityError("UNIQUE"), Conflict),
    (wrapped(sqlite_error(sqlite3.SQLITE_FULL)), Busy),
    (wrapped(RuntimeError("gone"), invalidated=True), Busy),
    (exc.TimeoutError("no connection became free"), Busy),
    (asyncpg.DeadlockDetectedError("deadlock"), Busy),
    (asyncpg.TooManyConnectionsError("full"), Busy),
    (asyncpg.ReadOnlySQLTransactionError("read-only"), Busy),
    (asyncpg.DiskFullError("full"), Busy),
    (asyncpg.InterfaceError("connection is closed"), Busy),
    (ConnectionResetError("reset"), Busy),
    (TimeoutError(), Busy),
    (asyncpg.UniqueViolationError("unique"), Conflict),
    (asyncpg.UntranslatableCharacterError("NUL"), Invalid),
    (asyncpg.DataError("no text"), Invalid),
    (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), Invalid),
    (asyncpg.InvalidPasswordError("password"), ConfigurationError),
    (asyncpg.UndefinedTableError("a mistake of ours"), asyncpg.UndefinedTableError),
    (ValueError("none of a driver's"), ValueError),
]


@pytest.mark.parametrize(("error", "wanted"), CASES, ids=lambda item: getattr(item, "__name__", type(item).__name__))
def test_each_error_becomes_the_host_s(error: Exception, wanted: type[Exception]) -> None:
    def fail() -> None:
        with driver_errors():
            raise error

    _expect(wanted, fail, error)


def _expect(wanted: type[Exception], fail: Callable[[], None], cause: Exception) -> None:
    with pytest.raises(wanted) as caught:
        fail()
    assert type(caught.value) is wanted
    assert caught.value is cause or caught.value.__cause__ is cause


async def test_a_url_that_means_nothing_to_postgresql() -> None:
    with pytest.raises(ConfigurationError) as caught:
        await Database(make_settings("postgresql://app@/x?host=/s&sslmode=nonsense")).open()
    assert caught.value.code == "database_url_invalid"


@pytest.mark.parametrize("work", [lambda settings: Database(settings).open(), migrate], ids=["open", "migrate"])
@pytest.mark.parametrize(
    ("content", "said"),
    [(b"this is a letter, and no database at all\n" * 200, "is no SQLite database"), (None, "is damaged")],
    ids=["a letter", "cut short"],
)
async def test_a_file_that_cannot_be_read_as_a_database(
    sqlite_settings: Settings, content: bytes | None, said: str, work: Callable[[Settings], Awaitable[object]]
) -> None:
    path = database_path(sqlite_settings.database)
    assert path is not None
    path.write_bytes(path.read_bytes()[:8192] if content is None else content)
    with pytest.raises(ConfigurationError) as caught:
        await work(sqlite_settings)
    assert caught.value.code == "database_unreadable"
    assert said in caught.value.message
