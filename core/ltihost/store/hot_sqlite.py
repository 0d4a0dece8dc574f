"""The hot path on SQLite: writes through the group writer, reads on a connection of their own."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from ltihost.records import Attempt
from ltihost.store import sqlite_launch
from ltihost.store.crypto import SecretBox
from ltihost.store.failures import driver_errors
from ltihost.store.hot import AcceptLaunch, AcceptOutcome, ApiKey, Deployment, Route, StoredLaunch
from ltihost.store.hot_rows import adopted, api_key_from, deployment_from, route_from, stored_launch_from
from ltihost.store.hot_values import RowCaps, findable, storable
from ltihost.store.ids import new_id
from ltihost.store.script import Written, run_sqlite
from ltihost.store.sqlite import DatabaseFile, connect
from ltihost.store.sqlite_writer import GroupWriter

T = TypeVar("T")

_ROUTE = """
SELECT r.*, t.slug AS tenant_slug, t.name AS tenant_name, t.active AS tenant_active
  FROM registrations r JOIN tenants t ON t.id = r.tenant_id
 WHERE r.id = ?
"""
_ROUTES = """
SELECT r.*, t.slug AS tenant_slug, t.name AS tenant_name, t.active AS tenant_active
  FROM registrations r JOIN tenants t ON t.id = r.tenant_id
 WHERE r.issuer = ?1 AND (?2 IS NULL OR r.client_id = ?2) AND r.state <> 'draft'
 ORDER BY r.id
"""
_DEPLOYMENT = "SELECT * FROM deployments WHERE registration_id = ? AND deployment_id = ?"
_TENANT = "SELECT * FROM tenants WHERE id = ?"
_APPLICATION = "SELECT * FROM applications WHERE tenant_id = ? AND id = ?"
_TARGETS = "SELECT prefix FROM application_targets WHERE tenant_id = ? AND application_id = ? ORDER BY prefix"
_PLUGINS = "SELECT * FROM tenant_plugins WHERE tenant_id = ? AND enabled ORDER BY position, key"
_ROLE_RULES = """
SELECT * FROM role_rules WHERE tenant_id = ?1 AND coalesce(registration_id, ?2) = ?2 ORDER BY created_at, id
"""
_API_KEY = "SELECT * FROM api_keys WHERE id = ?"
#: A hundred wait at most: one platform cannot fill the table with deployments of its invention.
_NOTE_DEPLOYMENT = """
INSERT INTO deployments (tenant_id, registration_id, deployment_id, state, instance_guid, instance_url, instance_name,
                         first_seen_at)
SELECT tenant_id, id, :deployment, 'pending', :guid, :url, :name, :now FROM registrations WHERE id = :registration
   AND ((SELECT count(*) FROM deployments WHERE registration_id = :registration AND state = 'pending') < 100
        OR EXISTS (SELECT 1 FROM deployments WHERE registration_id = :registration AND deployment_id = :deployment))
ON CONFLICT (registration_id, deployment_id) DO UPDATE SET
  instance_guid = coalesce(instance_guid, excluded.instance_guid),
  instance_url = coalesce(instance_url, excluded.instance_url),
  instance_name = coalesce(instance_name, excluded.instance_name)
"""
_ADOPT_DEPLOYMENT = """
INSERT INTO deployments (tenant_id, registration_id, deployment_id, state, application_owner, application_id,
                         instance_guid, instance_url, instance_name, first_seen_at, approved_at)
SELECT r.tenant_id, r.id, :deployment, 'approved', twin.application_owner, twin.application_id,
       twin.instance_guid, twin.instance_url, twin.instance_name, :now, :now
  FROM registrations r
  JOIN deployments twin ON twin.registration_id = r.id AND twin.tenant_id = r.tenant_id
                       AND twin.state = 'approved' AND twin.instance_guid = :guid
 WHERE r.id = :registration AND r.tenant_id <> 'host' AND r.auto_deployments = 'same_instance'
 ORDER BY twin.approved_at LIMIT 1
ON CONFLICT (registration_id, deployment_id) DO UPDATE SET
  state = 'approved', application_owner = excluded.application_owner, application_id = excluded.application_id,
  instance_guid = excluded.instance_guid, approved_at = excluded.approved_at
  WHERE deployments.state = 'pending' AND coalesce(deployments.instance_guid, excluded.instance_guid) = :guid
