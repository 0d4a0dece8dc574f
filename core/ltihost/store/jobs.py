"""Work that waits: durable, one for equal wishes, one at a time where it must be, under a lease.

A job is `pending` until a worker claims it, then `leased`; when it is done its row goes, and when it cannot be done it
stays as `dead`. Equal wishes (`dedup_key`) that wait are one job. Of a partition (`partition_key`) at most one job is
leased, and a job waits for the older ones of its partition. A lease has an end and a number (the fence): a worker that
froze and comes back finds another number and changes nothing.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, bindparam, case, delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, LtihostError
from ltihost.store.database import Database
from ltihost.store.guard import UnboundError, tenant_of
from ltihost.store.ids import new_id
from ltihost.store.service_tables import Job as Row

LEASE_SECONDS = 60.0
#: Jobs of one platform that one claim takes at most, so that a slow platform leaves room for others.
PER_PLATFORM = 4


class LeaseLost(LtihostError):
    """The worker was away for so long that its job may be another's now. What it did not do yet must stay undone."""

    def __init__(self) -> None:
        super().__init__("lease_lost", "The lease of the job ended while it was worked on.")


@dataclass(slots=True)
class Lease:
    """The time that a worker has. `ends` is read off this process's monotonic clock, taken before the claim."""

    number: int
    ends: float
    clock: Callable[[], float] = time.monotonic

    def assert_held(self) -> None:
        """To be called before each request that must not happen twice. Raises LeaseLost."""
        if self.clock() >= self.ends:
            raise LeaseLost


@dataclass(frozen=True, slots=True)
class Job:
    """A job in the hands of a worker. `tries` are those that failed before this one."""

    id: str
    tenant_id: str
    kind: str
    registration_id: str
    deployment_id: str
    object_id: str
    dedup_key: str
    partition_key: str
    payload: Mapping[str, Any]
    tries: int
    first_failed_at: float | None
    created_at: float
    lease: Lease = field(compare=False)


@dataclass(frozen=True, slots=True)
class Done:
    """The job is done."""


@dataclass(frozen=True, slots=True)
class Later:
    """The job is to be tried again at a time (Unix seconds). `counted` is false for what is no fault of the platform:
    then neither the tries nor the age of the fault grow."""

    at: float
    code: str
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """The job cannot be done."""

    code: str


Verdict = Done | Later | Dead


def put(
    session: Session,
    *,
    kind: str,
    registration_id: str,
    deployment_id: str,
    object_id: str,
    now: float,
    due_at: float | None = None,
    dedup_key: str | None = None,
    partition_key: str | None = None,
    payload: Mapping[str, Any] | None = None,
) -> str:
    """Wish for a job, due now unless `due_at` says later; answer its id.

    Without keys, equal kind and object are one job, and one at a time. A wish that waits already keeps its tries, takes
    the new payload, and becomes due at the earlier of both times unless it waits after a failure.
    """
    key = dedup_key or f"{kind}|{object_id}"
    values = {
        "tenant_id": _tenant(session), "id": new_id("job"), "kind": kind, "registration_id": registration_id,
        "deployment_id": deployment_id, "object_id": object_id, "dedup_key": key,
        "partition_key": partition_key or f"{kind}|{object_id}", "payload": dict(payload or {}), "state": "pending",
        "due_at": now if due_at is None else due_at, "tries": 0, "lease_no": 0, "lease_until": 0.0, "created_at": now,
        "updated_at": now,
    }  # fmt: skip
    connection = session.connection()
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(Row.__table__).values(values)
    waits_rightly = (Row.tries > 0) | (Row.due_at <= insert.excluded.due_at)
    merged = insert.on_conflict_do_update(
        index_elements=["tenant_id", "dedup_key"],
        index_where=text("state = 'pending'"),
        set_={
            "payload": insert.excluded.payload,
            "due_at": case((waits_rightly, Row.due_at), else_=insert.excluded.due_at),
            "updated_at": now,
        },
    ).returning(Row.id)
    return str(connection.execute(merged).scalar_one())


async def claim(
    database: Database,
    *,
    owner: str,
    kinds: Sequence[str],
    now: float,
    most: int = 8,
    clock: Callable[[], float] = time.monotonic,
) -> list[Job]:
    """Lease what is due, across tenants; each job is then read as its tenant.

    `now` says what is due; the end of a lease is judged by the database's clock on PostgreSQL.
    """
    ends = clock() + LEASE_SECONDS
    try:
        taken = await database.run_lookup(_claim, owner, list(kinds), now, most)
    except Conflict:  # two workers reached for one partition; the next round finds it settled
        return []
    by_tenant: defaultdict[str, list[str]] = defaultdict(list)
    for tenant_id, job_id in taken:
        by_tenant[tenant_id].append(job_id)
    found: list[Job] = []
    for tenant_id, ids in by_tenant.items():
        found += await database.run(tenant_id, _load, ids, ends, clock)
    return found


async def extend(database: Database, job: Job, now: float) -> bool:
    """Hold the job for another `LEASE_SECONDS`; False when it is another's already."""
    ends = job.lease.clock() + LEASE_SECONDS
    held = await database.run(job.tenant_id, _extend, job, now)
    if held:
        job.lease.ends = ends
    return held


