"""The tables of the database."""

from __future__ import annotations

from sqlalchemy import Table

from docs.blocks.markdown import code, table
from ltihost.store.base import Routed
from ltihost.store.tables import Base, Owned, Shared

_KINDS = (
    (Routed, "looked up before the tenant is known"),
    (Owned, "one tenant's"),
    (Shared, "one tenant's; those of the host are readable for all"),
)


def reference() -> str:
    rows = (
        (code(table_.name), _kind(table_), ", ".join(code(column.name) for column in table_.columns))
        for table_ in each_table()
    )
    return table(("table", "rows are", "columns"), rows)


def each_table() -> list[Table]:
    """In the order in which they are defined."""
    return list(Base.metadata.tables.values())


def _kind(wanted: Table) -> str:
    mapped = next(mapper.class_ for mapper in Base.registry.mappers if mapper.local_table is wanted)
    return next((words for base, words in _KINDS if issubclass(mapped, base)), "a routing table")
