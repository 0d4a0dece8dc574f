"""`ltihost migrate` and `ltihost check`: the database, and whether the host can start."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from ltihost.commands import operator, output
from ltihost.commands.output import AsJson
from ltihost.errors import LtihostError
from ltihost.plugins.loader import load_plugins
from ltihost.records import HOST
from ltihost.settings import Settings, load_settings, unknown_variables
from ltihost.store import keys, migrations
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
    """Whether the host can start: settings, plugins, database, schema, role, secret key, stored key pairs."""
    findings = asyncio.run(_findings(load_settings()))
    if as_json:
        output.document([dict(zip(("step", "status", "detail", "fix"), item, strict=True)) for item in findings])
    else:
        output.findings(findings)
    if any(status == "fail" for _, status, _, _ in findings):
        raise typer.Exit(1)


async def _findings(settings: Settings) -> list[Finding]:
    return [("settings", "ok", settings.base_url, None), *_unknown(), *_plugins(settings), *await _database(settings)]


def _unknown() -> list[Finding]:
    return [
        (f"setting {name}", "warn", f"there is no such setting{meant}", "correct its name, or unset it")
        for name, meant in unknown_variables(os.environ)
    ]


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
    found = [_CURRENT]
    try:
        for step, holds, look, fix in (
            ("writing", "the database takes writes", database.ping, "make room, and let this user write there"),
            ("role", "sees one tenant at a time", database.check_role, "let LTIHOST_DATABASE_URL name the application role"),
            ("secret key", "opens what is stored", database.check_secrets, "put the former key into LTIHOST_SECRET_KEY"),
        ):  # fmt: skip
            try:
                await look()
            except LtihostError as error:
                return [*found, (step, "fail", str(error), fix)]
            found.append((step, "ok", holds, None))
        return found + await _key_pairs(database)
    finally:
        await database.close()


async def _key_pairs(database: Database) -> list[Finding]:
    """Every registration has its own, and one may have been sealed with a key that is not in the ring."""
    try:
        found = await database.run_host(keys.sealed_elsewhere)
    except LtihostError as error:  # a host that only serves has no URL of the owner, and starts without
        return [("key pairs", "warn", f"not looked at: {error}", None)]
    return [_unopened(owner, kid) for owner, kid in found] or [("key pairs", "ok", "each one opens", None)]


def _unopened(owner: str, kid: str) -> Finding:
    whose = "the host" if owner == HOST else f"registration {owner}"
    return (
        "key pairs",
        "fail",
        f"key {kid} of {whose} does not open",
        f"put the secret key that it was sealed with at the end of LTIHOST_SECRET_KEY, or: ltihost key revoke {kid}",
    )