async def finish(database: Database, job: Job, verdict: Verdict, now: float) -> bool:
    """Store what became of a leased job; False, and nothing stored, when its lease passed to another worker."""
    return await database.run(job.tenant_id, _finish, job, verdict, now)


def listed(session: Session, *, state: str | None = None, kind: str | None = None, limit: int = 500) -> list[Row]:
    """Jobs, oldest first; those that are done are gone."""
    wanted = {"state": state, "kind": kind}
    query = select(Row).filter_by(**{name: value for name, value in wanted.items() if value is not None})
    return list(session.scalars(query.order_by(Row.created_at, Row.id).limit(limit)))


_CLAIM = """
UPDATE jobs SET state = 'leased', lease_owner = :owner, lease_no = lease_no + 1, lease_until = :now + :seconds
 WHERE (tenant_id, id) IN (
   SELECT tenant_id, id FROM (
     SELECT tenant_id, id, due_at, row_number() OVER (PARTITION BY registration_id ORDER BY due_at, id) AS place
       FROM jobs AS candidate
      WHERE kind IN :kinds AND (state = 'leased' AND lease_until <= :now OR state = 'pending' AND due_at <= :now
        AND NOT EXISTS (SELECT 1 FROM jobs AS other
              WHERE other.tenant_id = candidate.tenant_id AND other.partition_key = candidate.partition_key
                AND (other.state = 'leased' OR other.state = 'pending'
                     AND (other.created_at, other.id) < (candidate.created_at, candidate.id)))))
    WHERE place <= :per_platform ORDER BY due_at, id LIMIT :most)
RETURNING tenant_id, id
"""


def _claim(session: Session, owner: str, kinds: list[str], now: float, most: int) -> list[tuple[str, str]]:
    connection = session.connection()
    values = {
        "owner": owner, "kinds": kinds, "now": now, "seconds": LEASE_SECONDS, "most": most, "per_platform": PER_PLATFORM,
    }  # fmt: skip
    return [(row[0], row[1]) for row in connection.execute(_claim_statement(connection), values)]


def _claim_statement(connection: Connection) -> Any:
    if connection.dialect.name == "postgresql":
        return text("SELECT * FROM claim_jobs_v1(:owner, :kinds, :now, :seconds, :per_platform, :most)")
    return text(_CLAIM).bindparams(bindparam("kinds", expanding=True))


def _load(session: Session, ids: Sequence[str], ends: float, clock: Callable[[], float]) -> list[Job]:
    rows = session.scalars(select(Row).where(Row.id.in_(ids), Row.state == "leased"))
    names = [name for name in Job.__dataclass_fields__ if name != "lease"]
    return [Job(**{name: getattr(row, name) for name in names}, lease=Lease(row.lease_no, ends, clock)) for row in rows]


def _extend(session: Session, job: Job, now: float) -> bool:
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        now = connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())::float8")) or now
    return _change(session, job, lease_until=now + LEASE_SECONDS)


def _finish(session: Session, job: Job, verdict: Verdict, now: float) -> bool:
    if isinstance(verdict, Done):
        return _done(session, job)
    if isinstance(verdict, Dead):
        return _change(session, job, state="dead", code=verdict.code, lease_owner=None, updated_at=now)
    failed = {
        "tries": job.tries + 1 if verdict.counted else job.tries,
        "first_failed_at": job.first_failed_at or (now if verdict.counted else None),
        "code": verdict.code,
    }
    if _handed_on(session, job, failed, verdict.at):
        return _done(session, job)
    return _change(
        session, job, state="pending", due_at=verdict.at, lease_owner=None, updated_at=now, **failed
    )  # fmt: skip


def _done(session: Session, job: Job) -> bool:
    """The row goes, and so do those of the same wish that died before."""
    gone = _count(session.execute(delete(Row).where(*_mine(job))))
    session.execute(delete(Row).where(Row.dedup_key == job.dedup_key, Row.state == "dead"))
    return bool(gone)


def _handed_on(session: Session, job: Job, failed: Mapping[str, Any], at: float) -> bool:
    """An equal wish that came meanwhile takes over: it waits as long as this one would have to."""
    if session.scalar(select(Row.id).where(*_mine(job))) is None:
        return False
    waiting = session.scalars(
        select(Row).where(Row.dedup_key == job.dedup_key, Row.state == "pending").with_for_update()
    ).first()
    if waiting is None:
        return False
    waiting.due_at = max(waiting.due_at, at)
    for name, value in failed.items():
        setattr(waiting, name, value)
    session.flush()
    return True


def _change(session: Session, job: Job, **values: Any) -> bool:
    return bool(_count(session.execute(update(Row).where(*_mine(job)).values(values))))


def _mine(job: Job) -> tuple[Any, ...]:
    return Row.id == job.id, Row.state == "leased", Row.lease_no == job.lease.number


def _count(result: Any) -> int:
    return cast("CursorResult[Any]", result).rowcount


def _tenant(session: Session) -> str:
    tenant_id = tenant_of(session)
    if tenant_id is None:
        raise UnboundError("A job belongs to one tenant.")
    return tenant_id
