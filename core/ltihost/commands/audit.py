"""`ltihost audit`: whether the trail of changes is whole."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import TenantOption, operate
from ltihost.commands.output import AsJson
from ltihost.errors import Invalid
from ltihost.records import HOST
from ltihost.store import audit, tenants
from ltihost.store.audit import Checkpoint


def verify(
    tenant: TenantOption = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="SEQ:HASH", help="With --tenant: an earlier end of the trail, which must still be in it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the chain over every change and launch; name the first row that was altered or taken out."""
    if checkpoint and not tenant:
        raise Invalid("checkpoint_without_tenant", "A checkpoint belongs to one tenant: name it with --tenant.")
    found = operate(_verify, tenant, _read(checkpoint))
    if as_json:
        output.document(found)
    else:
        rows = [(row["tenant"] or "(host)", row["ok"], row["message"], row["checkpoint"]) for row in found]
        output.table(("Tenant", "Whole", "Fault", "Checkpoint"), rows, empty="no trail yet")
    if not all(row["ok"] for row in found):
        raise typer.Exit(1)


def _verify(session: Session, slug: str | None, checkpoint: Checkpoint | None) -> list[dict[str, Any]]:
    if slug:
        return [_verified(session, slug, tenants.by_slug(session, slug).id, checkpoint)]
    owners = [(None, HOST), *((tenant.slug, tenant.id) for tenant in tenants.listed(session))]
    return [_verified(session, name, tenant_id, None) for name, tenant_id in owners]


def _verified(session: Session, slug: str | None, tenant_id: str, checkpoint: Checkpoint | None) -> dict[str, Any]:
    fault, head = audit.verify(session, tenant_id, checkpoint), audit.head(session, tenant_id)
    return {
        "tenant": slug,
        "ok": fault is None,
        "message": fault and f"row {fault.seq}: {fault.message}",
        "row": fault and fault.row_id,
        "checkpoint": head and f"{head.seq}:{head.hash.hex()}",
    }


def _read(text: str | None) -> Checkpoint | None:
    if text is None:
        return None
    seq, _, mark = text.partition(":")
    try:
        return Checkpoint(int(seq), bytes.fromhex(mark))
    except ValueError:
        raise Invalid("checkpoint_invalid", "A checkpoint is SEQ:HASH, as `audit verify` prints it.") from None
