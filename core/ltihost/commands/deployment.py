"""`ltihost deployment`: where launches of a registration come from, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import TenantOption, actor, operate, slugs, tenant_id_of
from ltihost.commands.output import AsJson
from ltihost.store import applications, deployments, services, tables, tenants
from ltihost.store.service_tables import ServiceOrigin

RegistrationId = Annotated[str, typer.Argument(metavar="REGISTRATION", help="The registration's id.")]
DeploymentId = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="The deployment id, as the LMS sends it.")]


@dataclass(frozen=True, slots=True)
class Placement:
    """A deployment with the slugs of its tenant and application; None while nobody owns it. Times are Unix seconds."""

    registration_id: str
    deployment_id: str
    state: str
    tenant: str | None
    application: str | None
    instance_name: str | None
    instance_url: str | None
    first_seen_at: float
    approved_at: float | None


def list_(
    tenant: TenantOption = None,
    registration: Annotated[str | None, typer.Option(metavar="ID", help="Only this registration's.")] = None,
    state: Annotated[Literal["pending", "approved", "disabled"] | None, typer.Option(help="Only these.")] = None,
    as_json: AsJson = False,
) -> None:
    """List deployments; those that a launch brought and nobody approved yet are `pending`."""
    found = operate(placements, tenant=tenant, registration_id=registration, state=state)
    if as_json:
        output.document([placement_json(placement) for placement in found])
        return
    rows = [
        (item.deployment_id, item.state, item.tenant, item.application, item.instance_name, item.registration_id)
        for item in found
    ]
    columns = ("Deployment", "State", "Tenant", "Application", "Installation", "Registration")
    output.table(columns, rows, empty="none: the first launch from an LMS makes one")


def approve(
    registration: RegistrationId,
    deployment: DeploymentId,
    tenant: TenantOption = None,
    app: Annotated[str | None, typer.Option("--app", metavar="SLUG", help="Where its launches lead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let launches of a deployment through. Without --tenant and --app those of the registration serve."""
    placement, known = operate(_approve, registration, deployment, tenant, app)
    if not known:
        output.hint(f"no launch came from {deployment} yet: compare the id with the LMS character by character")
    if as_json:
        output.document(placement_json(placement))
        return
    output.say(f"Deployment {deployment} is approved for {placement.tenant}, application {placement.application}.")


def disable(registration: RegistrationId, deployment: DeploymentId, as_json: AsJson = False) -> None:
    """Let no launch of a deployment through until it is approved again."""
    placement = operate(_disable, registration, deployment)
    if as_json:
        output.document(placement_json(placement))
        return
    output.say(f"Deployment {deployment} is disabled.")


def origins(
    registration: RegistrationId,
    deployment: DeploymentId,
    accept: Annotated[str | None, typer.Option(metavar="ORIGIN", help="Let services lie at this origin too.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the origins that launches named for services. The first of a kind is accepted, another one later is held."""
    if accept is not None:
        operate(services.accept_origin, registration, deployment, accept, actor=actor())
    found = operate(_origins, registration, deployment)
    if as_json:
        output.document([origin_json(row) for row in found])
        return
    rows = [(row.origin, row.kind, row.state, output.moment(row.first_seen_at)) for row in found]
    output.table(("Origin", "Service", "State", "First seen"), rows, empty="none: no launch named a service yet")


def placements(
    session: Session, *, tenant: str | None = None, registration_id: str | None = None, state: str | None = None
) -> list[Placement]:
    """The deployments that fit. Raises NotFound for an unknown tenant."""
    rows = deployments.listed(
        session, registration_id=registration_id, tenant_id=tenant_id_of(session, tenant), state=state
    )
    return _placements(session, rows)


def placement_json(placement: Placement) -> dict[str, Any]:
    """The JSON form of a placement."""
    approved_at = placement.approved_at
    return {
        "registration_id": placement.registration_id,
        "deployment_id": placement.deployment_id,
        "state": placement.state,
        "tenant": placement.tenant,
        "application": placement.application,
        "instance_name": placement.instance_name,
        "instance_url": placement.instance_url,
        "first_seen_at": output.iso(placement.first_seen_at),
        "approved_at": approved_at and output.iso(approved_at),
    }


def origin_json(row: ServiceOrigin) -> dict[str, Any]:
    """The JSON form of a service's origin."""
    return {
        "origin": row.origin, "kind": row.kind, "state": row.state, "first_seen_at": output.iso(row.first_seen_at),
    }  # fmt: skip


def _origins(session: Session, registration_id: str, deployment_id: str) -> list[ServiceOrigin]:
    deployments.get(session, registration_id, deployment_id)
    return services.origins(session, registration_id, deployment_id)


def _approve(
    session: Session, registration_id: str, deployment_id: str, tenant: str | None, app: str | None
) -> tuple[Placement, bool]:
    """The approved deployment, and whether it was known before."""
    before = deployments.listed(session, registration_id=registration_id)
    owner = tenants.by_slug(session, tenant) if tenant else None
    owner_id = owner.id if owner else _owner_of(session, registration_id)
    application = applications.by_slug(session, app, owner_id) if app else None
    row = deployments.approve(
        session, registration_id, deployment_id, tenant=owner, application=application, actor=actor()
    )
    return _placements(session, [row])[0], row in before


def _owner_of(session: Session, registration_id: str) -> str | None:
    """Whose applications are meant when no tenant was named."""
    row = session.get(tables.Registration, registration_id)
    return row.tenant_id if row else None


def _disable(session: Session, registration_id: str, deployment_id: str) -> Placement:
    return _placements(session, [deployments.disable(session, registration_id, deployment_id, actor=actor())])[0]


def _placements(session: Session, rows: list[tables.Deployment]) -> list[Placement]:
    names = slugs(session)
    apps = {application.id: application.slug for application in applications.listed(session)}
    return [
        Placement(
            registration_id=row.registration_id,
            deployment_id=row.deployment_id,
            state=row.state,
            tenant=names[row.tenant_id],
            application=apps.get(row.application_id or ""),
            instance_name=row.instance_name,
            instance_url=row.instance_url,
            first_seen_at=row.first_seen_at,
            approved_at=row.approved_at,
        )
        for row in rows
    ]
