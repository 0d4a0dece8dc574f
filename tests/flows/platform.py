"""A platform made of nothing but keys and claims, for tests that need every byte of a token in their own hands."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
V2 = "http://purl.imsglobal.org/vocab/lis/v2/"
ISSUER = "https://lms.example"
CLIENT = "client-1"
DEPLOYMENT = "deployment-1"

Change = Callable[[dict[str, Any]], None]


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


class Key:
    """An RSA key with a name."""

    def __init__(self, kid: str, bits: int = 2048) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(65537, bits)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        numbers = self.private.public_key().public_numbers()

        def integer(value: int) -> str:
            return b64(value.to_bytes((value.bit_length() + 7) // 8))

        jwk = {
            "kty": "RSA",
            "n": integer(numbers.n),
            "e": integer(numbers.e),
            "kid": self.kid,
            "alg": "RS256",
            "use": "sig",
        }
        return {name: value for name, value in (jwk | changes).items() if value is not None}

    def sign(self, header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes) -> str:
        parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
        signed = ".".join(map(b64, parts))
        return f"{signed}.{b64(self.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def header(self, **changes: Any) -> dict[str, Any]:
        header = {"alg": "RS256", "typ": "JWT", "kid": self.kid}
        return {name: value for name, value in (header | changes).items() if value is not None}


def claims(now: float, nonce: str, target: str) -> dict[str, Any]:
    """The base payload of the certification suite: an instructor opens a link in a context."""
    return {
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "39890",
        "iat": int(now),
        "exp": int(now) + 300,
        "nonce": nonce,
        "name": "Ada Byron",
        "given_name": "Ada",
        "family_name": "Byron",
        "middle_name": "King",
        "email": "ada@example.edu",
        "locale": "en-US",
        LTI + "message_type": "LtiResourceLinkRequest",
        LTI + "version": "1.3.0",
        LTI + "deployment_id": DEPLOYMENT,
        LTI + "target_link_uri": target,
        LTI + "roles": [f"{V2}membership#Instructor"],
        LTI + "context": {
            "id": "ctx-1", "label": "BIO-101", "title": "Biology 101", "type": [f"{V2}course#CourseSection"],
        },
        LTI + "resource_link": {"id": "link-1", "title": "Lab 1", "description": "Do the lab"},
        "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice": {
            "context_memberships_url": "https://lms.example/members?memberships=1", "service_versions": ["2.0"],
        },
        "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": {
            "scope": [f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}" for name in ("lineitem", "result.readonly", "score")],
            "lineitems": "https://lms.example/lineitems",
        },
    }  # fmt: skip


def put(**changes: Any) -> Change:
    """Set claims; names of the LTI namespace are written without it, as `lti_version`. None removes."""

    def change(payload: dict[str, Any]) -> None:
        for name, value in changes.items():
            key = LTI + name.removeprefix("lti_") if name.startswith("lti_") else name
            if value is None:
                payload.pop(key, None)
            else:
                payload[key] = value

    return change


def null(name: str) -> Change:
    """Set one LTI claim to JSON null."""

    def change(payload: dict[str, Any]) -> None:
        payload[LTI + name] = None

    return change
