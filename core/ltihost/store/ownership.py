"""Whose an object is: asked before a tenant is known, by keys that serve every tenant of an application."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

Kind = Literal[
    "context", "resource_link", "registration", "line_item", "delivery", "session", "deep_link", "content_item",
    "roster_run",
]  # fmt: skip

_PLACED = """
SELECT o.tenant_id FROM {source}
 WHERE o.{key} = :wanted AND {owner}.application_id = :application AND (:tenant IS NULL OR o.tenant_id = :tenant)
   AND o.tenant_id IN (SELECT tenant_id FROM deployments WHERE application_id = :application)
 LIMIT 1
"""
_DEPLOYED = "{table} o JOIN deployments d USING (registration_id, deployment_id, tenant_id)"
_RUNS = """
roster_runs o JOIN contexts c ON c.tenant_id = o.tenant_id AND c.id = o.context_id
  JOIN deployments d ON d.registration_id = c.registration_id AND d.deployment_id = c.deployment_id
                    AND d.tenant_id = c.tenant_id
"""
#: Where each kind lies, its key, and which table names the application.
_SOURCES: dict[Kind, tuple[str, str, str]] = {
    "context": (_DEPLOYED.format(table="contexts"), "id", "d"),
    "resource_link": (_DEPLOYED.format(table="resource_links"), "id", "d"),
    "registration": ("deployments o", "registration_id", "o"),
    "line_item": ("line_items o", "id", "o"),
    "delivery": (
        "grade_slots o JOIN line_items i ON i.tenant_id = o.tenant_id AND i.id = o.line_item_id", "id", "i",
    ),
    "session": ("sessions o", "id", "o"),
    "deep_link": ("sessions o", "launch_id", "o"),  # it is known by its launch, which the application exchanged
    "content_item": ("content_items o", "id", "o"),
    "roster_run": (_RUNS, "id", "d"),
}  # fmt: skip


def tenant_of_object(
    session: Session, kind: Kind, object_id: str, application_id: str, tenant_id: str | None
) -> str | None:
    """The tenant in which the application has the object, or None. For `Database.run_lookup`.

    `tenant_id` None searches every tenant in which the application is deployed.
    """
    connection = session.connection()
    values = {"kind": kind, "wanted": object_id, "application": application_id, "tenant": tenant_id}
    if connection.dialect.name == "postgresql":
        query = "SELECT owner_of_v1(:kind, :wanted, :application, :tenant)"
    else:
        source, key, owner = _SOURCES[kind]
        query = _PLACED.format(source=source, key=key, owner=owner)
    found: str | None = connection.scalar(text(query), values)
    return found
