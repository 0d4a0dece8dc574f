"""Role rules: which roles in the application an LTI role gives."""

from __future__ import annotations

import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, Invalid, NotFound
from ltihost.store import audit, checks, tables
from ltihost.store.ids import new_id


def add(
    session: Session,
    tenant_id: str,
    lti_role: str,
    *,
    global_role: str | None = None,
    group_role: str | None = None,
    registration_id: str | None = None,
    actor: str,
) -> tables.RoleRule:
    """Add a rule, for one registration or all of the tenant's. Raises Invalid, Conflict when the role has one there."""
    if global_role is None and group_role is None:
        raise Invalid("role_rule_empty", "A rule gives a global role, a group role, or both.")
    if any(row.lti_role == lti_role and row.registration_id == registration_id for row in listed(session, tenant_id)):
        raise Conflict("role_rule_exists", f"There is a rule for {lti_role} already.")
    if registration_id is not None and session.get(tables.Registration, registration_id) is None:
        raise NotFound("registration_unknown", f"There is no registration {registration_id}.")
    row = tables.RoleRule(
        tenant_id=tenant_id,
        id=new_id("rul"),
        registration_id=registration_id,
        lti_role=checks.line(lti_role),
        global_role=checks.line(global_role) if global_role else None,
        group_role=checks.line(group_role) if group_role else None,
        created_at=time.time(),
    )
    session.add(row)
    session.flush()
    audit.append(
        session, tenant_id, actor=actor, action="role_rule.added", object_id=row.id, details={"role": lti_role}
    )
    return row


def listed(session: Session, tenant_id: str) -> list[tables.RoleRule]:
    """The tenant's rules, oldest first."""
    query = select(tables.RoleRule).where(tables.RoleRule.tenant_id == tenant_id)
    return list(session.scalars(query.order_by(tables.RoleRule.created_at, tables.RoleRule.id)))


def remove(session: Session, tenant_id: str, rule_id: str, *, actor: str) -> None:
    """Take a rule away. Raises NotFound."""
    row = session.get(tables.RoleRule, (tenant_id, rule_id))
    if row is None:
        raise NotFound("role_rule_unknown", "There is no such rule.")
    session.delete(row)
    session.flush()
    audit.append(session, tenant_id, actor=actor, action="role_rule.removed", object_id=rule_id)
