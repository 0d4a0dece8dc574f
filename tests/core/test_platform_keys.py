"""Platform keys: how long a key set is kept, how often it is fetched, whose keys count, what a kid may be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from ltihost.errors import Refused
from ltihost.lti import keys as keys_module
from ltihost.lti.keys import PlatformKeys
from ltihost.outbound import Outbound, Timeouts
from tests.core.support_loopback import Handler, answers, hangs, in_turn, loopback
from tests.core.support_stage import QUICK, key_set, stage
from tests.core.support_tokens import a_registration, public_jwk, rsa_key

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
        ("s-maxage=7200, x-max-age=7200", 600),
        ("max-age=-1", 600),
        ("max-age=soon", 600),
    ],
)
async def test_a_set_is_kept_as_the_platform_says_within_bounds(cache_control: str | None, seconds: int) -> None:
    good = public_jwk(rsa_key())
    async with stage(key_set(good, cache_control=cache_control) if cache_control else key_set(good)) as at:
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
        await at.server.asked.wait()
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
        await at.server.asked.wait()
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
    "members",
    [
        [],
        [public_jwk(rsa_key()), public_jwk(rsa_key(1), "key-2")],
        [public_jwk(rsa_key()), public_jwk(rsa_key(1), None)],
    ],
)
async def test_with_no_key_or_two_a_token_without_kid_stays_refused(members: list[Any]) -> None:
    async with stage(key_set(*members)) as at:
        relaxed = a_registration(jwks_url=at.server.url(), allow_missing_kid=True)
        assert await at.refusal(None, registration=relaxed) == "kid_missing"
