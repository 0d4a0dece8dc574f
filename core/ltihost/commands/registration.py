"""`ltihost registration`: trust between one LMS and the host."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.guide import guide_for, guide_json, print_guide, tool_urls
from ltihost.commands.operator import TenantOption, actor, operate, tenant_id_of, with_database
from ltihost.commands.output import AsJson
from ltihost.commands.plugin import loaded
from ltihost.commands.registration_view import View, print_view, read_view, read_views, view_json
from ltihost.errors import NotFound
from ltihost.outbound import Outbound
from ltihost.plugins.contract import Guide
from ltihost.plugins.loader import LoadedPlugin, load_plugins
from ltihost.records import HOST
from ltihost.registration_check import Finding, check_registration
from ltihost.registration_values import check_values, fill_endpoints, split_values
from ltihost.settings import Settings, load_settings
from ltihost.store import applications, platforms, registrations
from ltihost.store.database import Database

Id = Annotated[str, typer.Argument(metavar="ID", help="The registration, as `registration list` shows it.")]


def create(
    app: Annotated[str, typer.Option("--app", metavar="SLUG", help="Where its launches lead.")],
    plugin: Annotated[str, typer.Option(metavar="KEY", help="The LMS, as `plugin list` shows it.")],
    tenant: TenantOption = None,
    name: Annotated[str | None, typer.Option(help="What people call it. Default: the LMS's name.")] = None,
    issuer: Annotated[str | None, typer.Option(metavar="URL", help="The LMS as its messages name it.")] = None,
    client_id: Annotated[str | None, typer.Option(metavar="ID", help="The id that the LMS gave to the tool.")] = None,
    auth_url: Annotated[str | None, typer.Option(metavar="URL", help="The LMS's authentication request URL.")] = None,
    token_url: Annotated[str | None, typer.Option(metavar="URL", help="The LMS's access token URL.")] = None,
    jwks_url: Annotated[str | None, typer.Option(metavar="URL", help="The LMS's public key set URL.")] = None,
    audience: Annotated[str | None, typer.Option(metavar="AUD", help="For tokens, if not the token URL.")] = None,
    home_url: Annotated[str | None, typer.Option(metavar="URL", help="Where people go back to.")] = None,
    deployment_id: Annotated[list[str] | None, typer.Option(metavar="ID", help="Approved at once. Repeatable.")] = None,
    shared_urls: Annotated[bool, typer.Option("--shared-urls", help="The URLs without the registration's id.")] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Let launches through at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Register an LMS. With only application and plugin it makes a draft and says what to enter in the LMS.

    Without --tenant the registration is shared by all tenants. Endpoints that follow from issuer and client id
    in this LMS need not be given.
    """
    settings = load_settings()
    chosen = loaded(load_plugins(settings.plugins), plugin)
    options = (
        ("issuer", issuer), ("client-id", client_id), ("auth-url", auth_url), ("token-url", token_url),
        ("jwks-url", jwks_url), ("audience", audience), ("home-url", home_url),
        *(("deployment-id", item) for item in deployment_id or ()), ("key-set", "host" if shared_urls else None),
    )  # fmt: skip
    given = [(option, value) for option, value in options if value is not None]
    values = fill_endpoints(given, None, chosen.manifest)
    _check(values, settings)
    view = operate(_create, tenant, app, chosen, name or chosen.manifest.name, values, approve=approve)
    found = _guide(view, settings, chosen) if view.registration.state == "draft" else None
    if as_json:
        output.document({**view_json(view, settings), "guide": guide_json(found)})
        return
    print_view(view, settings, chosen)
    if found is not None:
        output.say()
        print_guide(found)


def list_(tenant: TenantOption = None, as_json: AsJson = False) -> None:
    """List registrations."""
    settings = load_settings()
    views = operate(_list, tenant)
    if as_json:
        output.document([view_json(view, settings) for view in views])
        return
    rows = [
        (r.id, r.name, r.state, v.tenant or "shared", v.application and v.application.slug, r.plugin, r.issuer)
        for v in views
        for r in (v.registration,)
    ]
    columns = ("Id", "Name", "State", "Tenant", "Application", "Plugin", "Issuer")
    output.table(columns, rows, empty="none yet: ltihost registration create --tenant SLUG --app SLUG --plugin KEY")


def show(registration: Id, as_json: AsJson = False) -> None:
    """Everything about one registration."""
    settings = load_settings()
    view = operate(read_view, registration)
    if as_json:
        output.document(view_json(view, settings))
        return
    print_view(view, settings, load_plugins(settings.plugins).get(view.registration.plugin))


