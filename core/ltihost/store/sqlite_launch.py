"""The launch on SQLite: transactions of the hot path, each a function of the writer's open connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from ltihost.records import Attempt
from ltihost.store.hot import AcceptLaunch, AcceptOutcome
from ltihost.store.hot_values import RowCaps, attempt_values, launch_values

#: The truth about what may be cached elsewhere, and what of this launch is known already. A context or membership that
#: is as it was gets its `last_seen_at` once a minute: a class that comes in writes the row of its course once.
_GATE = """
SELECT (SELECT active FROM tenants WHERE id = :tenant),
       (SELECT state FROM registrations WHERE id = :registration AND tenant_id IN (:tenant, 'host')),
       (SELECT application_owner FROM deployments
         WHERE registration_id = :registration AND deployment_id = :deployment AND tenant_id = :tenant
           AND application_id = :application AND state = 'approved'),
       (SELECT enabled FROM tenant_plugins WHERE tenant_id = :tenant AND key = :plugin),
       u.suspended, c.id,
       c.last_seen_at > :at - 60 AND c.types = :context_types
         AND coalesce(:context_title, c.title) IS c.title AND coalesce(:context_label, c.label) IS c.label,
       m.last_seen_at > :at - 60 AND m.active
         AND (NOT :sync_roles OR (m.role = :role AND m.roles = :roles AND m.group_role IS :group_role))
  FROM (SELECT 1)
  LEFT JOIN users u ON u.tenant_id = :tenant AND u.registration_id = :registration AND u.user_key = :user_key
  LEFT JOIN contexts c ON c.tenant_id = :tenant AND c.registration_id = :registration
                      AND c.deployment_id = :deployment AND c.lms_id = :context_key
  LEFT JOIN memberships m ON m.tenant_id = :tenant AND m.context_id = c.id AND m.user_id = u.id
"""
_SPEND_NONCE = """
INSERT INTO nonces (registration_id, nonce_hash, expires_at) VALUES (:registration, :nonce_hash, :nonce_expires)
ON CONFLICT DO NOTHING
"""
_UPSERT_USER = """
INSERT INTO users (tenant_id, id, registration_id, user_key, subject, name, given_name, family_name, middle_name,
                   email, picture, locale, test_user, global_role, suspended, first_seen_at, last_login_at)
VALUES (:tenant, :new_user, :registration, :user_key, :subject, :name, :given_name, :family_name, :middle_name,
        :email, :picture, :locale, :test_user, :global_role, 0, :at, :at)
ON CONFLICT (tenant_id, registration_id, user_key) DO UPDATE SET
  subject = excluded.subject, name = excluded.name, given_name = excluded.given_name,
  family_name = excluded.family_name, middle_name = excluded.middle_name, email = excluded.email,
  picture = excluded.picture, locale = excluded.locale, test_user = excluded.test_user,
  global_role = CASE WHEN :sync_roles THEN excluded.global_role ELSE global_role END,
  last_login_at = excluded.last_login_at
RETURNING id
"""
_UPSERT_CONTEXT = """
INSERT INTO contexts (tenant_id, id, registration_id, deployment_id, lms_id, title, label, types,
                      first_seen_at, last_seen_at)
VALUES (:tenant, :new_context, :registration, :deployment, :context_key, :context_title, :context_label,
        :context_types, :at, :at)
ON CONFLICT (tenant_id, registration_id, deployment_id, lms_id) DO UPDATE SET
  title = coalesce(excluded.title, title), label = coalesce(excluded.label, label), types = excluded.types,
  last_seen_at = excluded.last_seen_at
RETURNING id
"""
_UPSERT_LINK = """
INSERT INTO resource_links (tenant_id, id, registration_id, deployment_id, lms_id, context_id, title, description,
                            launch_count, first_seen_at, last_launched_at)
VALUES (:tenant, :new_link, :registration, :deployment, :link_key, :context_id, :link_title, :link_description,
        1, :at, :at)
ON CONFLICT (tenant_id, registration_id, deployment_id, lms_id) DO UPDATE SET
  context_id = coalesce(excluded.context_id, context_id), title = coalesce(excluded.title, title),
  description = coalesce(excluded.description, description), launch_count = launch_count + 1,
  last_launched_at = excluded.last_launched_at
RETURNING id
"""
_UPSERT_MEMBERSHIP = """
INSERT INTO memberships (tenant_id, context_id, user_id, role, roles, group_role, active, source,
                         first_seen_at, last_seen_at)
VALUES (:tenant, :context_id, :user_id, :role, :roles, :group_role, 1, 'launch', :at, :at)
ON CONFLICT (tenant_id, context_id, user_id) DO UPDATE SET
  role = CASE WHEN :sync_roles THEN excluded.role ELSE role END,
  roles = CASE WHEN :sync_roles THEN excluded.roles ELSE roles END,
  group_role = CASE WHEN :sync_roles THEN excluded.group_role ELSE group_role END,
  active = 1, left_at = NULL, last_seen_at = excluded.last_seen_at
"""
#: An accepted launch is never replaced: a replay of its post is refused, and must not hide it.
_DROP_ATTEMPT = """
DELETE FROM launches WHERE tenant_id IN (:tenant, 'host') AND id = :id AND outcome <> 'accepted'
"""
_INSERT_LAUNCH = """
INSERT INTO launches (tenant_id, id, code, kind, outcome, at, registration_id, deployment_id, message, rung, checks,
                      warnings, remote_address, user_agent, user_id, context_id, resource_link_id, application_owner,
                      application_id, plugin, target_url, launch_json, services_json)
