"""Questions about rosters: their runs, which are due, and the people of a context."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ltihost.store import tables
from ltihost.store.service_tables import ContextServices, Roster, RosterRun


def runs(
    session: Session,
    *,
    tenant_id: str | None = None,
    context_id: str | None = None,
    state: str | None = None,
    limit: int = 50,
) -> list[RosterRun]:
    """Runs, newest first, that fit every filter given."""
    wanted = {"tenant_id": tenant_id, "context_id": context_id, "state": state}
    query = select(RosterRun).filter_by(**{name: value for name, value in wanted.items() if value is not None})
    return list(session.scalars(query.order_by(RosterRun.started_at.desc(), RosterRun.id.desc()).limit(limit)))


def contexts(session: Session, ids: Collection[str]) -> dict[str, tables.Context]:
    """Contexts by id."""
    return {row.id: row for row in session.scalars(select(tables.Context).where(tables.Context.id.in_(ids)))}


def due(session: Session, *, synced_before: float, seen_after: float, limit: int = 100) -> list[tables.Context]:
    """Contexts that were launched lately, whose LMS offers a roster, and whose last sync is older.

    One that was tried meanwhile in vain is left to the jobs: it must not keep the others from their turn.
    """
    tried = select(RosterRun.id).where(
        RosterRun.tenant_id == tables.Context.tenant_id,
        RosterRun.context_id == tables.Context.id,
        RosterRun.started_at >= synced_before,
    )
    query = (
        select(tables.Context)
        .join(ContextServices, ContextServices.context_id == tables.Context.id)
        .join(tables.Registration, tables.Registration.id == tables.Context.registration_id)
        .outerjoin(Roster, Roster.context_id == tables.Context.id)
        .where(
            tables.Registration.nrps,
            ContextServices.memberships_url.is_not(None),
            tables.Context.last_seen_at > seen_after,
            func.coalesce(Roster.synced_at, 0.0) < synced_before,
            ~tried.exists(),
        )
        .order_by(func.coalesce(Roster.synced_at, 0.0), tables.Context.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def members(
    session: Session, context_id: str, *, role: str | None = None, active: bool | None = None,
    after: str = "", limit: int = 100,
) -> list[tuple[tables.User, tables.Membership]]:  # fmt: skip
    """People of a context in the order of their ids, from the one after `after`."""
    query = (
        select(tables.User, tables.Membership)
        .join(tables.Membership, tables.Membership.user_id == tables.User.id)
        .where(tables.Membership.context_id == context_id, tables.User.id > after)
        .order_by(tables.User.id)
        .limit(limit)
    )
    if role is not None:
        query = query.where(tables.Membership.role == role)
    if active is not None:
        query = query.where(tables.Membership.active == active)
    return [(user, membership) for user, membership in session.execute(query)]
