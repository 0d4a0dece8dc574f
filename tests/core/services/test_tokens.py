"""Access tokens: what is asked for, and what is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from ltihost.lti.vocabulary import DEPLOYMENT_ID, SCOPE_LINE_ITEM, SCOPE_MEMBERSHIPS, SCOPE_SCORE
from ltihost.plugins import LtiAdapter, NeedsAttention, RetryLater
from tests.core.services.rig import NOW, assertion, form, granted, our_key, refusal, replies, rig, token
from tests.core.support_loopback import Handler, in_turn, resets

ALL = (SCOPE_SCORE, SCOPE_LINE_ITEM)


# The request


async def test_the_request_is_a_form_with_a_signed_assertion() -> None:
    """T-01."""
    async with rig() as at:
        at.change(audience="https://as.example")
        assert await token(at, *ALL) == "token-1"
        (request,) = at.lms.token_requests
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"].startswith("ltihost/")
        assert "authorization" not in request.headers
        sent = form(request)
        assert set(sent) == {"grant_type", "client_assertion_type", "client_assertion", "scope"}
        assert sent["grant_type"] == "client_credentials"
        assert sent["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assert sent["scope"] == f"{SCOPE_LINE_ITEM} {SCOPE_SCORE}"
        header, claims = assertion(request)
        assert header == {"typ": "JWT", "alg": "RS256", "kid": "key-0"}
        assert claims.pop("jti")
        assert claims == {
            "iss": "client-1", "sub": "client-1", "aud": "https://as.example", "iat": NOW - 10, "exp": NOW + 290,
        }  # fmt: skip
        public = RSAKey.import_key(our_key().key.as_dict(private=False))
        assert jwt.decode(sent["client_assertion"], public, algorithms=["RS256"]).claims["iss"] == "client-1"


async def test_the_audience_is_the_token_url_unless_another_was_given() -> None:
    """T-02."""
    async with rig() as at:
        await token(at)
        assert assertion(at.lms.token_requests[0])[1]["aud"] == at.lms.url("/token")


async def test_no_two_assertions_are_alike() -> None:
    """T-01."""
    async with rig() as at:
        await token(at)
        await token(at, SCOPE_LINE_ITEM)
        first, second = (assertion(request)[1]["jti"] for request in at.lms.token_requests)
        assert first != second


class Naming(LtiAdapter):
    sends_deployment_claim = True


async def test_a_deployment_is_named_only_where_the_lms_wants_it_and_its_token_is_its_own() -> None:
    async with rig() as at:
        for deployment in ("dep-1", "dep-2"):
            await at.tokens.token(at.client(Naming, deployment), (SCOPE_SCORE,))
        for deployment in ("dep-1", "dep-2"):
            await at.tokens.token(at.client(LtiAdapter, deployment), (SCOPE_SCORE,))
        named = [assertion(request)[1].get(DEPLOYMENT_ID) for request in at.lms.token_requests]
        assert named == ["dep-1", "dep-2", None]


class FixedIssuer(LtiAdapter):
    def assertion_claims(self, claims: dict[str, Any]) -> dict[str, Any]:
        claims["iss"] = "fixed"
        return claims


async def test_an_lms_may_want_other_claims() -> None:
    async with rig() as at:
        await at.tokens.token(at.client(FixedIssuer), (SCOPE_SCORE,))
        assert assertion(at.lms.token_requests[0])[1]["iss"] == "fixed"


# The answer


@pytest.mark.parametrize(
    ("answer", "headers"),
    [
        (granted(), {"content-type": "text/html; charset=utf-8"}),
        (granted(token_type="bearer"), {}),
        (granted(token_type="BEARER"), {}),
        ({"access_token": "t"}, {}),
        (granted(expires_in="3600"), {}),
        (granted(scope=SCOPE_SCORE), {}),
        (granted(scope=f"{SCOPE_LINE_ITEM} {SCOPE_SCORE} more"), {}),
        (granted(scope=""), {}),
        (b"\xef\xbb\xbf" + b'\n {"access_token": "t"}\n', {}),
    ],
)  # fmt: skip
async def test_a_token_is_read_whatever_surrounds_it(answer: Any, headers: dict[str, str]) -> None:
    """T-03."""
    async with rig() as at:
        at.lms.token = replies(answer, 200, headers)
        assert await token(at) == "t"
        at.clock.now += 3600 * 0.8 - 1
        assert await token(at) == "t"
        assert len(at.lms.token_requests) == 1


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>maintenance</html>", b"[]", b"{}", b'{"access_token": 7}', b'{"access_token": ""}',
     b'{"access_token": "a b"}', b'{"access_token": "t"}' + b" " * 65_536, b'{"access_token": "a\\r\\nx: y"}', granted(token_type="mac")],
)  # fmt: skip
async def test_an_answer_without_a_usable_token_should_pass(answer: Any) -> None:
    async with rig() as at:
        at.lms.token = replies(answer)
        assert (await refusal(at)).outcome == RetryLater("token_unavailable", applied="no")


async def test_a_scope_that_was_not_granted_is_missing_and_is_not_asked_for_again_at_once() -> None:
    """T-04."""
    async with rig() as at:
        at.lms.token = replies(granted(scope=SCOPE_LINE_ITEM))
        for _ in range(2):
            assert (await refusal(at, *ALL)).outcome == NeedsAttention("scope_missing")
        assert await token(at, SCOPE_LINE_ITEM) == "t"
        assert len(at.lms.token_requests) == 1
        at.clock.now += 61
        at.lms.token = replies(granted(access_token="t2"))
        assert await token(at, *ALL) == "t2"


async def test_fifty_that_miss_a_scope_together_ask_once() -> None:
    async with rig() as at:
        at.lms.token, at.lms.wait = replies(granted(scope=SCOPE_LINE_ITEM)), 0.02
        failures = await asyncio.gather(*(refusal(at) for _ in range(50)))
        assert {failure.code for failure in failures} == {"scope_missing"}
        assert len(at.lms.token_requests) == 1


# Keeping


async def test_a_token_serves_every_smaller_set_of_scopes() -> None:
    async with rig() as at:
        assert await token(at, *ALL) == "token-1"
        assert await token(at, SCOPE_SCORE) == "token-1"
        assert await token(at, SCOPE_MEMBERSHIPS) == "token-2"
        assert await token(at, SCOPE_LINE_ITEM, SCOPE_SCORE) == "token-1"


async def test_scopes_worth_having_are_asked_for_in_the_same_request() -> None:
    async with rig() as at:
        await token(at, SCOPE_SCORE, also=(SCOPE_LINE_ITEM,))
        assert await token(at, SCOPE_LINE_ITEM) == "token-1"


async def test_a_token_ends_a_minute_early() -> None:
    """T-05, S-87."""
    async with rig() as at:
        at.lms.token = in_turn(replies(granted(expires_in=75)), replies(granted(access_token="t2")))
        assert await token(at) == "t"
        at.clock.now += 14
        assert await token(at) == "t"
        at.clock.now += 1
        assert await token(at) == "t2"


@pytest.mark.parametrize("seconds", [60, 1, 0, -5])
async def test_a_token_that_ends_at_once_serves_one_call(seconds: int) -> None:
    async with rig() as at:
        at.lms.token = in_turn(replies(granted(expires_in=seconds)), replies(granted(access_token="t2")))
        assert await token(at) == "t"
        assert await token(at) == "t2"


async def test_a_hundred_at_once_make_one_request() -> None:
    """T-05."""
    async with rig() as at:
        at.lms.wait = 0.05
        assert set(await asyncio.gather(*(token(at) for _ in range(100)))) == {"token-1"}
        assert len(at.lms.token_requests) == 1


async def test_who_waits_is_not_hurt_by_one_who_gives_up() -> None:
    async with rig() as at:
        at.lms.wait = 0.1
        impatient, patient = asyncio.ensure_future(token(at)), asyncio.ensure_future(token(at))
        await asyncio.wait_for(at.lms.server.asked.wait(), 5)
        impatient.cancel()
        assert await patient == "token-1"


async def test_a_hundred_that_are_refused_together_make_one_new_request() -> None:
    async with rig() as at:
        assert await token(at) == "token-1"
        renewed = await asyncio.gather(*(token(at, refused="token-1") for _ in range(100)))
        assert set(renewed) == {"token-2"}
        assert len(at.lms.token_requests) == 2


async def test_a_token_is_renewed_early_while_the_old_one_serves() -> None:
    async with rig() as at:
        await token(at)
        at.clock.now += 3600 * 0.8
        assert await token(at) == "token-1"
        await at.landed()
        assert await token(at) == "token-2"
        assert len(at.lms.token_requests) == 2


@pytest.mark.parametrize("broken", [replies(b"", 500), resets], ids=["500", "reset"])
async def test_a_token_endpoint_that_is_down_stops_nothing_while_a_token_lives(broken: Handler) -> None:
    async with rig() as at:
        await token(at)
        at.lms.token = broken
        for _ in range(20):  # from minute 48 to minute 58
            at.clock.now = max(at.clock.now + 31, NOW + 2880)
            assert await token(at) == "token-1"
            await at.landed()
        assert 2 <= len(at.lms.token_requests) <= 21  # tried now and then, not at every call
        at.clock.now = NOW + 3541
        assert (await refusal(at)).outcome == RetryLater("token_unavailable", applied="no")


async def test_what_is_dropped_is_asked_for_anew() -> None:
    async with rig() as at:
        await token(at)
        at.tokens.drop("another")
        assert await token(at) == "token-1"
        at.tokens.drop("reg_1")
        assert await token(at) == "token-2"


@pytest.mark.parametrize("field", ["client_id", "audience"])
async def test_a_changed_registration_has_no_old_token(field: str) -> None:
    async with rig() as at:
        await token(at)
        at.change(**{field: "https://other.example"})
        assert await token(at) == "token-2"


async def test_another_registration_never_gets_the_token() -> None:
    async with rig() as at:
        await token(at)
        at.change(id="reg_2")
        assert await token(at) == "token-2"


async def test_a_token_got_with_a_key_that_signs_no_more_is_dropped() -> None:
    async with rig() as at:
        await token(at)
        at.keys.key = our_key(1)
        assert await token(at) == "token-2"
        assert [assertion(request)[0]["kid"] for request in at.lms.token_requests] == ["key-0", "key-1"]
