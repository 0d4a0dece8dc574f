"""The people of a context as a sync stores them: who is new, who is known by now otherwise, who left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, select, update
from sqlalchemy.orm import Session

from ltihost.lti.roles import read_roles
from ltihost.records import Role
from ltihost.service_records import Member, RosterChange, ServiceUrls
from ltihost.store import tables
from ltihost.store.guard import add_rows
from ltihost.store.hot_values import storable
from ltihost.store.ids import new_id

T = TypeVar("T")
_AT_ONCE = 500
#: What a roster says about a person beside their roles.
_PERSONAL = ("name", "given_name", "family_name", "middle_name", "email", "picture")
#: Listed by a sync, and not known to have left.
LISTED = (tables.Membership.generation > 0, tables.Membership.left_at.is_(None), tables.Membership.active.is_(True))


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


def store(
    session: Session, sync: Sync, members: Sequence[Listed], *, sync_roles: bool, keep_launched: bool, now: float
) -> RosterChange:
    """Store these members. `keep_launched`: a role that is known from a launch stays."""
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


def mark_gone(session: Session, sync: Sync, leaving: Sequence[str], *, remove: bool, now: float) -> tuple[str, ...]:
    """Note that these people left; with `remove` they lose the membership."""
    values: dict[str, Any] = {"left_at": now} | ({"active": False, "group_role": None} if remove else {})
    for ids in _slices(leaving):
        _set(session, sync, ids, **values)
    return tuple(leaving)


def _set(session: Session, sync: Sync, user_ids: Sequence[str], **values: Any) -> None:
    statement = update(tables.Membership).where(*_these(sync, user_ids)).values(**values)
    session.execute(statement.execution_options(synchronize_session=False))


def _these(sync: Sync, user_ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return tables.Membership.context_id == sync.context_id, tables.Membership.user_id.in_(user_ids)


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


def _slices(items: Iterable[T]) -> Iterator[list[T]]:
    """So many at once that a statement's parameters stay few."""
    rest = iter(items)
    while part := list(islice(rest, _AT_ONCE)):
        yield part