def set_(
    registration: Id,
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="issuer=https://... and so on.")],
    as_json: AsJson = False,
) -> None:
    """Set values. Endpoints that follow from issuer and client id in this LMS follow by themselves."""
    settings = load_settings()
    known = operate(registrations.get, registration)
    plugin = load_plugins(settings.plugins).get(known.plugin)
    values = split_values(assignments)
    if plugin is not None:
        values = fill_endpoints(values, known, plugin.manifest)
    _check(values, settings)
    view = operate(_set, registration, values)
    if as_json:
        output.document(view_json(view, settings))
        return
    print_view(view, settings, plugin)


def guide(registration: Id, as_json: AsJson = False) -> None:
    """How to register the host in this LMS: the click path, documents to paste, and what the LMS gives back."""
    settings = load_settings()
    view = operate(read_view, registration)
    plugin = load_plugins(settings.plugins).get(view.registration.plugin)
    found = _guide(view, settings, plugin)
    if found is None:
        raise NotFound("no_guide", f"The plugin {view.registration.plugin} has no guide, or is not loaded.")
    if as_json:
        output.document(guide_json(found))
        return
    print_guide(found)


def check(registration: Id, as_json: AsJson = False) -> None:
    """Go through what a launch will need, fetch the LMS's keys, and say what to mend.

    When nothing is left to mend, an LMS that refused the host and is left alone for that is sent scores again at once.
    """
    findings = with_database(lambda settings, database: _findings(settings, database, registration))
    if as_json:
        output.document([{"step": f.step, "status": f.status, "detail": f.detail, "fix": f.fix} for f in findings])
    else:
        output.findings([(f.step, f.status, f.detail, f.fix) for f in findings])
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


def approve(registration: Id, as_json: AsJson = False) -> None:
    """Let launches through."""
    operate(registrations.approve, registration, actor=actor())
    _changed(registration, "active", as_json=as_json)


def disable(registration: Id, as_json: AsJson = False) -> None:
    """Let no launch through until it is approved again. Nothing is lost."""
    operate(registrations.disable, registration, actor=actor())
    _changed(registration, "disabled", as_json=as_json)


def _create(
    session: Session,
    tenant: str | None,
    app: str,
    plugin: LoadedPlugin,
    name: str,
    values: Sequence[tuple[str, str]],
    *,
    approve: bool,
) -> View:
    owner = tenant_id_of(session, tenant)
    application = applications.by_slug(session, app, owner)
    made = registrations.create(
        session, owner or HOST, plugin=plugin.manifest.key, name=name, application=application, values=values,
        actor=actor(),
    )  # fmt: skip
    if approve:
        registrations.approve(session, made.id, actor=actor())
    return read_view(session, made.id)


def _list(session: Session, tenant: str | None) -> list[View]:
    return read_views(session, tenant_id_of(session, tenant))


def _set(session: Session, registration_id: str, values: Sequence[tuple[str, str]]) -> View:
    registrations.update(session, registration_id, values, actor=actor())
    return read_view(session, registration_id)


def _check(values: Sequence[tuple[str, str]], settings: Settings) -> None:
    async def once() -> None:
        outbound = Outbound(settings.allow_networks)
        try:
            check_values(values, outbound.check_url)
        finally:
            await outbound.aclose()

    asyncio.run(once())


async def _findings(settings: Settings, database: Database, registration_id: str) -> list[Finding]:
    view = await database.run_host(read_view, registration_id)
    seen = [await database.hot.deployment(registration_id, item.deployment_id) for item in view.placements]
    plugin = load_plugins(settings.plugins).get(view.registration.plugin)
    outbound = Outbound(settings.allow_networks)
    try:
        known = [deployment for deployment in seen if deployment is not None]
        found = await check_registration(view.registration, known, plugin, outbound)
    finally:
        await outbound.aclose()
    return [*found, *await _resumed(database, registration_id, found)]


async def _resumed(database: Database, registration_id: str, found: Sequence[Finding]) -> list[Finding]:
    """The LMS refused scores, or was down: one goes now and, when it is taken, the others."""
    if any(finding.status == "fail" for finding in found):
        return []
    if not await database.run_host(platforms.resume, registration_id):
        return []
    return [Finding("scores", "ok", "were held back; they go again as far as the LMS takes them")]


def _guide(view: View, settings: Settings, plugin: LoadedPlugin | None) -> Guide | None:
    urls = tool_urls(settings, view.registration, view.tool_name)
    return guide_for(plugin, urls, view.registration)


def _changed(registration_id: str, state: str, *, as_json: bool) -> None:
    if as_json:
        output.document(view_json(operate(read_view, registration_id), load_settings()))
        return
    output.say(f"Registration {registration_id} is {state}.")
