"""SQLite behind `Database`: the hot path and the ORM's sessions on one file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from ltihost.errors import ConfigurationError
from ltihost.store import audit, migrations
from ltihost.store.crypto import SecretBox
from ltihost.store.guard import bind_all
from ltihost.store.hot_sqlite import SqliteHotPath
from ltihost.store.hot_values import RowCaps
from ltihost.store.script import Written
from ltihost.store.sqlite import DatabaseFile, SqliteSessions

T = TypeVar("T")


class SqliteBackend:
    """See `database.Backend`. Every process may do everything: the file's permissions are the only role."""

    def __init__(self, path: Path, box: SecretBox, caps: RowCaps) -> None:
        self._path = path
        self._box = box
        self.hot = SqliteHotPath(box, caps)

    async def open(self) -> None:
        if not self._path.exists():
            raise ConfigurationError("schema_missing", f"There is no database at {self._path}. Run: ltihost migrate")
        file = DatabaseFile(self._path)
        self._sessions = SqliteSessions(file)
        try:
            migrations.check_current(await self._sessions.run(_revision))
            self.hot.open(file)
        except BaseException:
            await self._sessions.close()
            raise

    async def close(self) -> None:
        await self.hot.close()
        await self._sessions.close()

    async def run(self, bind: Callable[[Session], None], tenant_id: str, work: Callable[[Session], T]) -> T:
        return await self.run_host(bind, work)

    async def run_host(self, bind: Callable[[Session], None], work: Callable[[Session], T]) -> T:
        def bound(session: Session) -> T:
            bind(session)
            return work(session)

        return await self._sessions.run(bound)

    async def run_lookup(self, work: Callable[[Session], T]) -> T:
        return await self._sessions.run(work)

    async def transact(self, tenant_id: str, written: Written[T]) -> T:
        return await self.hot.transact(tenant_id, written)

    async def announce_work(self, kind: str) -> None:
        """Other processes look by themselves: a file calls nobody."""

    @contextlib.asynccontextmanager
    async def listening(self, heard: Callable[[str], None]) -> AsyncIterator[asyncio.Event]:
        yield asyncio.Event()

    async def ping(self) -> None:
        await self.hot.ping()

    async def check_role(self) -> None:
        return None

    async def tenants_to_seal(self) -> list[str]:
        return await self.run_host(lambda session: bind_all(session, self._box), audit.tenants_to_seal)


def _revision(session: Session) -> str | None:
    return migrations.current_revision(session.connection())
