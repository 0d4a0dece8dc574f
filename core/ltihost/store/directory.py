"""People, contexts, links and memberships that launches brought."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ltihost.errors import NotFound
from ltihost.store import audit, tables


def user(session: Session, user_id: str) -> tables.User:
    """Raises NotFound."""
    row = session.scalars(select(tables.User).where(tables.User.id == user_id)).first()
    if row is None:
        raise NotFound("user_unknown", "There is no such person.")
    return row


def user_of_key(session: Session, registration_id: str, user_key: str) -> str | None:
    """Our id of the person whom this registration knows under this key."""
    query = select(tables.User.id).where(
        tables.User.registration_id == registration_id, tables.User.user_key == user_key
    )
    return session.scalar(query)


def users(session: Session, *, registration_id: str | None = None) -> list[tables.User]:
    """People by the time they were first seen."""
    query = select(tables.User).order_by(tables.User.first_seen_at, tables.User.id)
    if registration_id is not None:
        query = query.where(tables.User.registration_id == registration_id)
    return list(session.scalars(query))


def count_users(session: Session) -> int:
    """How many people there are."""
    return session.scalar(select(func.count()).select_from(tables.User)) or 0


def suspend_user(session: Session, user_id: str, *, suspended: bool = True, actor: str) -> tables.User:
    """Let the person in no more, or again. Raises NotFound."""
    row = user(session, user_id)
    row.suspended = suspended
    session.flush()
    action = "user.suspended" if suspended else "user.resumed"
    audit.append(session, row.tenant_id, actor=actor, action=action, object_id=user_id)
    return row


def contexts(session: Session) -> list[tables.Context]:
    """Contexts by the time they were first seen."""
    return list(session.scalars(select(tables.Context).order_by(tables.Context.first_seen_at, tables.Context.id)))


def context(session: Session, context_id: str) -> tables.Context:
    """Raises NotFound."""
    row = session.scalars(select(tables.Context).where(tables.Context.id == context_id)).first()
    if row is None:
        raise NotFound("context_unknown", "There is no such context.")
    return row


def resource_link(session: Session, link_id: str) -> tables.ResourceLink:
    """Raises NotFound."""
    row = session.scalars(select(tables.ResourceLink).where(tables.ResourceLink.id == link_id)).first()
    if row is None:
        raise NotFound("link_unknown", "There is no such link.")
    return row


def resource_links(session: Session, *, context_id: str | None = None) -> list[tables.ResourceLink]:
    """Links by the time they were first seen."""
    query = select(tables.ResourceLink).order_by(tables.ResourceLink.first_seen_at, tables.ResourceLink.id)
    if context_id is not None:
        query = query.where(tables.ResourceLink.context_id == context_id)
    return list(session.scalars(query))


def memberships(
    session: Session, *, context_id: str | None = None, user_id: str | None = None
) -> list[tables.Membership]:
    """Memberships by the time they were first seen, inactive ones included."""
    wanted = {"context_id": context_id, "user_id": user_id}
    query = select(tables.Membership).filter_by(**{name: value for name, value in wanted.items() if value is not None})
    return list(session.scalars(query.order_by(tables.Membership.first_seen_at, tables.Membership.user_id)))
