"""`ltihost role-rule`: which roles of the application an LTI role gives."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import TenantNeeded, actor, operate
from ltihost.commands.output import AsJson
from ltihost.errors import Invalid
from ltihost.lti.roles import read_role
from ltihost.records import RoleRule
from ltihost.store import role_rules, tenants


def add(
    lti_role: Annotated[str, typer.Argument(metavar="LTI-ROLE", help="A short name (Learner) or a whole role URI.")],
    tenant: TenantNeeded,
    global_role: Annotated[str | None, typer.Option("--global", metavar="ROLE", help="Everywhere.")] = None,
    group_role: Annotated[str | None, typer.Option("--group", metavar="ROLE", help="In the context's group.")] = None,
    registration: Annotated[str | None, typer.Option(metavar="ID", help="Only for this registration.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give the application roles for an LTI role; the strongest of all that fit wins."""
    if ":" not in lti_role and read_role(lti_role).role == "none":
        raise Invalid("role_unknown", f"{lti_role!r} is no LTI role; name one like Learner, or a whole role URI.")
    rule_id, rule = operate(_add, tenant, lti_role, global_role, group_role, registration)
    if as_json:
        output.document(_json(rule_id, rule))
        return
    output.say(f"Rule {rule_id}: {_told(rule)}.")


def list_(tenant: TenantNeeded, as_json: AsJson = False) -> None:
    """List a tenant's rules."""
    found = operate(_listed, tenant)
    if as_json:
        output.document([_json(rule_id, rule) for rule_id, rule in found])
        return
    rows = [(rule.lti_role, rule.global_role, rule.group_role, rule.registration_id, key) for key, rule in found]
    columns = ("LTI role", "Global role", "Group role", "Registration", "Id")
    output.table(columns, rows, empty=f"none yet: ltihost role-rule add ROLE --tenant {tenant} --global ROLE")


def remove(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="As `role-rule list` shows it.")], tenant: TenantNeeded
) -> None:
    """Take a rule away."""
    operate(_remove, tenant, rule_id)
    output.say(f"Rule {rule_id} is gone.")


def _add(
    session: Session,
    tenant: str,
    lti_role: str,
    global_role: str | None,
    group_role: str | None,
    registration_id: str | None,
) -> tuple[str, RoleRule]:
    row = role_rules.add(
        session, tenants.by_slug(session, tenant).id, lti_role, global_role=global_role, group_role=group_role,
        registration_id=registration_id, actor=actor(),
    )  # fmt: skip
    return row.id, RoleRule(row.lti_role, row.global_role, row.group_role, row.registration_id)


def _listed(session: Session, tenant: str) -> list[tuple[str, RoleRule]]:
    rows = role_rules.listed(session, tenants.by_slug(session, tenant).id)
    return [(row.id, RoleRule(row.lti_role, row.global_role, row.group_role, row.registration_id)) for row in rows]


def _remove(session: Session, tenant: str, rule_id: str) -> None:
    role_rules.remove(session, tenants.by_slug(session, tenant).id, rule_id, actor=actor())


def _json(rule_id: str, rule: RoleRule) -> dict[str, Any]:
    return {
        "id": rule_id,
        "lti_role": rule.lti_role,
        "global_role": rule.global_role,
        "group_role": rule.group_role,
        "registration_id": rule.registration_id,
    }


def _told(rule: RoleRule) -> str:
    given = ((rule.global_role, "everywhere"), (rule.group_role, "in the group"))
    return f"{rule.lti_role} is " + " and ".join(f"{role} {place}" for role, place in given if role)
