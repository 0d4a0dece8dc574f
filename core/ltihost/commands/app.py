"""`ltihost app`: applications that receive launches, and the keys they call the API with."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from sqlalchemy.orm import Session

from ltihost.addresses import Network, is_inside, literal
from ltihost.commands import output
from ltihost.commands.operator import TenantOption, actor, operate, slugs, tenant_id_of
from ltihost.commands.output import AsJson
from ltihost.errors import Conflict, Invalid
from ltihost.records import HOST, Application
from ltihost.registration_values import split_values
from ltihost.settings import LOCAL_HOSTS, load_settings
from ltihost.store import applications, checks
from ltihost.store.hot import ApiKey

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The application's short name.")]
#: What a key can be allowed to do; the first is the default.
SCOPES = (
    "launch:exchange", "lineitems:read", "lineitems:write", "grades:read", "grades:write", "grades:override",
    "roster:read", "deeplink:write", "events:read",
)  # fmt: skip
#: What only a key that was asked for it may do: set a grade against the policy of its line item.
_ASKED_FOR = frozenset({"grades:override"})
_URLS = ("launch-url", "picker-url", "webhook-url", "allow-target")


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
    """Make an application: of one tenant, or without --tenant of all."""
    targets = allow_target or []
    _check_schemes(launch_url, picker_url, webhook_url, *targets)
    made, secret = operate(
        _create, tenant, slug, name=name, launch_url=launch_url, picker_url=picker_url, webhook_url=webhook_url,
        allowed_targets=targets, release=checks.items(release),
    )  # fmt: skip
    if as_json:
        output.document({**application_json(made, tenant), "webhook_secret": secret})
        return
    output.say(f"Application {made.slug} ({made.name}) is there; launches lead to {made.launch_url}")
    _say_secret(secret)
    output.hint(f"next: ltihost app key create {made.slug}{_tenant_flag(tenant)}")


def set_(
    slug: Slug,
    assignments: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE...", help=f"NAME is one of {', '.join(applications.FIELDS)}.")
    ],
    tenant: TenantOption = None,
    as_json: AsJson = False,
) -> None:
    """Set values of an application. `allow-target` and `release` take a comma list, which replaces the former one.

    Nothing after the = takes a picker, a webhook or the further targets away. An application of one tenant is
    named with --tenant, one that serves all of them without.
    """
    values = split_values(assignments)
    _check_schemes(*(url for name, value in values if name in _URLS for url in checks.items(value)))
    changed, secret = operate(_set, tenant, slug, values)
    if as_json:
        output.document({**application_json(changed, tenant), "webhook_secret": secret})
        return
    _print(changed, tenant)
    _say_secret(secret)


def show(slug: Slug, tenant: TenantOption = None, as_json: AsJson = False) -> None:
    """Everything about one application; with --tenant the one that the tenant uses under this name."""
    found, owner = operate(_found, slug, tenant)
    if as_json:
        output.document(application_json(found, owner))
        return
    _print(found, owner)


def list_(tenant: TenantOption = None, as_json: AsJson = False) -> None:
    """List applications; with --tenant those that the tenant can use."""
    found = operate(_listed, tenant)
    if as_json:
        output.document([application_json(application, owner) for application, owner in found])
        return
    rows = [(item.slug, item.name, owner or "every", item.launch_url, item.release) for item, owner in found]
    columns = ("Slug", "Name", "Tenant", "Launch URL", "Receives")
    output.table(columns, rows, empty="none yet: ltihost app create SLUG --name NAME --launch-url URL")


def create_key(
    slug: Slug,
    tenant: TenantOption = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="What the key may do. Repeatable. Without: everything but grades:override.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and show it, this once. Two can be live, so that one replaces the other without a gap."""
    scopes = scope or [name for name in SCOPES if name not in _ASKED_FOR]
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
    output.table(("Id", "State", "Tenant", "Scopes"), rows, empty=f"none yet: ltihost app key create {slug}")


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


def _print(application: Application, owner: str | None) -> None:
    output.facts([
        ("Slug", application.slug),
        ("Id", application.id),
        ("Name", application.name),
        ("Tenant", owner or "every"),
        ("Launch URL", application.launch_url),
        ("Picker URL", application.picker_url),
        ("Webhook URL", application.webhook_url),
        ("Further targets", application.allowed_targets),
        ("Receives", application.release),
    ])  # fmt: skip


def _say_secret(secret: str | None) -> None:
    """Of the events that will be sent; made with the first webhook URL."""
    if secret is not None:
        output.say(f"Webhook secret: {secret}")
        output.hint(
            "Keep it now: it is not shown again. Events will be signed with it, as Standard Webhooks say; "
            "so far none is sent there: read them with GET /api/v1/events."
        )


def _create(session: Session, /, tenant: str | None, slug: str, **values: Any) -> tuple[Application, str | None]:
    made = applications.create(session, tenant_id_of(session, tenant) or HOST, slug, **values, actor=actor())
    return made, applications.webhook_secret(session, made.id)


def _set(
    session: Session, tenant: str | None, slug: str, values: list[tuple[str, str]]
) -> tuple[Application, str | None]:
    """The application as it is now, and its webhook secret if that is new."""
    tenant_id = tenant_id_of(session, tenant)
    known = applications.by_slug(session, slug, tenant_id)
    if known.tenant_id != (tenant_id or HOST):
        raise Conflict("application_shared", f"{slug} serves every tenant: set it without --tenant.")
    changed = applications.update(session, known.id, values, actor=actor())
    return changed, None if known.webhook_url else applications.webhook_secret(session, changed.id)


def _found(session: Session, slug: str, tenant: str | None) -> tuple[Application, str | None]:
    found = applications.by_slug(session, slug, tenant_id_of(session, tenant))
    return found, slugs(session)[found.tenant_id]


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


def _check_schemes(*urls: str | None) -> None:
    """Launch codes travel in these URLs, so plain http serves only on this machine and in permitted networks.

    Raises Invalid.
    """
    networks = load_settings().allow_networks
    for url in filter(None, urls):
        parts = urlsplit(checks.url(url))
        host = parts.hostname or ""
        if parts.scheme == "http" and host not in LOCAL_HOSTS and not _lies_inside(host, networks):
            said = (
                f"{url} must begin with https://; http only where {host} lies in a network of LTIHOST_ALLOW_NETWORKS."
            )
            raise Invalid("url_insecure", said)


def _lies_inside(host: str, networks: Sequence[Network]) -> bool:
    """Whether every address of the host is in one of `networks`; a name that leads nowhere lies nowhere.

    Raises Invalid for what cannot be a name: an empty label, or one of more than 63 characters.
    """
    if not networks:
        return False
    try:
        found = {literal(str(place[4][0])) for place in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    except UnicodeError as error:
        raise Invalid("url_invalid", f"{host[:80]!r} cannot be the name of a host.") from error
    return all(address is not None and is_inside(address, networks) for address in found)


def _tenant_flag(owner: str | None) -> str:
    return f" --tenant {owner}" if owner else ""
