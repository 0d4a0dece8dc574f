"""The host's own key pairs and what it signs with them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ltihost.lti.key_set import read_key_set
from ltihost.lti.signing import KeyPair, generate_key_pair, load_private_key, sign_jwt
from tests.core.support_tokens import b64


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return generate_key_pair()


def test_a_pair_is_rsa_2048_and_its_public_half_shows_nothing_private(pair: KeyPair) -> None:
    assert set(pair.public_jwk) == {"kty", "n", "e", "kid", "alg", "use"}
    assert (pair.public_jwk["kty"], pair.public_jwk["alg"], pair.public_jwk["use"]) == ("RSA", "RS256", "sig")
    assert (len(_bytes(pair.public_jwk["n"])), _bytes(pair.public_jwk["e"])) == (256, b"\x01\x00\x01")
    assert "=" not in pair.public_jwk["n"]
    assert b"BEGIN PRIVATE KEY" in pair.private_pem
    assert "PRIVATE" not in repr(pair)


def test_the_kid_is_the_thumbprint_of_the_key(pair: KeyPair) -> None:
    # RFC 7638 3: the required members in lexical order, without white space.
    text = json.dumps({name: pair.public_jwk[name] for name in ("e", "kty", "n")}, separators=(",", ":"))
    assert pair.kid == pair.public_jwk["kid"] == b64(sha256(text.encode()).digest())


def test_no_two_pairs_are_alike(pair: KeyPair) -> None:
    other = generate_key_pair()
    assert other.kid != pair.kid
    assert other.private_pem != pair.private_pem


def test_a_platform_can_verify_what_was_signed(pair: KeyPair) -> None:
    claims = {"iss": "client-1", "aud": ["https://lms.example"], "name": "Zoë"}
    header, content, signature = sign_jwt(claims, load_private_key(pair.private_pem), pair.kid).split(".")
    assert json.loads(_bytes(header)) == {"typ": "JWT", "alg": "RS256", "kid": pair.kid}
    assert json.loads(_bytes(content)) == claims
    key_set = read_key_set(json.dumps({"keys": [pair.public_jwk]}).encode(), "test")
    public = key_set.keys[pair.kid].key.public_key
    assert isinstance(public, RSAPublicKey)
    public.verify(_bytes(signature), f"{header}.{content}".encode(), padding.PKCS1v15(), hashes.SHA256())


def test_a_loaded_key_is_the_one_that_was_made(pair: KeyPair) -> None:
    loaded, checked = load_private_key(pair.private_pem).private_key, load_pem_private_key(pair.private_pem, None)
    assert isinstance(loaded, RSAPrivateKey)
    assert isinstance(checked, RSAPrivateKey)
    assert loaded.private_numbers() == checked.private_numbers()


def test_a_key_of_another_kind_is_not_loaded() -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="not an RSA key"):
        load_private_key(pem)


@pytest.mark.parametrize("pem", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_not_loaded(pem: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_private_key(pem)


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
