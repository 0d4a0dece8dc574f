"""`ltihost tenant`: customer organisations."""

from __future__ import annotations

from typing import Annotated

import typer

from ltihost.commands import output
from ltihost.commands.operator import actor, operate, tenant_json
from ltihost.commands.output import AsJson
from ltihost.store import tenants

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The short name: a-z, 0-9 and -.")]


def create(
    slug: Slug,
    name: Annotated[str, typer.Option(help="The name that people read.")],
    as_json: AsJson = False,
) -> None:
    """Make a tenant: one organisation whose data are apart from all others'."""
    tenant = operate(tenants.create, slug, name=name, actor=actor())
    if as_json:
        output.document(tenant_json(tenant))
        return
    output.say(f"Tenant {tenant.slug} ({tenant.name}) is there.")
    output.hint(f"next: ltihost plugin enable KEY --tenant {tenant.slug}")


def list_(as_json: AsJson = False) -> None:
    """List tenants."""
    found = operate(tenants.listed)
    if as_json:
        output.document([tenant_json(tenant) for tenant in found])
        return
    rows = [(tenant.slug, tenant.name, "active" if tenant.active else "suspended", tenant.id) for tenant in found]
    output.table(("Slug", "Name", "State", "Id"), rows, empty="none yet: ltihost tenant create SLUG --name NAME")


def suspend(slug: Slug, as_json: AsJson = False) -> None:
    """Let no launch of a tenant through until it is resumed. Nothing is lost."""
    tenant = operate(tenants.suspend, slug, actor=actor())
    if as_json:
        output.document(tenant_json(tenant))
        return
    output.say(f"Tenant {tenant.slug} is suspended.")


def resume(slug: Slug, as_json: AsJson = False) -> None:
    """Undo suspend."""
    tenant = operate(tenants.resume, slug, actor=actor())
    if as_json:
        output.document(tenant_json(tenant))
        return
    output.say(f"Tenant {tenant.slug} is active.")
