"""Deployments: where launches of a registration come from, and whose they are."""

from __future__ import annotations

import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, Invalid, NotFound
from ltihost.records import HOST, Application, Tenant
from ltihost.store import audit, tables
from ltihost.store.guard import tenant_of

MAX_ID = 255


def approve(
    session: Session,
    registration_id: str,
    deployment_id: str,
    *,
    tenant: Tenant | None = None,
    application: Application | None = None,
    actor: str,
) -> tables.Deployment:
    """Bind a deployment, seen before or not, to a tenant and an application; without them, to the registration's own.

    Approving an approved one again forgets which LMS installation it came from: the next launch is believed. Moving
    one to another tenant is possible across tenants only (operator), and audited on both sides.
    Raises NotFound, Invalid when no tenant or application can be told, Conflict when the registration is another's.
    """
    registration = _registration(session, registration_id)
    owner = tenant.id if tenant else registration.tenant_id
    _check_tenant(registration, owner)
    row = _find(session, registration_id, _valid(deployment_id)) or _added(session, registration, deployment_id)
    if row.state == "approved":
        row.instance_guid = row.instance_url = row.instance_name = None
    before, row.tenant_id = row.tenant_id, owner
    row.application_owner, row.application_id = _application(registration, owner, application)
    row.state, row.approved_at = "approved", time.time()
    session.flush()
    for tenant_id in {before, owner} - ({HOST} if before == HOST else set()):
        _note(session, tenant_id, row, "deployment.approved" if before in (HOST, owner) else "deployment.moved", actor)
    return row


def disable(session: Session, registration_id: str, deployment_id: str, *, actor: str) -> tables.Deployment:
    """Let no launch of the deployment through until it is approved again. Raises NotFound."""
    row = get(session, registration_id, deployment_id)
    row.state = "disabled"
    session.flush()
    _note(session, row.tenant_id, row, "deployment.disabled", actor)
    return row


def get(session: Session, registration_id: str, deployment_id: str) -> tables.Deployment:
    """Raises NotFound."""
    row = _find(session, registration_id, deployment_id)
    if row is None:
        raise NotFound("deployment_unknown", "There is no such deployment.")
    return row


def listed(
    session: Session, *, registration_id: str | None = None, tenant_id: str | None = None, state: str | None = None
) -> list[tables.Deployment]:
    """Deployments by the time they were first seen."""
    wanted = {"registration_id": registration_id, "tenant_id": tenant_id, "state": state}
    query = select(tables.Deployment).filter_by(**{name: value for name, value in wanted.items() if value is not None})
    return list(session.scalars(query.order_by(tables.Deployment.first_seen_at, tables.Deployment.deployment_id)))


def _valid(deployment_id: str) -> str:
    if not deployment_id or len(deployment_id) > MAX_ID or not deployment_id.isprintable():
        raise Invalid("deployment_invalid", f"A deployment id has 1 to {MAX_ID} printable characters.")
    return deployment_id


def _registration(session: Session, registration_id: str) -> tables.Registration:
    row = session.get(tables.Registration, registration_id)
    # The host's registrations may be read by every tenant, but only the operator hands out their deployments.
    if row is None or tenant_of(session) not in (None, row.tenant_id):
        raise NotFound("registration_unknown", f"There is no registration {registration_id}.")
    return row


def _check_tenant(registration: tables.Registration, owner: str) -> None:
    if owner == HOST:
        raise Invalid("tenant_missing", "The registration is shared; name the tenant that the deployment belongs to.")
    if registration.tenant_id not in (HOST, owner):
        raise Conflict("registration_of_other_tenant", "The registration belongs to another tenant.")


def _application(
    registration: tables.Registration, owner: str, application: Application | None
) -> tuple[str | None, str | None]:
    """Owner and id of the application; without one, the registration's."""
    chosen = registration.application_owner, registration.application_id
    if application is not None:
        chosen = application.tenant_id, application.id
    if chosen[1] is None:
        raise Invalid("application_missing", "Name the application that launches of this deployment lead to.")
    if chosen[0] not in (owner, HOST):
        raise Invalid("application_of_other_tenant", "The application belongs to another tenant.")
    return chosen


def _find(session: Session, registration_id: str, deployment_id: str) -> tables.Deployment | None:
    return session.get(tables.Deployment, (registration_id, deployment_id))


def _added(session: Session, registration: tables.Registration, deployment_id: str) -> tables.Deployment:
    row = tables.Deployment(
        tenant_id=registration.tenant_id,
        registration_id=registration.id,
        deployment_id=deployment_id,
        state="pending",
        first_seen_at=time.time(),
    )
    session.add(row)
    return row


def _note(session: Session, tenant_id: str, row: tables.Deployment, action: str, actor: str) -> None:
    details = {"deployment": row.deployment_id, "tenant": row.tenant_id, "application": row.application_id}
    audit.append(session, tenant_id, actor=actor, action=action, object_id=row.registration_id, details=details)
