"""The id_token: a valid one passes; with exactly one defect in its form, key or signature it is refused for it."""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import ltihost
from ltihost.lti.token import VerifiedToken
from tests.core.support_login import ORDER, Login, a_login
from tests.core.support_loopback import answers, loopback
from tests.core.support_tokens import (
    Platform,
    a_registration,
    b64,
    ec_key,
    public_jwk,
    rsa_key,
    sign,
    uint,
)


@pytest.fixture
async def login() -> AsyncIterator[Login]:
    async with a_login() as waiting:
        yield waiting


async def test_a_good_token_passes_every_check(login: Login) -> None:
    token = await login.verify(login.token())
    assert token == VerifiedToken(login.claims(), "key-1", "RS256")
    status = {check.name: check.status for check in login.trace.checks()}
    assert [status[name] for name in ORDER] == ["passed"] * 7


# The form


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: "x",
        lambda token: token.rpartition(".")[0],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: "." + token.partition(".")[2],
        lambda token: "..".join(token.split(".")[::2]),
        lambda token: token + ".x.y",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token + "=",
        lambda token: token.replace(".", "=.", 1),
        lambda token: token.replace(".", ".+/", 1),
        lambda token: token.replace("e", "é", 1),
        lambda token: token + "\ud800",
        lambda token: token + "\x00",
        lambda token: json.dumps(dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))),
        lambda token: b64(b"not JSON") + "." + token.partition(".")[2],
        lambda token: b64(b"[]") + "." + token.partition(".")[2],
        lambda token: b64(b'"text"') + "." + token.partition(".")[2],
        lambda token: b64(b"\xff\xfe{}") + "." + token.partition(".")[2],
        lambda token: "A." + token.partition(".")[2],
        lambda token: b64(b"[" * 2000) + "." + token.partition(".")[2],
    ],
)
async def test_anything_but_three_clean_parts_is_malformed(login: Login, change: Callable[[str], str]) -> None:
    assert await login.refusal(change(login.token())) == "token_malformed"
    assert login.server.accepts == 0


async def test_base64_with_loose_bits_at_the_end_is_refused(login: Login) -> None:
    header, content, signature = login.token().split(".")
    assert len(signature) % 4 == 2
    loose = signature[:-1] + chr(ord(signature[-1]) + 1)
    assert await login.refusal(f"{header}.{content}.{loose}") == "sig_invalid"


async def test_content_that_is_no_base64_is_malformed(login: Login) -> None:
    head = b64(json.dumps(login.platform.header()).encode())
    signing_input = f"{head}.AAAAA"
    token = f"{signing_input}.{b64(sign(signing_input.encode(), login.platform.key, 'RS256'))}"
    assert await login.refusal(token) == "token_malformed"


async def test_a_token_may_be_as_large_as_the_registration_allows(login: Login) -> None:
    token = login.token(padding="x" * 40_000)
    at_limit = a_registration(jwks_url=login.server.url(), max_token_bytes=len(token))
    below = a_registration(jwks_url=login.server.url(), max_token_bytes=len(token) - 1)
    await login.verify(token, at_limit)
    assert await login.refusal(token, below) == "token_too_large"


async def test_a_token_of_128_kib_passes_where_it_is_allowed(login: Login) -> None:
    token = login.token(padding="x" * 96_000)
    assert 128_000 < len(token) < 131_072
    assert await login.refusal(token) == "token_too_large"
    await login.verify(token, a_registration(jwks_url=login.server.url(), max_token_bytes=131_072))


async def test_a_header_of_up_to_4_kib_passes(login: Login) -> None:
    await login.verify(login.token_with_header(x="x" * 4_000))
    assert await login.refusal(login.token_with_header(x="x" * 4_100)) == "token_too_large"


async def test_members_of_the_header_that_nobody_knows_are_ignored(login: Login) -> None:
    await login.verify(login.token_with_header(badtestonly="12345", typ=None, cty="JWT", x5t=5))


# The algorithm


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "HS256", "ES256K", None, 1, ["RS256"]]
)
async def test_an_algorithm_that_is_not_allowed_is_refused(login: Login, alg: object) -> None:
    assert await login.refusal(login.token_with_header(alg=alg)) == "alg_not_allowed"
    assert login.server.accepts == 0


async def test_a_missing_algorithm_is_refused(login: Login) -> None:
    token = login.platform.id_token(login.claims(), header={"typ": "JWT", "kid": "key-1"})
    assert await login.refusal(token) == "alg_not_allowed"


@pytest.mark.parametrize("alg", ["none", "HS256", "HS384", "HS512"])
async def test_no_setting_allows_none_or_a_shared_secret(login: Login, alg: str) -> None:
    careless = a_registration(jwks_url=login.server.url(), algorithms=("RS256", alg))
    assert await login.refusal(login.token_with_header(alg=alg), careless) == "alg_not_allowed"


