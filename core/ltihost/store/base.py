"""What the tables have in common: types, names of constraints, and whose a row is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    LargeBinary,
    MetaData,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it so)
        str: Text,
        float: Double,
        bytes: LargeBinary,
        list[str]: JSON,
        list[Any]: JSON,
        dict[str, Any]: JSON,
    }
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    def values(self) -> dict[str, Any]:
        """The row's columns by name."""
        return {column.key: getattr(self, column.key) for column in self.__mapper__.column_attrs}


class Owned:
    """A table whose rows belong to a tenant: nobody else reads or writes them."""

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True, sort_order=-1)


class Routed(Owned):
    """A tenant's table that is looked up before the tenant is known: `tenant_id` is no part of its key."""

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), sort_order=-1)


class Shared:
    """A table whose rows belong to a tenant, where everybody may read those of the host."""

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True, sort_order=-1)


def application_key(table: str) -> tuple[ForeignKeyConstraint, CheckConstraint]:
    """`application_owner`, `application_id`: an application of this row's tenant or of the host, no other tenant's."""
    return (
        ForeignKeyConstraint(
            ["application_owner", "application_id"],
            ["applications.tenant_id", "applications.id"],
            name=f"fk_{table}_application",
        ),
        CheckConstraint("application_owner IN (tenant_id, 'host')", name="application_owner"),
    )


def deployment_key(table: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["registration_id", "deployment_id"],
        ["deployments.registration_id", "deployments.deployment_id"],
        name=f"fk_{table}_deployment",
    )


def within_tenant(table: str, column: str, target: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", column], [f"{target}.tenant_id", f"{target}.id"], name=f"fk_{table}_{column}"
    )


def partly(condition: str) -> dict[str, Any]:
    """Arguments of an index that holds only the rows of this condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}
