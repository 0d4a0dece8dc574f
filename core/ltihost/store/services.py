"""Where a context's services are, as verified launches said, and which origins they may be at.

The first origin that an approved deployment names for a kind of service is accepted and remembered. Another one later
is held until an operator accepts it: nothing is stored of its URLs, so that no token of ours can go there.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import NotFound
from ltihost.service_records import ServiceUrls
from ltihost.store import audit, deployments, events, line_items
from ltihost.store.guard import UnboundError, lock, tenant_of
from ltihost.store.service_tables import ContextServices, LineItem, ServiceOrigin
from ltihost.targets import origin_of

log = structlog.get_logger()

#: Which URLs belong to a kind of service.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "line_items": ("line_items_url", "ags_scopes"),
    "memberships": ("memberships_url",),
    "groups": ("groups_url",),
    "notices": ("notices_url",),
}


def origins_of(urls: ServiceUrls, line_item_url: str | None = None) -> dict[str, str]:
    """The origin of each kind of service that a launch names: what `note` takes as `origins`."""
    found = {
        "line_items": origin_of(urls.line_items_url) or origin_of(line_item_url),
        "memberships": origin_of(urls.memberships_url),
        "groups": origin_of(urls.groups_url),
        "notices": origin_of(urls.notices_url),
    }
    return {kind: origin for kind, origin in found.items() if origin is not None}


def note(
    session: Session,
    *,
    registration_id: str,
    deployment_id: str,
    context_id: str | None,
    resource_link_id: str | None,
    application: tuple[str, str],
    urls: ServiceUrls,
    line_item_url: str | None,
    origins: Mapping[str, str],
    now: float,
) -> frozenset[str]:
    """Keep what a verified launch says of its context's services; answer the kinds that are held.

    `application` is owner and id of the deployment's application. Of a kind that is held the URLs of before stay. The
    line item of the link, if it has exactly one, becomes ours to send scores to (`line_items.note_coupled`).
    """
    place = (registration_id, deployment_id)
    held = frozenset(
        kind for kind, origin in origins.items() if not _admitted(session, place, application, kind, origin, now)
    )
    if context_id is None:
        return held
    urls = _without_foreign(urls, origins)
    _keep(session, context_id, urls, origins.keys() - held, now)
    same_origin = origin_of(line_item_url) == origins.get("line_items")
    if line_item_url and same_origin and "line_items" not in held and resource_link_id is not None:
        line_items.note_coupled(
            session, place=place, context_id=context_id, resource_link_id=resource_link_id, application=application,
            url=line_item_url, now=now,
        )  # fmt: skip
    line_items.wake(session, context_id, now)
    return held


def urls_of(session: Session, context_id: str) -> ServiceUrls | None:
    """The context's services; None when no launch named any."""
    row = _row(session, context_id)
    if row is None:
        return None
    return ServiceUrls(
        line_items_url=row.line_items_url,
        ags_scopes=tuple(row.ags_scopes),
        memberships_url=row.memberships_url,
        groups_url=row.groups_url,
        notices_url=row.notices_url,
    )


def coupled_line_item(session: Session, resource_link_id: str) -> LineItem | None:
    """The line item that the LMS made with the link, if a launch named it and it stands."""
    return line_items.coupled(session, resource_link_id)


def origins(
    session: Session, registration_id: str, deployment_id: str | None = None, *, state: str | None = None
) -> list[ServiceOrigin]:
    """The origins that launches named, oldest first. `state` is accepted or held."""
    wanted = {"registration_id": registration_id, "deployment_id": deployment_id, "state": state}
    query = select(ServiceOrigin).filter_by(**{name: value for name, value in wanted.items() if value is not None})
    return list(session.scalars(query.order_by(ServiceOrigin.first_seen_at, ServiceOrigin.kind)))


