"""Events: what applications may want to know, in an order in which none can be missed.

A row is added in the transaction of the change that it tells of, without a number. Transactions end in another order
than they begin, so neither a time nor an id of a row can serve as a reader's place: a row with a smaller one may still
come to light. Numbers can, because they are given afterwards: whoever reads first numbers what has been committed, one
reader at a time. What commits later gets a larger number, so a reader who goes on from the last number sees everything.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from ltihost.store.guard import UnboundError, tenant_of
from ltihost.store.ids import new_id
from ltihost.store.service_tables import Event

#: How many events one reader numbers at once.
NUMBERED_AT_ONCE = 5_000

#: For paths without an ORM; `event_values` gives its values.
EVENT_INSERT_SQL = """
INSERT INTO events (tenant_id, id, application_owner, application_id, type, data, at)
VALUES (:tenant_id, :id, :application_owner, :application_id, :type, :data, :at)
"""

_WAITING = "SELECT EXISTS (SELECT 1 FROM events WHERE application_id = :application AND seq IS NULL)"
_LAST = "SELECT max(seq) FROM events WHERE application_id = :application"
_NUMBER = """
UPDATE events SET seq = :last + waiting.place
  FROM (SELECT tenant_id, id, row_number() OVER (ORDER BY at, id) AS place
          FROM (SELECT tenant_id, id, at FROM events WHERE application_id = :application AND seq IS NULL
                 ORDER BY at, id LIMIT :most) AS oldest) AS waiting
 WHERE events.tenant_id = waiting.tenant_id AND events.id = waiting.id
"""
_PAGE = """
SELECT tenant_id, id, seq FROM events
 WHERE application_id = :application AND seq > :after AND (:tenant IS NULL OR tenant_id = :tenant)
 ORDER BY seq LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where an event stands: its tenant, its id, and its number among the events of its application."""

    tenant_id: str
    id: str
    seq: int


def append(
    session: Session,
    *,
    application_owner: str,
    application_id: str,
    type: str,  # noqa: A002
    data: Mapping[str, Any],
    now: float,
) -> str:
    """Add an event for an application, in the transaction of the change that it tells of; answer its id.

    `data` holds ids and changed facts, never names or addresses of people.
    """
    values = event_values(
        _tenant(session), application_owner=application_owner, application_id=application_id, type=type, data=data, now=now
    )  # fmt: skip
    session.add(Event(**values | {"data": dict(data)}))
    return str(values["id"])


def event_values(
    tenant_id: str,
    *,
    application_owner: str,
    application_id: str,
    type: str,  # noqa: A002
    data: Mapping[str, Any],
    now: float,
) -> dict[str, Any]:
    """The columns of a new event, for `EVENT_INSERT_SQL`; `data` as JSON text."""
    return {
        "tenant_id": tenant_id,
        "id": new_id("evt"),
        "application_owner": application_owner,
        "application_id": application_id,
        "type": type,
        "data": orjson.dumps(data).decode(),
        "at": now,
    }


def numbered(session: Session, application_id: str, tenant_id: str | None, after: int, limit: int) -> list[Mark]:
    """Number what has no number yet, then answer the events that follow `after`, in order. For `run_lookup`.

    `tenant_id` None means every tenant's. What the events say is read afterwards, as their tenant (`by_ids`).
    """
    connection = session.connection()
    values = {"application": application_id, "tenant": tenant_id, "after": after, "most": limit}
    if connection.dialect.name == "postgresql":
        rows = connection.execute(text("SELECT * FROM number_events_v1(:application, :tenant, :after, :most)"), values)
    else:
        _number(connection, application_id)
        rows = connection.execute(text(_PAGE), values)
    return [Mark(row[0], row[1], row[2]) for row in rows]


def by_ids(session: Session, ids: Iterable[str]) -> dict[str, Event]:
    """The tenant's events of these ids, by id."""
    return {row.id: row for row in session.scalars(select(Event).where(Event.id.in_(list(ids))))}


def _number(connection: Connection, application_id: str) -> None:
    """SQLite: nobody else writes meanwhile. An empty table begins at the time of day, so that no number comes twice."""
    values = {"application": application_id, "most": NUMBERED_AT_ONCE}
    if connection.scalar(text(_WAITING), values):
        last = connection.scalar(text(_LAST), values) or int(time.time() * 1000)
        connection.execute(text(_NUMBER), values | {"last": last})


def _tenant(session: Session) -> str:
    tenant_id = tenant_of(session)
    if tenant_id is None:
        raise UnboundError("An event belongs to one tenant.")
    return tenant_id
