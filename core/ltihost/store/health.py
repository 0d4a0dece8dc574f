"""Breakers as rows: how all workers share what is known of a platform's health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ltihost.breaker import Breaker
from ltihost.store.script import Row, Script

_READ = "SELECT * FROM platform_health WHERE tenant_id = $1 AND registration_id = $2 AND kind = $3 FOR UPDATE"
_ADD = """
INSERT INTO platform_health (tenant_id, registration_id, kind, state, failures, recent, open_until, times_opened,
                             successes, in_flight, tokens, paced_at, quiet_since, updated_at)
VALUES ($1, $2, $3, 'closed', 0, '[]', 0, 0, 0, 1, 0, 0, 0, $4) ON CONFLICT DO NOTHING
"""
_COLUMNS = (
    "state", "failures", "recent", "opened_at", "open_until", "times_opened", "successes", "in_flight", "rate",
    "tokens", "paced_at", "quiet_since", "code",
)  # fmt: skip
_WRITE = f"""
UPDATE platform_health SET {", ".join(f"{name} = ${place}" for place, name in enumerate(_COLUMNS, 4))}, updated_at = $17
 WHERE tenant_id = $1 AND registration_id = $2 AND kind = $3
"""  # noqa: S608  (the names above)

#: A platform's breaker of one kind: tenant, registration, kind.
Key = tuple[str, str, str]


def read(key: Key) -> Script[Breaker]:
    """The breaker, locked until the transaction ends; a closed one where there is no row."""
    rows = yield _READ, key
    return breaker_from(rows[0]) if rows else Breaker()


def add(key: Key, now: float) -> Script[None]:
    """Make sure that there is a row."""
    yield _ADD, (*key, now)


def write(key: Key, breaker: Breaker, now: float) -> Script[None]:
    """Store the breaker; its row is there."""
    values = values_of(breaker)
    yield _WRITE, (*key, *(values[name] for name in _COLUMNS), now)


def breaker_from(row: Row) -> Breaker:
    """The breaker of a row of `platform_health`."""
    recent = row["recent"] if isinstance(row["recent"], list) else orjson.loads(row["recent"])
    kept = {name: row[name] for name in _COLUMNS if name != "recent"}
    return Breaker(**kept, recent=tuple((at, well) for at, well in recent))


def values_of(breaker: Breaker) -> Mapping[str, Any]:
    """The columns of a breaker, `recent` as JSON text."""
    values = {name: getattr(breaker, name) for name in _COLUMNS}
    return values | {"recent": orjson.dumps(breaker.recent).decode()}
