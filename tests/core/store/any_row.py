"""A row for every table that has none, whatever its columns: for tests that look at all tables alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Boolean, Column, Double, ForeignKeyConstraint, Integer, LargeBinary, select
from sqlalchemy.orm import Session

from ltihost.store import tables

_OF_TABLE: dict[Any, type[Any]] = {mapper.local_table: mapper.class_ for mapper in tables.Base.registry.mappers}
#: Every table, those that others point at first.
MODELS: list[type[Any]] = [_OF_TABLE[table] for table in tables.Base.metadata.sorted_tables]
#: The tables whose rows belong to a tenant.
OWNED = [model for model in MODELS if hasattr(model, "tenant_id")]


def fill_rest(session: Session, tenant_id: str) -> None:
    """Give the tenant a row of each table that has none of it."""
    for model in OWNED:
        if not list(session.scalars(select(model).where(model.tenant_id == tenant_id).limit(1))):
            session.add(model(**_values(session, model, tenant_id)))
            session.flush()


def row_of(session: Session, model: type[Any], tenant_id: str) -> Any:
    """A row of this tenant; there must be one."""
    return session.scalars(select(model).where(model.tenant_id == tenant_id).limit(1)).one()


def pointing(session: Session, key: ForeignKeyConstraint, tenant_id: str) -> dict[str, Any]:
    """The values that make a foreign key point at a row of this tenant."""
    row = row_of(session, _OF_TABLE[key.referred_table], tenant_id)
    return {element.parent.name: getattr(row, element.column.name) for element in key.elements}


def _values(session: Session, model: type[Any], tenant_id: str) -> dict[str, Any]:
    values = {column.name: _value(column, tenant_id) for column in model.__table__.columns if not column.nullable}
    for key in model.__table__.foreign_key_constraints:
        if key.referred_table.name != "tenants":
            values |= pointing(session, key, tenant_id)
    return values | {"tenant_id": tenant_id}


def _value(column: Column[Any], tenant_id: str) -> Any:
    """Something of the column's type. Texts and bytes are of this tenant alone; texts are digits, as scores are."""
    kinds = {Boolean: True, Integer: 1, Double: 1.0, LargeBinary: tenant_id.encode(), JSON: {}}
    found = (value for kind, value in kinds.items() if isinstance(column.type, kind))
    return next(found, str(int(tenant_id.encode().hex(), 16)))
