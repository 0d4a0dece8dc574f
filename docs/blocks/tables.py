"""The tables of the database."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase

from docs.blocks.markdown import code, table
from ltihost.store.tables import Base, Owned, Routed, Shared

_KINDS = (
    (Routed, "looked up before the tenant is known"),
    (Owned, "one tenant's"),
    (Shared, "one tenant's; those of the host are readable for all"),
)


def reference() -> str:
    rows = (
        (code(mapped.__tablename__), _kind(mapped), ", ".join(map(code, _columns(mapped)))) for mapped in each_table()
    )
    return table(("table", "rows are", "columns"), rows)


def each_table() -> list[type[DeclarativeBase]]:
    return [mapper.class_ for mapper in Base.registry.mappers]


def _columns(mapped: type[DeclarativeBase]) -> list[str]:
    return [column.name for column in mapped.__table__.columns]


def _kind(mapped: type[DeclarativeBase]) -> str:
    return next((words for base, words in _KINDS if issubclass(mapped, base)), "a routing table")