def accept_origin(
    session: Session, registration_id: str, deployment_id: str, origin: str, *, actor: str
) -> list[ServiceOrigin]:
    """Accept a held origin for every kind of service that named it. Raises NotFound."""
    tenant_id = deployments.get(session, registration_id, deployment_id).tenant_id
    rows = [row for row in origins(session, registration_id, deployment_id, state="held") if row.origin == origin]
    if not rows:
        raise NotFound("origin_unknown", f"No launch of this deployment named {origin}, or it is accepted already.")
    for row in rows:
        row.state = "accepted"
    session.flush()
    kinds = sorted(row.kind for row in rows)
    _audit(session, tenant_id, (registration_id, deployment_id), origin, kinds, actor)
    return rows


def _admitted(
    session: Session, place: tuple[str, str], application: tuple[str, str], kind: str, origin: str, now: float
) -> bool:
    """Whether requests may go there. A new origin is written down: accepted as the first of its kind, else held."""
    known = session.get(ServiceOrigin, (_tenant(session), *place, kind, origin))
    if known is None:
        lock(session, f"origins {place}")
        seen = {row.origin: row for row in origins(session, *place) if row.kind == kind}
        known = seen.get(origin) or _first_seen(session, place, application, kind, origin, bool(seen), now)
    return known.state == "accepted"


def _first_seen(
    session: Session, place: tuple[str, str], application: tuple[str, str], kind: str, origin: str, changed: bool,
    now: float,
) -> ServiceOrigin:  # fmt: skip
    registration_id, deployment_id = place
    row = ServiceOrigin(
        tenant_id=_tenant(session),
        registration_id=registration_id,
        deployment_id=deployment_id,
        kind=kind,
        origin=origin,
        state="held" if changed else "accepted",
        first_seen_at=now,
    )
    session.add(row)
    session.flush()
    if not changed:
        _audit(session, row.tenant_id, place, origin, [kind], "launch")
        return row
    log.warning(
        "services.origin_held", registration=registration_id, deployment=deployment_id, kind=kind, origin=origin
    )
    facts = {"code": "service_origin_changed", "registration_id": registration_id, "deployment_id": deployment_id}
    events.append(
        session, application_owner=application[0], application_id=application[1], type="alert.raised",
        data=facts | {"kind": kind, "origin": origin}, now=now,
    )  # fmt: skip
    return row


def _without_foreign(urls: ServiceUrls, origins: Mapping[str, str]) -> ServiceUrls:
    """Only URLs at the origins that were judged."""
    foreign = {
        fields[0]: None
        for kind, fields in _FIELDS.items()
        if getattr(urls, fields[0]) and origin_of(getattr(urls, fields[0])) != origins.get(kind)
    }
    return replace(urls, **foreign)  # type: ignore[arg-type]


def _keep(session: Session, context_id: str, urls: ServiceUrls, kinds: Collection[str], now: float) -> None:
    """Of a kind that the launch does not name, what is known stays: LMSs leave services out of some launches."""
    row = _row(session, context_id)
    if row is None:
        lock(session, f"services {context_id}")
        row = _row(session, context_id) or ContextServices(
            tenant_id=_tenant(session), context_id=context_id, ags_scopes=[], seen_at=now
        )
        session.add(row)
    for kind, fields in _FIELDS.items():
        for name in fields if kind in kinds else ():
            _set(row, name, getattr(urls, name))
    row.seen_at = max(row.seen_at, now)
    session.flush()


def _set(row: ContextServices, name: str, value: Any) -> None:
    value = list(value) if isinstance(value, tuple) else value
    if getattr(row, name) != value:
        setattr(row, name, value)


def _row(session: Session, context_id: str) -> ContextServices | None:
    return session.scalars(select(ContextServices).where(ContextServices.context_id == context_id)).first()


def _audit(session: Session, tenant_id: str, place: tuple[str, str], origin: str, kinds: list[str], actor: str) -> None:
    details = {"deployment": place[1], "origin": origin, "kinds": kinds, "at": time.time()}
    audit.append(session, tenant_id, actor=actor, action="service_origin.accepted", object_id=place[0], details=details)


def _tenant(session: Session) -> str:
    tenant_id = tenant_of(session)
    if tenant_id is None:
        raise UnboundError("What a launch says belongs to one tenant.")
    return tenant_id
