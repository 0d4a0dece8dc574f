"""`ltihost migrate` and `ltihost check`: the database, and whether the host can start."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from ltihost.commands import operator, output
from ltihost.commands.output import AsJson
from ltihost.errors import LtihostError
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings, load_settings
from ltihost.store import migrations
from ltihost.store.database import Database

Finding = tuple[str, str, str, str | None]
_CURRENT: Finding = ("database", "ok", "schema is current", None)


def migrate(
    sql: Annotated[bool, typer.Option("--sql", help="Only print the SQL for an empty database.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database to this release's schema. Doing it again changes nothing."""
    settings = load_settings()
    if sql:
        output.verbatim(migrations.migration_sql(settings))
        return
    revision = asyncio.run(operator.migrate(settings))
    if as_json:
        output.document({"revision": revision})
        return
    output.say(f"The database has schema {revision}.")


def check(as_json: AsJson = False) -> None:
    """Whether the host can start: settings, plugins, database, schema, role."""
    findings = asyncio.run(_findings(load_settings()))
    if as_json:
        output.document([dict(zip(("step", "status", "detail", "fix"), item, strict=True)) for item in findings])
    else:
        output.findings(findings)
    if any(status == "fail" for _, status, _, _ in findings):
        raise typer.Exit(1)


async def _findings(settings: Settings) -> list[Finding]:
    return [("settings", "ok", settings.base_url, None), *_plugins(settings), *await _database(settings)]


def _plugins(settings: Settings) -> list[Finding]:
    plugins = load_plugins(settings.plugins)
    found: list[Finding] = [("plugins", "ok", ", ".join(plugins.loaded), None)]
    return found + [
        (f"plugin {item.name}", "warn", f"refused: {item.reason}", "repair it, or leave it out of LTIHOST_PLUGINS")
        for item in plugins.refused
    ]


async def _database(settings: Settings) -> list[Finding]:
    """Up to the first thing that does not hold; what follows could not be told."""
    database = Database(settings)
    try:
        await database.open()
    except LtihostError as error:
        return [("database", "fail", str(error), None)]
    try:
        await database.check_role()
    except LtihostError as error:
        return [_CURRENT, ("role", "fail", str(error), "let LTIHOST_DATABASE_URL name the application role")]
    finally:
        await database.close()
    return [_CURRENT, ("role", "ok", "sees one organisation at a time", None)]
