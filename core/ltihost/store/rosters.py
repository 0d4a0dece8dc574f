"""Rosters: who the LMS says is in a context, and how that became what the host holds.

A sync counts up the context's generation and stamps it on whom it adds or changes; where nothing is new, nothing is
written. Who was listed before and is not any more has left: the row stays, with the date. Who was never listed (came by
a launch only) is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, NotFound
from ltihost.service_records import RosterChange, ServiceUrls
from ltihost.store import audit, grades, tables
from ltihost.store.guard import lock
from ltihost.store.ids import new_id
from ltihost.store.roster_people import LISTED, Listed, Sync, mark_gone, store
from ltihost.store.service_tables import ContextServices, Event, Roster, RosterRun

#: A run that took longer was cut off with its process.
_ABANDONED_SECONDS = 1_800
_IDS_IN_EVENT = 500


@dataclass(frozen=True, slots=True)
class Totals:
    """What was read: pages, members, and rows that are no members."""

    pages: int
    members: int
    left_out: int


def context(session: Session, context_id: str) -> tables.Context:
    """Raises NotFound."""
    row = session.scalars(select(tables.Context).where(tables.Context.id == context_id)).first()
    if row is None:
        raise NotFound("context_unknown", "There is no such context.")
    return row


def place(session: Session, context_id: str) -> tuple[tables.Context, ServiceUrls]:
    """The context, and where its services are. Raises NotFound, and Conflict when the LMS offers no roster there."""
    row = context(session, context_id)
    found = session.scalars(select(ContextServices).where(ContextServices.context_id == context_id)).first()
    if found is None or found.memberships_url is None:
        raise Conflict("roster_unavailable", "The LMS offers no roster for this context.")
    return row, ServiceUrls(found.line_items_url, tuple(found.ags_scopes), found.memberships_url)


def begin(session: Session, context_id: str, now: float) -> Sync:
    """Start a run. Raises NotFound, and Conflict when another is running or the LMS offers no roster here."""
    where, urls = place(session, context_id)
    _alone(session, context_id)
    for run in session.scalars(
        select(RosterRun).where(RosterRun.context_id == context_id, RosterRun.state == "running")
    ):
        if now - run.started_at < _ABANDONED_SECONDS:
            raise Conflict("roster_sync_running", "A sync of this roster is running.")
        run.state, run.code, run.finished_at = "failed", "abandoned", now
    known = _roster(session, where)
    run = RosterRun(
        tenant_id=where.tenant_id, id=new_id("run"), context_id=context_id, state="running", generation=None,
        pages=0, total=0, left_out=0, added=0, changed=0, removed=0, started_at=now,
    )  # fmt: skip
    session.add(run)
    session.flush()
    return Sync(
        run.id, where.tenant_id, context_id, where.lms_id, where.registration_id, where.deployment_id,
        known.generation + 1, urls,
    )  # fmt: skip


def would_leave(session: Session, sync: Sync, keys: Collection[str]) -> tuple[list[str], int]:
    """The ids of those listed so far whose keys are not among `keys`, and how many were listed.

    Raises Conflict (`roster_superseded`).
    """
    _running(session, sync)
    query = (
        select(tables.User.user_key, tables.User.id)
        .join(tables.Membership, tables.Membership.user_id == tables.User.id)
        .where(tables.Membership.context_id == sync.context_id, *LISTED)
    )
    listed = session.execute(query).all()
    return [user_id for key, user_id in listed if key not in keys], len(listed)


def apply(
    session: Session, sync: Sync, members: Sequence[Listed], *, sync_roles: bool, now: float,
    keep_launched: bool = False,
) -> RosterChange:  # fmt: skip
    """Store these members: people the host did not know are added, memberships added, changed or stamped.

    `keep_launched`: a role that is known from a launch stays, since this LMS's rosters know less.
    Raises Conflict (`roster_superseded`).
    """
    _running(session, sync)
    return store(session, sync, members, sync_roles=sync_roles, keep_launched=keep_launched, now=now)


def finish(
    session: Session, sync: Sync, members: Sequence[Listed], before: RosterChange, totals: Totals, *,
    leaving: Sequence[str], sync_roles: bool, remove: bool, now: float, keep_launched: bool = False,
) -> RosterChange:  # fmt: skip
    """Store the last members and end the sync; `before` is what earlier slices changed, `leaving` as from `would_leave`.

    Who left is marked (with `remove` they lose the membership), scores that waited for an enrolment go on, the
    generation counts, and the application is told. Raises Conflict (`roster_superseded`).
    """
    run = _running(session, sync)
    last = store(session, sync, members, sync_roles=sync_roles, keep_launched=keep_launched, now=now)
    removed = mark_gone(session, sync, leaving, remove=remove, now=now)
    change = RosterChange(
        sync.context_id, sync.generation, before.added + last.added, before.changed + last.changed, removed
    )
    where = context(session, sync.context_id)
    roster = _roster(session, where)
    roster.generation, roster.members, roster.synced_at = sync.generation, totals.members, now
    roster.stale_since = roster.code = None
    run.state, run.generation, run.finished_at = "applied", sync.generation, now
    run.pages, run.total, run.left_out = totals.pages, totals.members, totals.left_out
    run.added, run.changed, run.removed = len(change.added), len(change.changed), len(removed)
    _send_waiting_scores(session, sync, now)
    if change.added or change.changed or removed:
        session.add(_event(session, sync, change, now))
    session.flush()
    return change


def _send_waiting_scores(session: Session, sync: Sync, now: float) -> None:
    """Whoever is listed now, the LMS should take a score for."""
    listed = select(tables.Membership.user_id).where(tables.Membership.context_id == sync.context_id, *LISTED)
    grades.enrolled(session, sync.context_id, listed, now)


def stop(
    session: Session, sync: Sync, state: str, code: str, note: str, now: float, *, pages: int = 0, total: int = 0,
    removed: int = 0,
) -> None:  # fmt: skip
    """End the sync without a change: `failed`, or `held` by the brake. The roster counts as stale from the first time.

    A run that has ended stays as it is: it may have been applied by the transaction that its caller was cut off from.
    """
    _alone(session, sync.context_id)
    run = _run(session, sync.run_id)
    if run.state != "running":
        return
    run.state, run.code, run.note, run.finished_at = state, code, note[:500], now
    run.pages, run.total, run.removed = pages, total, removed
    roster = _roster(session, context(session, sync.context_id))
    roster.code = code
    roster.stale_since = roster.stale_since or now
    session.flush()


def approve(session: Session, run_id: str, actor: str) -> RosterRun:
    """Let a held run's removals happen at the sync that follows. Raises NotFound, and Conflict when it is not held."""
    run = _run(session, run_id)
    if run.state != "held":
        raise Conflict("run_not_held", f"The run is {run.state}; only a held one waits for approval.")
    run.state, run.approved_by = "superseded", actor
    session.flush()
    details = {"context": run.context_id, "removals": run.removed}
    audit.append(session, run.tenant_id, actor=actor, action="roster.approved", object_id=run_id, details=details)
    return run


