"""From rows to records: what the hot path reads, the same on both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ltihost.records import HOST, Application, EnabledPlugin, Registration, RoleRule, Tenant
from ltihost.store.crypto import Place, SecretBox
from ltihost.store.hot import ApiKey, Deployment, LaunchedItem, Route, StoredLaunch

Row = Mapping[str, Any]


def route_from(row: Row) -> Route:
    """`row` is a row of `registrations` with `tenant_slug`, `tenant_name`, `tenant_active` beside it."""
    tenant = Tenant(row["tenant_id"], row["tenant_slug"], row["tenant_name"], bool(row["tenant_active"]))
    return Route(registration_from(row), tenant)


_REGISTRATION_LISTS = ("algorithms", "trusted_audiences", "frame_origins", "storage_origins")
_REGISTRATION_SWITCHES = (
    "allow_missing_kid", "allow_anonymous", "institution_admin",
    "nrps", "deep_linking", "create_users", "create_contexts", "sync_roles", "remove_on_unenrol",
)  # fmt: skip
_REGISTRATION_VALUES = (
    "id", "tenant_id", "name", "plugin", "state", "issuer", "client_id", "auth_url", "token_url", "jwks_url",
    "audience", "home_url", "application_id", "leeway", "max_token_bytes", "auto_deployments", "key_set",
)  # fmt: skip


def registration_from(row: Row) -> Registration:
    """The record of a row of `registrations`."""
    values = {name: row[name] for name in _REGISTRATION_VALUES}
    values |= {name: tuple(_loaded(row[name])) for name in _REGISTRATION_LISTS}
    values |= {name: bool(row[name]) for name in _REGISTRATION_SWITCHES}
    return Registration(**values)


def application_from(row: Row, targets: Sequence[str]) -> Application:
    """The record of a row of `applications` and its allowed targets."""
    return Application(
        id=row["id"],
        tenant_id=row["tenant_id"],
        slug=row["slug"],
        name=row["name"],
        launch_url=row["launch_url"],
        picker_url=row["picker_url"],
        webhook_url=row["webhook_url"],
        allowed_targets=tuple(targets),
        release=frozenset(_loaded(row["release"])),
    )


def tenant_from(row: Row) -> Tenant:
    return Tenant(row["id"], row["slug"], row["name"], bool(row["active"]))


def plugin_from(row: Row, tenant_id: str, box: SecretBox) -> EnabledPlugin:
    """A switch with its settings, the secret ones opened. Raises DecryptionError."""
    settings = dict(_loaded(row["settings"]))
    sealed = row["secrets"]
    if sealed is not None:
        settings |= orjson.loads(box.open(_bytes(sealed), plugin_place(tenant_id, row["key"])))
    return EnabledPlugin(row["key"], settings)


def plugin_place(tenant_id: str, key: str) -> Place:
    return Place("tenant_plugins", "secrets", tenant_id, key)


def deployment_from(row: Row, box: SecretBox) -> Deployment:
    """`row` is a row of `deployments`; once it is approved with `tenant`, `application`, `targets`, `plugins`, `rules`."""
    if row["state"] == "pending":
        return Deployment(
            row["registration_id"],
            row["deployment_id"],
            row["state"],
            instance_guid=row["instance_guid"],
            instance_url=row["instance_url"],
        )
    return Deployment(
        row["registration_id"],
        row["deployment_id"],
        row["state"],
        tenant=tenant_from(row["tenant"]),
        application=application_from(row["application"], row["targets"]) if row["application"] else None,
        instance_guid=row["instance_guid"],
        instance_url=row["instance_url"],
        plugins=tuple(plugin_from(plugin, row["tenant_id"], box) for plugin in row["plugins"]),
        role_rules=tuple(role_rule_from(rule) for rule in row["rules"]),
    )


def adopted(deployment: Deployment | None, guid: str) -> Deployment | None:
    """What adoption came to, by this call or a parallel one: the deployment if it is approved for this instance."""
    good = deployment is not None and deployment.state == "approved" and deployment.instance_guid == guid
    return deployment if good else None


def role_rule_from(row: Row) -> RoleRule:
    return RoleRule(row["lti_role"], row["global_role"], row["group_role"], row["registration_id"])


def stored_launch_from(row: Row, session_id: str, session_expires: float) -> StoredLaunch:
    """`row` is a row of `launches` with `tenant`, `application`, `targets`, `registration_name` and `issuer` beside it, and
    with `item_id`, `item_label` and `item_maximum` of the line item it named, if any."""
    return StoredLaunch(
        launch_id=row["id"],
        tenant=tenant_from(row["tenant"]),
        registration_id=row["registration_id"],
        registration_name=row["registration_name"],
        issuer=row["issuer"],
        plugin=row["plugin"],
        deployment_id=row["deployment_id"],
        application=application_from(row["application"], row["targets"]),
        launched_at=row["at"],
        message=row["message"],
        user_id=row["user_id"],
        context_id=row["context_id"],
        resource_link_id=row["resource_link_id"],
        launch_json=row["launch_json"],
        line_item=LaunchedItem(row["item_id"], row["item_label"], row["item_maximum"]) if row["item_id"] else None,
        session_id=session_id,
        session_expires=session_expires,
    )


def api_key_from(row: Row) -> ApiKey:
    """The record of a row of `api_keys`; the host's own `tenant_id` there means every tenant."""
    tenant_id = row["tenant_id"]
    return ApiKey(
        id=row["id"],
        application_id=row["application_id"],
        tenant_id=None if tenant_id == HOST else tenant_id,
        secret_hash=_bytes(row["secret_hash"]),
        scopes=frozenset(_loaded(row["scopes"])),
        expires_at=row["expires_at"],
        revoked=row["revoked_at"] is not None,
    )


def _loaded(value: Any) -> Any:
    """A JSON column: SQLite and asyncpg hand out its text, a row built as JSON has the value."""
    return orjson.loads(value) if isinstance(value, str) else value


def _bytes(value: bytes | str) -> bytes:
    """A binary column; PostgreSQL writes it as hexadecimal digits in a row built as JSON."""
    return bytes.fromhex(value.removeprefix("\\x")) if isinstance(value, str) else value