async def test_a_token_without_signature_is_refused(login: Login) -> None:
    head, content, _ = login.token_with_header(alg="none").split(".")
    careless = a_registration(jwks_url=login.server.url(), algorithms=("none",))
    assert await login.refusal(f"{head}.{content}.", careless) == "token_malformed"
    assert await login.refusal(f"{head}.{content}.AA", careless) == "alg_not_allowed"


@pytest.mark.parametrize("form", ["pem", "jwk", "der"])
async def test_the_public_key_as_a_shared_secret_is_refused(login: Login, form: str) -> None:
    public = rsa_key().public_key()
    secrets = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(public_jwk(rsa_key())).encode(),
    }
    head, content, _ = login.token_with_header(alg="HS256").split(".")
    forged = b64(hmac.digest(secrets[form], f"{head}.{content}".encode(), "sha256"))
    assert await login.refusal(f"{head}.{content}.{forged}") == "alg_not_allowed"


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256", "PS384", "PS512"])
async def test_another_rsa_algorithm_passes_only_where_it_is_allowed(login: Login, alg: str) -> None:
    token = Platform(alg=alg).id_token(login.claims())
    assert await login.refusal(token) == "alg_not_allowed"
    await login.verify(token, a_registration(jwks_url=login.server.url(), algorithms=("RS256", alg)))


async def test_an_elliptic_curve_passes_only_where_it_is_allowed(login: Login) -> None:
    token = Platform(ec_key("P-256"), "ec-1", "ES256").id_token(login.claims())
    assert await login.refusal(token) == "alg_not_allowed"
    await login.verify(token, a_registration(jwks_url=login.server.url(), algorithms=("ES256",)))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
async def test_an_elliptic_curve_signature_of_another_length_is_refused(login: Login, length: int) -> None:
    head, content, _ = Platform(ec_key("P-256"), "ec-1", "ES256").id_token(login.claims()).split(".")
    allowed = a_registration(jwks_url=login.server.url(), algorithms=("ES256",))
    code = await login.refusal(f"{head}.{content}.{b64(bytes(length))}", allowed)
    assert code == ("sig_invalid" if length else "token_malformed")


async def test_an_all_zero_elliptic_curve_signature_is_refused(login: Login) -> None:
    head, content, _ = Platform(ec_key("P-256"), "ec-1", "ES256").id_token(login.claims()).split(".")
    allowed = a_registration(jwks_url=login.server.url(), algorithms=("ES256",))
    assert await login.refusal(f"{head}.{content}.{b64(bytes(64))}", allowed) == "sig_invalid"


# The header


@pytest.mark.parametrize(
    ("name", "value"),
    [("crit", ["exp"]), ("crit", []), ("b64", False), ("b64", True), ("zip", "DEF"), ("enc", "A256GCM")],
)
async def test_a_header_that_changes_how_the_token_is_read_is_refused(login: Login, name: str, value: object) -> None:
    assert await login.refusal(login.token_with_header(**{name: value})) == "header_unsupported"


async def test_a_header_that_names_a_member_twice_is_refused(login: Login) -> None:
    header = b'{"alg": "none", "alg": "RS256", "kid": "key-1"}'
    assert await login.refusal(login.platform.id_token(login.claims(), header=header)) == "dup_member"


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
async def test_keys_in_the_header_are_ignored_and_nothing_is_fetched(login: Login, name: str) -> None:
    attacker = Platform(rsa_key(2))
    async with loopback(answers(attacker.key_set())) as theirs:
        values = {"jku": theirs.url(), "x5u": theirs.url(), "jwk": public_jwk(attacker.key), "x5c": ["AAAA"]}
        forged = attacker.id_token(login.claims(), header=attacker.header() | {name: values[name]})
        assert await login.refusal(forged) == "sig_invalid"
        await login.verify(login.token_with_header(**{name: values[name]}))
    assert theirs.accepts == 0


# Key and signature


@pytest.mark.parametrize(
    ("kid", "code"),
    [
        ("imstester_66067", "key_not_found"),
        ("../../etc/passwd", "key_not_found"),
        ("' OR 1=1--", "key_not_found"),
        ("\ud800\x00", "key_not_found"),
        ("KEY-1", "key_not_found"),
        ("named", "key_unusable"),
        ("ec-1", "key_unusable"),
        ("", "kid_invalid"),
        ("k" * 300, "kid_invalid"),
        ("k" * 10_000, "token_too_large"),
        (1, "kid_invalid"),
        (["key-1"], "kid_invalid"),
        (None, "kid_missing"),
    ],
)
async def test_a_kid_that_does_not_lead_to_a_key_is_refused(login: Login, kid: object, code: str) -> None:
    assert await login.refusal(login.token_with_header(kid=kid)) == code
    assert len(login.server.requests) <= 1


