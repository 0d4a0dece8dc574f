"""How long attempts that ended as no launch are kept."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

#: Deleted a slice at a time, each in a transaction of its own, so that a launch never waits for a long clean-up.
SLICE = 500
_DAY = 86_400

_ATTEMPTS = """
DELETE FROM launches WHERE (tenant_id, id) IN
  (SELECT tenant_id, id FROM launches WHERE outcome <> 'accepted' AND at < :oldest ORDER BY at LIMIT :slice)
"""
_COUNTERS = """
DELETE FROM attempt_counters WHERE (tenant_id, registration_id, kind, minute) IN
  (SELECT tenant_id, registration_id, kind, minute FROM attempt_counters WHERE minute < :oldest / 60 - 1 LIMIT :slice)
"""


def prune_attempts(session: Session, now: float, days: int) -> int:
    """Delete refused and waiting attempts, and the counters of attempts, older than `days`; answer how many went.

    At most `SLICE` of each go at once: call it until it answers 0. For `Database.run_lookup`.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        values = {"now": now, "days": days, "slice": SLICE}
        return int(connection.scalar(text("SELECT prune_attempts_v1(:now, :days, :slice)"), values) or 0)
    values = {"oldest": now - days * _DAY, "slice": SLICE}
    return sum(connection.execute(text(statement), values).rowcount for statement in (_ATTEMPTS, _COUNTERS))
