"""Who may do what in PostgreSQL: roles, grants, row-level security and the functions of the hot path.

Three roles (names come from the URLs): the owner makes and changes tables, and sees every row; the application's role
serves, and sees the rows of the tenant that its transaction named, else none; the router, with no login, owns the few
functions that answer before a tenant is known. These statements are the wanted state, whatever was before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Table

from ltihost.store.tables import Base, Shared

SQL = Path(__file__).parent / "sql"

_ALL = "SELECT, INSERT, UPDATE, DELETE"
#: What the application's role may do to a table, if not everything.
_APP = {
    "tenants": "SELECT",
    "nonces": None,
    "one_time_codes": "INSERT",
    "audit": "SELECT, INSERT, UPDATE (seq, previous_hash, hash)",
    "grade_events": "SELECT, INSERT",
    "admins": "SELECT, UPDATE (password_hash, password_set_at, invitation_hash, invitation_expires_at)",
}
#: What the router may do, column by column.
_ROUTER = {
    "tenants": "SELECT (id, slug, name, active)",
    "registrations": "SELECT",
    "deployments": "SELECT (tenant_id, registration_id, deployment_id, application_id)",
    "api_keys": "SELECT",
    "nonces": "SELECT, INSERT, UPDATE (expires_at), DELETE",
    "one_time_codes": "SELECT (tenant_id, code_hash, launch_id, application_id, expires_at), UPDATE (expires_at), DELETE",
    "sessions": "SELECT (tenant_id, id, launch_id, application_id, expires_at), UPDATE (expires_at), DELETE",
    "launches": "SELECT (tenant_id, id, outcome, at), DELETE",
    "attempt_counters": "SELECT (tenant_id, registration_id, kind, minute), DELETE",
    "audit": "SELECT (tenant_id, seq)",
    "admins": "SELECT (tenant_id, invitation_hash, invitation_expires_at)",
    "key_pairs": "SELECT (tenant_id, owner, state)",
    "events": "SELECT (tenant_id, id, application_id, at, seq), UPDATE (seq), DELETE",
    "notices": "SELECT (tenant_id, registration_id, notice_id, received_at), DELETE",
    "platform_health": "SELECT (tenant_id, registration_id, kind, open_until)",
    "delivery_tries": "SELECT (tenant_id, id, started_at), DELETE",
    "idempotency_keys": "SELECT (tenant_id, api_key_id, key, created_at), DELETE",
    "grade_slots": "SELECT (tenant_id, id, registration_id, line_item_id, state, due_at)",
    "jobs": "SELECT (tenant_id, id, kind, registration_id, partition_key, state, due_at, lease_no, lease_until, created_at),"
    " UPDATE (state, lease_owner, lease_no, lease_until)",
    "contexts": "SELECT (tenant_id, id, registration_id, deployment_id)",
    "resource_links": "SELECT (tenant_id, id, registration_id, deployment_id)",
    "line_items": "SELECT (tenant_id, id, application_id, registration_id, state, results_due_at)",
    "content_items": "SELECT (tenant_id, id, application_id)",
    "roster_runs": "SELECT (tenant_id, id, context_id)",
}
#: The rows that the router reaches, if not all.
_ROUTER_ROWS = {"launches": "outcome <> 'accepted'"}
_BOUND = "NULLIF(current_setting('app.tenant', true), '')"


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the roles."""

    owner: str
    app: str

    @property
    def router(self) -> str:
        return f"{self.owner}_router"

    def creation(self, password: str | None) -> dict[str, str]:
        """The SQL that makes each role, by its name. Run by somebody who may make roles."""
        secret = f" PASSWORD {literal(password)}" if password else ""
        return {
            self.app: f"CREATE ROLE {name(self.app)} LOGIN{secret}",
            self.router: f"CREATE ROLE {name(self.router)} NOLOGIN",
        }

    @property
    def membership(self) -> str:
        """The SQL that lets the owner hand functions to the router."""
        return f"GRANT {name(self.router)} TO {name(self.owner)}"


