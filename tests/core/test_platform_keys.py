"""Platform key sets: which keys are taken from them, how long they are kept, how often they are fetched."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey
from structlog.testing import capture_logs

from ltihost.errors import Refused
from ltihost.lti import keys as keys_module
from ltihost.lti.key_set import KeySetError, read_key_set
from ltihost.lti.keys import PlatformKeys
from ltihost.outbound import Outbound, Timeouts
from ltihost.records import Registration
from tests.core.support_loopback import LOOPBACK, Handler, Server, answers, bombs, drips, hangs, in_turn, loopback
from tests.core.support_tokens import a_registration, ec_key, public_jwk, rsa_key, uint

QUICK = Timeouts(connect=0.3, read=0.3, total=0.5)


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A platform's key set server, a registration that points to it, and the cache under test."""

    def __init__(self, server: Server, outbound: Outbound) -> None:
        self.server = server
        self.outbound = outbound
        self.clock = Clock()
        self.keys = PlatformKeys(outbound, self.clock)
        self.registration = a_registration(jwks_url=server.url())

    async def key(self, kid: object = "key-1", alg: str = "RS256", registration: Registration | None = None) -> Any:
        return await self.keys.key(registration or self.registration, kid, alg)

    async def refusal(self, kid: object = "key-1", alg: str = "RS256", registration: Registration | None = None) -> str:
        with pytest.raises(Refused) as refused:
            await self.key(kid, alg, registration)
        assert refused.value.check == "key"
        return refused.value.code

    @property
    def fetches(self) -> int:
        return len(self.server.requests)


@asynccontextmanager
async def stage(handler: Handler | None = None, timeouts: Timeouts | None = None) -> AsyncIterator[Stage]:
    async with loopback(handler or key_set(public_jwk(rsa_key()))) as server:
        outbound = Outbound(LOOPBACK, timeouts=timeouts)
        yield Stage(server, outbound)
        await outbound.aclose()


def key_set(*members: Any, **headers: str) -> Handler:
    return answers({"keys": members}, **headers)


# Fetching and keeping


async def test_a_set_is_fetched_once_and_its_key_objects_are_kept() -> None:
    async with stage() as at:
        first, second = await at.key(), await at.key()
    assert first is second
    assert isinstance(first, RSAKey)
    assert at.fetches == 1
    assert at.server.requests[0].headers["accept"] == "application/json, application/jwk-set+json"


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        (None, 600),
        ("no-store", 600),
        ("max-age=5", 600),
        ("public, max-age=3600", 3600),
        ('Max-Age="3600"', 3600),
        ("max-age=99999999", 86_400),
        ("max-age=99999999999999999999", 86_400),
        ("s-maxage=7200", 600),
        ("max-age=-1", 600),
        ("max-age=soon", 600),
    ],
)
async def test_a_set_is_kept_as_the_platform_says_within_bounds(cache_control: str | None, seconds: int) -> None:
    headers = {"cache_control": cache_control} if cache_control else {}
    async with stage(key_set(public_jwk(rsa_key()), **headers)) as at:
        await at.key()
        at.clock.now += seconds - 1
        await at.key()
        assert at.fetches == 1
        at.clock.now += 1
        await at.key()
        assert at.fetches == 2


async def test_callers_at_the_same_time_share_one_fetch() -> None:
    async with stage() as at:
        await asyncio.gather(*(at.key() for _ in range(20)))
    assert at.fetches == 1


