"""Row-level security: PostgreSQL itself keeps tenants apart, whatever SQL the serving role sends. S-39, S-41."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from ltihost.errors import ConfigurationError
from ltihost.settings import Settings
from ltihost.store import directory, tables
from ltihost.store.database import Database
from ltihost.store.hot_postgres import PostgresHotPath
from ltihost.store.migrations import access
from tests.conftest import Postgres, make_settings
from tests.core.store.any_row import OWNED
from tests.core.store.support import DEPLOYMENT, World, fill, make_world

pytestmark = pytest.mark.postgres


@pytest.fixture
async def pair(postgres_settings: Settings) -> AsyncIterator[tuple[World, World]]:
    """Two tenants with a row in every table."""
    database = Database(postgres_settings)
    await database.open()
    north, south = await make_world(database), await make_world(database, "south")
    for world in (north, south):
        await fill(world)
    yield north, south
    await database.close()


@pytest.fixture
async def raw(postgres_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the role that serves."""
    connection = await asyncpg.connect(postgres_settings.database)
    yield connection
    await connection.close()


async def rows(connection: asyncpg.Connection, statement: str, table: str, tenant_id: str = "") -> int:
    """How many rows a statement reaches; none where the role may not even ask."""
    try:
        async with connection.transaction():
            return len(await connection.fetch(statement.replace("TABLE", table).replace("TENANT", tenant_id)))
    except asyncpg.InsufficientPrivilegeError:
        return 0


async def test_another_tenant_s_rows_are_out_of_reach(pair: tuple[World, World], raw: asyncpg.Connection) -> None:
    north, south = pair
    for name in [model.__tablename__ for model in OWNED]:
        async with raw.transaction():
            await raw.execute("SELECT set_config('app.tenant', $1, true)", north.tenant.id)
            for statement in (
                "SELECT * FROM TABLE WHERE tenant_id = 'TENANT'",
                "UPDATE TABLE SET tenant_id = tenant_id WHERE tenant_id = 'TENANT' RETURNING 1",
                "DELETE FROM TABLE WHERE tenant_id = 'TENANT' RETURNING 1",
            ):
                assert await rows(raw, statement, name, south.tenant.id) == 0, name


async def test_nothing_is_added_for_another_tenant(pair: tuple[World, World], raw: asyncpg.Connection) -> None:
    north, south = pair
    copy = "INSERT INTO TABLE SELECT (jsonb_populate_record(x, jsonb_build_object('tenant_id', 'TENANT'))).* FROM TABLE x LIMIT 1"
    for name in [model.__tablename__ for model in OWNED]:
        async with raw.transaction():
            await raw.execute("SELECT set_config('app.tenant', $1, true)", north.tenant.id)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with raw.transaction():
                    await raw.execute(copy.replace("TABLE", name).replace("TENANT", south.tenant.id))


async def test_without_a_tenant_there_is_nothing(pair: tuple[World, World], raw: asyncpg.Connection) -> None:
    for name in sorted(tables.Base.metadata.tables):
        assert await rows(raw, "SELECT * FROM TABLE", name) == 0, name
        assert await rows(raw, "DELETE FROM TABLE RETURNING 1", name) == 0, name


async def test_every_table_is_under_forced_row_level_security(postgres_settings: Settings) -> None:
    owner = await asyncpg.connect(postgres_settings.owner_database)
    bare = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
        "AND NOT (relrowsecurity AND relforcerowsecurity)"
    )
    assert [row[0] for row in bare] == ["alembic_version"]
    await owner.close()


async def test_nobody_may_do_more_to_a_table_than_is_written_down(raw: asyncpg.Connection) -> None:
    """Neither the serving role nor the router nor everybody, to no table and to no column."""
    granted = await raw.fetch(
        """
        WITH tables AS (SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'),
        grants AS (
          SELECT relname, relowner, NULL AS attname, relacl AS acl FROM tables
          UNION ALL
          SELECT relname, relowner, attname, attacl FROM pg_attribute JOIN tables ON tables.oid = attrelid)
        SELECT relname, attname, CASE grantee WHEN 0 THEN 'everybody' ELSE grantee::regrole::text END, privilege_type
          FROM grants, aclexplode(acl) WHERE grantee <> relowner
        """
    )
    wanted = set(_rights("alembic_version", "ltihost_app", "SELECT"))
    for table in tables.Base.metadata.tables:
        wanted |= set(_rights(table, "ltihost_app", access._APP.get(table, access._ALL)))
        wanted |= set(_rights(table, "ltihost_owner_router", access._ROUTER.get(table)))
    assert {tuple(row) for row in granted} == wanted