def name(identifier: str) -> str:
    """An identifier, quoted."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text, quoted."""
    return (
        "'" + text.replace("'", "''") + "'"
        if "\\" not in text
        else "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    )


def access_statements(roles: Roles) -> Iterator[str]:
    """Everything but the roles themselves, in order; run by the owner after the tables are there."""
    # Up to PostgreSQL 14 everybody may make functions there, and so stand in the way of the router's.
    yield "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    yield f"GRANT USAGE ON SCHEMA public TO {name(roles.app)}, {name(roles.router)}"
    yield f"GRANT SELECT ON alembic_version TO {name(roles.app)}"
    for table in Base.metadata.sorted_tables:
        yield from _table_statements(table, roles)
    # To take over a function, its new owner must be allowed to make one.
    yield f"GRANT CREATE ON SCHEMA public TO {name(roles.router)}"
    for path in _function_files():
        yield from _function_statements(path, roles)
    yield f"REVOKE CREATE ON SCHEMA public FROM {name(roles.router)}"


def _table_statements(table: Table, roles: Roles) -> Iterator[str]:
    yield f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table.name} FORCE ROW LEVEL SECURITY"
    for policy, rule in _policies(table, roles).items():
        yield f"DROP POLICY IF EXISTS {policy} ON {table.name}"
        yield f"CREATE POLICY {policy} ON {table.name} {rule}"
    yield f"REVOKE ALL ON {table.name} FROM PUBLIC, {name(roles.app)}, {name(roles.router)}"
    for role, rights in ((roles.app, _APP.get(table.name, _ALL)), (roles.router, _ROUTER.get(table.name))):
        if rights is not None:
            yield f"GRANT {rights} ON {table.name} TO {name(role)}"


def _policies(table: Table, roles: Roles) -> dict[str, str]:
    """The policies of a table by name. Whoever has no policy and no grant sees nothing."""
    rules = {"owner_sees_all": f"TO {name(roles.owner)} USING (true)"}
    if table.name in _ROUTER:
        rules["router"] = f"TO {name(roles.router)} USING ({_ROUTER_ROWS.get(table.name, 'true')})"
    tenant = "id" if table.name == "tenants" else "tenant_id"
    if tenant not in table.columns:
        return rules
    own = f"{tenant} = {_BOUND}"
    if table.name not in _shared():
        return rules | {"own_tenant": f"USING ({own}) WITH CHECK ({own})"}
    return rules | {
        "own_tenant_or_host": f"FOR SELECT USING ({_BOUND} IS NOT NULL AND {tenant} IN ({_BOUND}, 'host'))",
        "own_tenant_insert": f"FOR INSERT WITH CHECK ({own})",
        "own_tenant_update": f"FOR UPDATE USING ({own}) WITH CHECK ({own})",
        "own_tenant_delete": f"FOR DELETE USING ({own})",
    }


def _shared() -> set[str]:
    return {mapper.local_table.name for mapper in Base.registry.mappers if issubclass(mapper.class_, Shared)}  # type: ignore[attr-defined]


def _function_files() -> list[Path]:
    """SQL functions are read by PostgreSQL when they are made, so what they call has to come first."""
    files = sorted(SQL.glob("*.sql"))
    return sorted(files, key=lambda path: "SECURITY DEFINER" not in path.read_text())


def _function_statements(path: Path, roles: Roles) -> Iterator[str]:
    body = path.read_text()
    yield body
    if "SECURITY DEFINER" in body:
        yield f"ALTER FUNCTION {path.stem} OWNER TO {name(roles.router)}"
    yield f"REVOKE ALL ON FUNCTION {path.stem} FROM PUBLIC"
    yield f"GRANT EXECUTE ON FUNCTION {path.stem} TO {name(roles.app)}"
