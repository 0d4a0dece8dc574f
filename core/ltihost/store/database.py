"""`Database`: the door to the store.

`db.hot` is what logins, launches and exchanges use. Everything else is a function of a session:

    def create(session: Session, slug: str, ...) -> Tenant: ...

    await db.run_host(tenants.create, "north", "North", actor="cli")       # across tenants: operator's commands
    await db.run(tenant.id, launches.page, limit=20)                        # one tenant

Each run is one transaction. Both raise `Busy` when the database does not take the work in time, and whatever the
function raises; nothing is stored then.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import structlog
from sqlalchemy.orm import Session

from ltihost.errors import Busy, ConfigurationError, DecryptionError, LtihostError, NotFound
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import audit, history, keys, retention
from ltihost.store.crypto import SecretBox
from ltihost.store.groups import Groups
from ltihost.store.guard import bind_all, bind_tenant
from ltihost.store.hot import HotPath
from ltihost.store.hot_values import RowCaps
from ltihost.store.script import Written
from ltihost.store.secret_alarm import SecretAlarm
from ltihost.store.sqlite import database_path
from ltihost.store.sqlite_backend import SqliteBackend
from ltihost.store.work_hint import WorkHint

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()

#: How often, at most, a process looks for old attempts and for signing keys whose time has come.
TIDY_SECONDS = 600.0


class Backend(Protocol):
    """What differs between the databases."""

    @property
    def hot(self) -> HotPath: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def run(self, bind: Callable[[Session], None], tenant_id: str, work: Callable[[Session], T]) -> T: ...

    async def run_host(self, bind: Callable[[Session], None], work: Callable[[Session], T]) -> T: ...

    async def run_lookup(self, work: Callable[[Session], T]) -> T: ...

    async def transact(self, tenant_id: str, written: Written[T]) -> T: ...

    async def announce_work(self, kind: str) -> None: ...

    def listening(self, heard: Callable[[str], None]) -> AbstractAsyncContextManager[asyncio.Event]: ...

    async def ping(self) -> None: ...

    async def check_role(self) -> None: ...

    async def tenants_to_seal(self) -> list[str]: ...


class Database:
    """One process's use of the database. Open it before anything else, close it at the end."""

    def __init__(self, settings: Settings, box: SecretBox | None = None) -> None:
        self.box = box or SecretBox(settings.secret_keys)
        self._backend = _backend(settings, self.box)
        self.work = WorkHint(self._backend.announce_work)
        self.groups = Groups()
        self.alarm = SecretAlarm(self.run)
        self._attempt_days = settings.attempt_days
        self._tidied_at = -math.inf

    @property
    def hot(self) -> HotPath:
        return self._backend.hot

    async def open(self) -> None:
        """Connect. Raises ConfigurationError when the schema is not this release's, Busy when nothing answers."""
        try:
            await self._backend.open()
        except Busy as error:
            if not isinstance(error.__cause__, OSError):
                raise
            text = str(error.__cause__) or "no answer in time"
            raise Busy("database_unreachable", f"The database cannot be reached: {text}.") from error

    async def close(self) -> None:
        """Finish the work in hand and disconnect."""
        async with contextlib.AsyncExitStack() as stack:  # each of them, even when this is cancelled meanwhile
            stack.push_async_callback(self._backend.close)
            stack.push_async_callback(self.work.close)
            await self.groups.close()

    async def ping(self) -> None:
        """Whether the database takes work now. Raises Busy."""
        await self._backend.ping()

    async def check_secrets(self) -> None:
        """Raise ConfigurationError when the ring lacks the key that the secrets of this database were sealed with."""
        try:
            await self.run(HOST, keys.signing_key, HOST)
        except NotFound:
            pass  # nothing is sealed yet
        except DecryptionError as error:
            raise ConfigurationError(
                error.code,
                "LTIHOST_SECRET_KEY does not open what this database holds: it was made with another key. Give that one "
                "back; to change keys, put the new one first and keep the former ones after it.",
            ) from error

    async def check_role(self) -> None:
        """PostgreSQL: raise ConfigurationError when the role of `LTIHOST_DATABASE_URL` could see past its tenant."""
        await self._backend.check_role()

    async def run(
        self, tenant_id: str, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(session, …)` in one transaction that sees one tenant's rows (and what the host shares)."""
        return await self._backend.run(
            lambda session: bind_tenant(session, tenant_id, self.box),
            tenant_id,
            lambda session: work(session, *args, **kwargs),
        )

    async def run_host(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(session, …)` in one transaction across tenants; on PostgreSQL as the owner role.

        Raises ConfigurationError when `LTIHOST_MIGRATE_URL` does not name the owner.
        """
        return await self._backend.run_host(
            lambda session: bind_all(session, self.box), lambda session: work(session, *args, **kwargs)
        )

    async def run_lookup(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(session, …)`, which finds something before a tenant is known, in a transaction of its own.

        It uses the session's connection: on PostgreSQL nothing answers there but the router's functions.
        """
        return await self._backend.run_lookup(lambda session: work(session, *args, **kwargs))

    async def transact(self, tenant_id: str, written: Written[T]) -> T:
        """Run a script (see `script`) in one transaction as this tenant; "" is nobody, for the router's functions."""
        return await self._backend.transact(tenant_id, written)

    def listening(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """While inside, this process hears of work that others announce, until the event it gets is set: the connection
        is lost then. Raises Busy when nothing answers."""
        return self._backend.listening(self.work.heard)

    async def tend(self, now: float) -> None:
        """What has to be done every few seconds by somebody: delete what expired, seal the audit trail.

        Every ten minutes also what needs no haste: take signing keys a step further, delete old attempts.
        """
        await self.hot.prune(now)
        for tenant_id in await self._backend.tenants_to_seal():
            while await self.run(tenant_id, audit.seal, tenant_id):
                continue
        if abs(now - self._tidied_at) >= TIDY_SECONDS:
            self._tidied_at = now
            await self._advance_keys(now)
            await self._prune_attempts(now)
            while await self.run_lookup(history.prune, now):
                continue

    async def _advance_keys(self, now: float) -> None:
        """One owner's keys that cannot move leave the others' alone."""
        for tenant_id, owner in await self.run_lookup(keys.in_motion):
            try:
                await self.run(tenant_id, keys.advance, owner, now)
            except LtihostError as error:
                log.warning("keys.stuck", owner=owner, code=error.code)

    async def _prune_attempts(self, now: float) -> None:
        while await self.run_lookup(retention.prune_attempts, now, self._attempt_days):
            continue


def _backend(settings: Settings, box: SecretBox) -> Backend:
    caps = RowCaps(settings.launch_rows_per_minute, settings.login_rows_per_minute)
    path = database_path(settings.database)
    if path is not None:
        return SqliteBackend(path, box, caps)
    from ltihost.store.postgres_backend import PostgresBackend

    return PostgresBackend(settings.database, settings.owner_database, box, caps)
