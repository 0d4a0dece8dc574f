"""Migrations: again and at once, from a newer release, with and without the right to make roles."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.orm import Session

from ltihost.errors import ConfigurationError
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import migrations, tables
from ltihost.store.database import Database
from ltihost.store.sqlite import connect, database_path
from tests.conftest import Postgres, make_settings
from tests.core.store.support import make_world


@pytest.fixture
def empty(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A database of the same kind as `settings`, with nothing in it."""
    if settings.database.startswith("sqlite"):
        yield make_settings(f"sqlite:///{tmp_path}/empty.db")
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"empty_{uuid.uuid4().hex}"
    server.run(f"CREATE DATABASE {name} OWNER ltihost_owner")
    yield server.settings(name)
    server.run(f"DROP DATABASE {name} (FORCE)")


async def test_migrating_twice_changes_nothing(settings: Settings) -> None:
    database = Database(settings)
    await database.open()
    world = await make_world(database)
    before = await world.counts()
    assert await migrations.migrate(settings) == migrations.newest_revision()
    assert await world.counts() == before
    assert (await database.hot.accept_launch(world.work())).refusal is None
    await database.close()


async def test_several_processes_migrate_at_once(empty: Settings) -> None:
    """R-27: one works, the others wait and find it done."""
    assert set(await asyncio.gather(*(migrations.migrate(empty) for _ in range(3)))) == {migrations.newest_revision()}
    database = Database(empty)
    await database.open()
    assert await database.run_host(lambda session: session.get_one(tables.Tenant, HOST).slug) == HOST
    await database.close()


def test_files_and_revisions_agree() -> None:
    """The order of the files is Alembic's: a process that serves knows the revisions by them alone."""
    chain = [script.revision for script in ScriptDirectory.from_config(migrations._config()).walk_revisions()]
    assert tuple(reversed(chain)) == migrations.REVISIONS


def test_what_serves_does_not_load_what_migrates() -> None:
    loaded = "import sys, ltihost.cli, ltihost.app; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0


async def test_an_unmigrated_database_is_not_opened(empty: Settings) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await Database(empty).open()
    assert caught.value.code == "schema_missing"


async def test_a_newer_schema_is_left_alone(settings: Settings) -> None:
    database = Database(settings)
    await database.open()
    await database.run_host(_claim_newer)
    await database.close()
    for attempt in (Database(settings).open(), migrations.migrate(settings)):
        with pytest.raises(ConfigurationError) as caught:
            await attempt
        assert caught.value.code == "schema_newer"


def _claim_newer(session: Session) -> None:
    session.execute(text("UPDATE alembic_version SET version_num = '9999'"))


def test_the_sql_can_be_had_as_text(settings: Settings) -> None:
    sql = migrations.migration_sql(settings)
    assert "CREATE TABLE launches" in sql
    assert "PASSWORD" not in sql


async def test_a_database_whose_rows_do_not_fit_is_not_called_migrated(sqlite_settings: Settings) -> None:
    path = database_path(sqlite_settings.database)
    assert path is not None
    connection = connect(path, foreign_keys=False)
    connection.execute(
        "INSERT INTO role_rules (tenant_id, id, lti_role, created_at) VALUES ('ten_gone', 'r', 'Learner', 0)"
    )
    connection.close()
    with pytest.raises(ConfigurationError) as caught:
        await migrations.migrate(sqlite_settings)
    assert caught.value.code == "schema_broken"


# PostgreSQL


@pytest.mark.postgres
async def test_what_postgresql_refuses_is_told(postgres: Postgres) -> None:
    """A database where the owner may make nothing."""
    admin = await asyncpg.connect(postgres.url("postgres", "postgres"))
    await admin.execute("CREATE DATABASE foreign_owned")
    with pytest.raises(ConfigurationError) as caught:
        await migrations.migrate(postgres.settings("foreign_owned"))
    assert caught.value.code == "migration_refused"
    assert "permission denied for schema public" in caught.value.message
    await admin.execute("DROP DATABASE foreign_owned (FORCE)")
    await admin.close()


