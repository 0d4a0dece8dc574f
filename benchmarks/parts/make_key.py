"""Prints a new key of the application `exercises` for everything that the benchmarks ask of the API."""

from __future__ import annotations

from sqlalchemy.orm import Session

from ltihost.commands.operator import actor, operate
from ltihost.store import applications, tenants

SCOPES = ("launch:exchange", "lineitems:read", "grades:write", "roster:read")


def make(session: Session) -> str:
    tenant_id = tenants.by_slug(session, "school").id
    application = applications.by_slug(session, "exercises", None)
    return applications.create_key(session, application, tenant_id, scopes=SCOPES, actor=actor()).text


print(operate(make))
