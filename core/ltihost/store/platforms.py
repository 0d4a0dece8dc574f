"""Platforms to which no score goes at the moment, since they refuse the host or do not answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ltihost.store import audit
from ltihost.store.service_tables import GradeSlot, PlatformHealth

ACTION = "platform.paused"
#: Shorter interruptions pass by themselves, and nobody has to look.
TOLD_AFTER_SECONDS = 600.0
#: As long as it lasts it is told again after this time.
AGAIN_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Paused:
    """A registration whose scores wait: how many, why (`code` is the last failure's), since when (Unix seconds)."""

    registration_id: str
    code: str | None
    since: int
    waiting: int


def tell(session: Session, tenant_id: str, now: float) -> list[Paused]:
    """Write into the tenant's audit trail which platforms have been paused for long; answer those that were not written
    there within the day."""
    return [paused for paused in _paused(session, tenant_id, now) if _is_news(session, tenant_id, paused)]


def resume(session: Session, registration_id: str) -> bool:
    """Let a probe go at once, and further scores when it is taken; whether the platform was paused. For `run_host`."""
    query = select(PlatformHealth).where(
        PlatformHealth.registration_id == registration_id, PlatformHealth.kind == "score",
        PlatformHealth.state == "open",
    )  # fmt: skip
    rows = session.scalars(query.with_for_update()).all()
    for row in rows:
        row.open_until, row.times_opened = 0.0, 0
    session.flush()
    return bool(rows)


def _paused(session: Session, tenant_id: str, now: float) -> list[Paused]:
    """Those that have something to send."""
    query = select(PlatformHealth).where(
        PlatformHealth.tenant_id == tenant_id, PlatformHealth.kind == "score", PlatformHealth.state != "closed",
        PlatformHealth.opened_at <= now - TOLD_AFTER_SECONDS,
    )  # fmt: skip
    found = [
        Paused(
            row.registration_id, row.code, int(row.opened_at or 0), _waiting(session, tenant_id, row.registration_id)
        )
        for row in session.scalars(query.order_by(PlatformHealth.registration_id))
    ]
    return [paused for paused in found if paused.waiting]


def _waiting(session: Session, tenant_id: str, registration_id: str) -> int:
    query = select(func.count()).where(
        GradeSlot.tenant_id == tenant_id, GradeSlot.registration_id == registration_id,
        GradeSlot.state.in_(("pending", "leased")),
    )  # fmt: skip
    return session.scalar(query) or 0


def _is_news(session: Session, tenant_id: str, paused: Paused) -> bool:
    details = asdict(paused)
    registration_id = details.pop("registration_id")
    return audit.append_seldom(
        session, tenant_id, actor="host", action=ACTION, object_id=registration_id, details=details,
        seconds=AGAIN_SECONDS,
    )  # fmt: skip
