"""A session that knows one tenant: whatever a function forgets to say, it reads and writes that tenant's rows only.

PostgreSQL enforces the same by row-level security; here it holds on SQLite too, and turns a forgotten filter into an
answer without foreign rows and a wrong insert into an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Column, Select, Table, TextClause, event, inspect, text
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, with_loader_criteria
from sqlalchemy.sql.visitors import ExternallyTraversible, iterate

from ltihost.errors import LtihostError
from ltihost.records import HOST
from ltihost.store.crypto import SecretBox
from ltihost.store.tables import Base, Owned, Shared, Tenant

_TENANT = "tenant"
_BOX = "box"
_ALL = object()


class UnboundError(LtihostError):
    """A mistake in the host's own code: the store was asked to work outside the one tenant it was bound to."""

    def __init__(self, message: str) -> None:
        super().__init__("tenant_unbound", message)


class TenantSession(Session):
    """An ORM session bound by `bind_tenant` to one tenant, or by `bind_all` to every tenant (operator's commands)."""


def bind_tenant(session: Session, tenant_id: str, box: SecretBox) -> None:
    """Confine the session to one tenant, and let it open that tenant's secrets."""
    if not tenant_id:
        raise UnboundError("A tenant id is needed to use the store.")
    session.info.update({_TENANT: tenant_id, _BOX: box})


def bind_all(session: Session, box: SecretBox) -> None:
    """Let the session work across tenants. Only the operator's commands do."""
    session.info.update({_TENANT: _ALL, _BOX: box})


def tenant_of(session: Session) -> str | None:
    """The tenant the session is bound to; None when it works across tenants. Raises UnboundError when nothing was bound."""
    bound = session.info.get(_TENANT)
    if bound is None:
        raise UnboundError("The session was not bound to a tenant.")
    return None if bound is _ALL else cast("str", bound)


def box_of(session: Session) -> SecretBox:
    """The key ring that came with the session."""
    tenant_of(session)
    return cast("SecretBox", session.info[_BOX])


def lock(session: Session, name: str) -> None:
    """Wait until no other transaction holds `name`, and hold it until this one ends.

    SQLite needs nothing: there is only one writing transaction at a time.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def add_rows(session: Session, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Add many rows, given by all of their columns, for a fraction of what objects cost. They are not in the session.

    Raises UnboundError for another tenant's row.
    """
    tenant_id = tenant_of(session)
    if tenant_id is not None and any(row["tenant_id"] != tenant_id for row in rows):
        raise UnboundError(f"A row of {table.__name__} belongs to another tenant than the session.")
    session.bulk_insert_mappings(inspect(table), rows, render_nulls=True)


@event.listens_for(TenantSession, "do_orm_execute")
def _confine(state: ORMExecuteState) -> None:
    tenant_id = tenant_of(state.session)
    if tenant_id is None:
        return
    if not _can_be_confined(state):
        raise UnboundError(
            "A tenant's session takes plain ORM selects, updates and deletes; rows are added with add()."
        )
    state.statement = state.statement.options(
        with_loader_criteria(Tenant, Tenant.id == tenant_id, include_aliases=True),
        with_loader_criteria(Owned, lambda table: table.tenant_id == tenant_id, include_aliases=True),
        _shared_criteria(tenant_id, reading=state.is_select),
    )


def _can_be_confined(state: ORMExecuteState) -> bool:
    """Whether criteria reach every table: not so for SQL text, for Core tables and for rows named by key in a list."""
    if not state.is_orm_statement or state.is_insert or state.is_from_statement or state.is_executemany:
        return False
    if state.is_update and _moves_tenant(state.statement):
        return False
    return not any(_is_raw(part) for part in iterate(cast("ExternallyTraversible", state.statement)))


def _is_raw(part: ExternallyTraversible) -> bool:
    if isinstance(part, Select):
        chosen = (column for column in part._raw_columns if isinstance(column, Column | Table))
        return any("parententity" not in column._annotations for column in chosen)
    return isinstance(part, TextClause)


def _shared_criteria(tenant_id: str, *, reading: bool) -> Any:
    owners = [tenant_id, HOST] if reading else [tenant_id]
    return with_loader_criteria(Shared, lambda table: table.tenant_id.in_(owners), include_aliases=True)


def _moves_tenant(statement: Any) -> bool:
    return any(getattr(column, "key", column) == "tenant_id" for column in statement._values or ())


@event.listens_for(TenantSession, "before_flush")
def _check_rows(session: Session, _context: UOWTransaction, _instances: object) -> None:
    tenant_id = tenant_of(session)
    if tenant_id is None:
        return
    for row in (*session.new, *session.dirty, *session.deleted):
        if _owner(row) != tenant_id:
            raise UnboundError(f"A row of {type(row).__name__} belongs to another tenant than the session.")


def _owner(row: Base) -> str | None:
    return row.id if isinstance(row, Tenant) else getattr(row, "tenant_id", None)
