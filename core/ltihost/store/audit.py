"""The audit trail: append-only, and chained per tenant so that a changed or missing row shows.

Rows of the hot path are stored unchained and sealed a few seconds later (a chain under lock would halve the launches
per second); an administrator's change is sealed in its own transaction. A seal is HMAC(key, previous seal, row) over
the row's canonical JSON; the key is derived from LTIHOST_SECRET_KEY, which the database does not have.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from ltihost.store.guard import box_of, lock
from ltihost.store.ids import new_id
from ltihost.store.tables import Audit, Tenant

#: What a row tells, and its seal. Read and written without entities: there is a row for every launch.
_TOLD = (Audit.tenant_id, Audit.id, Audit.at, Audit.actor, Audit.action, Audit.object_id, Audit.details)
_SEAL = (
    update(Audit)
    .where(Audit.tenant_id == bindparam("tenant"), Audit.id == bindparam("row"))
    .values(seq=bindparam("number"), previous_hash=bindparam("previous"), hash=bindparam("seal"))
)
_PURPOSE = "audit trail"
_START = bytes(32)
#: How many rows one transaction seals.
SEAL_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The end of a tenant's chain at some time. Kept elsewhere, it shows rows that were cut off the end."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """The first row at which a chain does not hold. `row_id` is None when the row is missing."""

    tenant_id: str
    seq: int
    row_id: str | None
    message: str


def append(
    session: Session,
    tenant_id: str,
    *,
    actor: str,
    action: str,
    object_id: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add a row to the tenant's trail and seal it, in the transaction of the change that it tells of."""
    row = Audit(
        tenant_id=tenant_id,
        id=new_id("aud"),
        at=time.time(),
        actor=actor,
        action=action,
        object_id=object_id,
        details=dict(details or {}),
    )
    session.add(row)
    session.flush()
    seal(session, tenant_id)


def append_seldom(
    session: Session,
    tenant_id: str,
    *,
    actor: str,
    action: str,
    object_id: str,
    details: Mapping[str, Any],
    seconds: float,
) -> bool:
    """As `append`, unless the object has a row of this action that is younger than `seconds`; whether one was added."""
    lock(session, f"audit {action} {object_id}")
    same = select(Audit.id).where(
        Audit.tenant_id == tenant_id, Audit.action == action, Audit.object_id == object_id,
        Audit.at > time.time() - seconds,
    )  # fmt: skip
    if session.scalars(same.limit(1)).first() is not None:
        return False
    append(session, tenant_id, actor=actor, action=action, object_id=object_id, details=details)
    return True


def seal(session: Session, tenant_id: str) -> int:
    """Chain the tenant's unsealed rows, at most `SEAL_AT_ONCE`; answer how many were."""
    lock(session, f"audit {tenant_id}")
    waiting = session.execute(
        select(*_TOLD)
        .where(Audit.tenant_id == tenant_id, Audit.seq.is_(None))
        .order_by(Audit.at, Audit.id)
        .limit(SEAL_AT_ONCE)
    ).all()
    end = head(session, tenant_id)
    seq, previous = (end.seq, end.hash) if end else (0, _START)
    key = box_of(session).derive(_PURPOSE)
    seals = []
    for row in waiting:
        seq += 1
        seal = _seal_of(key, previous, seq, row)
        seals.append({"tenant": tenant_id, "row": row.id, "number": seq, "previous": previous, "seal": seal})
        previous = seal
    if seals:
        session.connection().execute(_SEAL, seals)
    return len(seals)


def head(session: Session, tenant_id: str) -> Checkpoint | None:
    """The end of the tenant's chain; None before its first seal."""
    last = session.scalars(
        select(Audit).where(Audit.tenant_id == tenant_id, Audit.seq.is_not(None)).order_by(Audit.seq.desc()).limit(1)
    ).first()
    return None if last is None else Checkpoint(last.seq or 0, last.hash or b"")


def verify(session: Session, tenant_id: str, checkpoint: Checkpoint | None = None) -> Fault | None:
    """Recompute the tenant's chain; answer its first fault, or None when it holds and still contains `checkpoint`."""
    keys = box_of(session).derive_all(_PURPOSE)
    expected, previous = 1, _START
    for row in _sealed(session, tenant_id):
        if row.seq != expected:
            return Fault(tenant_id, expected, None, "A row is missing.")
        if row.previous_hash != previous or not _is_sealed_by(keys, row):
            return Fault(tenant_id, expected, row.id, "The row is not as it was sealed.")
        if checkpoint is not None and row.seq == checkpoint.seq and row.hash != checkpoint.hash:
            return Fault(tenant_id, expected, row.id, "The row is not the one of the checkpoint.")
        expected, previous = expected + 1, row.hash or b""
    if checkpoint is not None and checkpoint.seq >= expected:
        return Fault(tenant_id, expected, None, "Rows are missing at the end.")
    return None


def page(session: Session, tenant_id: str, *, limit: int = 50) -> list[Audit]:
    """The newest rows of the tenant's trail, newest first."""
    query = select(Audit).where(Audit.tenant_id == tenant_id).order_by(Audit.at.desc(), Audit.id.desc()).limit(limit)
    return list(session.scalars(query))


def tenants_to_seal(session: Session) -> list[str]:
    """The tenants that have unsealed rows; for a session across tenants."""
    waiting = select(Audit.id).where(Audit.tenant_id == Tenant.id, Audit.seq.is_(None)).exists()
    return list(session.scalars(select(Tenant.id).where(waiting)))


def _sealed(session: Session, tenant_id: str) -> Iterator[Audit]:
    query = select(Audit).where(Audit.tenant_id == tenant_id, Audit.seq.is_not(None)).order_by(Audit.seq)
    return iter(session.scalars(query.execution_options(yield_per=500)))


def _is_sealed_by(keys: tuple[bytes, ...], row: Audit) -> bool:
    previous, seal = row.previous_hash or b"", row.hash or b""
    return any(hmac.compare_digest(_seal_of(key, previous, row.seq, row), seal) for key in keys)


def _seal_of(key: bytes, previous: bytes, seq: int | None, row: Any) -> bytes:
    """`row` has the attributes of `_TOLD`."""
    parts = [seq, row.tenant_id, row.id, row.at, row.actor, row.action, row.object_id, row.details]
    return hmac.digest(key, previous + orjson.dumps(parts, option=orjson.OPT_SORT_KEYS), "sha256")
