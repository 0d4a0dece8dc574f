"""SQLite: how every connection is opened, and the ORM's transactions in a thread of their own."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from ltihost.errors import Busy, ConfigurationError
from ltihost.store.failures import driver_errors
from ltihost.store.guard import TenantSession

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5_000
#: FULL: an answered launch or score survives a power cut. Group commit makes it cheap.
_PRAGMAS: dict[str, str | int] = {"busy_timeout": BUSY_TIMEOUT_MS, "journal_mode": "wal", "synchronous": 2}


def database_path(url: str) -> Path | None:
    """The file of a `sqlite:///FILE` URL; None for another kind of database. Raises ConfigurationError."""
    try:
        parts = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "database_url_invalid",
            "LTIHOST_DATABASE_URL must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.",
        ) from None
    if parts.get_backend_name() != "sqlite":
        return None
    if not parts.database or parts.database == ":memory:":
        raise ConfigurationError("database_url_invalid", "LTIHOST_DATABASE_URL must name a file: sqlite:///FILE.")
    return Path(parts.database)


def connect(path: Path, *, foreign_keys: bool = True) -> sqlite3.Connection:
    """Open the file, which must exist, for use by one thread at a time. Transactions are begun by hand.

    Raises ConfigurationError when the file system does not give the durability that the host promises.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        for name, wanted in {**_PRAGMAS, "foreign_keys": int(foreign_keys)}.items():
            _set(connection, name, wanted, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _set(connection: sqlite3.Connection, name: str, wanted: str | int, path: Path) -> None:
    if _read(connection, name) != wanted:
        _write(connection, name, wanted)
    if (found := _read(connection, name)) != wanted:
        raise ConfigurationError("database_unsafe", f"SQLite keeps {name}={found} for {path}; {wanted} is needed.")


def _read(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _write(connection: sqlite3.Connection, name: str, wanted: str | int) -> None:
    """The first connections to a new file switch it to WAL together, and SQLite does not let them wait for each other."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute(f"PRAGMA {name} = {wanted}").fetchone()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def create_file(path: Path) -> None:
    """Make an empty database file that only its owner may read, unless there is one."""
    if not path.parent.is_dir():
        raise ConfigurationError("database_unreachable", f"The folder {path.parent} of the database does not exist.")
    path.touch(mode=0o600, exist_ok=True)


def make_engine(path: Path, *, foreign_keys: bool = True) -> Engine:
    """An engine of one connection whose transactions all begin as writers (a later upgrade could fail at once)."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: connect(path, foreign_keys=foreign_keys),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class DatabaseFile:
    """The file that this process works on.

    A connection keeps to a file that was moved or deleted: what it stores there is gone at the next start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = self._found()

    def check(self) -> None:
        """Raise Busy (`database_gone`) when the path names another file by now, or none."""
        if self._found() != self._identity:
            raise Busy(
                "database_gone",
                f"{self.path} was moved, deleted or replaced while the host had it open; nothing is stored any more. "
                "Put the right file there and restart.",
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


class SqliteSessions:
    """Runs functions of a session, one transaction each, in one worker thread."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._engine = make_engine(file.path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ltihost-orm")

    async def run(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction. Raises Busy after five seconds without the write lock, and for a file that is gone."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)

    async def close(self) -> None:
        """Wait for the work in hand and close the connection."""
        await asyncio.to_thread(self._thread.shutdown)
        self._engine.dispose()

    def _transaction(self, work: Callable[[Session], T]) -> T:
        with driver_errors(), TenantSession(self._engine, expire_on_commit=False) as session, session.begin():
            answer = work(session)
            session.flush()  # so that next to nothing lies between the look and the commit
            self._file.check()
            return answer