RETURNING tenant_id
"""
_AUDIT_ADOPTION = """
INSERT INTO audit (tenant_id, id, at, actor, action, object_id, details)
VALUES (:tenant, :audit, :now, 'same_instance', 'deployment.approved', :registration,
        json_object('deployment', :deployment, 'guid', :guid))
"""
_SPEND_CODE = """
DELETE FROM one_time_codes
 WHERE code_hash = :code_hash AND expires_at > :now
   AND (:application IS NULL OR application_id = :application) AND (:tenant IS NULL OR tenant_id = :tenant)
RETURNING tenant_id, launch_id
"""
_LAUNCH_OF_CODE = """
SELECT l.*, r.name AS registration_name, r.issuer, i.id AS item_id, i.label AS item_label, i.maximum AS item_maximum
  FROM launches l
  JOIN tenants t ON t.id = l.tenant_id AND t.active
  JOIN registrations r ON r.id = l.registration_id AND r.state = 'active'
  JOIN deployments d ON d.registration_id = l.registration_id AND d.deployment_id = l.deployment_id
                    AND d.tenant_id = l.tenant_id AND d.state = 'approved'
  LEFT JOIN users u ON u.tenant_id = l.tenant_id AND u.id = l.user_id
  LEFT JOIN line_items i ON i.tenant_id = l.tenant_id AND i.registration_id = l.registration_id
                        AND i.url = json_extract(l.services_json, '$.services.line_item_url') AND i.state <> 'deleted'
 WHERE l.tenant_id = ? AND l.id = ? AND NOT coalesce(u.suspended, 0)