async def test_a_token_without_kid_is_refused(login: Login) -> None:
    token = login.platform.id_token(login.claims(), header={"alg": "RS256", "badtestonly": "12345"})
    assert await login.refusal(token) == "kid_missing"


async def test_where_it_is_allowed_a_token_without_kid_passes(login: Login) -> None:
    async with loopback(answers(login.platform.key_set())) as single:
        relaxed = a_registration(id="r2", jwks_url=single.url(), allow_missing_kid=True)
        token = await login.verify(login.platform.id_token(login.claims(), header={"alg": "RS256"}), relaxed)
    assert token.kid is None


@pytest.mark.parametrize("place", [0, 100, -1])
async def test_an_altered_signature_is_refused(login: Login, place: int) -> None:
    signing_input, _, signature = login.token().rpartition(".")
    raw = bytearray(sign(signing_input.encode(), login.platform.key, "RS256"))
    assert b64(bytes(raw)) == signature
    raw[place] ^= 1
    assert await login.refusal(f"{signing_input}.{b64(bytes(raw))}") == "sig_invalid"


async def test_the_largest_key_that_is_allowed_is_verified(login: Login) -> None:
    # Eight primes instead of two: a verifier cannot tell, and they are at hand, while two large ones take seconds.
    numbers = [rsa_key(number).private_numbers() for number in range(4)]
    primes = [prime for pair in numbers for prime in (pair.p, pair.q)]
    n, d = math.prod(primes), pow(65_537, -1, math.prod(prime - 1 for prime in primes))
    async with loopback(answers({"keys": [{"kty": "RSA", "kid": "key-1", "n": uint(n), "e": "AQAB"}]})) as large:
        signing_input = login.token().rpartition(".")[0]
        # EMSA-PKCS1-v1_5 with SHA-256. RFC 8017 9.2.
        hashed = (
            bytes.fromhex("003031300d060960864801650304020105000420") + hashlib.sha256(signing_input.encode()).digest()
        )
        padded = b"\x00\x01" + b"\xff" * (1024 - 2 - len(hashed)) + hashed
        signature = pow(int.from_bytes(padded), d, n).to_bytes(1024)
        registration = a_registration(id="r2", jwks_url=large.url())
        await login.verify(f"{signing_input}.{b64(signature)}", registration)


@pytest.mark.parametrize("length", [1, 255, 257])
async def test_a_signature_of_another_length_is_refused(login: Login, length: int) -> None:
    signing_input = login.token().rpartition(".")[0]
    assert await login.refusal(f"{signing_input}.{b64(bytes(length))}") == "sig_invalid"


async def test_altered_content_is_refused(login: Login) -> None:
    head, _, signature = login.token().split(".")
    altered = b64(json.dumps(login.claims(sub="admin")).encode())
    assert await login.refusal(f"{head}.{altered}.{signature}") == "sig_invalid"


async def test_another_key_under_the_right_name_is_refused(login: Login) -> None:
    assert await login.refusal(Platform(rsa_key(2)).id_token(login.claims())) == "sig_invalid"


async def test_another_key_of_the_same_platform_is_refused(login: Login) -> None:
    assert await login.refusal(Platform(rsa_key(1), "key-1").id_token(login.claims())) == "sig_invalid"
    await login.verify(Platform(rsa_key(1), "key-2").id_token(login.claims()))


async def test_the_signature_of_another_platform_is_refused(login: Login) -> None:
    async with loopback(answers(Platform(rsa_key(2)).key_set())) as other:
        theirs = a_registration(id="r2", jwks_url=other.url())
        token = Platform(rsa_key(2)).id_token(login.claims())
        await login.verify(token, theirs)
        assert await login.refusal(token) == "sig_invalid"


async def test_a_key_set_that_cannot_be_fetched_is_a_matter_for_later(login: Login) -> None:
    async with loopback(answers(b"", 500)) as broken:
        down = a_registration(id="r2", jwks_url=broken.url())
        assert await login.refusal(login.token(), down) == "keys_unavailable"


# The whole host


def test_only_the_modules_made_for_it_touch_jose() -> None:
    expected = {
        "lti/token.py": {"DecodeError", "JoseError", "JWSRegistry", "deserialize_compact"},
        "lti/key_set.py": {"ECKey", "RSAKey"},
        "lti/signing.py": {"RSAKey", "serialize_compact"},
    }
    root = Path(ltihost.__file__).parent
    found = {
        str(path.relative_to(root)): names
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] != "testing" and (names := _jose_names(path))
    }
    assert found == expected


def _jose_names(path: Path) -> set[str]:
    """What a module takes from any JOSE library."""
    libraries = {"joserfc", "jose", "jwt", "jwcrypto", "authlib"}
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] in libraries}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in libraries:
            names |= {alias.name for alias in node.names}
    return names
