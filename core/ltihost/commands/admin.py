"""`ltihost admin`: the people who look after the host or one tenant."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import TenantOption, actor, operate, slugs, tenant_id_of
from ltihost.commands.output import AsJson
from ltihost.records import HOST
from ltihost.settings import load_settings
from ltihost.store import admins
from ltihost.store.admin_tables import Admin


def create(
    email: Annotated[str, typer.Option(metavar="E", help="The person's e-mail address: the name of the account.")],
    tenant: TenantOption = None,
    as_json: AsJson = False,
) -> None:
    """Make an administrator: of one tenant, or without --tenant an owner of the host.

    It prints a link on which the person sets a password: good for seven days, and once. Again for an account that has
    no password yet, a new link takes the place of the old one. There is no web console to sign in to yet.
    """
    settings = load_settings()
    invitation = operate(_create, tenant, email)
    url = f"{settings.base_url}/admin/invitation/{invitation.token}"
    if as_json:
        output.document({**admin_json(invitation.admin, tenant), "url": url})
        return
    output.verbatim(url)
    output.hint(f"Send it to {email} and to nobody else: whoever opens it first within seven days sets the password.")


def list_(tenant: TenantOption = None, as_json: AsJson = False) -> None:
    """List administrators; with --tenant those of one tenant."""
    found, names = operate(_listed, tenant)
    if as_json:
        output.document([admin_json(admin, names[admin.tenant_id]) for admin in found])
        return
    rows = [(admin.email, _role(admin), names[admin.tenant_id], _state(admin), admin.id) for admin in found]
    columns = ("E-mail", "Role", "Tenant", "State", "Id")
    output.table(columns, rows, empty="none yet: ltihost admin create --email ADDRESS")


def admin_json(admin: Admin, tenant: str | None) -> dict[str, Any]:
    """The JSON form of an account; `tenant` is the slug of its tenant, None for an owner."""
    expires = admin.invitation_expires_at
    return {
        "id": admin.id,
        "email": admin.email,
        "role": _role(admin),
        "tenant": tenant,
        "state": _state(admin),
        "created_at": output.iso(admin.created_at),
        "invitation_expires_at": None if expires is None else output.iso(expires),
    }


def _role(admin: Admin) -> str:
    return "owner" if admin.tenant_id == HOST else "tenant_admin"


def _state(admin: Admin) -> str:
    """`ready` with a password; else `invited`, and `expired` when the link is no longer good."""
    if admin.password_hash is not None:
        return "ready"
    return "invited" if (admin.invitation_expires_at or 0) > time.time() else "expired"


def _create(session: Session, tenant: str | None, email: str) -> admins.Invitation:
    return admins.create(session, tenant_id_of(session, tenant) or HOST, email, actor=actor())


def _listed(session: Session, tenant: str | None) -> tuple[list[Admin], dict[str, str | None]]:
    return admins.listed(session, tenant_id_of(session, tenant)), slugs(session)
