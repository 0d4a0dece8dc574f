"""Applications and their API keys."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, Invalid, NotFound
from ltihost.records import HOST, Application
from ltihost.store import audit, checks, tables
from ltihost.store.crypto import Place
from ltihost.store.guard import box_of, lock
from ltihost.store.hot import ApiKey
from ltihost.store.hot_rows import api_key_from, application_from
from ltihost.store.ids import new_id, random_text
from ltihost.store.unknown_field import unknown_field

SetField = Callable[[Session, tables.Application, str], None]
RELEASES = ("names", "email", "picture")
MAX_LIVE_KEYS = 2
_KEY = re.compile(r"(ltih_live_([a-z2-7]{16})_([A-Za-z0-9_-]{43}))_([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` is what the application sends; it is stored nowhere and shown once."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """A key as it was sent: the public id to look it up by, and the SHA-256 of its secret to compare."""

    id: str
    secret_hash: bytes


def create(
    session: Session,
    tenant_id: str,
    slug: str,
    *,
    name: str,
    launch_url: str,
    picker_url: str | None = None,
    webhook_url: str | None = None,
    allowed_targets: Iterable[str] = (),
    release: Iterable[str] = ("names",),
    actor: str,
) -> Application:
    """Make an application of one tenant, or of HOST for one that serves every tenant.

    With a webhook URL it gets a secret too: see `webhook_secret`. Raises Invalid, or Conflict when that owner has an
    application of this slug.
    """
    if _find(session, tenant_id, checks.slug(slug)) is not None:
        raise Conflict("application_exists", f"There is an application {slug} already.")
    row = tables.Application(
        tenant_id=tenant_id,
        id=new_id("app"),
        slug=slug,
        name=checks.line(name),
        launch_url=checks.url(launch_url),
        picker_url=_url_or_none(picker_url),
        webhook_url=_url_or_none(webhook_url),
        release=_releases(release),
        created_at=time.time(),
    )
    _keep_webhook_secret(session, row)
    session.add(row)
    session.flush()
    _set_targets(session, row, allowed_targets)
    audit.append(
        session, tenant_id, actor=actor, action="application.created", object_id=row.id, details={"slug": slug}
    )
    return _record(session, row)


def update(session: Session, application_id: str, values: Iterable[tuple[str, str]], *, actor: str) -> Application:
    """Set fields by (NAME, VALUE), NAME as in `FIELDS`; an empty VALUE takes a URL or the list of targets away.

    Raises NotFound, and Invalid when a value or NAME is unknown.
    """
    row = _get(session, application_id)
    pairs = list(values)
    for name, value in pairs:
        if name not in FIELDS:
            raise unknown_field("An application", name, FIELDS)
        FIELDS[name](session, row, value)
    _keep_webhook_secret(session, row)
    session.flush()
    details = {"fields": sorted({name for name, _ in pairs})}
    audit.append(session, row.tenant_id, actor=actor, action="application.set", object_id=row.id, details=details)
    return _record(session, row)


def webhook_secret(session: Session, application_id: str) -> str | None:
    """What events for the application are signed with, as `whsec_` and base64 (Standard Webhooks); None without a URL.

    Raises NotFound, and DecryptionError when it was altered or moved.
    """
    row = _get(session, application_id)
    if row.webhook_secret is None:
        return None
    return box_of(session).open(row.webhook_secret, _secret_place(row)).decode()


def listed(session: Session, tenant_id: str | None = None) -> list[Application]:
    """The applications that a tenant can use (its own and the host's), or all of them."""
    query = select(tables.Application).order_by(tables.Application.slug, tables.Application.tenant_id)
    if tenant_id is not None:
        query = query.where(tables.Application.tenant_id.in_([tenant_id, HOST]))
    return [_record(session, row) for row in session.scalars(query)]


def by_slug(session: Session, slug: str, tenant_id: str | None = None) -> Application:
    """The tenant's application of this slug, else the host's. Raises NotFound."""
    row = (_find(session, tenant_id, slug) if tenant_id else None) or _find(session, HOST, slug)
    if row is None:
        raise NotFound("application_unknown", f"There is no application {slug}{_of_tenants(session, slug)}.")
    return _record(session, row)


def _of_tenants(session: Session, slug: str) -> str:
    """Whose application of this slug may be meant, for the end of a sentence."""
    mine = select(tables.Application.tenant_id).where(tables.Application.slug == slug)
    found = session.scalars(select(tables.Tenant.slug).where(tables.Tenant.id.in_(mine)).order_by(tables.Tenant.slug))
    hints = [f"--tenant {tenant}" for tenant in found]
    return f" here; there is one with {' or '.join(hints)}" if hints else ""


def get(session: Session, application_id: str) -> Application:
    """The application of this id. Raises NotFound."""
    return _record(session, _get(session, application_id))


def create_key(
    session: Session,
    application: Application,
    tenant_id: str | None = None,
    *,
    scopes: Iterable[str] = (),
    expires_at: float | None = None,
    actor: str,
) -> NewKey:
    """Make a key for the application: for one tenant, or (None) for every tenant it serves.

    Raises Conflict when two keys are live already (two, so that one can replace the other without a gap), and
    Invalid when the application is another tenant's.
    """
    owner = tenant_id or application.tenant_id
    if application.tenant_id not in (owner, HOST):
        raise Invalid("application_of_other_tenant", "The application belongs to another tenant.")
    lock(session, f"keys {application.id}")
    if _live_keys(session, application.id, owner) >= MAX_LIVE_KEYS:
        raise Conflict("too_many_keys", "The application has two live keys; revoke one first.")
    key_id, secret = random_text(16), base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    row = tables.ApiKey(
        tenant_id=owner,
        id=key_id,
        application_owner=application.tenant_id,
        application_id=application.id,
        secret_hash=hashlib.sha256(secret.encode()).digest(),
        scopes=sorted(set(scopes)),
        created_at=time.time(),
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    details = {"application": application.id, "scopes": row.scopes}
    audit.append(session, owner, actor=actor, action="key.created", object_id=key_id, details=details)
    body = f"ltih_live_{key_id}_{secret}"
    return NewKey(key_id, f"{body}_{_checksum(body)}")


def keys(session: Session, application_id: str) -> list[ApiKey]:
    """The application's keys, oldest first, revoked ones included."""
    query = select(tables.ApiKey).where(tables.ApiKey.application_id == application_id)
    return [api_key_from(row.values()) for row in session.scalars(query.order_by(tables.ApiKey.created_at))]


def revoke_key(session: Session, key_id: str, *, actor: str) -> ApiKey:
    """Let the key open nothing any more. Raises NotFound."""
    row = session.get(tables.ApiKey, key_id)
    if row is None:
        raise NotFound("key_unknown", "There is no such key.")
    row.revoked_at = row.revoked_at or time.time()
    session.flush()
    audit.append(session, row.tenant_id, actor=actor, action="key.revoked", object_id=key_id)
    return api_key_from(row.values())


def parse_key(text: str) -> ParsedKey | None:
    """Take a key apart. None when it cannot be one of ours: a typing error costs no query."""
    match = _KEY.fullmatch(text)
    if match is None or _checksum(match[1]) != match[4]:
        return None
    return ParsedKey(match[2], hashlib.sha256(match[3].encode()).digest())


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def _find(session: Session, tenant_id: str, slug: str) -> tables.Application | None:
    query = select(tables.Application).where(tables.Application.tenant_id == tenant_id, tables.Application.slug == slug)
    return session.scalars(query).first()


def _get(session: Session, application_id: str) -> tables.Application:
    row = session.scalars(select(tables.Application).where(tables.Application.id == application_id)).first()
    if row is None:
        raise NotFound("application_unknown", "There is no such application.")
    return row


def _keep_webhook_secret(session: Session, row: tables.Application) -> None:
    """A secret while there is a webhook URL; it stays the same when the URL changes."""
    if row.webhook_url is None:
        row.webhook_secret = None
    elif row.webhook_secret is None:
        secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        row.webhook_secret = box_of(session).seal(secret.encode(), _secret_place(row))


def _secret_place(row: tables.Application) -> Place:
    return Place("applications", "webhook_secret", row.tenant_id, row.id)


def _set_targets(session: Session, row: tables.Application, prefixes: Iterable[str]) -> None:
    table = tables.ApplicationTarget
    session.execute(delete(table).where(table.tenant_id == row.tenant_id, table.application_id == row.id))
    for prefix in sorted({checks.url(target) for target in prefixes}):
        session.add(table(tenant_id=row.tenant_id, application_id=row.id, prefix=prefix))
    session.flush()


def _releases(items: Iterable[str]) -> list[str]:
    return sorted({checks.one_of(item, RELEASES) for item in items})


def _url_or_none(value: str | None) -> str | None:
    return checks.url(value) if value else None


def _column(name: str, read: Callable[[str], Any]) -> SetField:
    return lambda _, row, value: setattr(row, name, read(value))


#: What `app set SLUG NAME=VALUE` knows, and what each does with its value.
FIELDS: Mapping[str, SetField] = {
    "name": _column("name", checks.line),
    "launch-url": _column("launch_url", checks.url),
    "picker-url": _column("picker_url", _url_or_none),
    "webhook-url": _column("webhook_url", _url_or_none),
    "allow-target": lambda session, row, value: _set_targets(session, row, checks.items(value)),
    "release": _column("release", lambda value: _releases(checks.items(value))),
}


def _live_keys(session: Session, application_id: str, owner: str) -> int:
    query = select(tables.ApiKey).where(
        tables.ApiKey.application_id == application_id,
        tables.ApiKey.tenant_id == owner,
        tables.ApiKey.revoked_at.is_(None),
    )
    now = time.time()
    return sum(row.expires_at is None or row.expires_at > now for row in session.scalars(query))


def _record(session: Session, row: tables.Application) -> Application:
    targets = select(tables.ApplicationTarget.prefix).where(
        tables.ApplicationTarget.tenant_id == row.tenant_id, tables.ApplicationTarget.application_id == row.id
    )
    return application_from(row.values(), session.scalars(targets.order_by(tables.ApplicationTarget.prefix)).all())
