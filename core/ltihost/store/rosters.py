"""Rosters: who the LMS says is in a context, and how that became what the host holds.

A sync counts up the context's generation and stamps it on whom it adds or changes; where nothing is new, nothing is
written. Who was listed before and is not any more has left: the row stays, with the date. Who was never listed (came by
a launch only) is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, select, update
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, NotFound
from ltihost.lti.roles import read_roles
from ltihost.records import Role
from ltihost.service_records import Member, RosterChange, ServiceUrls
from ltihost.store import audit, grades, tables
from ltihost.store.guard import add_rows, lock
from ltihost.store.hot_values import storable
from ltihost.store.ids import new_id
from ltihost.store.service_tables import ContextServices, Event, Roster, RosterRun

T = TypeVar("T")
#: A run that took longer was cut off with its process.
_ABANDONED_SECONDS = 1_800
_AT_ONCE = 500
_IDS_IN_EVENT = 500
#: What a roster says about a person beside their roles.
_PERSONAL = ("name", "given_name", "family_name", "middle_name", "email", "picture")


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
    return Sync(
        run.id, where.tenant_id, context_id, where.lms_id, where.registration_id, where.deployment_id,
        known.generation + 1, urls,
    )  # fmt: skip


def would_leave(session: Session, sync: Sync, keys: Collection[str]) -> tuple[list[str], int]:
    """The ids of those listed so far whose keys are not among `keys`, and how many were listed."""
    query = (
        select(tables.User.user_key, tables.User.id)
        .join(tables.Membership, tables.Membership.user_id == tables.User.id)
        .where(tables.Membership.context_id == sync.context_id, *_LISTED)
    )
    listed = session.execute(query).all()
    return [user_id for key, user_id in listed if key not in keys], len(listed)


def apply(
    session: Session, sync: Sync, members: Sequence[Listed], *, sync_roles: bool, now: float,
    keep_launched: bool = False,
) -> RosterChange:  # fmt: skip
    """Store these members: people the host did not know are added, memberships added, changed or stamped.

    `keep_launched`: a role that is known from a launch stays, since this LMS's rosters know less.
    """
    people, work = _people(session, sync, members), _Work()
    memberships = _memberships(session, sync, [person.id for person in people.values()])
    for listed in members:
        user_id = work.name(sync, people.get(listed.key), listed, now)
        if (known := memberships.get(user_id)) is None:
            work.join(sync, user_id, listed, now)
        else:
            work.stay(known, listed, follow=sync_roles and not (keep_launched and known.source == "launch"))
    work.do(session, sync, now)
    return RosterChange(sync.context_id, sync.generation, tuple(work.added), tuple(work.changed))


@dataclass(slots=True)
class _Work:
    """What is to be written for some members: rows to add, and by user id what there is to change."""

    people: list[dict[str, Any]] = field(default_factory=list)
    memberships: list[dict[str, Any]] = field(default_factory=list)
    gaps: dict[str, Listed] = field(default_factory=dict)
    renewed: dict[str, tuple[Listed, bool]] = field(default_factory=dict)
    first_listed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def name(self, sync: Sync, person: Row[Any] | None, listed: Listed, now: float) -> str:
        """The person's id."""
        if person is None:
            self.people.append(_new_user(sync, listed, now))
            return str(self.people[-1]["id"])
        if _said(person, listed.member):
            self.gaps[person.id] = listed
        return str(person.id)

    def join(self, sync: Sync, user_id: str, listed: Listed, now: float) -> None:
        self.memberships.append(_new_membership(sync, user_id, listed, now))
        self.added.append(user_id)

    def stay(self, known: Row[Any], listed: Listed, *, follow: bool) -> None:
        """Who has a membership. `follow`: their role is to be as the LMS says."""
        if not known.active or known.left_at is not None:
            self.renewed[known.user_id] = listed, follow
            self.added.append(known.user_id)
        elif follow and _differs(known, listed):
            self.renewed[known.user_id] = listed, follow
            self.changed.append(known.user_id)
        elif known.generation == 0:
            self.first_listed.append(known.user_id)

    def do(self, session: Session, sync: Sync, now: float) -> None:
        add_rows(session, tables.User, self.people)
        add_rows(session, tables.Membership, self.memberships)
        for ids in _slices(self.gaps):
            for user in session.scalars(select(tables.User).where(tables.User.id.in_(ids))):
                for name, text in _said(user, self.gaps[user.id].member).items():
                    setattr(user, name, text)
        for ids in _slices(self.renewed):
            for membership in session.scalars(select(tables.Membership).where(*_these(sync, ids))):
                listed, follow = self.renewed[membership.user_id]
                _renew(membership, sync, listed, sync_roles=follow, now=now)
        session.flush()
        for ids in _slices(self.first_listed):
            _set(session, sync, ids, generation=sync.generation)