def roster(session: Session, context_id: str) -> Roster | None:
    """How far the context's members are known; None before the first sync."""
    return session.scalars(select(Roster).where(Roster.context_id == context_id)).first()


def _roster(session: Session, place: tables.Context) -> Roster:
    row = roster(session, place.id)
    if row is None:
        row = Roster(tenant_id=place.tenant_id, context_id=place.id, generation=0, members=0)
        session.add(row)
        session.flush()
    return row


def _alone(session: Session, context_id: str) -> None:
    """Until the transaction ends, no other begins, stores or ends a sync of this context."""
    lock(session, f"roster {context_id}")


def _running(session: Session, sync: Sync) -> RosterRun:
    """The sync's own run. What it read is old when another one began since, which may have stored newer people."""
    _alone(session, sync.context_id)
    run = _run(session, sync.run_id)
    if run.state != "running":
        raise Conflict("roster_superseded", "The sync took so long that it was given up meanwhile.")
    return run


def _run(session: Session, run_id: str) -> RosterRun:
    row = session.scalars(select(RosterRun).where(RosterRun.id == run_id)).first()
    if row is None:
        raise NotFound("run_unknown", "There is no such roster run.")
    return row


def _event(session: Session, sync: Sync, change: RosterChange, now: float) -> Event:
    ids = {name: list(getattr(change, name)) for name in ("added", "changed", "removed")}
    deployment = session.scalars(
        select(tables.Deployment).where(
            tables.Deployment.registration_id == sync.registration_id,
            tables.Deployment.deployment_id == sync.deployment_id,
        )
    ).one()
    return Event(
        tenant_id=sync.tenant_id, id=new_id("evt"), application_owner=deployment.application_owner,
        application_id=deployment.application_id,
        type="roster.changed", at=now,
        data={
            "context_id": sync.context_id, "generation": sync.generation,
            "counts": {name: len(found) for name, found in ids.items()},
            "users": {name: found[:_IDS_IN_EVENT] for name, found in ids.items()},
        },
    )  # fmt: skip