def _rights(table: str, role: str, text: str | None) -> Iterator[tuple[str, str | None, str, str]]:
    """`SELECT (a, b), DELETE` one by one; a right without columns is to the whole table."""
    for right, columns in re.findall(r"(\w+)(?: \(([^)]*)\))?", text or ""):
        yield from ((table, column or None, role, right) for column in columns.split(", "))


async def test_only_the_serving_role_may_call_the_functions(raw: asyncpg.Connection) -> None:
    callers = await raw.fetch(
        "SELECT proname, grantee::regrole::text FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) "
        "WHERE pronamespace = 'public'::regnamespace AND grantee <> proowner AND prorettype <> 'trigger'::regtype"
    )
    assert {tuple(row) for row in callers} == {(path.stem, "ltihost_app") for path in access.SQL.glob("*.sql")}


async def test_the_tenant_does_not_outlive_its_transaction(pair: tuple[World, World]) -> None:
    """With a pool of one connection."""
    north, _ = pair
    hot = north.db.hot
    assert isinstance(hot, PostgresHotPath)
    await hot.close()
    await hot.open(pool_size=1)
    work = north.work()
    for step in (
        hot.accept_launch(work),
        hot.deployment(north.registration.id, DEPLOYMENT),
        hot.record_attempts([north.refused()]),
        hot.redeem_code(work.code_hash, application_id=None, tenant_id=None, now=0, session_seconds=1),
        hot.note_deployment(north.registration.id, "new", guid=None, url=None, name=None),
        hot.adopt_deployment(north.registration.id, "new", guid="g"),
    ):
        await step
        assert not await hot._pool.fetchval("SELECT current_setting('app.tenant', true)")
        assert await hot._pool.fetchval("SELECT count(*) FROM users") == 0


async def test_the_router_s_functions_give_away_no_more_than_they_must(raw: asyncpg.Connection) -> None:
    """What runs with more rights than the caller has is a short list, and safe from a planted search path."""
    found = await raw.fetch(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef ORDER BY 1"
    )
    assert [row["proname"] for row in found] == [
        "active_tenants_v1", "api_key_v1", "claim_jobs_v1", "drop_unbound_attempt_v1", "invited_v1",
        "keys_in_motion_v1", "number_events_v1", "owner_of_v1", "platforms_due_v1", "prune_attempts_v1",
        "prune_history_v1", "prune_v1", "results_due_v1", "route_v1", "routes_v1", "spend_code_v1",
        "spend_nonce_v1", "tenant_of_v1", "tenants_to_seal_v1",
    ]  # fmt: skip
    assert {tuple(row["proconfig"]) for row in found} == {("search_path=pg_catalog, public, pg_temp",)}


# Roles


async def test_the_serving_role_passes(postgres_settings: Settings) -> None:
    database = Database(postgres_settings)
    await database.open()
    await database.check_role()
    await database.close()


@pytest.mark.parametrize("user", ["postgres", "ltihost_owner", "passes_by", "heir"])
async def test_a_role_that_sees_too_much_is_refused(postgres: Postgres, postgres_settings: Settings, user: str) -> None:
    """The superuser, the owner, one that row-level security does not bind, and one that may become the owner."""
    name = str(postgres_settings.database).partition("@/")[2].partition("?")[0]
    admin = await asyncpg.connect(postgres.url("postgres", name))
    for statement in (
        "DROP ROLE IF EXISTS passes_by, heir",
        "CREATE ROLE passes_by LOGIN BYPASSRLS IN ROLE ltihost_app",
        "CREATE ROLE heir LOGIN NOINHERIT IN ROLE ltihost_app, ltihost_owner",
        "GRANT SELECT ON alembic_version, tenants TO heir",
    ):
        await admin.execute(statement)
    database = Database(make_settings(postgres.url(user, name), postgres.url("ltihost_owner", name)))
    await database.open()
    with pytest.raises(ConfigurationError) as caught:
        await database.check_role()
    assert caught.value.code == "role_too_powerful"
    await database.close()
    await admin.execute("DROP OWNED BY passes_by, heir; DROP ROLE passes_by, heir")
    await admin.close()


async def test_operators_commands_need_the_owner(postgres: Postgres, postgres_settings: Settings) -> None:
    settings = make_settings(postgres_settings.database)
    database = Database(settings)
    await database.open()
    with pytest.raises(ConfigurationError) as caught:
        await database.run_host(directory.users)
    assert caught.value.code == "owner_url_missing"
    await database.close()
