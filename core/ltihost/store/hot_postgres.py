"""The hot path on PostgreSQL: every method is one call of one function, which also names the tenant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import orjson

from ltihost.errors import Busy
from ltihost.records import Attempt
from ltihost.store.crypto import SecretBox
from ltihost.store.failures import driver_errors
from ltihost.store.groups import Groups
from ltihost.store.hot import AcceptLaunch, AcceptOutcome, ApiKey, Deployment, Route, StoredLaunch
from ltihost.store.hot_rows import adopted, api_key_from, deployment_from, route_from, stored_launch_from
from ltihost.store.hot_values import RowCaps, attempt_values, findable, launch_values, storable
from ltihost.store.ids import new_id
from ltihost.store.postgres import COMMAND_SECONDS, CONNECT_SECONDS, SERVER_SETTINGS, connect
from ltihost.store.script import Written, run_postgres
from ltihost.store.work_hint import CHANNEL

T = TypeVar("T")

POOL_SIZE = 10
#: How long something waits for a connection before it is refused.
ACQUIRE_SECONDS = 5.0
_SLICE = 5_000


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg brings no types
    def get_reset_query(self) -> str:
        """Nothing to reset: whatever is set here is set for one transaction. Saves a round trip per launch."""
        return ""


class PostgresHotPath:
    """`HotPath` on PostgreSQL, as the application's role."""

    def __init__(self, dsn: str, box: SecretBox, caps: RowCaps) -> None:
        self._dsn = dsn
        self._box = box
        self._caps = caps
        self._groups = Groups()

    async def open(self, pool_size: int = POOL_SIZE) -> None:
        with driver_errors():
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=pool_size,
                timeout=CONNECT_SECONDS,
                command_timeout=COMMAND_SECONDS,
                server_settings=SERVER_SETTINGS,
                connection_class=_Connection,
            )

    async def close(self) -> None:
        try:
            await self._groups.close()
        finally:  # also when this is cancelled meanwhile
            await self._pool.close()

    async def ping(self) -> None:
        """Raise Busy unless the database takes writes."""
        if await self._value("SELECT current_setting('transaction_read_only')") == "on":
            raise Busy("busy", "The database is read-only now.")

    async def transact(self, tenant_id: str, written: Written[T]) -> T:
        """Run a script in a transaction that sees this tenant's rows."""
        async with self._connection() as connection:
            return await run_postgres(connection, tenant_id, written)

    async def announce_work(self, kind: str) -> None:
        """Tell the workers of other processes that there is something of this kind to do."""
        await self._value("SELECT pg_notify($1, $2)", CHANNEL, kind)

    async def listen(self, heard: Callable[[str], None]) -> asyncpg.Connection:
        """A connection that calls `heard` at each announcement until it is closed."""
        with driver_errors():
            connection = await connect(self._dsn)
            try:
                await connection.add_listener(CHANNEL, lambda *said: heard(said[-1]))
            except BaseException:  # told to stop in between: nobody else knows of the connection
                connection.terminate()
                raise
            return connection

    async def route(self, registration_id: str) -> Route | None:
        row = await self._document("SELECT route_v1($1)", registration_id) if findable(registration_id) else None
        return route_from(row) if row else None

    async def routes(self, issuer: str, client_id: str | None) -> Sequence[Route]:
        if not findable(issuer, client_id):
            return []
        rows = await self._values("SELECT routes_v1($1, $2)", issuer, client_id)
        return [route_from(orjson.loads(row)) for row in rows]

    async def deployment(self, registration_id: str, deployment_id: str) -> Deployment | None:
        if not findable(registration_id, deployment_id):
            return None
        row = await self._document("SELECT deployment_v1($1, $2)", registration_id, deployment_id)
        return deployment_from(row, self._box) if row else None

    async def note_deployment(
        self, registration_id: str, deployment_id: str, *, guid: str | None, url: str | None, name: str | None
    ) -> None:
        values = (registration_id, deployment_id, storable(guid), storable(url), storable(name), time.time())
        await self._value("SELECT note_deployment_v1($1, $2, $3, $4, $5, $6)", *values)

    async def adopt_deployment(self, registration_id: str, deployment_id: str, *, guid: str) -> Deployment | None:
        values = (registration_id, deployment_id, guid, new_id("aud"), time.time())
        await self._value("SELECT adopt_deployment_v1($1, $2, $3, $4, $5)", *values)
        return adopted(await self.deployment(registration_id, deployment_id), guid)

    async def accept_launch(self, work: AcceptLaunch) -> AcceptOutcome:
        place = (work.attempt.registration_id, work.attempt.deployment_id, work.link and work.link.lms_id)
        return await self._groups.join(place, _json(launch_values(work)), self._accept_together)

    async def _accept_together(self, launches: Sequence[str]) -> Sequence[AcceptOutcome]:
        """Two groups that share people may wait for each other; PostgreSQL then undoes one, which goes again."""
        statement = "SELECT * FROM accept_launches_v1($1)", f"[{','.join(launches)}]"
        async with self._connection() as connection:
            try:
                rows = await connection.fetch(*statement)
            except asyncpg.DeadlockDetectedError:
                rows = await connection.fetch(*statement)
        return [AcceptOutcome(*row) for row in rows]

    async def consume_nonce(self, registration_id: str, nonce_hash: bytes, expires: float) -> bool:
        return bool(await self._value("SELECT spend_nonce_v1($1, $2, $3)", registration_id, nonce_hash, expires))

    async def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        values = [
            attempt_values(attempt) | {"cap": self._caps.of(attempt), "minute": int(attempt.at // 60)}
            for attempt in attempts
        ]
        await self._value("SELECT record_attempts_v1($1)", _json(values))

    async def redeem_code(
        self, code_hash: bytes, *, application_id: str | None, tenant_id: str | None, now: float, session_seconds: int
    ) -> StoredLaunch | None:
        session_id, expires = new_id("ses"), now + session_seconds
        values = (code_hash, application_id, tenant_id, now, session_id, expires)
        row = await self._document("SELECT redeem_code_v1($1, $2, $3, $4, $5, $6)", *values)
        return stored_launch_from(row, session_id, expires) if row else None

    async def api_key(self, key_id: str) -> ApiKey | None:
        row = await self._document("SELECT api_key_v1($1)", key_id) if findable(key_id) else None
        return api_key_from(row) if row else None

    async def prune(self, now: float) -> int:
        total = 0
        while gone := await self._value("SELECT prune_v1($1, $2)", now, _SLICE):
            total += gone
        return total

    async def tenants_to_seal(self) -> list[str]:
        """The tenants whose audit trail has unsealed rows."""
        return await self._values("SELECT tenants_to_seal_v1()")

    async def _document(self, statement: str, *values: Any) -> Mapping[str, Any] | None:
        found = await self._value(statement, *values)
        return orjson.loads(found) if found else None

    async def _value(self, statement: str, *values: Any) -> Any:
        async with self._connection() as connection:
            return await connection.fetchval(statement, *values)

    async def _values(self, statement: str, *values: Any) -> list[Any]:
        async with self._connection() as connection:
            return [row[0] for row in await connection.fetch(statement, *values)]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for itself; the driver's errors are the host's. Raises Busy when none is free in time."""
        with driver_errors():
            async with asyncio.timeout(ACQUIRE_SECONDS):
                connection = await self._pool.acquire()
            try:
                yield connection
            finally:
                await self._pool.release(connection)


def _json(values: Any) -> str:
    return orjson.dumps(values, default=bytes.hex).decode()
