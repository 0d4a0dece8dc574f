"""Databases for tests: every test that takes `settings` or `db` runs on each kind of database."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ltihost.settings import Settings, load_settings
from ltihost.store.database import Database
from ltihost.store.migrations import migrate

SECRET_KEY = "a test key that is long enough to be taken as one"


def _settings(database_url: str, migrate_url: str | None = None) -> Settings:
    return load_settings(
        base_url="http://localhost:8700",
        database_url=database_url,
        migrate_url=migrate_url,
        secret_key=SECRET_KEY,
        allow_networks="127.0.0.0/8",
    )


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "ltihost.db"
    asyncio.run(migrate(_settings(f"sqlite:///{path}")))
    return path


def _sqlite_settings(template: Path, folder: Path) -> Settings:
    path = folder / "ltihost.db"
    shutil.copyfile(template, path)
    return _settings(f"sqlite:///{path}")


@pytest.fixture
def settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """Settings with a migrated, empty database."""
    return _sqlite_settings(sqlite_template, tmp_path)


@pytest.fixture(scope="module")
def module_settings(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same for the tests of a whole module, on SQLite only."""
    return _sqlite_settings(sqlite_template, tmp_path_factory.mktemp("module"))


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    """An open database."""
    database = Database(settings)
    await database.open()
    yield database
    await database.close()
