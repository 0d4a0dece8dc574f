"""How a command reaches the store: one transaction across tenants, as the operator."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import getpass
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Concatenate, ParamSpec, TypeVar

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.records import HOST, Tenant
from ltihost.settings import Settings, load_settings, unknown_variables
from ltihost.store import keys, migrations, tenants
from ltihost.store.database import Database
from ltihost.store.sqlite import database_path

if TYPE_CHECKING:
    from ltihost.host import Host

P = ParamSpec("P")
T = TypeVar("T")

_TENANT = typer.Option("--tenant", metavar="SLUG", help="The tenant by its slug; a tenant is one organisation.")
TenantOption = Annotated[str | None, _TENANT]
TenantNeeded = Annotated[str, _TENANT]


def operate(work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work(session, …)` in one transaction across tenants. Raises what it raises, and ConfigurationError."""
    return with_database(lambda _, database: database.run_host(work, *args, **kwargs))


def with_database(work: Callable[[Settings, Database], Awaitable[T]], *, any_secret_key: bool = False) -> T:
    """Run `work` with the settings and the open database; see `opened`."""

    async def once() -> T:
        settings = load_settings()
        async with opened(settings, any_secret_key=any_secret_key) as database:
            return await work(settings, database)

    return asyncio.run(once())


def with_host(work: Callable[[Host], Awaitable[T]]) -> T:
    """Run `work` with a host of its own, open: for what needs plugins and the network."""

    async def once() -> T:
        from ltihost.host import Host  # most commands need no plugin and no HTTP client, and start sooner without

        settings = load_settings()
        await _prepare_sqlite(settings)
        host = Host.build(settings)
        await host.open()
        try:
            await host.database.check_secrets()
            return await work(host)
        finally:
            await host.close()

    return asyncio.run(once())


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, any_secret_key: bool = False) -> AsyncIterator[Database]:
    """The database, ready and open. An empty SQLite database gets its tables first.

    Raises ConfigurationError for a secret key that does not open what is stored: what a command sealed with it could not
    be opened by any other process. `any_secret_key` leaves that out, for what must work when the former key is lost.
    """
    await _prepare_sqlite(settings)
    database = Database(settings)
    await database.open()
    try:
        if not any_secret_key:
            await database.check_secrets()
        yield database
    finally:
        await database.close()


async def make_ready(settings: Settings) -> None:
    """What has to hold before the host listens: the schema is current, the role can see one tenant only, the secret key
    opens what is stored."""
    for name, meant in unknown_variables(os.environ):
        output.hint(f"{name} is no setting of ltihost and counts for nothing{meant}")
    if (path := settings.secret_key_file) is not None and path.stat().st_mode & stat.S_IROTH:
        output.hint(f"every user of this machine can read the secret key in {path}; better: chmod 600")
    async with opened(settings) as database:
        await database.check_role()


def keep_what_is_loaded() -> None:
    """For processes that last: what is in memory now stays. Each full collection would look through it, a tenth of a
    second in which nobody is answered."""
    gc.collect()
    gc.freeze()


def actor() -> str:
    """Who is named in the audit trail."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run as a number without a name
        return "cli"


def tenant_id_of(session: Session, slug: str | None) -> str | None:
    """The id of the tenant of this slug; None for none. Raises NotFound."""
    return tenants.by_slug(session, slug).id if slug else None


def slugs(session: Session) -> dict[str, str | None]:
    """The slug of every tenant by its id; the host has none."""
    return {HOST: None, **{tenant.id: tenant.slug for tenant in tenants.listed(session)}}


def tenant_json(tenant: Tenant | None) -> dict[str, object] | None:
    """The JSON form of a tenant; None stays None."""
    if tenant is None:
        return None
    return {"id": tenant.id, "slug": tenant.slug, "name": tenant.name, "active": tenant.active}


async def migrate(settings: Settings) -> str:
    """Bring the database to this release's schema, with a key set for the shared URLs; answer the revision."""
    revision = await migrations.migrate(settings)
    database = Database(settings)
    await database.open()
    try:
        await database.run_host(keys.create, HOST, HOST)
    finally:
        await database.close()
    return revision


async def _prepare_sqlite(settings: Settings) -> None:
    """A file that is not there, or empty, is what a first start looks like. Any other schema is left to `migrate`."""
    path = database_path(settings.database)
    if path is not None and (not path.exists() or path.stat().st_size == 0):
        revision = await migrate(settings)
        output.hint(f"made a new database in {path}, schema {revision}")
