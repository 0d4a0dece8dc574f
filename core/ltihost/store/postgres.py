"""PostgreSQL: how every connection is opened, and the ORM's transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from ltihost.errors import Busy
from ltihost.store.failures import driver_errors
from ltihost.store.guard import TenantSession

T = TypeVar("T")

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 10.0
#: Settings of a session; the tenant is never one of them, it is set per transaction.
SERVER_SETTINGS = {
    "application_name": "ltihost",
    "search_path": "public",
    "lock_timeout": "5s",
    "statement_timeout": "10s",
    # A process that is frozen inside a transaction holds rows: others get them back in this time.
    "idle_in_transaction_session_timeout": "10s",
}


async def connect(dsn: str, **options: Any) -> asyncpg.Connection:
    """A connection with the host's settings."""
    return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, server_settings=SERVER_SETTINGS, **options)


def make_engine(dsn: str, *, pool_size: int = 5) -> AsyncEngine:
    """An engine whose connections asyncpg opens from the URL as it was given, options and sockets included."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(dsn),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
    )


class PostgresSessions:
    """Runs functions of a session, one transaction each."""

    def __init__(self, dsn: str) -> None:
        self._engine = make_engine(dsn)
        self._in_hand: set[asyncio.Future[None]] = set()
        self._closed = False

    async def run(self, work: Callable[[Session], T], tenant_id: str | None = None) -> T:
        """Run `work` in a transaction in which `tenant_id` is the tenant. Raises Busy when nothing answers in time."""
        with driver_errors(), self._known():
            async with self._session() as session, session.begin():
                if tenant_id is not None:
                    connection = await session.connection()
                    await connection.execute(
                        text("SELECT set_config('app.tenant', :tenant, true)"), {"tenant": tenant_id}
                    )
                return await session.run_sync(work)

    async def close(self) -> None:
        """Finish the work in hand, ten seconds at most, and disconnect.

        A connection that is out when the engine is disposed of would come back to a pool that nobody knows any more,
        and never be closed.
        """
        self._closed = True
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=COMMAND_SECONDS)
        await self._engine.dispose()

    @contextmanager
    def _known(self) -> Iterator[None]:
        if self._closed:
            raise Busy("busy", "The database is closed.")
        ended = asyncio.get_running_loop().create_future()
        self._in_hand.add(ended)
        try:
            yield
        finally:
            self._in_hand.discard(ended)
            ended.set_result(None)

    def _session(self) -> AsyncSession:
        return AsyncSession(self._engine, sync_session_class=TenantSession, expire_on_commit=False)
