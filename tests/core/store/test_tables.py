"""The schema: every tenant table names its tenant in every key, and the migrations make just these tables."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, ForeignKeyConstraint, Table, UniqueConstraint

from ltihost.settings import Settings
from ltihost.store import tables
from ltihost.store.base import Routed
from ltihost.store.postgres import make_engine as make_postgres_engine
from ltihost.store.sqlite import database_path, make_engine
from tests.core.store.any_row import OWNED

#: Looked up before a tenant is known, so their keys cannot begin with it.
ROUTING = {"tenants", "registrations", "deployments", "key_pairs", "api_keys", "one_time_codes", "nonces", "admins"}
TABLES = tables.Base.metadata.sorted_tables
TENANT_TABLES = [table for table in TABLES if table.name not in ROUTING]
#: The columns that say whose a row is, or whose application it uses.
OWNERS = {"tenant_id", "application_owner"}


def named(table: Table) -> str:
    return table.name


@pytest.mark.parametrize("table", [table for table in TABLES if table.name not in ("tenants", "nonces")], ids=named)
def test_every_row_has_an_owner(table: Table) -> None:
    assert not table.columns["tenant_id"].nullable


@pytest.mark.parametrize("table", TENANT_TABLES, ids=named)
def test_the_tenant_leads_every_key(table: Table) -> None:
    keys = [list(table.primary_key.columns)]
    keys += [list(item.columns) for item in table.constraints if isinstance(item, UniqueConstraint)]
    keys += [list(index.columns) for index in table.indexes if index.unique]
    assert {columns[0].name for columns in keys} == {"tenant_id"}


def test_only_tables_that_say_so_are_looked_up_before_a_tenant_is_known() -> None:
    routed = {model.__tablename__ for model in OWNED if Routed in model.__mro__}
    assert routed == ROUTING - {"tenants", "registrations", "nonces"}


@pytest.mark.parametrize("table", TABLES, ids=named)
def test_no_row_can_point_at_another_tenant_s(table: Table) -> None:
    for key in table.constraints:
        if isinstance(key, ForeignKeyConstraint) and key.referred_table.name not in ROUTING:
            first = key.elements[0]
            assert first.parent.name in OWNERS, key
            assert first.column.name == "tenant_id", key


@pytest.mark.parametrize("table", [table for table in TABLES if "application_owner" in table.columns], ids=named)
def test_an_application_is_the_tenant_s_own_or_the_host_s(table: Table) -> None:
    checks = [str(item.sqltext) for item in table.constraints if hasattr(item, "sqltext")]
    assert "application_owner IN (tenant_id, 'host')" in checks


async def test_the_migrations_make_these_tables(settings: Settings) -> None:
    path = database_path(settings.database)
    if path is not None:
        engine = make_engine(path)
        with engine.begin() as connection:
            differences = _differences(connection)
        engine.dispose()
    else:
        async_engine = make_postgres_engine(settings.owner_database)
        async with async_engine.begin() as async_connection:
            differences = await async_connection.run_sync(_differences)
        await async_engine.dispose()
    assert differences == []


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), tables.Base.metadata))
