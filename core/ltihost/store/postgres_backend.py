"""PostgreSQL behind `Database`: the hot path and the ORM's sessions, as the application's role and as the owner."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from ltihost.errors import ConfigurationError
from ltihost.store import migrations
from ltihost.store.crypto import SecretBox
from ltihost.store.hot_postgres import PostgresHotPath
from ltihost.store.hot_values import RowCaps
from ltihost.store.postgres import PostgresSessions
from ltihost.store.script import Written

T = TypeVar("T")

#: A role that row-level security does not bind, or that could become one.
_TOO_POWERFUL = """
SELECT rolsuper OR rolbypassrls OR rolcreaterole OR NOT row_security_active('tenants')
    OR has_schema_privilege('public', 'CREATE')
    OR EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                  AND pg_has_role(current_user, relowner, 'MEMBER'))
    OR EXISTS (SELECT 1 FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
                  AND pg_has_role(current_user, proowner, 'MEMBER'))
  FROM pg_roles WHERE rolname = current_user
"""
_IS_OWNER = (
    "SELECT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'tenants'::regclass), 'MEMBER')"
)


class PostgresBackend:
    """See `database.Backend`."""

    def __init__(self, dsn: str, owner_dsn: str, box: SecretBox, caps: RowCaps) -> None:
        self.hot = PostgresHotPath(dsn, box, caps)
        self._sessions = PostgresSessions(dsn)
        self._owner_sessions = PostgresSessions(owner_dsn)
        self._owner_checked = False

    async def open(self) -> None:
        await self.hot.open()
        try:
            migrations.check_current(await self._sessions.run(_revision))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        async with contextlib.AsyncExitStack() as stack:  # each of them, even when this is cancelled meanwhile
            stack.push_async_callback(self._owner_sessions.close)
            stack.push_async_callback(self._sessions.close)
            await self.hot.close()

    async def run(self, bind: Callable[[Session], None], tenant_id: str, work: Callable[[Session], T]) -> T:
        return await self._sessions.run(_bound(bind, work), tenant_id)

    async def run_host(self, bind: Callable[[Session], None], work: Callable[[Session], T]) -> T:
        if not self._owner_checked and not await self._owner_sessions.run(_is_owner):
            raise ConfigurationError(
                "owner_url_missing", "This needs the tables' owner: set LTIHOST_MIGRATE_URL to the owner's URL."
            )
        self._owner_checked = True
        return await self._owner_sessions.run(_bound(bind, work))

    async def run_lookup(self, work: Callable[[Session], T]) -> T:
        return await self._sessions.run(work)

    async def transact(self, tenant_id: str, written: Written[T]) -> T:
        return await self.hot.transact(tenant_id, written)

    async def announce_work(self, kind: str) -> None:
        await self.hot.announce_work(kind)

    @contextlib.asynccontextmanager
    async def listening(self, heard: Callable[[str], None]) -> AsyncIterator[asyncio.Event]:
        connection, lost = await self.hot.listen(heard), asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            yield lost
        finally:
            await connection.close()

    async def ping(self) -> None:
        await self.hot.ping()

    async def check_role(self) -> None:
        if await self._sessions.run(_is_too_powerful):
            raise ConfigurationError(
                "role_too_powerful",
                "The user of LTIHOST_DATABASE_URL owns the tables, may pass by row-level security, or may make objects "
                "in the schema public (`REVOKE CREATE ON SCHEMA public FROM PUBLIC` as its owner ends that). "
                "Give it the user that `ltihost migrate` made, and the owner to LTIHOST_MIGRATE_URL.",
            )

    async def tenants_to_seal(self) -> list[str]:
        return await self.hot.tenants_to_seal()


def _bound(bind: Callable[[Session], None], work: Callable[[Session], T]) -> Callable[[Session], T]:
    def bound(session: Session) -> T:
        bind(session)
        return work(session)

    return bound


def _revision(session: Session) -> str | None:
    return migrations.current_revision(session.connection())


def _is_owner(session: Session) -> bool:
    return bool(session.connection().scalar(text(_IS_OWNER)))


def _is_too_powerful(session: Session) -> bool:
    return bool(session.connection().scalar(text(_TOO_POWERFUL)))
