"""What an application's launches from one registration brought: which services their contexts have."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.store.service_tables import ContextServices
from ltihost.store.tables import Context, Deployment


@dataclass(frozen=True, slots=True)
class Offered:
    """What at least one context offers, as its newest launch said; and the deployments that may be asked."""

    deployment_ids: tuple[str, ...]
    scopes: frozenset[str]
    line_items: bool
    roster: bool
    groups: bool
    notices: bool


def offered(session: Session, registration_id: str, application_id: str) -> Offered:
    """Of the approved deployments of the application under this registration."""
    deployments = session.scalars(
        select(Deployment.deployment_id).where(
            Deployment.registration_id == registration_id,
            Deployment.application_id == application_id,
            Deployment.state == "approved",
        )
    ).all()
    rows = session.scalars(
        select(ContextServices)
        .join(Context, Context.id == ContextServices.context_id)
        .where(Context.registration_id == registration_id, Context.deployment_id.in_(deployments))
    ).all()
    return Offered(
        deployment_ids=tuple(sorted(deployments)),
        scopes=frozenset(scope for row in rows for scope in row.ags_scopes),
        line_items=any(row.line_items_url for row in rows),
        roster=any(row.memberships_url for row in rows),
        groups=any(row.groups_url for row in rows),
        notices=any(row.notices_url for row in rows),
    )