@pytest.mark.postgres
async def test_the_text_makes_the_same_database(postgres: Postgres) -> None:
    """Run by hand on an empty database, it leaves nothing for `migrate` to do."""
    name = "by_hand"
    admin = await asyncpg.connect(postgres.url("postgres", "postgres"))
    await admin.execute(f"CREATE DATABASE {name} OWNER ltihost_owner")
    settings = postgres.settings(name)
    sql = migrations.migration_sql(settings)
    owner = await asyncpg.connect(settings.owner_database)
    for role in await admin.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE 'ltihost%'"):
        sql = sql.replace(f'CREATE ROLE "{role[0]}" LOGIN;\n', "").replace(f'CREATE ROLE "{role[0]}" NOLOGIN;\n', "")
    await owner.execute(sql)
    before = await owner.fetchval("SELECT obj_description('alembic_version'::regclass)")
    await migrations.migrate(settings)
    assert await owner.fetchval("SELECT obj_description('alembic_version'::regclass)") == before
    await owner.close()
    database = Database(settings)
    await database.open()
    await database.check_role()
    world = await make_world(database)
    assert (await database.hot.accept_launch(world.work())).refusal is None
    await database.close()
    await admin.execute(f"DROP DATABASE {name} (FORCE)")
    await admin.close()


@pytest.mark.postgres
async def test_missing_roles_are_made_or_asked_for(postgres: Postgres) -> None:
    """An owner who may not make roles gets the SQL for somebody who may, without the password in it."""
    admin = await asyncpg.connect(postgres.url("postgres", "postgres"))
    await admin.execute("CREATE ROLE plain_owner LOGIN")
    await admin.execute("CREATE DATABASE plain OWNER plain_owner")
    host = postgres.socket
    settings = make_settings(
        f"postgresql://plain_app:s3cret-word@/plain?host={host}", f"postgresql://plain_owner@/plain?host={host}"
    )
    with pytest.raises(ConfigurationError) as caught:
        await migrations.migrate(settings)
    assert caught.value.code == "roles_missing"
    assert "s3cret-word" not in str(caught.value)
    await admin.execute(caught.value.message.partition("\n")[2])
    await migrations.migrate(settings)
    database = Database(settings)
    await database.open()
    await database.check_role()
    await database.close()
    await admin.execute("DROP DATABASE plain (FORCE)")
    await admin.execute("DROP ROLE plain_app, plain_owner_router, plain_owner")
    await admin.close()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("app", "owner", "code"),
    [("same", "same", "role_is_owner"), ("", "owner", "role_missing")],
)
async def test_two_roles_are_needed(app: str, owner: str, code: str) -> None:
    settings = make_settings(f"postgresql://{app}@/x?host=/nowhere", f"postgresql://{owner}@/x?host=/nowhere")
    with pytest.raises(ConfigurationError) as caught:
        await migrations.migrate(settings)
    assert caught.value.code == code


@pytest.mark.postgres
async def test_the_password_of_the_url_is_the_role_s(postgres: Postgres) -> None:
    admin = await asyncpg.connect(postgres.url("postgres", "postgres"))
    await admin.execute("CREATE DATABASE secret OWNER ltihost_owner")
    host = postgres.socket
    password = "it's 100%25 \\odd"
    settings = make_settings(
        f"postgresql://odd_app:{password}@/secret?host={host}", postgres.url("ltihost_owner", "secret")
    )
    await migrations.migrate(settings)
    stored = await admin.fetchval("SELECT rolpassword LIKE 'SCRAM-SHA-256%' FROM pg_authid WHERE rolname = 'odd_app'")
    assert stored is True
    await admin.execute("DROP DATABASE secret (FORCE)")
    await admin.execute("DROP ROLE odd_app")
    await admin.close()


@pytest.mark.postgres
async def test_tables_that_change_all_the_time_are_tidied_soon(postgres_settings: Settings) -> None:
    """R-31: with room on each page, so that a change stays there, and without waiting for a fifth of a million rows."""
    owner = await asyncpg.connect(postgres_settings.owner_database)
    rows = await owner.fetch("SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL AND relkind = 'r'")
    found = {row["relname"]: set(row["reloptions"]) for row in rows}
    assert {name for name, options in found.items() if "fillfactor=80" in options} == {
        "grade_slots", "jobs", "platform_health", "delivery_tries",
    }  # fmt: skip
    for name in ("grade_slots", "jobs", "platform_health"):
        assert {"autovacuum_vacuum_scale_factor=0.01", "autovacuum_vacuum_threshold=500"} <= found[name]
    await owner.close()
