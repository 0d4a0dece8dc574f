"""What a database driver raises, in the host's own errors. What has no word here is a mistake of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy import exc

from ltihost.errors import Busy, ConfigurationError, Conflict, Invalid, LtihostError

_LATE = "The database did not take the work in time; nothing was stored. Try again shortly."
#: SQLite result codes (without their extension bits) that pass by themselves or once the operator made room.
_SQLITE_BUSY = {
    sqlite3.SQLITE_BUSY: _LATE,
    sqlite3.SQLITE_LOCKED: _LATE,
    sqlite3.SQLITE_NOMEM: "SQLite has no memory left; nothing was stored.",
    sqlite3.SQLITE_READONLY: "The database file, or its folder, is read-only for this process; nothing was stored.",
    sqlite3.SQLITE_IOERR: "The database file cannot be read or written (disk error); nothing was stored.",
    sqlite3.SQLITE_FULL: "The disk with the database is full; nothing was stored.",
    sqlite3.SQLITE_CANTOPEN: "The database file cannot be opened: look at its folder and who owns it.",
    sqlite3.SQLITE_PROTOCOL: _LATE,
}
#: What no waiting mends.
_SQLITE_UNREADABLE = {
    sqlite3.SQLITE_NOTADB: "The file that LTIHOST_DATABASE_URL names is no SQLite database. Name another one.",
    sqlite3.SQLITE_CORRUPT: "The SQLite file that LTIHOST_DATABASE_URL names is damaged. Put a backup in its place.",
}
#: SQLSTATE classes and codes of PostgreSQL: connection, rollback, resources, operator, system; lock, read-only.
_POSTGRES_BUSY = ("08", "40", "53", "57", "58", "55P03", "25006")
_POSTGRES_CONFLICT = ("23",)
_POSTGRES_INVALID = ("22",)
#: The server does not know this user, this password or this database.
_POSTGRES_STRANGERS = ("28", "3D")

_DRIVER_ERRORS = (
    sqlite3.Error,
    exc.SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    UnicodeEncodeError,
)


@contextmanager
def driver_errors() -> Iterator[None]:
    """Raise `Busy`, `Conflict`, `Invalid` or `ConfigurationError` for what the database driver raises inside."""
    try:
        yield
    except _DRIVER_ERRORS as error:
        raise host_error(error) from error


def host_error(error: Exception) -> Exception:
    """What to raise for `error`: the host's own word for it, or `error` itself."""
    return _translated(error) or error


def _translated(error: BaseException) -> LtihostError | None:
    if isinstance(error, exc.DBAPIError):
        if error.connection_invalidated:
            return _busy()
        return _translated(error.orig) if error.orig is not None else None
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error)
    if isinstance(error, UnicodeEncodeError | asyncpg.DataError):
        return _invalid()
    if isinstance(error, asyncpg.ClientConfigurationError):
        return ConfigurationError("database_url_invalid", f"The PostgreSQL URL cannot be used: {error}.")
    state = getattr(error, "sqlstate", None)
    if state:
        return _from_sqlstate(state, error)
    # InternalClientError: what asyncpg says when the server goes away in the middle of an answer.
    if isinstance(
        error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError | exc.TimeoutError
    ):
        return _busy()
    return _translated(error.__cause__) if error.__cause__ is not None else None


def _from_sqlite(error: sqlite3.Error) -> LtihostError | None:
    if isinstance(error, sqlite3.IntegrityError):
        return _conflict()
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _SQLITE_UNREADABLE:
        return ConfigurationError("database_unreadable", _SQLITE_UNREADABLE[code])
    return _busy(_SQLITE_BUSY[code]) if code in _SQLITE_BUSY else None


def _from_sqlstate(state: str, error: BaseException) -> LtihostError | None:
    if state.startswith(_POSTGRES_STRANGERS):
        return ConfigurationError("database_unreachable", f"PostgreSQL does not let the host in: {error}.")
    if state.startswith(_POSTGRES_BUSY):
        return _busy()
    if state.startswith(_POSTGRES_CONFLICT):
        return _conflict()
    return _invalid() if state.startswith(_POSTGRES_INVALID) else None


def _busy(text: str = _LATE) -> Busy:
    return Busy("busy", text)


def _conflict() -> Conflict:
    return Conflict("conflict", "It exists already, or something still refers to it.")


def _invalid() -> Invalid:
    return Invalid("text_unstorable", "A value holds characters that cannot be stored.")
