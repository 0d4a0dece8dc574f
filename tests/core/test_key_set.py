"""What is taken from a platform's key set: the good keys, each for its own purpose, and nothing else."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ltihost.lti.key_set import KeySetError, read_key_set
from tests.core.support_loopback import Handler, answers, bombs, drips
from tests.core.support_stage import QUICK, key_set, stage
from tests.core.support_tokens import ec_key, public_jwk, rsa_key, uint

# The set as a whole


@pytest.mark.parametrize(
    "handler",
    [
        answers(b""),
        answers(b"<html></html>"),
        answers(b'{"keys": []'),
        answers([public_jwk(rsa_key())]),
        answers({}),
        answers({"keys": {"key-1": public_jwk(rsa_key())}}),
        answers({"keys": [public_jwk(rsa_key())]}, 201),
        answers({"keys": [public_jwk(rsa_key())]}, 302, location="/elsewhere"),
        answers(b'{"keys": [], "keys": []}'),
        answers(b'{"keys": ' + b"[" * 2000 + b"]" * 2000 + b"}"),
        answers({"keys": [public_jwk(rsa_key())] * 51}),
        answers({"keys": [public_jwk(rsa_key())], "padding": "x" * 262_144}),
        answers(json.dumps({"keys": [public_jwk(rsa_key())]}).encode("utf-16")),
        bombs,
        drips(0.1),
    ],
)
async def test_a_set_that_cannot_be_used_is_refused(handler: Handler) -> None:
    async with stage(handler, QUICK) as at:
        assert await at.refusal() == "keys_unavailable"


async def test_ten_thousand_keys_are_refused() -> None:
    async with stage(key_set(*([{"kty": "RSA"}] * 10_000))) as at:
        assert await at.refusal() == "keys_unavailable"


async def test_fifty_keys_are_accepted() -> None:
    async with stage(key_set(*(public_jwk(rsa_key(), f"key-{number}") for number in range(50)))) as at:
        await at.key("key-49")


# Its members


async def test_bad_members_beside_the_good_one_cost_only_themselves() -> None:
    bad: list[Any] = [
        {"kty": "AKP"},
        {"kty": "RSA", "n": "***", "e": "AQAB", "kid": "bad-1"},
        None,
        {"n": "x"},
        "text",
        5,
        [],
        {"kty": "oct", "k": "c2VjcmV0", "kid": "bad-2"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "bad-3"},
        {"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA", "kid": "bad-4"},
        public_jwk(rsa_key(), kid=None) | {"kid": 7},
    ]
    async with stage(key_set(*bad, public_jwk(rsa_key()), *bad)) as at:
        await at.key()
        for number in (1, 2, 3, 4):
            assert await at.refusal(f"bad-{number}") == "key_unusable"
    assert at.fetches == 1


async def test_a_private_member_raises_an_alert_and_is_never_stored() -> None:
    private = public_jwk(rsa_key()) | {"d": uint(rsa_key().private_numbers().d), "p": "AA"}
    async with stage(key_set(private)) as at:
        with capture_logs() as logs:
            key = await at.key()
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["platform_keys.private_member"]
    assert key.is_private is False
    assert set(key.as_dict()) == {"kty", "n", "e"}
    assert private["d"] not in repr(logs)


async def test_the_same_key_twice_is_one_key() -> None:
    async with stage(key_set(public_jwk(rsa_key()), public_jwk(rsa_key()))) as at:
        await at.key()


async def test_two_keys_under_one_name_are_both_dropped_with_an_alert() -> None:
    async with stage(key_set(public_jwk(rsa_key()), public_jwk(rsa_key(1)), public_jwk(rsa_key()))) as at:
        with capture_logs() as logs:
            assert await at.refusal() == "key_unusable"
    assert "platform_keys.kid_of_two_keys" in [entry["event"] for entry in logs]


async def test_an_encryption_key_of_the_same_name_does_not_disturb() -> None:
    async with stage(key_set(public_jwk(rsa_key()), public_jwk(rsa_key(1), use="enc"))) as at:
        key = await at.key()
    assert key.public_key.public_numbers() == rsa_key().public_key().public_numbers()


@pytest.mark.parametrize(
    "change", [{"alg": "RS256"}, {"use": "sig"}, {"key_ops": ["verify"]}, {"use": None}, {"x5c": ["x"]}]
)
async def test_members_that_agree_with_a_signature_are_accepted(change: dict[str, Any]) -> None:
    async with stage(key_set(public_jwk(rsa_key()) | change)) as at:
        await at.key()


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "RS512"}, {"alg": 256}, {"use": "enc"}, {"use": ["sig"]}, {"key_ops": ["sign"]}, {"key_ops": []},
        {"key_ops": "verify"}, {"kty": "rsa"}, {"e": 65_537}, {"n": None}, {"n": ""}, {"n": "ключ"}, {"n": "\ud800"},
    ],
)  # fmt: skip
async def test_members_that_speak_against_a_signature_are_refused(change: dict[str, Any]) -> None:
    async with stage(key_set(public_jwk(rsa_key()) | change)) as at:
        expected = "key_too_small" if change == {"n": ""} else "key_unusable"
        assert await at.refusal() == expected


async def test_padding_and_leading_zeros_in_numbers_are_accepted() -> None:
    numbers = rsa_key().public_key().public_numbers()
    padded = urlsafe_b64encode(numbers.n.to_bytes(257)).decode()
    assert padded.endswith("=")
    async with stage(key_set(public_jwk(rsa_key()) | {"n": padded, "e": "AQAB===="})) as at:
        key = await at.key()
    assert key.public_key.public_numbers() == numbers


@pytest.mark.parametrize("bits", [1024, 2047, 8193, 16_384])
async def test_rsa_keys_of_another_size_are_refused(bits: int) -> None:
    async with stage(key_set({"kty": "RSA", "kid": "key-1", "n": uint(2**bits - 1), "e": "AQAB"})) as at:
        assert await at.refusal() == "key_too_small"


@pytest.mark.parametrize("e", [1, 3, 65_535, 65_536, 65_538, 2**64 + 1])
async def test_rsa_keys_with_a_strange_exponent_are_refused(e: int) -> None:
    async with stage(key_set(public_jwk(rsa_key()) | {"e": uint(e)})) as at:
        assert await at.refusal() == "key_too_small"


@pytest.mark.parametrize("bits", [2048, 3072, 4096, 8192])
async def test_rsa_keys_within_the_bounds_are_accepted(bits: int) -> None:
    # Any odd number of that size will do: nothing is verified with it here.
    async with stage(key_set({"kty": "RSA", "kid": "key-1", "n": uint(2**bits - 1), "e": "AQAB"})) as at:
        await at.key()


@pytest.mark.parametrize(
    ("curve", "alg", "fits"),
    [
        ("P-256", "ES256", True),
        ("P-384", "ES384", True),
        ("P-521", "ES512", True),
        ("P-256", "ES384", False),
        ("P-384", "ES256", False),
        ("P-256", "RS256", False),
    ],
)
async def test_a_curve_serves_its_own_algorithm_only(curve: str, alg: str, fits: bool) -> None:
    async with stage(key_set(public_jwk(ec_key(curve)))) as at:
        if fits:
            await at.key(alg=alg)
        else:
            assert await at.refusal(alg=alg) == "key_unusable"


@pytest.mark.parametrize(("alg", "fits"), [("RS256", True), ("RS512", True), ("PS256", True), ("ES256", False)])
async def test_an_rsa_key_serves_rsa_algorithms_only(alg: str, fits: bool) -> None:
    async with stage() as at:
        if fits:
            await at.key(alg=alg)
        else:
            assert await at.refusal(alg=alg) == "key_unusable"


# Whatever a platform sends

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_member = st.fixed_dictionaries(
    {},
    optional={
        "kty": st.sampled_from(["RSA", "EC", "oct", "OKP"]) | _json,
        "crv": st.sampled_from(["P-256", "P-521"]) | _json,
        **{name: st.sampled_from(["AQAB", "AA", public_jwk(rsa_key())["n"]]) | _json for name in "nexy"},
        **{name: st.sampled_from(["key-1", "sig", "RS256"]) | _json for name in ("kid", "use", "alg", "key_ops", "d")},
    },
)


@given(st.binary(max_size=200) | _json.map(json.dumps).map(str.encode))
def test_no_body_does_more_than_be_refused(body: bytes) -> None:
    _read(body)


@given(st.lists(_member | _json, max_size=5))
def test_no_members_do_more_than_be_skipped(members: list[Any]) -> None:
    document = json.dumps({"keys": members}, default=str)
    if "NaN" not in document and "Infinity" not in document:
        keys = read_key_set(document.encode(), "test")
        assert all(isinstance(kid, str) for kid in keys.keys)


@given(st.data())
def test_no_text_between_the_brackets_of_a_good_set_does_more_than_be_refused(data: st.DataObject) -> None:
    body = json.dumps({"keys": [public_jwk(rsa_key())]}).encode()
    start = data.draw(st.integers(0, len(body)))
    _read(body[:start] + data.draw(st.binary(max_size=10)) + body[data.draw(st.integers(start, len(body))) :])


def _read(body: bytes) -> None:
    with suppress(KeySetError):
        read_key_set(body, "test")
