"""Platform notices: received once whatever comes twice, and the addresses that the platform was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ltihost.lti.notices import CONTEXT_COPY, HELLO_WORLD, Notice
from ltihost.records import Binding
from ltihost.records import Context as Told
from ltihost.store import events, jobs, tables
from ltihost.store.guard import lock, tenant_of
from ltihost.store.ids import new_id
from ltihost.store.linking_tables import ContextOrigin, NoticeHandler
from ltihost.store.linking_tables import Notice as Row

JOB = "notice_handler"


@dataclass(frozen=True, slots=True)
class Wish:
    """The address that a platform is to be told for one type of notice, at its service."""

    type: str
    handler: str
    service_url: str


def receive(session: Session, binding: Binding, received: Sequence[Notice], now: float) -> int:
    """Keep the notices of one deployment and let each have its effect once; answer how many were new."""
    return sum(_receive(session, binding, notice, now) for notice in received)


def want(session: Session, registration_id: str, deployment_id: str, wishes: Sequence[Wish], now: float) -> bool:
    """Remember which address the platform is to be told, and wish for the job that tells it; False if it knows."""
    lock(session, f"notice handlers of {registration_id} {deployment_id}")
    known = {row.type: row for row in _handlers(session, registration_id, deployment_id)}
    news = False
    for wish in wishes:
        row = known.get(wish.type)
        if row is None:
            row = NoticeHandler(
                tenant_id=tenant_of(session), registration_id=registration_id, deployment_id=deployment_id, type=wish.type,
                handler=wish.handler, service_url=wish.service_url,
            )  # fmt: skip
            session.add(row)
        elif (row.handler, row.service_url) != (wish.handler, wish.service_url):
            row.handler, row.service_url, row.registered_at, row.verified_at = (
                wish.handler,
                wish.service_url,
                None,
                None,
            )
        news = news or row.registered_at is None
    session.flush()
    if news:
        jobs.put(
            session, kind=JOB, registration_id=registration_id, deployment_id=deployment_id,
            object_id=f"{registration_id} {deployment_id}", now=now,
        )  # fmt: skip
    return news


def wanted(session: Session, registration_id: str, deployment_id: str) -> list[Wish]:
    """What the platform was not told yet."""
    rows = _handlers(session, registration_id, deployment_id)
    return [Wish(row.type, row.handler, row.service_url) for row in rows if row.registered_at is None]


def note_told(
    session: Session, registration_id: str, deployment_id: str, wish: Wish, *, code: str | None, now: float
) -> None:
    """The platform took the address, or refused it with `code`. What is wanted by now may be another one."""
    session.execute(
        update(NoticeHandler)
        .where(
            NoticeHandler.registration_id == registration_id,
            NoticeHandler.deployment_id == deployment_id,
            NoticeHandler.type == wish.type,
            NoticeHandler.handler == wish.handler,
            NoticeHandler.service_url == wish.service_url,
        )
        .values(registered_at=now if code is None else None, code=code)
    )


def _receive(session: Session, binding: Binding, notice: Notice, now: float) -> bool:
    registration = binding.registration
    lock(session, f"notice {registration.id} {notice.id}")
    same = select(Row).where(Row.registration_id == registration.id, Row.notice_id == notice.id)
    if session.scalars(same).first() is not None:
        return False
    row = Row(
        tenant_id=binding.tenant.id, registration_id=registration.id, notice_id=notice.id, type=notice.type,
        stated_at=notice.stated_at, received_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    if notice.type == HELLO_WORLD:
        _verify(session, binding, now)
    elif notice.type == CONTEXT_COPY and notice.context is not None:
        _copied(session, binding, notice, notice.context, now)
    return True


def _verify(session: Session, binding: Binding, now: float) -> None:
    for row in _handlers(session, binding.registration.id, binding.deployment_id):
        row.verified_at = now


def _copied(session: Session, binding: Binding, notice: Notice, told: Told, now: float) -> None:
    """Remember where the new context comes from, as far as the host knows both, and tell the application."""
    context_id = _context_id(session, binding, told, now)
    origins = [found for lms_id in notice.origins if (found := _known_context(session, binding, lms_id)) is not None]
    for origin in origins if context_id is not None else ():
        if session.get(ContextOrigin, (binding.tenant.id, context_id, origin)) is None:
            row = ContextOrigin(
                tenant_id=binding.tenant.id, context_id=context_id, origin_context_id=origin, noticed_at=now
            )
            session.add(row)
    data = {"notice": notice.type, "context_id": context_id, "origin_context_ids": origins}
    application = binding.application
    events.append(
        session, application_owner=application.tenant_id, application_id=application.id, type="notice.received",
        data=data, now=now,
    )  # fmt: skip


def _context_id(session: Session, binding: Binding, told: Told, now: float) -> str | None:
    """Our id of the context, made if this registration makes contexts: a launch may make it at the same moment."""
    found = _known_context(session, binding, told.lms_id)
    if found is not None or not binding.registration.create_contexts:
        return found
    row = tables.Context(
        tenant_id=binding.tenant.id, id=new_id("ctx"), registration_id=binding.registration.id,
        deployment_id=binding.deployment_id, lms_id=told.lms_id, title=told.title, label=told.label,
        types=list(told.types), first_seen_at=now, last_seen_at=now,
    )  # fmt: skip
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return _known_context(session, binding, told.lms_id)
    return row.id


def _known_context(session: Session, binding: Binding, lms_id: str) -> str | None:
    query = select(tables.Context.id).where(
        tables.Context.registration_id == binding.registration.id,
        tables.Context.deployment_id == binding.deployment_id,
        tables.Context.lms_id == lms_id,
    )
    return session.scalar(query)


def _handlers(session: Session, registration_id: str, deployment_id: str) -> list[NoticeHandler]:
    query = select(NoticeHandler).where(
        NoticeHandler.registration_id == registration_id, NoticeHandler.deployment_id == deployment_id
    )
    return list(session.scalars(query.order_by(NoticeHandler.type)))
