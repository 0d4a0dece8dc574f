"""The host's own key pairs. Each registration has its set; HOST has the one that the shared URLs use.

A key is `published` before it signs, `signing`, then `retiring` (still published, for what it signed), then
`removed`: its private half is erased. Two indexes allow each owner one signing and one next key, so that two workers
that rotate at once make one new key.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ltihost.errors import DecryptionError, NotFound
from ltihost.store import audit, tables
from ltihost.store.crypto import Place
from ltihost.store.guard import box_of, lock
from ltihost.store.ids import new_id

DAY = 86_400.0
_PUBLIC = ("published", "signing", "retiring")
_IN_MOTION = "SELECT DISTINCT tenant_id, owner FROM key_pairs WHERE state IN ('published', 'retiring')"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs now: its `kid`, and its private half as PKCS#8 PEM."""

    kid: str
    pem: bytes


def create(session: Session, tenant_id: str, owner: str) -> str:
    """Make the owner's first key, which signs at once, unless there is one; answer its kid.

    `owner` is a registration's id or HOST, `tenant_id` whose it is.
    """
    lock(session, f"keys of {owner}")
    return (_in_state(session, owner, "signing") or _added(session, tenant_id, owner, "signing")).id


def public_keys(session: Session, owner: str) -> list[dict[str, Any]]:
    """The owner's key set as JWKs, the signing key first: what the JWKS URL serves."""
    query = select(tables.KeyPair).where(tables.KeyPair.owner == owner, tables.KeyPair.state.in_(_PUBLIC))
    rows = sorted(session.scalars(query), key=lambda row: (row.state != "signing", row.created_at))
    return [row.public_jwk for row in rows]


def signing_key(session: Session, owner: str) -> SigningKey:
    """The key to sign with. Raises NotFound, and DecryptionError when it was altered or moved."""
    row = _in_state(session, owner, "signing")
    if row is None or row.private_pem is None:
        raise NotFound("key_missing", "There is no signing key.")
    return SigningKey(row.id, box_of(session).open(row.private_pem, _place(row)))


def sealed_elsewhere(session: Session) -> list[tuple[str, str]]:
    """(owner, kid) of the keys that sign, or will, and open with no key of the ring. For `Database.run_host`."""
    query = select(tables.KeyPair).where(tables.KeyPair.state.in_(("published", "signing")))
    ordered = query.order_by(tables.KeyPair.owner, tables.KeyPair.created_at)
    return [(row.owner, row.id) for row in session.scalars(ordered) if not _opens(session, row)]


def listed(session: Session, owner: str) -> list[tables.KeyPair]:
    """All keys of the owner, oldest first."""
    return list(
        session.scalars(select(tables.KeyPair).where(tables.KeyPair.owner == owner).order_by(tables.KeyPair.created_at))
    )


def rotate(session: Session, owner: str, *, expected: str, actor: str) -> str:
    """Publish the next key while `expected` still signs; answer the kid of the one that is next.

    Compare-and-set: when another worker was first, this makes nothing and answers what that one made.
    """
    lock(session, f"keys of {owner}")
    signing = _signing(session, owner)
    if signing.id != expected:
        return signing.id
    waiting = _in_state(session, owner, "published")
    if waiting is not None:
        return waiting.id
    row = _added(session, signing.tenant_id, owner, "published")
    audit.append(
        session, row.tenant_id, actor=actor, action="key.published", object_id=row.id, details={"owner": owner}
    )
    return row.id


def advance(session: Session, owner: str, now: float, *, publish: float = DAY, retire: float = 2 * DAY) -> None:
    """Take each key one step further when its time has come.

    `publish` are the seconds a key is published before it signs (platforms cache key sets for a day), `retire` those
    it stays published after it signed last.
    """
    lock(session, f"keys of {owner}")
    for row in _in_states(session, owner, "retiring"):
        if now - row.state_since >= retire:
            _remove(row, now)
    waiting = _in_state(session, owner, "published")
    if waiting is not None and now - waiting.state_since >= publish:
        _move(_signing(session, owner), "retiring", now)
        session.flush()
        _move(waiting, "signing", now)
    session.flush()


def in_motion(session: Session) -> list[tuple[str, str]]:
    """(tenant id, owner) of the keys that wait for their next step. For `Database.run_lookup`."""
    connection = session.connection()
    statement = "SELECT * FROM keys_in_motion_v1()" if connection.dialect.name == "postgresql" else _IN_MOTION
    return [(tenant_id, owner) for tenant_id, owner in connection.execute(text(statement))]


def revoke(session: Session, kid: str, *, actor: str) -> str:
    """Drop a key at once: it leaves the key set, its private half is erased, and if it signed another signs now.

    Answers the kid that signs now. Raises NotFound.
    """
    row = session.get(tables.KeyPair, kid)
    if row is None:
        raise NotFound("key_unknown", "There is no such key.")
    lock(session, f"keys of {row.owner}")
    now = time.time()
    _remove(row, now)
    session.flush()
    audit.append(session, row.tenant_id, actor=actor, action="key.revoked", object_id=kid, details={"owner": row.owner})
    signing = _in_state(session, row.owner, "signing") or _in_state(session, row.owner, "published")
    if signing is None:
        return _added(session, row.tenant_id, row.owner, "signing").id
    if signing.state == "published":
        _move(signing, "signing", now)
        session.flush()
    return signing.id


def _signing(session: Session, owner: str) -> tables.KeyPair:
    row = _in_state(session, owner, "signing")
    if row is None:
        raise NotFound("key_missing", "There is no signing key.")
    return row


def _in_state(session: Session, owner: str, state: str) -> tables.KeyPair | None:
    return next(iter(_in_states(session, owner, state)), None)


def _in_states(session: Session, owner: str, *states: str) -> list[tables.KeyPair]:
    query = select(tables.KeyPair).where(tables.KeyPair.owner == owner, tables.KeyPair.state.in_(states))
    return list(session.scalars(query))


def _opens(session: Session, row: tables.KeyPair) -> bool:
    try:
        box_of(session).open(row.private_pem or b"", _place(row))
    except DecryptionError:
        return False
    return True


def _move(row: tables.KeyPair, state: str, now: float) -> None:
    row.state, row.state_since = state, now


def _remove(row: tables.KeyPair, now: float) -> None:
    _move(row, "removed", now)
    row.private_pem = None


def _added(session: Session, tenant_id: str, owner: str, state: str) -> tables.KeyPair:
    now = time.time()
    row = tables.KeyPair(
        tenant_id=tenant_id, id=new_id("key"), owner=owner, state=state, state_since=now, created_at=now
    )
    private = _new_private_key()
    row.public_jwk = _jwk(private.public_key(), row.id)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    row.private_pem = box_of(session).seal(pem, _place(row))
    session.add(row)
    session.flush()
    return row


def _new_private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def _place(row: tables.KeyPair) -> Place:
    return Place("key_pairs", "private_pem", row.tenant_id, row.id)


def _jwk(key: rsa.RSAPublicKey, kid: str) -> dict[str, Any]:
    """The public half as RFC 7517 writes it."""
    numbers = key.public_numbers()
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": _number(numbers.n), "e": _number(numbers.e)}


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8)).decode().rstrip("=")
