"""Tenants and their plugin switches."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, NotFound
from ltihost.records import HOST, Tenant
from ltihost.store import audit, checks, tables
from ltihost.store.guard import box_of
from ltihost.store.hot_rows import plugin_place, tenant_from
from ltihost.store.ids import new_id


@dataclass(frozen=True, slots=True)
class PluginSwitch:
    """A plugin as a tenant set it. Secret settings are only named."""

    key: str
    enabled: bool
    settings: Mapping[str, Any]
    secret_names: tuple[str, ...]


def create(session: Session, slug: str, name: str, *, actor: str) -> Tenant:
    """Make a tenant, with the plugin `lti` on. Raises Invalid, or Conflict when the slug is taken."""
    if _find(session, checks.slug(slug)) is not None:
        raise Conflict("tenant_exists", f"There is a tenant {slug} already.")
    row = tables.Tenant(id=new_id("ten"), slug=slug, name=checks.line(name), active=True, created_at=time.time())
    session.add(row)
    session.flush()
    audit.append(session, row.id, actor=actor, action="tenant.created", object_id=row.id, details={"slug": slug})
    enable_plugin(session, row.id, "lti", actor=actor)  # an LMS that keeps to the specs needs no plugin of its own
    return tenant_from(row.values())


def listed(session: Session) -> list[Tenant]:
    """All tenants by slug, without the host itself."""
    query = select(tables.Tenant).where(tables.Tenant.id != HOST).order_by(tables.Tenant.slug)
    return [tenant_from(row.values()) for row in session.scalars(query)]


def by_slug(session: Session, slug: str) -> Tenant:
    """The tenant of this slug. Raises NotFound."""
    return tenant_from(_get(session, slug).values())


def suspend(session: Session, slug: str, *, actor: str) -> Tenant:
    """Let no launch of the tenant through until it is resumed. Raises NotFound."""
    return _switch(session, slug, active=False, action="tenant.suspended", actor=actor)


def resume(session: Session, slug: str, *, actor: str) -> Tenant:
    """Undo `suspend`. Raises NotFound."""
    return _switch(session, slug, active=True, action="tenant.resumed", actor=actor)


def enable_plugin(
    session: Session,
    tenant_id: str,
    key: str,
    *,
    settings: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    actor: str,
) -> PluginSwitch:
    """Switch a plugin on, last in the tenant's order if it is new there; None leaves settings as they were."""
    row = session.get(tables.TenantPlugin, (tenant_id, key))
    if row is None:
        position = _next_position(session, tenant_id)
        row = tables.TenantPlugin(tenant_id=tenant_id, key=key, position=position, settings={}, enabled=True)
        session.add(row)
    row.enabled = True
    if settings is not None:
        row.settings = dict(settings)
    if secrets is not None:
        row.secrets = box_of(session).seal(orjson.dumps(secrets), plugin_place(tenant_id, key)) if secrets else None
    session.flush()
    audit.append(session, tenant_id, actor=actor, action="plugin.enabled", object_id=key)
    return _switch_record(session, row)


def disable_plugin(session: Session, tenant_id: str, key: str, *, actor: str) -> PluginSwitch:
    """Switch a plugin off; its settings stay. Raises NotFound when the tenant never enabled it."""
    row = session.get(tables.TenantPlugin, (tenant_id, key))
    if row is None:
        raise NotFound("plugin_not_enabled", f"The tenant never enabled a plugin {key}.")
    row.enabled = False
    session.flush()
    audit.append(session, tenant_id, actor=actor, action="plugin.disabled", object_id=key)
    return _switch_record(session, row)


def plugins(session: Session, tenant_id: str) -> list[PluginSwitch]:
    """The tenant's switches in its order."""
    rows = select(tables.TenantPlugin).where(tables.TenantPlugin.tenant_id == tenant_id)
    ordered = rows.order_by(tables.TenantPlugin.position, tables.TenantPlugin.key)
    return [_switch_record(session, row) for row in session.scalars(ordered)]


def _find(session: Session, slug: str) -> tables.Tenant | None:
    return session.scalars(select(tables.Tenant).where(tables.Tenant.slug == slug)).first()


def _get(session: Session, slug: str) -> tables.Tenant:
    row = _find(session, slug)
    if row is None:
        raise NotFound("tenant_unknown", f"There is no tenant {slug}.")
    return row


def _switch(session: Session, slug: str, *, active: bool, action: str, actor: str) -> Tenant:
    row = _get(session, slug)
    if row.id == HOST:
        raise Conflict("tenant_is_host", "The host itself cannot be suspended.")
    row.active = active
    session.flush()
    audit.append(session, row.id, actor=actor, action=action, object_id=row.id)
    return tenant_from(row.values())


def _next_position(session: Session, tenant_id: str) -> int:
    highest = select(func.max(tables.TenantPlugin.position)).where(tables.TenantPlugin.tenant_id == tenant_id)
    return (session.scalar(highest) or 0) + 1


def _switch_record(session: Session, row: tables.TenantPlugin) -> PluginSwitch:
    names: tuple[str, ...] = ()
    if row.secrets is not None:
        names = tuple(orjson.loads(box_of(session).open(row.secrets, plugin_place(row.tenant_id, row.key))))
    return PluginSwitch(row.key, row.enabled, row.settings, names)


def active_ids(session: Session) -> list[str]:
    """The tenants that are not suspended, the host left out. For `run_lookup`: schedulers go through them one by one."""
    connection = session.connection()
    own = "SELECT id FROM tenants WHERE active AND id <> 'host' ORDER BY id"
    asked = "SELECT active_tenants_v1()" if connection.dialect.name == "postgresql" else own
    return [row[0] for row in connection.execute(text(asked))]
