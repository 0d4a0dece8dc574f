"""Launches and refused attempts, as administrators look for them."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from ltihost.errors import Invalid, NotFound
from ltihost.records import Attempt, Check
from ltihost.store import tables
from ltihost.store.ids import read_code


@dataclass(frozen=True, slots=True)
class Page:
    """Rows newest first; `next_cursor` is None on the last page."""

    rows: list[tables.Launch]
    next_cursor: str | None


def page(
    session: Session,
    *,
    tenant_id: str | None = None,
    registration_id: str | None = None,
    user_id: str | None = None,
    outcome: str | None = None,
    refusal: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """Launches and attempts, newest first, that fit every filter given. Raises Invalid for a foreign cursor."""
    wanted = {
        "tenant_id": tenant_id,
        "registration_id": registration_id,
        "user_id": user_id,
        "outcome": outcome,
        "refusal": refusal,
    }
    query = select(tables.Launch).filter_by(**{name: value for name, value in wanted.items() if value is not None})
    query = query.order_by(tables.Launch.at.desc(), tables.Launch.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(tuple_(tables.Launch.at, tables.Launch.id) < _position(cursor))
    rows = list(session.scalars(query))
    return Page(rows[:limit], _cursor(rows[limit - 1]) if len(rows) > limit else None)


def show(session: Session, name: str) -> tables.Launch:
    """The attempt of this id, or the newest of this short code as a person typed it. Raises NotFound."""
    by_id = select(tables.Launch).where(tables.Launch.id == name)
    by_code = select(tables.Launch).where(tables.Launch.code == read_code(name)).order_by(tables.Launch.at.desc())
    refused = by_code.where(tables.Launch.outcome != "accepted")  # these are indexed
    found = (session.scalars(query.limit(1)).first() for query in (by_id, refused, by_code))
    row = next((row for row in found if row is not None), None)
    if row is None:
        raise NotFound("launch_unknown", "There is no launch with this code.")
    return row


def attempt(row: tables.Launch) -> Attempt:
    """The record of a row."""
    return Attempt(
        id=row.id,
        tenant_id=row.tenant_id,
        code=row.code,
        kind=row.kind,  # type: ignore[arg-type]
        outcome=row.outcome,  # type: ignore[arg-type]
        at=row.at,
        refusal=row.refusal,
        registration_id=row.registration_id,
        deployment_id=row.deployment_id,
        message=row.message,
        rung=row.rung,  # type: ignore[arg-type]
        checks=tuple(Check(**{"status": "passed", **check}) for check in row.checks),
        warnings=tuple(row.warnings),
        remote_address=row.remote_address,
        user_agent=row.user_agent,
        user_id=row.user_id,
        resource_link_id=row.resource_link_id,
    )


def link_titles(session: Session, attempts: Iterable[Attempt]) -> dict[str, str | None]:
    """The titles of the links that were opened, by id."""
    ids = {attempt.resource_link_id for attempt in attempts} - {None}
    query = select(tables.ResourceLink.id, tables.ResourceLink.title).where(tables.ResourceLink.id.in_(ids))
    return {link_id: title for link_id, title in session.execute(query)}  # noqa: C416 - rows are no pairs to dict


def only_counted(session: Session, since: float) -> int:
    """How many refused attempts since that time were counted without a row of their own."""
    query = select(func.sum(tables.AttemptCounter.dropped)).where(tables.AttemptCounter.minute >= since // 60)
    return session.scalar(query) or 0


def _position(cursor: str) -> tuple[float, str]:
    try:
        raw = base64.urlsafe_b64decode(cursor)
        return struct.unpack(">d", raw[:8])[0], raw[8:].decode()
    except (ValueError, struct.error):
        raise Invalid("cursor_invalid", "The cursor is not one of ours.") from None


def _cursor(row: tables.Launch) -> str:
    return base64.urlsafe_b64encode(struct.pack(">d", row.at) + row.id.encode()).decode()
