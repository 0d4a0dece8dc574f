"""Platforms that answer without end, too much, or from elsewhere: each call stays within its bounds. S-49, S-55."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import Any

import pytest

from ltihost.errors import ServiceFailed
from ltihost.lti import keys, line_items, memberships, results
from ltihost.outbound import Timeouts
from ltihost.plugins import Delivered, RetryLater
from tests.core.services.rig import Rig, rig
from tests.core.support_loopback import Handler, Request, answer, answers, bombs, drips, in_turn, loopback
from tests.core.support_stage import stage

METADATA = "http://169.254.169.254/latest/meta-data/"


def test_the_bounds_are_those_that_are_promised() -> None:
    """S-55: seconds and bytes."""
    assert Timeouts() == Timeouts(connect=5.0, read=10.0, total=20.0)
    assert (keys.MAX_KEY_SET_BYTES, memberships.MAX_PAGE_BYTES) == (256 * 1024, 5 * 2**20)
    assert (line_items.MAX_BYTES, results.MAX_BYTES) == (2**20, 5 * 2**20)


async def fetched(at: Rig, what: str) -> Any:
    adapter = at.adapter()
    if what == "roster":
        return await anext(adapter.roster(at.urls))
    return await (adapter.line_items(at.urls) if what == "line items" else adapter.results(at.urls, at.line_item))


@pytest.mark.parametrize("what", ["roster", "line items", "results"])
async def test_a_bomb_of_ten_gigabytes_fills_no_memory(what: str) -> None:
    """S-55: counted after it is unpacked."""
    async with rig(bombs) as at:
        await at.tokens.token(at.client(), at.urls.ags_scopes)
        tracemalloc.start()
        with pytest.raises(ServiceFailed) as failed:
            await fetched(at, what)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert failed.value.outcome == RetryLater("too_large")
    assert peak < 20 * 2**20


@pytest.mark.parametrize(
    "broken",
    [bombs, answers(b"<html>maintenance</html>"), answers(b""), answers({"token_type": "Bearer"})],
    ids=["bomb", "page", "nothing", "no token"],
)
async def test_an_answer_200_without_a_token_delivers_no_score(broken: Handler) -> None:
    """The score was never sent, so it is not delivered, whatever status the token endpoint answered."""
    async with rig() as at:
        at.lms.token = broken
        assert await at.send() == RetryLater("token_unavailable", applied="no")
        assert at.lms.calls == []


async def test_a_token_that_drips_delivers_no_score() -> None:
    async with rig(timeouts=Timeouts(total=0.3)) as at:
        at.lms.token = drips(0.05)
        assert await at.send() == RetryLater("token_unavailable", applied="no")
        assert at.lms.calls == []


async def test_a_renewal_that_is_answered_200_without_a_token_delivers_no_score() -> None:
    async with rig(answers(b"", 401)) as at:
        at.lms.token = in_turn(at.lms.token, answers(b"<html>maintenance</html>"))
        assert await at.send() == RetryLater("token_unavailable", applied="no")
        assert len(at.lms.calls) == 1


@pytest.mark.parametrize("page", [
    b"<!DOCTYPE html><title>Maintenance</title>", b"\xef\xbb\xbf\r\n <HTML lang='en'>Please sign in", b"<html>",
])  # fmt: skip
async def test_a_page_for_people_in_the_place_of_an_answer_delivers_no_score(page: bytes) -> None:
    """A proxy in between says 200, and the gradebook never heard of it."""
    async with rig(in_turn(answers(page), answers(b""))) as at:
        assert await at.send() == RetryLater("web_page")
        assert await at.send() == Delivered()


async def test_a_body_larger_than_any_answer_to_a_score_delivers_none() -> None:
    async with rig(bombs) as at:
        assert await at.send() == RetryLater("too_large")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"OK", b"{", b'{"title": "<html>"}'])
async def test_any_other_body_of_a_good_answer_is_of_no_interest(body: bytes) -> None:
    async with rig(answers(body, content_type="text/html; charset=utf-8")) as at:
        assert await at.send() == Delivered()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_key_set_that_leads_elsewhere_is_not_followed(status: int) -> None:
    """S-49: one request, and none to where a cloud keeps its secrets."""
    async with stage(answers(b"", status, location=METADATA)) as at:
        assert await at.refusal() == "keys_unavailable"
        assert at.fetches == 1


@pytest.mark.parametrize("what", ["roster", "line items", "results"])
async def test_a_service_that_leads_elsewhere_gets_no_token_there(what: str) -> None:
    """S-49, S-52: neither the next page nor a redirect."""
    async with loopback() as other, rig() as at:
        at.origins.accepted.add(other.url(""))
        at.lms.services = answers(b"", 302, location=other.url("/members"))
        with pytest.raises(ServiceFailed) as failed:
            await fetched(at, what)
        assert failed.value.outcome == RetryLater("redirect_refused")
        assert other.accepts == 0


@pytest.mark.parametrize("what", ["line items", "results"])
async def test_lists_that_go_round_or_away_end(what: str) -> None:
    """S-56 for what comes in pages beside rosters."""
    async with loopback() as other, rig() as at:
        at.origins.accepted.add(other.url(""))
        for target, code in ((None, "paging_loop"), (other.url("/more"), "paging_foreign_origin")):

            async def page(request: Request, writer: asyncio.StreamWriter, to: str | None = target) -> None:
                link = {"link": f'<{to or at.lms.url(request.path)}>; rel="next"'}
                writer.write(answer(200, json.dumps([]).encode(), link))

            at.lms.services = page
            with pytest.raises(ServiceFailed) as failed:
                await fetched(at, what)
            assert failed.value.code == code
        assert other.accepts == 0
