"""The host's own key pairs, and what it signs with them: client assertions and deep linking responses.

Security Framework 5.2 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc.jwk import RSAKey
from joserfc.jws import serialize_compact

ALGORITHM = "RS256"
_BITS = 2048
_EXPONENT = 65_537

SigningKey = RSAKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new pair. `public_jwk` is what a key set shows; `private_pem` (PKCS #8, not encrypted) is for the store to seal.

    `kid` is the thumbprint of the key (RFC 7638), so no two keys ever share one.
    """

    kid: str
    public_jwk: dict[str, str]
    private_pem: bytes = field(repr=False)


def generate_key_pair() -> KeyPair:
    """An RSA 2048 pair. Takes tens of milliseconds without the GIL: call it in a thread."""
    private = generate_private_key(_EXPONENT, _BITS)
    public = RSAKey.import_key(private.public_key())
    kid = public.thumbprint()
    jwk = {"kty": "RSA", "n": str(public["n"]), "e": str(public["e"]), "kid": kid, "alg": ALGORITHM, "use": "sig"}
    return KeyPair(kid, jwk, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def load_private_key(pem: bytes) -> SigningKey:
    """The key object for `sign_jwt`; load it once and keep it. Raises ValueError for anything but an RSA key.

    The numbers are not proved again: that takes 36 ms with the GIL held, so every request would wait, and these keys
    were made here and kept sealed with authentication. Never load a key from anywhere else with it.
    """
    private = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(private, RSAPrivateKey):
        raise ValueError("not an RSA key")
    return RSAKey.import_key(private)


def sign_jwt(claims: Mapping[str, Any], key: SigningKey, kid: str) -> str:
    """A compact JWT signed with RS256; `claims` must be plain JSON values."""
    header = {"typ": "JWT", "alg": ALGORITHM, "kid": kid}
    return serialize_compact(header, orjson.dumps(claims), key, [ALGORITHM])
