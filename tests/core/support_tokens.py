"""A valid id_token for a registration, to which a test then does exactly one thing.

platform = Platform()
token = platform.id_token(claims(registration, nonce="n", now=now) | {"aud": "somebody else"})
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from ltihost.lti.vocabulary import (
    CONTEXT,
    DEPLOYMENT_ID,
    LTI,
    MEMBERSHIP,
    MESSAGE_TYPE,
    RESOURCE_LINK,
    ROLES,
    TARGET_LINK_URI,
    VERSION,
)
from ltihost.records import Registration

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

ISSUER = "https://lms.example"
CLIENT_ID = "client-1"

_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES: dict[str, tuple[ec.EllipticCurve, int]] = {
    "P-256": (ec.SECP256R1(), 32),
    "P-384": (ec.SECP384R1(), 48),
    "P-521": (ec.SECP521R1(), 66),
}


def a_registration(**changes: Any) -> Registration:
    """An active registration; its key set URL leads nowhere unless changed."""
    registration = Registration(
        id="r1",
        tenant_id="t1",
        name="Example LMS",
        plugin="lti",
        state="active",
        issuer=ISSUER,
        client_id=CLIENT_ID,
        auth_url=f"{ISSUER}/auth",
        token_url=f"{ISSUER}/token",
        jwks_url=f"{ISSUER}/jwks",
    )
    return replace(registration, **changes)


def claims(registration: Registration, *, nonce: str, now: float) -> dict[str, Any]:
    """The claims of a resource link launch that is good in every respect, issued this second."""
    return {
        "iss": registration.issuer,
        "aud": registration.client_id,
        "sub": "user-1",
        "iat": int(now),
        "exp": int(now) + 3600,
        "nonce": nonce,
        "name": "Ada Lovelace",
        "given_name": "Ada",
        "family_name": "Lovelace",
        "email": "ada@school.example",
        MESSAGE_TYPE: "LtiResourceLinkRequest",
        VERSION: "1.3.0",
        DEPLOYMENT_ID: "deployment-1",
        TARGET_LINK_URI: "https://app.example/start",
        ROLES: [f"{MEMBERSHIP}#Learner"],
        CONTEXT: {"id": "course-1", "title": "Mathematics", "label": "M1"},
        RESOURCE_LINK: {"id": "link-1", "title": "Exercise 1"},
        LTI + "custom": {"chapter": "3"},
    }


def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same key for the same arguments: making one takes tens of milliseconds."""
    return _rsa_key(number, bits)


@cache
def _rsa_key(number: int, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)


@cache
def ec_key(curve: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(_CURVES[curve][0])


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def uint(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8))


def public_jwk(key: PrivateKey, kid: str | None = "key-1", **members: Any) -> dict[str, Any]:
    """The key as it stands in a key set."""
    named = {} if kid is None else {"kid": kid}
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "n": uint(numbers.n), "e": uint(numbers.e), **named, **members}
    point = key.public_key().public_numbers()
    curve, size = next((name, size) for name, (kind, size) in _CURVES.items() if kind.name == key.curve.name)
    x, y = b64(point.x.to_bytes(size)), b64(point.y.to_bytes(size))
    return {"kty": "EC", "crv": curve, "x": x, "y": y, **named, **members}


def sign(signing_input: bytes, key: PrivateKey, alg: str) -> bytes:
    digest = _HASHES[alg[2:]]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(signing_input, ec.ECDSA(digest)))
        return r.to_bytes(size) + s.to_bytes(size)
    if alg.startswith("PS"):
        return key.sign(signing_input, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return key.sign(signing_input, padding.PKCS1v15(), digest)


@dataclass(frozen=True)
class Platform:
    """The signing side of an LMS: one key under one name."""

    key: PrivateKey = field(default_factory=rsa_key)
    kid: str = "key-1"
    alg: str = "RS256"

    def key_set(self) -> dict[str, Any]:
        return {"keys": [public_jwk(self.key, self.kid)]}

    def header(self) -> dict[str, Any]:
        return {"alg": self.alg, "typ": "JWT", "kid": self.kid}

    def id_token(
        self,
        content: Mapping[str, Any] | bytes,
        *,
        header: Mapping[str, Any] | bytes | None = None,
        alg: str | None = None,
    ) -> str:
        """Signed with this platform's key; `header` and `content` go in as they are, `alg` is how it is signed."""
        head = self.header() if header is None else header
        signing_input = f"{b64(_json(head))}.{b64(_json(content))}"
        return f"{signing_input}.{b64(sign(signing_input.encode(), self.key, alg or self.alg))}"


def _json(value: Mapping[str, Any] | bytes) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()
