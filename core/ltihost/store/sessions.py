"""Sessions of applications: from the exchange of a launch until they expire."""

from __future__ import annotations

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import NotFound
from ltihost.store import line_items, tables
from ltihost.store.hot import StoredLaunch
from ltihost.store.hot_rows import stored_launch_from
from ltihost.store.service_tables import LineItem


def launch(session: Session, session_id: str, now: float) -> StoredLaunch:
    """The launch of a live session, as its exchange gave it.

    Raises NotFound when the session expired, or when tenant, registration, deployment or person were switched off.
    """
    row = session.scalars(select(tables.Session).where(tables.Session.id == session_id)).first()
    found = _launch(session, row.launch_id) if row is not None and row.expires_at > now else None
    if row is None or found is None:
        raise NotFound("session_unknown", "There is no such session, or it is over.")
    return stored_launch_from(found, row.id, row.expires_at)


def _launch(session: Session, launch_id: str) -> dict[str, object] | None:
    launch = session.scalars(select(tables.Launch).where(tables.Launch.id == launch_id)).one()
    tenant = session.scalars(select(tables.Tenant).where(tables.Tenant.active)).first()
    registration = session.get(tables.Registration, launch.registration_id)
    deployment = session.get(tables.Deployment, (launch.registration_id, launch.deployment_id))
    application = session.get(tables.Application, (launch.application_owner, launch.application_id))
    if tenant is None or registration is None or deployment is None or application is None:
        return None
    approved = (deployment.state, deployment.tenant_id) == ("approved", launch.tenant_id)
    if registration.state != "active" or not approved or _suspended(session, launch.user_id):
        return None
    targets = select(tables.ApplicationTarget.prefix).where(tables.ApplicationTarget.application_id == application.id)
    item = _line_item(session, launch)
    return launch.values() | {
        "item_id": item and item.id, "item_label": item and item.label, "item_maximum": item and item.maximum,
        "tenant": tenant.values(), "registration_name": registration.name, "issuer": registration.issuer,
        "application": application.values(), "targets": list(session.scalars(targets)),
    }  # fmt: skip


def _line_item(session: Session, launch: tables.Launch) -> LineItem | None:
    """The column that the launch named."""
    url = orjson.loads(launch.services_json or "{}").get("services", {}).get("line_item_url")
    return line_items.with_url(session, str(launch.registration_id), url) if url else None


def _suspended(session: Session, user_id: str | None) -> bool:
    user = session.scalars(select(tables.User).where(tables.User.id == user_id)).first() if user_id else None
    return user is not None and user.suspended
