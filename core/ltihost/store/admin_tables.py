"""The people who look after the host or after one organisation."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from ltihost.store.base import Base, Routed


class Admin(Routed, Base):
    """An account. `tenant_id` is HOST for an owner, who may do everything everywhere.

    `email_key` is the address in the form in which two spellings of it are equal. The hash of the invitation stands
    here, not the invitation; it goes when the invitation is spent or another one is made.
    """

    __tablename__ = "admins"
    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    email_key: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    password_set_at: Mapped[float | None]
    invitation_hash: Mapped[bytes | None] = mapped_column(unique=True)
    invitation_expires_at: Mapped[float | None]
    created_at: Mapped[float]
