"""Somebody writes into the database by hand: sealed values in rows that are not theirs."""

from __future__ import annotations

from sqlalchemy.orm import Session

from ltihost.store import keys, tables


def copy_secrets(session: Session, source: str, target: str) -> None:
    """The sealed settings that one tenant's plugin `lti` has, in another tenant's row."""
    rows = [session.get(tables.TenantPlugin, (tenant_id, "lti")) for tenant_id in (source, target)]
    assert rows[0] is not None
    assert rows[1] is not None
    rows[1].secrets = rows[0].secrets


def copy_key(session: Session, source: str, target: str) -> bytes:
    """One owner's private key in another's row; answers what stood there."""
    (given,), (taken,) = keys.listed(session, source), keys.listed(session, target)
    former, taken.private_pem = taken.private_pem, given.private_pem
    assert former is not None
    return former


def put_key(session: Session, target: str, sealed: bytes) -> None:
    """Mend it."""
    (row,) = keys.listed(session, target)
    row.private_pem = sealed