async def test_a_caller_who_leaves_takes_the_fetch_from_nobody() -> None:
    release = asyncio.Event()
    good = key_set(public_jwk(rsa_key()))

    async def slow(request: Any, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await good(request, writer)

    async with stage(slow) as at:
        leaver, stayer = asyncio.ensure_future(at.key()), asyncio.ensure_future(at.key())
        while not at.fetches:
            await asyncio.sleep(0)
        leaver.cancel()
        release.set()
        assert isinstance(await stayer, RSAKey)
    assert at.fetches == 1


async def test_a_key_that_was_added_is_found_by_exactly_one_more_fetch() -> None:
    old, new = public_jwk(rsa_key()), public_jwk(rsa_key(1), "key-2")
    async with stage(in_turn(key_set(old), key_set(old, new))) as at:
        await at.key("key-1")
        found = await asyncio.gather(*(at.key("key-2") for _ in range(20)))
        await at.key("key-1")
    assert all(key is found[0] for key in found)
    assert at.fetches == 2


async def test_a_key_that_was_withdrawn_is_refused_after_the_set_expired() -> None:
    async with stage(in_turn(key_set(public_jwk(rsa_key())), key_set())) as at:
        await at.key()
        at.clock.now += 600
        assert await at.refusal() == "key_not_found"


async def test_random_kids_cost_one_extra_fetch_a_minute() -> None:
    async with stage() as at:
        for number in range(100):
            assert await at.refusal(f"random-{number}") == "key_not_found"
            await at.key()
            at.clock.now += 0.1
        assert at.fetches == 2
        at.clock.now += 60
        assert await at.refusal("random") == "key_not_found"
        assert at.fetches == 3


async def test_an_unknown_kid_at_the_first_launch_costs_one_fetch() -> None:
    async with stage() as at:
        assert await at.refusal("../../etc/passwd") == "key_not_found"
    assert at.fetches == 1


async def test_forced_fetches_that_fail_count_too() -> None:
    async with stage(in_turn(key_set(public_jwk(rsa_key())), answers(b"", 500))) as at:
        await at.key()
        for number in range(20):
            assert await at.refusal(f"random-{number}") == "keys_unavailable"
        await at.key()
        assert at.fetches == 2


# Outages


@pytest.mark.parametrize("outage", [answers(b"", 500), answers(b"", 404), hangs, answers(b"<html>")])
async def test_during_an_outage_the_last_good_set_serves_what_it_holds_for_a_day(outage: Handler) -> None:
    async with stage(in_turn(key_set(public_jwk(rsa_key())), outage), QUICK) as at:
        await at.key()
        at.clock.now += 600
        await at.key()
        assert await at.refusal("key-2") == "keys_unavailable"
        at.clock.now += 86_399
        await at.key()
        at.clock.now += 1
        assert await at.refusal() == "keys_unavailable"


async def test_an_outage_at_the_first_launch_is_refused_and_asked_again_after_ten_seconds() -> None:
    async with stage(in_turn(answers(b"", 500), key_set(public_jwk(rsa_key())))) as at:
        assert await at.refusal() == "keys_unavailable"
        at.clock.now += 9.9
        assert await at.refusal() == "keys_unavailable"
        assert at.fetches == 1
        at.clock.now += 0.1
        await at.key()
    assert at.fetches == 2


async def test_a_platform_that_hangs_does_not_hold_up_launches_whose_key_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keys_module, "PATIENCE", 0.05)
    async with stage(in_turn(key_set(public_jwk(rsa_key())), hangs), Timeouts(read=60, total=60)) as at:
        await at.key()
        at.clock.now += 600
        async with asyncio.timeout(5):
            await at.key()
        assert at.fetches == 2


async def test_a_platform_that_hangs_holds_up_nobody_else() -> None:
    async with stage(hangs, QUICK) as at, loopback(key_set(public_jwk(rsa_key(1)))) as other:
        waiting = asyncio.ensure_future(at.refusal())
        while not at.fetches:
            await asyncio.sleep(0)
        await at.key(registration=a_registration(id="r2", jwks_url=other.url()))
        assert not waiting.done()
        assert await waiting == "keys_unavailable"


# Whose keys


async def test_two_registrations_with_the_same_kid_each_get_their_own_key() -> None:
    async with stage() as at, loopback(key_set(public_jwk(rsa_key(1)))) as other:
        mine = await at.key()
        theirs = await at.key(registration=a_registration(id="r2", jwks_url=other.url()))
    assert mine.public_key.public_numbers() == rsa_key(0).public_key().public_numbers()
    assert theirs.public_key.public_numbers() == rsa_key(1).public_key().public_numbers()


async def test_another_url_is_another_set() -> None:
    async with stage() as at, loopback(key_set(public_jwk(rsa_key(1), "key-2"))) as other:
        await at.key()
        moved = a_registration(jwks_url=other.url())
        assert await at.refusal("key-1", registration=moved) == "key_not_found"
        await at.key("key-2", registration=moved)


