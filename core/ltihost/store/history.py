"""What is kept for a month: tries to deliver, keys of requests, events, notices. What stands is kept for good."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

KEPT_SECONDS = 30 * 86_400.0
#: Deleted a slice at a time, each in a transaction of its own.
SLICE = 2_000

_TRIES = """
DELETE FROM delivery_tries WHERE (tenant_id, id) IN
  (SELECT tenant_id, id FROM delivery_tries WHERE started_at < :oldest ORDER BY started_at LIMIT :slice)
"""
_KEYS = """
DELETE FROM idempotency_keys WHERE (tenant_id, api_key_id, key) IN
  (SELECT tenant_id, api_key_id, key FROM idempotency_keys WHERE created_at < :oldest ORDER BY created_at LIMIT :slice)
"""
_EVENTS = """
DELETE FROM events WHERE (tenant_id, id) IN
  (SELECT tenant_id, id FROM events WHERE at < :oldest ORDER BY at LIMIT :slice)
"""
_NOTICES = """
DELETE FROM notices WHERE (tenant_id, registration_id, notice_id) IN
  (SELECT tenant_id, registration_id, notice_id FROM notices WHERE received_at < :oldest LIMIT :slice)
"""


def prune(session: Session, now: float) -> int:
    """Delete what is older than a month; answer how many rows went.

    At most `SLICE` of each go at once: call it until it answers 0. For `Database.run_lookup`.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        values = {"now": now, "seconds": KEPT_SECONDS, "slice": SLICE}
        return int(connection.scalar(text("SELECT prune_history_v1(:now, :seconds, :slice)"), values) or 0)
    values = {"oldest": now - KEPT_SECONDS, "slice": SLICE}
    return sum(connection.execute(text(statement), values).rowcount for statement in (_TRIES, _KEYS, _EVENTS, _NOTICES))
