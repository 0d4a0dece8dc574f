"""Access tokens: what a refusal means, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ltihost.lti.vocabulary import SCOPE_LINE_ITEM, SCOPE_SCORE
from ltihost.outbound import Timeouts
from ltihost.plugins import NeedsAttention, PausePlatform, RetryLater
from ltihost.service_records import Outcome
from tests.core.services.rig import form, granted, refusal, replies, rig, token
from tests.core.support_loopback import Handler, Request, answer, answers, drips, hangs, in_turn, loopback, resets

UNAVAILABLE = RetryLater("token_unavailable", applied="no")


@pytest.mark.parametrize(
    ("status", "body", "headers", "outcome"),
    [
        (400, {"error": "invalid_client"}, {}, PausePlatform("invalid_client")),
        (401, {"error": "invalid_client"}, {}, PausePlatform("invalid_client")),
        (400, {"error": "unauthorized_client"}, {}, PausePlatform("invalid_client")),
        (400, {"error": "invalid_grant"}, {}, PausePlatform("invalid_client")),
        (400, {"error": "Signature verification failed"}, {}, PausePlatform("invalid_client")),
        (400, b'{\n "error" : ""kid" invalid, unable to lookup correct key"\n}', {}, PausePlatform("invalid_client")),
        (400, {"error": "invalid_request"}, {}, PausePlatform("token_refused")),
        (400, {"error": "unsupported_grant_type"}, {}, PausePlatform("token_refused")),
        (400, b"", {}, PausePlatform("token_refused")),
        (404, b"<html>", {}, PausePlatform("token_refused")),
        (403, {"error": "x"}, {}, PausePlatform("token_refused")),
        (400, {"error": "invalid_scope"}, {}, NeedsAttention("scope_missing")),
        (429, b"", {}, PausePlatform("token_throttled")),
        (429, b"", {"retry-after": "120"}, PausePlatform("token_throttled", 120.0)),
        (503, b"", {"retry-after": "7"}, PausePlatform("token_throttled", 7.0)),
        (500, b"", {}, UNAVAILABLE),
        (503, b"", {}, UNAVAILABLE),
    ],
)
async def test_a_refusal_says_what_it_means(status: int, body: Any, headers: dict[str, str], outcome: Outcome) -> None:
    async with rig() as at:
        at.lms.token = replies(body, status, {"content-type": "text/html", **headers})
        failed = await refusal(at)
        assert failed.outcome == outcome
        assert failed.status == status
        assert len(at.lms.token_requests) == 1


@pytest.mark.parametrize("broken", [hangs, resets, drips(0.1)], ids=["hangs", "resets", "drips"])
async def test_an_endpoint_that_does_not_answer_should_pass(broken: Handler) -> None:
    async with rig(timeouts=Timeouts(connect=0.3, read=0.3, total=0.5)) as at:
        at.lms.token = broken
        assert (await refusal(at)).outcome == UNAVAILABLE
        assert len(at.lms.token_requests) == 1


async def test_a_redirect_is_not_followed_with_the_assertion() -> None:
    async with loopback() as other, rig() as at:
        at.lms.token = replies(b"", 307, {"location": other.url("/token")})
        assert (await refusal(at)).outcome == UNAVAILABLE
        assert other.accepts == 0


async def test_a_token_url_that_the_guard_refuses_stops_the_platform() -> None:
    async with rig() as at:
        at.change(token_url="https://10.0.0.1/token")
        assert (await refusal(at)).outcome == PausePlatform("address_refused")


async def test_a_registration_without_a_token_url_gets_none() -> None:
    async with rig() as at:
        at.change(token_url=None)
        assert (await refusal(at)).outcome == PausePlatform("registration_incomplete")


async def test_the_plugin_says_first_what_a_refusal_means() -> None:
    async with rig() as at:
        at.lms.token = replies({"error": "invalid_client"}, 400)
        at.classify = lambda answer, operation: PausePlatform("token_audience") if operation == "token" else None
        assert (await refusal(at)).outcome == PausePlatform("token_audience")


async def test_too_many_scopes_are_asked_for_again_alone() -> None:
    """T-07."""
    async with rig() as at:
        at.lms.token = in_turn(replies({"error": "invalid_scope"}, 400), replies(granted()))
        assert await token(at, SCOPE_SCORE, also=(SCOPE_LINE_ITEM,)) == "t"
        assert [form(request)["scope"] for request in at.lms.token_requests] == [
            f"{SCOPE_LINE_ITEM} {SCOPE_SCORE}", SCOPE_SCORE,
        ]  # fmt: skip


async def test_the_one_scope_is_asked_for_once() -> None:
    async with rig() as at:
        at.lms.token = replies({"error": "invalid_scope"}, 400)
        for _ in range(2):
            assert (await refusal(at, SCOPE_SCORE, also=(SCOPE_LINE_ITEM,))).outcome == NeedsAttention("scope_missing")
        assert len(at.lms.token_requests) == 2  # with the other and alone, then from memory


async def only_alone(request: Request, writer: asyncio.StreamWriter) -> None:
    """A platform that grants one scope at a time."""
    scopes = form(request)["scope"].split()
    body, status = (
        (granted(access_token=scopes[0][-5:]), 200) if len(scopes) == 1 else ({"error": "invalid_scope"}, 400)
    )
    writer.write(answer(status, json.dumps(body).encode(), {}))


async def test_who_waited_for_a_request_that_was_narrowed_gets_his_own_scope() -> None:
    async with rig() as at:
        at.lms.token, at.lms.wait = only_alone, 0.02
        first = asyncio.ensure_future(token(at, SCOPE_SCORE, also=(SCOPE_LINE_ITEM,)))
        await asyncio.wait_for(at.lms.server.asked.wait(), 5)
        assert await token(at, SCOPE_LINE_ITEM) == SCOPE_LINE_ITEM[-5:]
        assert await first == SCOPE_SCORE[-5:]


async def test_a_request_under_way_ends_with_the_host() -> None:
    async with rig() as at:
        at.lms.token = hangs
        waiting = asyncio.ensure_future(token(at))
        await asyncio.wait_for(at.lms.server.asked.wait(), 5)
        at.tokens.drop("reg_1")
        await at.tokens.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_refusal_is_remembered_shortly_and_each_caller_gets_his_own() -> None:
    async with rig() as at:
        at.lms.token = replies({"error": "invalid_client"}, 400)
        failures = await asyncio.gather(*(refusal(at) for _ in range(50)))
        assert len({id(failure) for failure in failures}) == 50
        await refusal(at)
        assert len(at.lms.token_requests) == 1
        at.clock.now += 2.1
        at.lms.token = answers(granted())
        assert await token(at) == "t"


async def test_a_repaired_registration_need_not_wait() -> None:
    async with rig() as at:
        at.lms.token = replies({"error": "invalid_client"}, 400)
        await refusal(at)
        at.lms.token = answers(granted())
        at.tokens.drop("reg_1")
        assert await token(at) == "t"


async def test_no_token_is_shown() -> None:
    async with rig() as at:
        await token(at)
        assert "token-1" not in repr(at.tokens._places)