VALUES (:tenant, :id, :code, :kind, :outcome, :at, :registration, :deployment, :message, :rung, :checks,
        :warnings, :remote_address, :user_agent, :user_id, :context_id, :link_id, :application_owner,
        :application, :plugin, :target_url, :launch_json, :services_json)
"""
_INSERT_CODE = """
INSERT INTO one_time_codes (tenant_id, code_hash, launch_id, application_id, expires_at)
VALUES (:tenant, :code_hash, :id, :application, :code_expires)
"""
_INSERT_AUDIT = """
INSERT INTO audit (tenant_id, id, at, actor, action, object_id, details)
VALUES (:tenant, :audit, :at, 'platform', 'launch.accepted', :id, :audit_details)
"""
_COUNT_ATTEMPT = """
INSERT INTO attempt_counters (tenant_id, registration_id, kind, minute, stored, dropped)
VALUES (:tenant, CASE :kind WHEN 'login' THEN '' ELSE coalesce(:registration, '') END, :kind, :minute,
        :cap > 0, :cap <= 0)
ON CONFLICT (tenant_id, registration_id, kind, minute) DO UPDATE SET
  dropped = dropped + (stored >= :cap), stored = stored + (stored < :cap)
RETURNING dropped
"""
#: A registration or user that is not this tenant's (or does not exist) is not named: the row is still worth having.
_INSERT_ATTEMPT = """
INSERT INTO launches (tenant_id, id, code, kind, outcome, at, refusal, registration_id, deployment_id, message, rung,
                      checks, warnings, remote_address, user_agent, user_id)
VALUES (:tenant, :id, :code, :kind, :outcome, :at, :refusal,
        (SELECT id FROM registrations WHERE id = :registration AND tenant_id IN (:tenant, 'host')),
        :deployment, :message, :rung, :checks, :warnings, :remote_address, :user_agent,
        (SELECT id FROM users WHERE tenant_id = :tenant AND id = :user))
ON CONFLICT DO NOTHING
"""


class _Gate(NamedTuple):
    """The row of `_GATE`."""

    active: int | None
    registration_state: str | None
    application_owner: str | None
    enabled: int | None
    suspended: int | None
    context_id: str | None
    context_fresh: int | None
    member_fresh: int | None


def accept(db: sqlite3.Connection, work: AcceptLaunch) -> AcceptOutcome:
    """See `HotPath.accept_launch`. Nothing is written before everything was checked."""
    values = launch_values(work)
    gate = _Gate(*db.execute(_GATE, values).fetchone())
    refusal = _refusal(gate, values)
    if refusal is None and db.execute(_SPEND_NONCE, values).rowcount == 0:
        refusal = "state_used"
    if refusal is not None:
        return AcceptOutcome(refusal)
    values["application_owner"] = gate.application_owner
    values["user_id"] = _returned(db, _UPSERT_USER, values, "new_user")
    values["context_id"] = (
        gate.context_id if gate.context_fresh else _returned(db, _UPSERT_CONTEXT, values, "new_context")
    )
    values["link_id"] = _returned(db, _UPSERT_LINK, values, "new_link")
    if values["user_id"] and values["context_id"] and not gate.member_fresh:
        db.execute(_UPSERT_MEMBERSHIP, values)
    if work.was_waiting:
        db.execute(_DROP_ATTEMPT, values)
    for statement in (_INSERT_LAUNCH, _INSERT_CODE, _INSERT_AUDIT):
        db.execute(statement, values)
    return AcceptOutcome(None, values["user_id"], values["context_id"], values["link_id"])


def _refusal(gate: _Gate, values: dict[str, Any]) -> str | None:
    verdicts = (
        (not gate.active, "tenant_suspended"),
        (gate.registration_state != "active", "registration_inactive"),
        (gate.application_owner is None, "deployment_disabled"),
        (not gate.enabled, "plugin_disabled"),
        (bool(gate.suspended), "user_suspended"),
        (values["user_key"] is not None and gate.suspended is None and not values["create_users"], "user_unknown"),
        (
            values["context_key"] is not None and gate.context_id is None and not values["create_contexts"],
            "context_unknown",
        ),
    )
    return next((code for refused, code in verdicts if refused), None)


def _returned(db: sqlite3.Connection, statement: str, values: dict[str, Any], new_id: str) -> str | None:
    """Run an upsert that answers the row's id; None when the launch has no such thing."""
    if values[new_id] is None:
        return None
    row_id: str = db.execute(statement, values).fetchone()[0]
    return row_id


def spend_nonce(db: sqlite3.Connection, registration_id: str, nonce_hash: bytes, expires: float) -> bool:
    """See `HotPath.consume_nonce`."""
    values = {"registration": registration_id, "nonce_hash": nonce_hash, "nonce_expires": expires}
    return db.execute(_SPEND_NONCE, values).rowcount == 1


def record(db: sqlite3.Connection, attempts: Sequence[Attempt], caps: RowCaps) -> None:
    """See `HotPath.record_attempts`. Beyond the minute's cap an attempt is only counted."""
    for attempt in attempts:
        values = attempt_values(attempt) | {"cap": caps.of(attempt), "minute": int(attempt.at // 60)}
        replaced = db.execute(_DROP_ATTEMPT, values).rowcount
        if replaced or db.execute(_COUNT_ATTEMPT, values).fetchone()[0] == 0:
            db.execute(_INSERT_ATTEMPT, values)
