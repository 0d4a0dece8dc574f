"""Secrets at rest: AES-256-GCM under a key ring, tied to the place where they are stored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ltihost.errors import ConfigurationError, DecryptionError

_FORMAT = b"\x01"
_FINGERPRINT_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = len(_FORMAT) + _FINGERPRINT_BYTES + _NONCE_BYTES


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value stands. It is authenticated with the value: moved elsewhere, it does not open."""

    table: str
    column: str
    tenant_id: str
    row_id: str

    @property
    def binding(self) -> bytes:
        parts = (self.table, self.column, self.tenant_id, self.row_id)
        return b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)


class SecretBox:
    """Seals and opens secrets. The first key of the ring seals, all of them open.

    A sealed value is one format byte, the sealing key's fingerprint (8 bytes), the nonce (12) and the ciphertext.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ConfigurationError("secret_key_missing", "LTIHOST_SECRET_KEY is required.")
        self._secrets = tuple(key.encode() for key in keys)
        fingerprints = [_derive(secret, "key fingerprint")[:_FINGERPRINT_BYTES] for secret in self._secrets]
        self._ring = {
            mark: AESGCM(_derive(secret, "secrets at rest"))
            for mark, secret in zip(fingerprints, self._secrets, strict=True)
        }
        self._first = fingerprints[0]

    def seal(self, plain: bytes, place: Place) -> bytes:
        """Encrypt `plain` for `place`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + self._first + nonce + self._ring[self._first].encrypt(nonce, plain, place.binding)

    def open(self, sealed: bytes, place: Place) -> bytes:
        """Decrypt what was sealed for `place`. Raises DecryptionError when it was altered, moved or its key is gone."""
        mark = sealed[len(_FORMAT) : len(_FORMAT) + _FINGERPRINT_BYTES]
        cipher = self._ring.get(mark)
        if sealed[: len(_FORMAT)] != _FORMAT or cipher is None:
            raise _unreadable(place, "secret_key_unknown", f"No key of the ring opens the secret in {place.table}.")
        nonce = sealed[_HEADER_BYTES - _NONCE_BYTES : _HEADER_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEADER_BYTES:], place.binding)
        except (InvalidTag, ValueError):  # ValueError: it was cut short
            text = f"The secret in {place.table} was altered or belongs to another row."
            raise _unreadable(place, "secret_altered", text) from None

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, from the first key of the ring: the one that signs."""
        return _derive(self._secrets[0], purpose)

    def derive_all(self, purpose: str) -> tuple[bytes, ...]:
        """The keys for one purpose from the whole ring, newest first: what was signed with any of them counts."""
        return tuple(_derive(secret, purpose) for secret in self._secrets)


def _unreadable(place: Place, code: str, message: str) -> DecryptionError:
    return DecryptionError(code, message, tenant_id=place.tenant_id, where=f"{place.table}/{place.row_id}")


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"ltihost " + purpose.encode()).derive(secret)
