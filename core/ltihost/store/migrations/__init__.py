"""Bringing a database to this release's schema. Nothing migrates by itself: `ltihost migrate` does, and `demo`.

PostgreSQL: one transaction makes the roles that are missing, the tables, and the row-level security around them
(`access.py`); an advisory lock lets one process work while others wait.
"""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from ltihost.errors import ConfigurationError
from ltihost.settings import Settings
from ltihost.store.failures import driver_errors
from ltihost.store.sqlite import create_file, database_path, make_engine

# Alembic itself is imported where something is migrated: a process that serves only compares revisions, and would pay
# for it with 10 MiB and a fifth of a second of its start.
if TYPE_CHECKING:
    from alembic.config import Config

HERE = Path(__file__).parent
#: Every revision in order: its migration's file is named after it.
REVISIONS = tuple(sorted(path.stem.partition("_")[0] for path in (HERE / "versions").glob("[0-9]*.py")))


async def migrate(settings: Settings) -> str:
    """Bring the database to the newest schema and answer its revision. Doing it again changes nothing.

    Raises ConfigurationError when the database was made by a newer release, or when roles are missing and cannot be
    made (the message has the SQL to run); Busy when another process held the database for too long.
    """
    path = database_path(settings.database)
    if path is None:
        from ltihost.store.migrations.postgres import migrate_postgres

        return await migrate_postgres(settings)
    return await asyncio.to_thread(_migrate_sqlite, path)


def migration_sql(settings: Settings) -> str:
    """The whole SQL of an empty database's migration, for somebody who runs it by hand. Holds no password."""
    if database_path(settings.database) is not None:
        return schema_sql("sqlite")
    from ltihost.store.migrations.postgres import postgres_sql

    return postgres_sql(settings)


def _migrate_sqlite(path: Path) -> str:
    create_file(path)
    # Alembic changes a SQLite table by copying it, which foreign keys would not survive; they are checked at the end.
    engine = make_engine(path, foreign_keys=False)
    try:
        with driver_errors(), engine.begin() as connection:
            revision = upgrade(connection)
            broken = connection.execute(text("PRAGMA foreign_key_check")).first()
            if broken is not None:
                raise ConfigurationError("schema_broken", f"A row of {broken[0]} refers to a row that is not there.")
            return revision
    finally:
        engine.dispose()


def upgrade(connection: Connection) -> str:
    """Run what is missing inside the connection's transaction; answer the newest revision."""
    from alembic import command

    check_known(current_revision(connection))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return newest_revision()


def current_revision(connection: Connection) -> str | None:
    """The revision of the database's schema; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def check_known(revision: str | None) -> None:
    """Raise ConfigurationError for a schema that a newer release made."""
    if revision is not None and revision not in REVISIONS:
        raise ConfigurationError(
            "schema_newer",
            f"The database has schema {revision}, made by a newer release than this one. Upgrade ltihost.",
        )


def check_current(revision: str | None) -> None:
    """Raise ConfigurationError unless the schema is this release's."""
    check_known(revision)
    if revision != newest_revision():
        raise ConfigurationError("schema_missing", "The database lacks this release's schema. Run: ltihost migrate")


def newest_revision() -> str:
    return REVISIONS[-1]


def schema_sql(dialect: str) -> str:
    """The tables as SQL text."""
    from alembic import command

    output = io.StringIO()
    config = _config(output)
    config.attributes["dialect"] = dialect
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


def _config(output: io.StringIO | None = None) -> Config:
    from alembic.config import Config

    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    return config