async def test_what_was_forgotten_is_fetched_anew() -> None:
    async with stage() as at:
        await at.key()
        at.keys.forget(at.registration.id)
        assert at.keys.describe(at.registration.id) is None
        await at.key()
    assert at.fetches == 2


async def test_an_administrator_sees_what_is_held() -> None:
    async with stage(in_turn(answers(b"", 500), key_set(public_jwk(rsa_key()), public_jwk(rsa_key(1), "key-2")))) as at:
        assert await at.refusal() == "keys_unavailable"
        summary = at.keys.describe(at.registration.id)
        assert summary
        assert (summary.kids, summary.fetched_at) == ((), None)
        assert "500" in (summary.failure or "")
        at.clock.now += 10
        await at.key()
        summary = at.keys.describe(at.registration.id)
    assert summary
    assert (summary.url, summary.kids, summary.failure) == (at.server.url(), ("key-1", "key-2"), None)
    assert (summary.fetched_at, summary.expires_at) == (at.clock.now, at.clock.now + 600)


async def test_a_registration_without_a_key_set_url_is_refused() -> None:
    async with stage() as at:
        assert await at.refusal(registration=a_registration(jwks_url=None)) == "keys_unavailable"


async def test_a_key_set_on_a_network_that_is_not_allowed_is_never_fetched() -> None:
    async with loopback() as server:
        outbound = Outbound(())
        keys = PlatformKeys(outbound)
        with pytest.raises(Refused) as refused:
            await keys.key(a_registration(jwks_url=server.url()), "key-1", "RS256")
        await outbound.aclose()
    assert refused.value.code == "keys_unavailable"
    assert server.accepts == 0


# The name of the key


@pytest.mark.parametrize("kid", ["", "k" * 257, "k" * 10_000, 1, True, ["key-1"], {"kid": "key-1"}])
async def test_a_kid_that_cannot_be_a_name_is_refused_without_a_fetch(kid: object) -> None:
    async with stage() as at:
        assert await at.refusal(kid) == "kid_invalid"
    assert at.fetches == 0


@pytest.mark.parametrize("kid", ["k" * 256, "../../etc/passwd", "' OR 1=1--", "\ud800\x00", "ключ"])
async def test_any_other_text_is_a_name(kid: str) -> None:
    async with stage(key_set(public_jwk(rsa_key(), kid))) as at:
        await at.key(kid)


async def test_a_token_without_kid_is_refused_even_if_there_is_one_key() -> None:
    async with stage() as at:
        assert await at.refusal(None) == "kid_missing"
    assert at.fetches == 0


@pytest.mark.parametrize(
    "members",
    [
        [public_jwk(rsa_key(), None)],
        [public_jwk(rsa_key())],
        [public_jwk(rsa_key()), public_jwk(rsa_key(), None)],
        [public_jwk(rsa_key()), public_jwk(rsa_key(1), "key-2", use="enc"), {"kty": "AKP"}],
    ],
)
async def test_where_it_is_allowed_the_only_usable_key_serves_a_token_without_kid(members: list[Any]) -> None:
    async with stage(key_set(*members)) as at:
        await at.key(None, registration=a_registration(jwks_url=at.server.url(), allow_missing_kid=True))


@pytest.mark.parametrize(
    "members", [[], [public_jwk(rsa_key()), public_jwk(rsa_key(1), "key-2")], [public_jwk(rsa_key()), public_jwk(rsa_key(1), None)]]
)
async def test_with_no_key_or_two_a_token_without_kid_stays_refused(members: list[Any]) -> None:
    async with stage(key_set(*members)) as at:
        relaxed = a_registration(jwks_url=at.server.url(), allow_missing_kid=True)
        assert await at.refusal(None, registration=relaxed) == "kid_missing"


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
    bad = [
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


@pytest.mark.parametrize("change", [{"alg": "RS256"}, {"use": "sig"}, {"key_ops": ["verify"]}, {"use": None}, {"x5c": ["x"]}])
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
    try:
        read_key_set(body, "test")
    except KeySetError as error:
        assert str(error)
