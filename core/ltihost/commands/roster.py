"""`ltihost roster`: have a context's roster read now, and look at readings that need a person."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import TenantOption, actor, operate, tenant_id_of, with_host
from ltihost.commands.output import AsJson
from ltihost.flows.roster import RosterFlow, Synced
from ltihost.host import Host
from ltihost.store import registrations, roster_queries, rosters
from ltihost.store.service_tables import RosterRun
from ltihost.store.tables import Context

ContextId = Annotated[str, typer.Argument(metavar="CONTEXT", help="The context's id, `ctx_…`.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `roster list` shows it.")]


def sync(context: ContextId, as_json: AsJson = False) -> None:
    """Read the roster of a context from its LMS now, and store what changed."""
    _show(with_host(lambda host: _sync(host, context)), as_json)


def approve(run: RunId, as_json: AsJson = False) -> None:
    """Let the removals of a held run happen: the roster is read again, and this time everybody missing leaves."""
    held = operate(rosters.approve, run, actor())
    _show(with_host(lambda host: _sync(host, held.context_id, lift_brake=True)), as_json)


def list_(
    tenant: TenantOption = None,
    context: Annotated[str | None, typer.Option("--context", metavar="CONTEXT", help="Of this context only.")] = None,
    state: Annotated[
        Literal["running", "applied", "held", "failed", "superseded"] | None, typer.Option(help="Only these.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List readings of rosters, newest first; those that are held wait for `roster approve`."""
    tenant_id = operate(tenant_id_of, tenant) if tenant else None
    found, lms = operate(_listed, context_id=context, state=state, tenant_id=tenant_id, limit=limit)
    if as_json:
        output.document([_json(run, context) for run, context in found])
        return
    columns = ("Run", "LMS", "Context", "Title", "State", "When", "Members", "Added", "Changed", "Left", "Why")
    rows = [
        (
            run.id, output.short(lms[context.registration_id]), context.id, output.short(context.title), run.state,
            output.moment(run.started_at), run.total, run.added, run.changed, run.removed, run.note or run.code,
        )
        for run, context in found
    ]  # fmt: skip
    output.table(columns, rows, empty="no roster was read yet")
    output.say_limit(len(found), limit)


def _listed(session: Session, /, **filters: Any) -> tuple[list[tuple[RosterRun, Context]], dict[str, str]]:
    """Runs with their contexts, and the names of registrations by id."""
    found = roster_queries.runs(session, **filters)
    contexts = roster_queries.contexts(session, {run.context_id for run in found})
    return [(run, contexts[run.context_id]) for run in found], registrations.names(session)


async def _sync(host: Host, context_id: str, *, lift_brake: bool = False) -> Synced:
    tenant_id = await host.database.run_host(_tenant_of, context_id)
    return await RosterFlow(host).sync(tenant_id, context_id, lift_brake=lift_brake)


def _tenant_of(session: Any, context_id: str) -> str:
    return rosters.context(session, context_id).tenant_id


def _show(done: Synced, as_json: bool) -> None:
    change = done.change
    if as_json:
        output.document(
            {
                "run": done.run_id, "state": done.state, "pages": done.pages, "members": done.total,
                "left_out": done.left_out, "added": len(change.added) if change else 0,
                "changed": len(change.changed) if change else 0, "removed": len(change.removed) if change else 0,
                "code": done.code, "note": done.note,
            }
        )  # fmt: skip
    elif change is not None:
        output.say(
            f"{done.total} members on {done.pages} page(s): {len(change.added)} added, {len(change.changed)} changed, "
            f"{len(change.removed)} left; {done.left_out} rows are no members"
        )
    else:
        output.say(f"{done.state}: {done.note}")
    if done.state != "applied":
        raise typer.Exit(1)


def _json(run: RosterRun, context: Context) -> dict[str, Any]:
    return run.values() | {
        "context_title": context.title,
        "registration_id": context.registration_id,
        "started_at": output.iso(run.started_at),
        "finished_at": run.finished_at and output.iso(run.finished_at),
    }
