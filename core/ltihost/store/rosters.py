"""Rosters: who the LMS says is in a context, and how that became what the host holds.

A sync counts up the context's generation and stamps it on everybody it lists. Who was listed before and is not any
more has left: the row stays, with the date. Who was never listed (came by a launch only) is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, NotFound
from ltihost.lti.roles import read_roles
from ltihost.records import Role
from ltihost.service_records import Member, RosterChange, ServiceUrls
from ltihost.store import audit, grades, tables
from ltihost.store.guard import lock
from ltihost.store.hot_values import storable
from ltihost.store.ids import new_id
from ltihost.store.service_tables import ContextServices, Event, Roster, RosterRun

T = TypeVar("T")
#: A run that took longer was cut off with its process.
_ABANDONED_SECONDS = 1_800
_AT_ONCE = 400
_IDS_IN_EVENT = 500


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync under way: what it reads, and the generation it will be."""

    run_id: str
    tenant_id: str
    context_id: str
    context_lms_id: str
    registration_id: str
    deployment_id: str
    generation: int
    urls: ServiceUrls


@dataclass(frozen=True, slots=True)
class Listed:
    """A member as the sync stores it: the key of the person within the registration, and what the role rules gave."""

    key: str
    member: Member
    global_role: str | None
    group_role: str | None


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
    lock(session, f"roster {context_id}")
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
    # A run that broke off between two slices has stamped some: by an equal number they would pass for listed now.
    stamped = session.scalar(
        select(func.max(tables.Membership.generation)).where(tables.Membership.context_id == context_id)
    )
    return Sync(
        run.id, where.tenant_id, context_id, where.lms_id, where.registration_id, where.deployment_id,
        max(known.generation, stamped or 0) + 1, urls,
    )  # fmt: skip


def would_leave(session: Session, sync: Sync, keys: Collection[str]) -> tuple[int, int]:
    """How many of those listed so far are not among `keys`, and how many were listed."""
    query = (
        select(tables.User.user_key)
        .join(tables.Membership, tables.Membership.user_id == tables.User.id)
        .where(tables.Membership.context_id == sync.context_id, *_listed_before(sync))
    )
    listed = set(session.scalars(query))
    return len(listed - set(keys)), len(listed)


def apply(
    session: Session,
    sync: Sync,
    members: Sequence[Listed],
    *,
    sync_roles: bool,
    now: float,
    keep_launched: bool = False,
) -> RosterChange:
    """Store these members: people the host did not know are added, memberships added, changed or stamped.

    `keep_launched`: a role that is known from a launch stays, since this LMS's rosters know less.
    """
    users = _users(session, sync, members, now)
    known = _memberships(session, sync, [user.id for user in users.values()])
    added, changed, same = [], [], []
    for listed in members:
        user = users[listed.key]
        membership = known.get(user.id)
        follow = sync_roles and not (keep_launched and membership is not None and membership.source == "launch")
        if membership is None:
            session.add(_new_membership(sync, user.id, listed, now))
            added.append(user.id)
        elif not membership.active or membership.left_at is not None:
            _renew(membership, sync, listed, sync_roles=follow, now=now)
            added.append(user.id)
        elif follow and _differs(membership, listed):
            _renew(membership, sync, listed, sync_roles=True, now=now)
            changed.append(user.id)
        else:
            same.append(user.id)
    session.flush()
    for ids in _slices(same):
        session.execute(
            update(tables.Membership)
            .where(tables.Membership.context_id == sync.context_id, tables.Membership.user_id.in_(ids))
            .values(generation=sync.generation)
            .execution_options(synchronize_session=False)
        )
    return RosterChange(sync.context_id, sync.generation, tuple(added), tuple(changed))


def finish(
    session: Session, sync: Sync, members: Sequence[Listed], before: RosterChange, totals: Totals, *,
    sync_roles: bool, remove: bool, now: float, keep_launched: bool = False,
) -> RosterChange:  # fmt: skip
    """Store the last members and end the sync; `before` is what earlier slices changed.

    Who left is marked (with `remove` they lose the membership), scores that waited for an enrolment go on, the
    generation counts, and the application is told.
    """
    last = apply(session, sync, members, sync_roles=sync_roles, now=now, keep_launched=keep_launched)
    removed = _mark_gone(session, sync, remove=remove, now=now)
    change = RosterChange(
        sync.context_id, sync.generation, before.added + last.added, before.changed + last.changed, removed
    )
    where = context(session, sync.context_id)
    roster = _roster(session, where)
    roster.generation, roster.members, roster.synced_at = sync.generation, totals.members, now
    roster.stale_since = roster.code = None
    run = _run(session, sync.run_id)
    run.state, run.generation, run.finished_at = "applied", sync.generation, now
    run.pages, run.total, run.left_out = totals.pages, totals.members, totals.left_out
    run.added, run.changed, run.removed = len(change.added), len(change.changed), len(removed)
    _send_waiting_scores(session, sync, now)
    if change.added or change.changed or removed:
        session.add(_event(session, sync, change, now))
    session.flush()
    return change


