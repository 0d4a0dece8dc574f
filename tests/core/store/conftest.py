"""The world of the store's tests: made once for each kind of database, and copied for each test that asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltihost.settings import Settings
from ltihost.store.database import Database
from ltihost.store.sqlite import database_path
from tests.conftest import Postgres, copy_sqlite
from tests.core.store.support import Seed, World, make_world


@pytest.fixture(scope="session")
def sqlite_seed(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Seed]:
    """A database file with a world in it, and what is in it."""
    folder = tmp_path_factory.mktemp("seed")
    return folder / "ltihost.db", asyncio.run(_sow(copy_sqlite(sqlite_template, folder)))


@pytest.fixture(scope="session")
def postgres_seed(postgres: Postgres, postgres_template: str) -> tuple[str, Seed]:
    """The name of a database with a world in it, and what is in it."""
    postgres.run(f"CREATE DATABASE seed TEMPLATE {postgres_template} OWNER ltihost_owner")
    postgres.run("DROP SCHEMA saved CASCADE", database="seed")
    seed = asyncio.run(_sow(postgres.settings("seed")))
    postgres.remember("seed")
    return "seed", seed


async def _sow(settings: Settings) -> Seed:
    database = Database(settings)
    await database.open()
    world = await make_world(database)
    await database.close()
    return world.tenant, world.application, world.registration


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings with a migrated database of either kind: with a world in it for tests that take `world`, else empty."""
    if "world" not in request.fixturenames:
        yield request.getfixturevalue(f"{request.param}_settings")
        return
    template, _ = request.getfixturevalue(f"{request.param}_seed")
    if request.param == "sqlite":
        yield copy_sqlite(template, tmp_path)
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield server.settings(template)
    server.restore(template)


@pytest.fixture
def path(sqlite_settings: Settings) -> Path:
    """The SQLite file."""
    found = database_path(sqlite_settings.database)
    assert found is not None
    return found


@pytest.fixture
def world(request: pytest.FixtureRequest, db: Database, settings: Settings) -> World:
    """The world, in an open database."""
    kind = "sqlite" if settings.database.startswith("sqlite") else "postgres"
    _, seed = request.getfixturevalue(f"{kind}_seed")
    return World(db, *seed)