"""
_INSERT_SESSION = """
INSERT INTO sessions (tenant_id, id, launch_id, application_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
"""
#: Deleted a slice at a time, so that a launch never waits for a long clean-up.
_SLICE = 2_000
_PRUNE = (
    """
    DELETE FROM nonces WHERE (registration_id, nonce_hash) IN
      (SELECT registration_id, nonce_hash FROM nonces WHERE expires_at <= ? LIMIT ?)
    """,
    "DELETE FROM one_time_codes WHERE code_hash IN (SELECT code_hash FROM one_time_codes WHERE expires_at <= ? LIMIT ?)",
    "DELETE FROM sessions WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM sessions WHERE expires_at <= ? LIMIT ?)",
)


class SqliteHotPath:
    """`HotPath` on one SQLite file."""

    def __init__(self, box: SecretBox, caps: RowCaps) -> None:
        self._box = box
        self._caps = caps

    def open(self, file: DatabaseFile) -> None:
        self._file = file
        self._writer = GroupWriter(file)
        self._reader = connect(file.path)
        self._reader.execute("PRAGMA query_only = ON")
        self._reader_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ltihost-reader")

    async def close(self) -> None:
        await self._writer.close()
        await asyncio.to_thread(self._reader_thread.shutdown)
        self._reader.close()

    async def ping(self) -> None:
        """Take the write lock once. Raises Busy."""
        await self._writer.run(lambda _: None)

    async def transact(self, tenant_id: str, written: Written[T]) -> T:
        """Run a script in a transaction. The file knows no roles: the script names the tenant itself."""
        return await self._writer.run(lambda db: run_sqlite(db, written(time.time())))

    async def route(self, registration_id: str) -> Route | None:
        row = await self._read(lambda db: _row(db, _ROUTE, registration_id)) if findable(registration_id) else None
        return route_from(row) if row else None

    async def routes(self, issuer: str, client_id: str | None) -> Sequence[Route]:
        if not findable(issuer, client_id):
            return []
        return [route_from(row) for row in await self._read(lambda db: _rows(db, _ROUTES, issuer, client_id))]

    async def deployment(self, registration_id: str, deployment_id: str) -> Deployment | None:
        if not findable(registration_id, deployment_id):
            return None
        row = await self._read(lambda db: _deployment(db, registration_id, deployment_id))
        return deployment_from(row, self._box) if row else None

    async def note_deployment(
        self, registration_id: str, deployment_id: str, *, guid: str | None, url: str | None, name: str | None
    ) -> None:
        values = {"registration": registration_id, "deployment": deployment_id, "now": time.time()}
        values |= {"guid": storable(guid), "url": storable(url), "name": storable(name)}
        await self._writer.run(lambda db: db.execute(_NOTE_DEPLOYMENT, values))

    async def adopt_deployment(self, registration_id: str, deployment_id: str, *, guid: str) -> Deployment | None:
        values = {"registration": registration_id, "deployment": deployment_id, "guid": guid, "now": time.time()}
        await self._writer.run(partial(_adopt, values=values))
        return adopted(await self.deployment(registration_id, deployment_id), guid)

    async def accept_launch(self, work: AcceptLaunch) -> AcceptOutcome:
        return await self._writer.run(partial(sqlite_launch.accept, work=work))

    async def consume_nonce(self, registration_id: str, nonce_hash: bytes, expires: float) -> bool:
        return await self._writer.run(lambda db: sqlite_launch.spend_nonce(db, registration_id, nonce_hash, expires))

    async def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        await self._writer.run(partial(sqlite_launch.record, attempts=attempts, caps=self._caps))

    async def redeem_code(
        self, code_hash: bytes, *, application_id: str | None, tenant_id: str | None, now: float, session_seconds: int
    ) -> StoredLaunch | None:
        session_id, expires = new_id("ses"), now + session_seconds
        values = {"code_hash": code_hash, "application": application_id, "tenant": tenant_id, "now": now}
        row = await self._writer.run(partial(_redeem, values=values, session_id=session_id, expires=expires))
        return stored_launch_from(row, session_id, expires) if row else None

    async def api_key(self, key_id: str) -> ApiKey | None:
        row = await self._read(lambda db: _row(db, _API_KEY, key_id)) if findable(key_id) else None
        return api_key_from(row) if row else None

    async def prune(self, now: float) -> int:
        total = 0
        for statement in _PRUNE:
            while gone := await self._writer.run(partial(_prune_slice, statement=statement, now=now)):
                total += gone
        return total

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def read() -> T:
            self._file.check()
            with driver_errors():
                return work(self._reader)

        return await asyncio.get_running_loop().run_in_executor(self._reader_thread, read)


def _rows(db: sqlite3.Connection, statement: str, *values: Any) -> list[dict[str, Any]]:
    cursor = db.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _row(db: sqlite3.Connection, statement: str, *values: Any) -> dict[str, Any] | None:
    return next(iter(_rows(db, statement, *values)), None)


def _deployment(db: sqlite3.Connection, registration_id: str, deployment_id: str) -> dict[str, Any] | None:
    row = _row(db, _DEPLOYMENT, registration_id, deployment_id)
    if row is None:
        return None
    return {
        **row,
        **_bound(db, row),
        "plugins": _rows(db, _PLUGINS, row["tenant_id"]),
        "rules": _rows(db, _ROLE_RULES, row["tenant_id"], registration_id),
    }


def _bound(db: sqlite3.Connection, row: dict[str, Any]) -> dict[str, Any]:
    """The `tenant`, `application` and `targets` that a deployment or launch names."""
    application = (row["application_owner"], row["application_id"])
    return {
        "tenant": _row(db, _TENANT, row["tenant_id"]),
        "application": _row(db, _APPLICATION, *application),
        "targets": [target["prefix"] for target in _rows(db, _TARGETS, *application)],
    }


def _adopt(db: sqlite3.Connection, values: dict[str, Any]) -> None:
    approved = db.execute(_ADOPT_DEPLOYMENT, values).fetchone()
    if approved is not None:
        db.execute(_AUDIT_ADOPTION, {**values, "tenant": approved[0], "audit": new_id("aud")})


def _redeem(db: sqlite3.Connection, values: dict[str, Any], session_id: str, expires: float) -> dict[str, Any] | None:
    spent = db.execute(_SPEND_CODE, values).fetchone()
    row = _row(db, _LAUNCH_OF_CODE, *spent) if spent else None
    if row is None:
        return None
    session = (row["tenant_id"], session_id, row["id"], row["application_id"], values["now"], expires)
    db.execute(_INSERT_SESSION, session)
    return {**row, **_bound(db, row)}


def _prune_slice(db: sqlite3.Connection, statement: str, now: float) -> int:
    return db.execute(statement, (now, _SLICE)).rowcount
