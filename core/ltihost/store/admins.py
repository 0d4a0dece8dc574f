"""Administrators: accounts, and the invitation by which a person sets the password of one.

An invitation is 256 random bits. Its SHA-256 is stored; whoever has the text may set the password once.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
import unicodedata
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, Invalid, NotFound
from ltihost.store import audit
from ltihost.store.admin_tables import Admin
from ltihost.store.guard import lock
from ltihost.store.ids import new_id

INVITATION_SECONDS = 7 * 86_400.0
MAX_EMAIL = 254
_EMAIL = re.compile(r"[^\s@<>\"(),:;\\\[\]]+@[^\s@<>\"(),:;\\\[\]]+")
_INVITED = "SELECT tenant_id FROM admins WHERE invitation_hash = :hash AND invitation_expires_at > :now"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation just made. `token` is what the link holds; it is stored nowhere and shown once."""

    admin: Admin
    token: str


def create(session: Session, tenant_id: str, email: str, *, actor: str) -> Invitation:
    """Make an account of one tenant, or of HOST for an owner, and an invitation to set its password.

    Asked again for an account that has no password yet, a new invitation takes the place of the old one. Raises
    Invalid, and Conflict when the address is that of an account with a password or of somebody else's account.
    """
    key, now = email_key(email), time.time()
    lock(session, f"admin {key}")
    row = session.scalars(select(Admin).where(Admin.email_key == key)).first()
    if row is not None and (row.password_hash is not None or row.tenant_id != tenant_id):
        raise Conflict("admin_exists", "There is an administrator of this e-mail address already.")
    action = "admin.created" if row is None else "admin.invited"
    if row is None:
        row = Admin(tenant_id=tenant_id, id=new_id("adm"), email=email, email_key=key, created_at=now)
        session.add(row)
    token = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    row.invitation_hash, row.invitation_expires_at = hash_of(token), now + INVITATION_SECONDS
    session.flush()
    audit.append(session, tenant_id, actor=actor, action=action, object_id=row.id)
    return Invitation(row, token)


def listed(session: Session, tenant_id: str | None = None) -> list[Admin]:
    """The administrators of one tenant, or all, by address."""
    query = select(Admin).order_by(Admin.email_key)
    return list(session.scalars(query if tenant_id is None else query.where(Admin.tenant_id == tenant_id)))


def hash_of(token: str) -> bytes:
    """Under which an invitation is stored."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def tenant_of_invitation(session: Session, invitation_hash: bytes, now: float) -> str | None:
    """Whose administrator an invitation is for; None when it is unknown, spent or expired. For `Database.run_lookup`."""
    connection = session.connection()
    statement = "SELECT invited_v1(:hash, :now)" if connection.dialect.name == "postgresql" else _INVITED
    found: str | None = connection.scalar(text(statement), {"hash": invitation_hash, "now": now})
    return found


def invited(session: Session, invitation_hash: bytes, now: float) -> Admin:
    """The account that an invitation is for. Raises NotFound when it is unknown, spent or expired."""
    good = (Admin.invitation_hash == invitation_hash, Admin.invitation_expires_at > now)
    row = session.scalars(select(Admin).where(*good)).first()
    if row is None:
        raise NotFound("invitation_unknown", "The invitation does not exist, was used, or has expired.")
    return row


def set_password(session: Session, invitation_hash: bytes, password_hash: str, now: float) -> Admin:
    """Spend the invitation and store the hash of the password. Raises NotFound as `invited` does."""
    lock(session, f"invitation {invitation_hash.hex()}")
    row = invited(session, invitation_hash, now)
    row.password_hash, row.password_set_at = password_hash, now
    row.invitation_hash = row.invitation_expires_at = None
    session.flush()
    audit.append(session, row.tenant_id, actor=f"admin:{row.id}", action="admin.password_set", object_id=row.id)
    return row


def email_key(email: str) -> str:
    """The address in the form that is unique: two spellings that differ in case only are one. Raises Invalid."""
    if len(email) > MAX_EMAIL or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise Invalid("email_invalid", f"{email[:80]!r}: an address like ada@example.org is needed.")
    return unicodedata.normalize("NFKC", email).casefold()
