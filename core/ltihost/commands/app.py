"""`ltihost app`: applications that receive launches, and the keys they call the API with."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import TenantOption, actor, operate, slugs, tenant_id_of
from ltihost.commands.output import AsJson
from ltihost.errors import Invalid
from ltihost.records import HOST, Application
from ltihost.settings import LOCAL_HOSTS, Settings, load_settings
from ltihost.store import applications
from ltihost.store.hot import ApiKey

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The application's short name.")]
#: What a key can be allowed to do; the first is the default.
SCOPES = ("launch:exchange",)


def create(
    slug: Slug,
    name: Annotated[str, typer.Option(help="The name that people read.")],
    launch_url: Annotated[str, typer.Option(metavar="URL", help="Where people are sent with a one-time code.")],
    tenant: TenantOption = None,
    picker_url: Annotated[str | None, typer.Option(metavar="URL", help="Where content is chosen.")] = None,
    webhook_url: Annotated[str | None, typer.Option(metavar="URL", help="Where events are sent.")] = None,
    allow_target: Annotated[
        list[str] | None, typer.Option(metavar="URL-PREFIX", help="A further place launches may lead to. Repeatable.")
    ] = None,
    release: Annotated[str, typer.Option(help="Personal data it receives: any of names,email,picture.")] = "names",
    as_json: AsJson = False,
) -> None:
    """Make an application: of one organisation, or without --tenant of all."""
    targets = allow_target or []
    for url in filter(None, (launch_url, picker_url, webhook_url, *targets)):
        _check_scheme(url, load_settings())
    made, owner = operate(
        _create, tenant, slug, name=name, launch_url=launch_url, picker_url=picker_url, webhook_url=webhook_url,
        allowed_targets=targets, release=[item.strip() for item in release.split(",") if item.strip()],
    )  # fmt: skip
    if as_json:
        output.document(application_json(made, owner))
        return
    output.say(f"Application {made.slug} ({made.name}) is there; launches lead to {made.launch_url}")
    output.hint(f"next: ltihost app key create {made.slug}{_tenant_flag(owner)}")


def list_(tenant: TenantOption = None, as_json: AsJson = False) -> None:
    """List applications; with --tenant those that the organisation can use."""
    found = operate(_listed, tenant)
    if as_json:
        output.document([application_json(application, owner) for application, owner in found])
        return
    rows = [(item.slug, item.name, owner or "every", item.launch_url, item.release) for item, owner in found]
    columns = ("Slug", "Name", "Organisation", "Launch URL", "Receives")
    output.table(columns, rows, empty="none yet: ltihost app create SLUG --name NAME --launch-url URL")


def create_key(
    slug: Slug,
    tenant: TenantOption = None,
    scope: Annotated[list[str] | None, typer.Option(help="What the key may do. Repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and show it, this once. Two can be live, so that one replaces the other without a gap."""
    scopes = scope or list(SCOPES[:1])
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise Invalid("scope_unknown", f"There is no scope {unknown[0]!r}; there is {', '.join(SCOPES)}.")
    key = operate(_create_key, slug, tenant, scopes)
    if as_json:
        made = {"id": key.id, "key": key.text, "application": slug, "tenant": tenant, "scopes": sorted(scopes)}
        output.document(made)
        return
    output.verbatim(key.text)
    output.hint("Keep it now: it is stored nowhere and not shown again. It is sent as: Authorization: Bearer KEY")


def list_keys(slug: Slug, tenant: TenantOption = None, as_json: AsJson = False) -> None:
    """List an application's keys, never the keys themselves."""
    found, names = operate(_keys, slug, tenant)
    if as_json:
        output.document([_key_json(key, names) for key in found])
        return
    rows = [
        (key.id, "revoked" if key.revoked else "live", key.tenant_id and names[key.tenant_id], key.scopes)
        for key in found
    ]
    output.table(("Id", "State", "Organisation", "Scopes"), rows, empty=f"none yet: ltihost app key create {slug}")


def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `app key list` shows it.")], as_json: AsJson = False
) -> None:
    """Let an API key open nothing any more."""
    key, names = operate(_revoke_key, key_id)
    if as_json:
        output.document(_key_json(key, names))
        return
    output.say(f"Key {key.id} is revoked.")


def application_json(application: Application, owner: str | None) -> dict[str, Any]:
    """The JSON form of an application; `owner` is the slug of its tenant, None when it serves every tenant."""
    return {
        "id": application.id,
        "slug": application.slug,
        "name": application.name,
        "tenant": owner,
        "launch_url": application.launch_url,
        "picker_url": application.picker_url,
        "webhook_url": application.webhook_url,
        "allowed_targets": list(application.allowed_targets),
        "release": sorted(application.release),
    }


def _create(session: Session, /, tenant: str | None, slug: str, **values: Any) -> tuple[Application, str | None]:
    owner = tenant_id_of(session, tenant) or HOST
    return applications.create(session, owner, slug, **values, actor=actor()), tenant


def _listed(session: Session, tenant: str | None) -> list[tuple[Application, str | None]]:
    names = slugs(session)
    return [(item, names[item.tenant_id]) for item in applications.listed(session, tenant_id_of(session, tenant))]


def _create_key(session: Session, slug: str, tenant: str | None, scopes: list[str]) -> applications.NewKey:
    tenant_id = tenant_id_of(session, tenant)
    application = applications.by_slug(session, slug, tenant_id)
    return applications.create_key(session, application, tenant_id, scopes=scopes, actor=actor())


def _keys(session: Session, slug: str, tenant: str | None) -> tuple[list[ApiKey], dict[str, str | None]]:
    application = applications.by_slug(session, slug, tenant_id_of(session, tenant))
    return applications.keys(session, application.id), slugs(session)


def _revoke_key(session: Session, key_id: str) -> tuple[ApiKey, dict[str, str | None]]:
    return applications.revoke_key(session, key_id, actor=actor()), slugs(session)


def _key_json(key: ApiKey, names: dict[str, str | None]) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant_id and names[key.tenant_id],
        "scopes": sorted(key.scopes),
        "expires_at": key.expires_at and output.iso(key.expires_at),
        "revoked": key.revoked,
    }


def _check_scheme(url: str, settings: Settings) -> None:
    """Launch codes travel in these URLs, so plain http serves only on this machine and in permitted networks."""
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS and not settings.allow_networks:
        raise Invalid("url_insecure", f"{url} must begin with https://; http needs LTIHOST_ALLOW_NETWORKS.")


def _tenant_flag(owner: str | None) -> str:
    return f" --tenant {owner}" if owner else ""
