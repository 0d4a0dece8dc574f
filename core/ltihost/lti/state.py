"""What the host gives a browser to carry through a login: a signed state, and tickets of the same make.

Nothing is stored at login, so nothing can be flooded. A state names the flow it belongs to and holds hashes only:
of the nonce, of the secret that this browser keeps (in a cookie of its own per flow, or in platform storage) and of
the target. It is at most 512 characters and good for ten minutes; single use is enforced when the launch is stored.
Security Framework 5.1.1.2.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass

from ltihost.errors import Refused

STATE_SECONDS = 600
MAX_STATE = 512
_TAG = 32
_HEAD = struct.Struct("!BQ8s32s32s16s16s")


@dataclass(frozen=True, slots=True)
class State:
    """A login on its way. `flow` (8 characters) names the browser's cookie; hashes are SHA-256, two of them cut to 16.

    `deployment_hash` is empty when the login named no deployment. `shared` says that the login came in at the URLs
    without a registration, `framed` that it came from a frame, `window` that it was repeated in a window of its own.
    """

    registration_id: str
    issued_at: int
    flow: str
    nonce_hash: bytes
    browser_hash: bytes
    target_hash: bytes
    deployment_hash: bytes
    storage_target: str
    shared: bool
    framed: bool
    window: bool


def digest(value: str) -> bytes:
    """SHA-256 of the UTF-8 text."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()


def short_digest(value: str | None) -> bytes:
    """The first 16 bytes of `digest`; nothing for nothing."""
    return digest(value)[:16] if value else b""


def new_secret() -> str:
    """256 random bits as text: nonces, browser secrets, one-time codes."""
    return secrets.token_urlsafe(32)


class Sealer:
    """Signs and opens what passes through a browser. The first key signs, every key opens.

    `keys` are derived for this purpose alone, so nothing signed elsewhere opens here.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def seal(self, kind: str, body: bytes) -> str:
        """`kind` (a type tag such as "ls1") is signed with the body, so that one kind never opens as another."""
        return f"{kind}.{_encode(body)}.{_encode(self._sign(self._keys[0], kind, body))}"

    def open(self, kind: str, text: str) -> bytes | None:
        """The body, or None when `text` is not of this kind, was altered, or was signed with no key of ours."""
        parts = text.split(".")
        if len(parts) != 3 or parts[0] != kind:
            return None
        body, tag = _decode(parts[1]), _decode(parts[2])
        if body is None or tag is None:
            return None
        good = [hmac.compare_digest(self._sign(key, kind, body), tag) for key in self._keys]
        return body if any(good) else None

    @staticmethod
    def _sign(key: bytes, kind: str, body: bytes) -> bytes:
        return hmac.digest(key, kind.encode() + b"\0" + body, "sha256")


def seal_state(sealer: Sealer, state: State) -> str:
    """The state as the platform returns it. Raises ValueError if it would not fit 512 characters."""
    flags = state.shared | state.framed << 1 | state.window << 2 | bool(state.deployment_hash) << 3
    head = _HEAD.pack(
        flags, state.issued_at, state.flow.encode(), state.nonce_hash, state.browser_hash, state.target_hash,
        state.deployment_hash,
    )  # fmt: skip
    text = sealer.seal("ls1", head + f"{state.registration_id}\0{state.storage_target}".encode())
    if len(text) > MAX_STATE:
        raise ValueError("state does not fit")
    return text


def open_state(sealer: Sealer, text: str, now: float) -> State:
    """Raises Refused: `state_missing`, `state_invalid` or `state_expired`."""
    if not text:
        raise Refused("state_missing", "state", expected="the state of the login", received="none")
    body = sealer.open("ls1", text) if len(text) <= MAX_STATE else None
    if body is None:
        raise Refused("state_invalid", "state", expected="a state signed by this host", received="an unknown one")
    flags, issued_at, flow, nonce, browser, target, deployment = _HEAD.unpack_from(body)
    registration_id, _, storage_target = body[_HEAD.size :].decode().partition("\0")
    age = now - issued_at
    if not -60 <= age <= STATE_SECONDS:
        raise Refused("state_expired", "state", expected=f"at most {STATE_SECONDS} s old", received=f"{age:.0f} s old")
    return State(
        registration_id, issued_at, flow.decode(), nonce, browser, target, deployment if flags & 8 else b"",
        storage_target, bool(flags & 1), bool(flags & 2), bool(flags & 4),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ticket:
    """Ties the platform-storage step to the launch post before it: the same id_token and state, received then."""

    attempt_id: str
    code: str
    received_at: float
    form_hash: bytes


_TICKET = struct.Struct("!d32s")


def seal_ticket(sealer: Sealer, ticket: Ticket) -> str:
    return sealer.seal(
        "lt1", _TICKET.pack(ticket.received_at, ticket.form_hash) + f"{ticket.attempt_id}\0{ticket.code}".encode()
    )


def open_ticket(sealer: Sealer, text: str, *, form_hash: bytes, now: float) -> Ticket | None:
    """None unless the ticket is ours, at most a minute old and belongs to this very form."""
    body = sealer.open("lt1", text)
    if body is None:
        return None
    received_at, held = _TICKET.unpack_from(body)
    attempt_id, _, code = body[_TICKET.size :].decode().partition("\0")
    fresh = -60 <= now - received_at <= 60  # another process's clock may be a little ahead
    return Ticket(attempt_id, code, received_at, held) if fresh and hmac.compare_digest(held, form_hash) else None


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, Base64Error):
        return None
    return raw if _encode(raw) == text else None
