"""Migrating PostgreSQL: roles, tables and access in one transaction, one process at a time."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError

from ltihost.errors import ConfigurationError
from ltihost.settings import Settings
from ltihost.store.failures import driver_errors
from ltihost.store.migrations import schema_sql, upgrade
from ltihost.store.migrations.access import Roles, access_statements, literal
from ltihost.store.postgres import make_engine

_LOCK = 0x6C7469_686F7374  # "ltihost"
_LOCK_TIMEOUT = "5s"


async def migrate_postgres(settings: Settings) -> str:
    """See `migrations.migrate`."""
    roles = roles_of(settings)
    engine = make_engine(settings.owner_database, pool_size=1)
    try:
        with driver_errors():
            async with engine.begin() as connection:
                return await connection.run_sync(_migrate, roles, make_url(settings.database).password)
    except DBAPIError as error:
        raise _told(error) from error
    finally:
        await engine.dispose()


def postgres_sql(settings: Settings) -> str:
    """See `migrations.migration_sql`."""
    roles = roles_of(settings)
    statements = [*roles.creation(None).values(), roles.membership]
    access = list(access_statements(roles))
    seal = _seal_statement(_fingerprint(access))
    return ";\n".join([*statements, schema_sql("postgresql"), *access, seal]) + ";\n"


def roles_of(settings: Settings) -> Roles:
    """The roles that the two URLs name. Raises ConfigurationError."""
    owner, app = (make_url(url).username for url in (settings.owner_database, settings.database))
    if not owner or not app:
        raise ConfigurationError("role_missing", "LTIHOST_DATABASE_URL and LTIHOST_MIGRATE_URL must name their users.")
    if owner == app:
        raise ConfigurationError(
            "role_is_owner",
            "LTIHOST_DATABASE_URL must name another user than LTIHOST_MIGRATE_URL: the tables' owner sees every tenant.",
        )
    return Roles(owner, app)


def _migrate(connection: Connection, roles: Roles, password: str | None) -> str:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    # From here on, waiting would hold up the launches that queue behind us.
    connection.execute(text(f"SET LOCAL lock_timeout = {literal(_LOCK_TIMEOUT)}"))
    _make_roles(connection, roles, password)
    revision = upgrade(connection)
    _set_access(connection, roles)
    return revision


def _make_roles(connection: Connection, roles: Roles, password: str | None) -> None:
    missing = {role: sql for role, sql in roles.creation(password).items() if not _role_exists(connection, role)}
    member = connection.scalar(text(_MEMBER), {"router": roles.router, "owner": roles.owner})
    wanted = [*missing.values(), *([] if member else [roles.membership])]
    if wanted and not connection.scalar(text(_MAY_MAKE_ROLES)):
        lacking = [sql for role, sql in roles.creation(None).items() if role in missing]
        raise ConfigurationError(
            "roles_missing",
            "The owner may not make roles. Let somebody who may run this, then migrate again:\n"
            + "".join(f"{sql};\n" for sql in [*lacking, roles.membership]),
        )
    for sql in wanted:
        connection.exec_driver_sql(sql)


_MEMBER = """
SELECT EXISTS (SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles o ON o.oid = m.member
                WHERE r.rolname = :router AND o.rolname = :owner)
    OR EXISTS (SELECT 1 FROM pg_roles WHERE rolname = :owner AND rolsuper)
"""
_MAY_MAKE_ROLES = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"


def _role_exists(connection: Connection, role: str) -> bool:
    query = text("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = :role)")
    return bool(connection.scalar(query, {"role": role}))


def _set_access(connection: Connection, roles: Roles) -> None:
    """Nothing when it is so already: each policy would lock its table for a moment."""
    statements = list(access_statements(roles))
    seal = _fingerprint(statements)
    if connection.scalar(text("SELECT obj_description('alembic_version'::regclass)")) == seal:
        return
    for statement in statements:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(_seal_statement(seal))


def _fingerprint(statements: list[str]) -> str:
    return "access " + hashlib.sha256("\n".join(statements).encode()).hexdigest()


def _seal_statement(seal: str) -> str:
    return f"COMMENT ON TABLE alembic_version IS {literal(seal)}"


def _told(error: DBAPIError) -> ConfigurationError:
    """What PostgreSQL refused, for the operator; it never holds a password."""
    return ConfigurationError("migration_refused", f"PostgreSQL refused the migration: {error.orig}")