def finish(
    session: Session, sync: Sync, members: Sequence[Listed], before: RosterChange, totals: Totals, *,
    leaving: Sequence[str], sync_roles: bool, remove: bool, now: float, keep_launched: bool = False,
) -> RosterChange:  # fmt: skip
    """Store the last members and end the sync; `before` is what earlier slices changed, `leaving` as from `would_leave`.

    Who left is marked (with `remove` they lose the membership), scores that waited for an enrolment go on, the
    generation counts, and the application is told.
    """
    last = apply(session, sync, members, sync_roles=sync_roles, now=now, keep_launched=keep_launched)
    removed = _mark_gone(session, sync, leaving, remove=remove, now=now)
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


def _mark_gone(session: Session, sync: Sync, leaving: Sequence[str], *, remove: bool, now: float) -> tuple[str, ...]:
    values: dict[str, Any] = {"left_at": now} | ({"active": False, "group_role": None} if remove else {})
    for ids in _slices(leaving):
        _set(session, sync, ids, **values)
    return tuple(leaving)


def _set(session: Session, sync: Sync, user_ids: Sequence[str], **values: Any) -> None:
    statement = update(tables.Membership).where(*_these(sync, user_ids)).values(**values)
    session.execute(statement.execution_options(synchronize_session=False))


def _these(sync: Sync, user_ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return tables.Membership.context_id == sync.context_id, tables.Membership.user_id.in_(user_ids)


def _send_waiting_scores(session: Session, sync: Sync, now: float) -> None:
    """Whoever is listed now, the LMS should take a score for."""
    listed = select(tables.Membership.user_id).where(tables.Membership.context_id == sync.context_id, *_LISTED)
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


#: Listed by a sync, and not known to have left.
_LISTED = (tables.Membership.generation > 0, tables.Membership.left_at.is_(None), tables.Membership.active.is_(True))


# Not as one query with a join, nor as objects: without statistics PostgreSQL may go through all members of the context
# for each one of a join, and an object that nothing is done to costs three times what its row does.


def _people(session: Session, sync: Sync, members: Sequence[Listed]) -> dict[str, Row[Any]]:
    """Who of these the host knows, by key."""
    user = tables.User
    found: dict[str, Row[Any]] = {}
    for keys in _slices(listed.key for listed in members):
        query = select(user.id, user.user_key, user.last_login_at, *(getattr(user, name) for name in _PERSONAL))
        query = query.where(user.registration_id == sync.registration_id, user.user_key.in_(keys))
        found |= {row.user_key: row for row in session.execute(query)}
    return found


def _memberships(session: Session, sync: Sync, user_ids: Iterable[str]) -> dict[str, Row[Any]]:
    """The memberships that these people have here, by their ids."""
    here = tables.Membership
    columns = (here.user_id, here.role, here.roles, here.group_role, here.active, here.left_at, here.source)
    found: dict[str, Row[Any]] = {}
    for ids in _slices(user_ids):
        query = select(*columns, here.generation).where(*_these(sync, ids))
        found |= {row.user_id: row for row in session.execute(query)}
    return found


def _new_user(sync: Sync, listed: Listed, now: float) -> dict[str, Any]:
    member = listed.member
    return {
        "tenant_id": sync.tenant_id, "id": new_id("usr"), "registration_id": sync.registration_id,
        "user_key": listed.key, "subject": member.subject, "locale": None, "test_user": member.test_user,
        "global_role": listed.global_role, "suspended": False, "first_seen_at": now, "last_login_at": None,
        **{name: storable(getattr(member, name)) for name in _PERSONAL},
    }  # fmt: skip


def _said(user: tables.User | Row[Any], member: Member) -> dict[str, str]:
    """What is to be set: what a launch said about a person counts more than a roster, which fills the gaps."""
    said = {name: storable(text) for name in _PERSONAL if (text := getattr(member, name)) != getattr(user, name)}
    return {
        name: text for name, text in said.items()
        if text and text != getattr(user, name) and (user.last_login_at is None or getattr(user, name) is None)
    }  # fmt: skip


def _new_membership(sync: Sync, user_id: str, listed: Listed, now: float) -> dict[str, Any]:
    return {
        "tenant_id": sync.tenant_id, "context_id": sync.context_id, "user_id": user_id, "role": listed.member.role,
        "roles": [role.uri for role in listed.member.roles], "group_role": listed.group_role, "active": True,
        "source": "roster", "first_seen_at": now, "last_seen_at": now, "generation": sync.generation, "left_at": None,
    }  # fmt: skip


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


def _differs(known: Row[Any], listed: Listed) -> bool:
    """By what roles mean, not by how they are written: a launch and a roster may spell one role in two ways."""
    if (known.role, known.group_role) != (listed.member.role, listed.group_role):
        return True
    as_written = known.roles == [role.uri for role in listed.member.roles]
    return not as_written and _meant(read_roles(known.roles)) != _meant(listed.member.roles)


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