def _mark_gone(session: Session, sync: Sync, *, remove: bool, now: float) -> tuple[str, ...]:
    here = tables.Membership.context_id == sync.context_id
    removed = tuple(session.scalars(select(tables.Membership.user_id).where(here, *_listed_before(sync))))
    values: dict[str, Any] = {"left_at": now} | ({"active": False, "group_role": None} if remove else {})
    for ids in _slices(removed):
        gone = update(tables.Membership).where(here, tables.Membership.user_id.in_(ids)).values(**values)
        session.execute(gone.execution_options(synchronize_session=False))
    return removed


def _send_waiting_scores(session: Session, sync: Sync, now: float) -> None:
    """Whoever is listed now, the LMS should take a score for."""
    listed = select(tables.Membership.user_id).where(
        tables.Membership.context_id == sync.context_id, tables.Membership.generation == sync.generation
    )
    grades.enrolled(session, sync.context_id, listed, now)


def stop(
    session: Session, sync: Sync, state: str, code: str, note: str, now: float, *, pages: int = 0, total: int = 0,
    removed: int = 0,
) -> None:  # fmt: skip
    """End the sync without a change: `failed`, or `held` by the brake. The roster counts as stale from the first time."""
    run = _run(session, sync.run_id)
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


def _run(session: Session, run_id: str) -> RosterRun:
    row = session.scalars(select(RosterRun).where(RosterRun.id == run_id)).first()
    if row is None:
        raise NotFound("run_unknown", "There is no such roster run.")
    return row


def _listed_before(sync: Sync) -> tuple[ColumnElement[bool], ...]:
    """Listed by an earlier sync, not by this one, and not known to have left."""
    return (
        tables.Membership.generation > 0,
        tables.Membership.generation < sync.generation,
        tables.Membership.left_at.is_(None),
        tables.Membership.active.is_(True),
    )


def _users(session: Session, sync: Sync, members: Sequence[Listed], now: float) -> dict[str, tables.User]:
    """The people by their keys; who was not known is added, without a login."""
    found: dict[str, tables.User] = {}
    for keys in _slices([listed.key for listed in members]):
        query = select(tables.User).where(
            tables.User.registration_id == sync.registration_id, tables.User.user_key.in_(keys)
        )
        found |= {user.user_key: user for user in session.scalars(query)}
    for listed in members:
        if (user := found.get(listed.key)) is None:
            found[listed.key] = user = _new_user(sync, listed, now)
            session.add(user)
        else:
            _complete(user, listed.member)
    session.flush()
    return found


def _new_user(sync: Sync, listed: Listed, now: float) -> tables.User:
    member = listed.member
    return tables.User(
        tenant_id=sync.tenant_id, id=new_id("usr"), registration_id=sync.registration_id, user_key=listed.key,
        subject=member.subject, name=storable(member.name), given_name=storable(member.given_name),
        family_name=storable(member.family_name), middle_name=storable(member.middle_name),
        email=storable(member.email), picture=storable(member.picture), locale=None, test_user=member.test_user,
        global_role=listed.global_role, suspended=False, first_seen_at=now, last_login_at=None,
    )  # fmt: skip


def _complete(user: tables.User, member: Member) -> None:
    """What a launch said about a person counts more than a roster, which fills the gaps."""
    for name in ("name", "given_name", "family_name", "middle_name", "email", "picture"):
        said = storable(getattr(member, name))
        if said and said != getattr(user, name) and (user.last_login_at is None or getattr(user, name) is None):
            setattr(user, name, said)


def _memberships(session: Session, sync: Sync, user_ids: Iterable[str]) -> dict[str, tables.Membership]:
    found: dict[str, tables.Membership] = {}
    for ids in _slices(user_ids):
        query = select(tables.Membership).where(
            tables.Membership.context_id == sync.context_id, tables.Membership.user_id.in_(ids)
        )
        found |= {row.user_id: row for row in session.scalars(query)}
    return found


def _new_membership(sync: Sync, user_id: str, listed: Listed, now: float) -> tables.Membership:
    return tables.Membership(
        tenant_id=sync.tenant_id, context_id=sync.context_id, user_id=user_id, role=listed.member.role,
        roles=[role.uri for role in listed.member.roles], group_role=listed.group_role, active=True,
        source="roster", first_seen_at=now, last_seen_at=now, generation=sync.generation,
    )  # fmt: skip


def _renew(membership: tables.Membership, sync: Sync, listed: Listed, *, sync_roles: bool, now: float) -> None:
    """The LMS lists them (again). With `sync_roles` off, a known membership keeps the role it has."""
    back = not membership.active
    membership.active, membership.left_at = True, None
    membership.generation, membership.last_seen_at = sync.generation, now
    if sync_roles:
        membership.role = listed.member.role
        membership.roles = [role.uri for role in listed.member.roles]
    if sync_roles or back:
        membership.group_role = listed.group_role


def _differs(membership: tables.Membership, listed: Listed) -> bool:
    """By what roles mean, not by how they are written: a launch and a roster may spell one role in two ways."""
    if (membership.role, membership.group_role) != (listed.member.role, listed.group_role):
        return True
    return _meant(read_roles(membership.roles)) != _meant(listed.member.roles)


def _meant(roles: Iterable[Role]) -> set[tuple[str, str, str | None]]:
    return {(role.scope, role.role, role.sub_role) for role in roles}


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


def _slices(items: Iterable[T]) -> Iterator[list[T]]:
    """So many at once that a statement's parameters stay few."""
    rest = iter(items)
    while part := list(islice(rest, _AT_ONCE)):
        yield part
