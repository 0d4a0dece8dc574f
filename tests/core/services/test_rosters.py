"""Rosters by the spec, page by page, and the guards of every list that comes in pages. NRPS 2.0."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import pytest

from ltihost.errors import ServiceFailed
from ltihost.lti import memberships
from ltihost.lti.vocabulary import SCOPE_MEMBERSHIPS
from ltihost.plugins import LtiAdapter, NeedsAttention, Outcome, RetryLater, RosterPage, ServiceAnswer
from ltihost.plugins.service_client import MAX_PAGES, Call
from tests.core.services.rig import Rig, form, paged, query, replies, rig
from tests.core.support_loopback import Request, answer, answers, hangs, in_turn, loopback, under_way

ACCEPT = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
START = "/members?m=1879"
WARM_UP = Call("roster", (SCOPE_MEMBERSHIPS,), memberships.MAX_PAGE_BYTES, accept=ACCEPT)
INSTRUCTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"


def container(*users: Any, **members: Any) -> dict[str, Any]:
    rows = [{"user_id": user, "roles": ["Learner"]} for user in users]
    return {"id": "https://lms.example/m", "context": {"id": "ctx"}, "members": rows} | members


async def pages(at: Rig, kind: type[LtiAdapter] = LtiAdapter, **asked: Any) -> list[RosterPage]:
    return [page async for page in at.adapter(kind).roster(at.urls, **asked)]


async def refused(at: Rig, **asked: Any) -> Outcome:
    with pytest.raises(ServiceFailed) as failed:
        await pages(at, **asked)
    return failed.value.outcome


# Asking


async def test_a_roster_is_asked_for_with_its_own_query_and_one_media_type() -> None:
    """N-02 to N-05, N-17."""
    async with rig(replies(container("a", 17))) as at:
        (page,) = await pages(at)
        assert [row["user_id"] for row in page.rows] == ["a", 17]
        assert page.context_lms_id == "ctx"
        (request,) = at.lms.calls
        assert (request.method, request.path) == ("GET", START)
        assert request.headers["accept"] == ACCEPT
        assert request.headers["authorization"] == "Bearer token-1"
        assert form(at.lms.token_requests[0])["scope"] == SCOPE_MEMBERSHIPS


class Paging(LtiAdapter):
    page_limit = 50


async def test_link_role_and_limit_join_the_query_escaped() -> None:
    """N-15."""
    async with rig(replies(container())) as at:
        await pages(at, Paging, resource_link="a&b=c #1/é", role=INSTRUCTOR)
        (request,) = at.lms.calls
        assert "#" not in request.path
        assert "role=http%3A%2F%2Fpurl.imsglobal.org%2Fvocab%2Flis%2Fv2%2Fmembership%23Instructor" in request.path
        assert query(request) == [("m", "1879"), ("rlid", "a&b=c #1/é"), ("role", INSTRUCTOR), ("limit", "50")]


async def test_without_a_url_there_is_no_service() -> None:
    async with rig() as at:
        with pytest.raises(ServiceFailed) as failed:
            await anext(at.adapter().roster(replace(at.urls, memberships_url=None)))
        assert failed.value.outcome == NeedsAttention("service_missing")
        assert at.lms.server.requests == []


# Reading


async def test_every_page_is_read_and_its_url_not_changed() -> None:
    """N-10, S-56."""
    path = "/Members/aB,c;d?Cursor=X%2Fy&from=2"
    async with rig() as at:
        origin = at.lms.url("")
        differences = f'<{origin}/d?since=Z>; rel="differences"'
        at.lms.services = paged({
            START: (container("a", "b"), f'<{origin}{path}>; rel="next"'),
            path: (container("c"), differences),
        })  # fmt: skip
        read = await pages(at)
        assert [len(page.rows) for page in read] == [2, 1]
        assert at.lms.paths == [START, path]
        assert read[1].differences_url == f"{origin}/d?since=Z"


@pytest.mark.parametrize("body", [b"", b" \n"])
async def test_an_empty_body_is_an_empty_page(body: bytes) -> None:
    async with rig(replies(body)) as at:
        assert await pages(at) == [RosterPage(())]


async def test_a_container_without_a_context_is_read() -> None:
    async with rig(replies({"members": []})) as at:
        assert await pages(at) == [RosterPage(())]


@pytest.mark.parametrize(
    "body", [b"<html>", [], {}, {"members": None}, {"members": {}}, {"members": ["u1"]}, b'{"members": [NaN]}']
)
async def test_what_is_no_container_should_pass(body: Any) -> None:
    async with rig(replies(body)) as at:
        assert await refused(at) == RetryLater("answer_unreadable")


async def test_a_page_that_fails_ends_the_roster_with_an_error() -> None:
    async with rig() as at:
        first = replies(container("a"), 200, {"link": f'<{START}&p=2>; rel="next"'})
        at.lms.services = in_turn(first, replies(b"", 500))
        assert await refused(at) == RetryLater("platform_error")


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_reading_is_tried_again_where_a_gateway_failed(status: int) -> None:
    async with rig() as at:
        at.lms.services = in_turn(replies(b"", status), replies(container("a")))
        assert len(await pages(at)) == 1


# Ahead


def opened(at: Rig) -> AsyncGenerator[RosterPage]:
    return cast("AsyncGenerator[RosterPage]", at.adapter().roster(at.urls))


async def test_the_next_page_comes_while_one_is_worked_on() -> None:
    asked, leads_on = asyncio.Event(), {"link": f'<{START}&p=2>; rel="next"'}

    async def second(request: Request, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await replies(container("b"))(request, writer)

    async with rig(in_turn(replies(container("a"), 200, leads_on), second)) as at, aclosing(opened(at)) as reading:
        await anext(reading)
        await asyncio.wait_for(asked.wait(), 5)
        assert [row["user_id"] for row in (await anext(reading)).rows] == ["b"]


async def test_one_page_ahead_and_no_further() -> None:
    asked = asyncio.Event()

    async def second(request: Request, writer: asyncio.StreamWriter) -> None:
        await numbered(request, writer)
        asked.set()

    async with rig(in_turn(numbered, second, numbered)) as at, aclosing(opened(at)) as reading:
        await anext(reading)
        await asyncio.wait_for(asked.wait(), 5)
        await at.adapter().client.send("GET", at.urls.memberships_url or "", WARM_UP)
        assert len(at.lms.calls) == 3


async def test_a_reading_that_is_broken_off_leaves_no_request_under_way() -> None:
    async with rig(in_turn(numbered, hangs)) as at:
        async with aclosing(opened(at)) as reading:
            await anext(reading)
            assert under_way() == {"ServiceClient._next"}
        assert under_way() == set()


@pytest.mark.parametrize("read", ["line_items", "results"])
async def test_a_page_that_cannot_be_read_leaves_no_request_under_way(read: str) -> None:
    unreadable = replies(b"<p>Under maintenance", 200, {"link": f'<{START}&p=2>; rel="next"'})
    async with rig(in_turn(unreadable, hangs)) as at:
        adapter = at.adapter()
        with pytest.raises(ServiceFailed) as failed:
            await (adapter.line_items(at.urls) if read == "line_items" else adapter.results(at.urls, at.line_item))
        assert failed.value.outcome == RetryLater("answer_unreadable")
        assert under_way() == set()


async def test_a_page_before_one_that_fails_is_seen_first() -> None:
    async with rig(in_turn(numbered, replies(b"", 500))) as at, aclosing(opened(at)) as reading:
        assert len((await anext(reading)).rows) == 1
        with pytest.raises(ServiceFailed):
            await anext(reading)
        assert under_way() == set()


# Paging


@pytest.mark.parametrize("link", [f"<{START}>; rel=next", f"<{START}&p=2>; rel=next"])
async def test_a_page_that_was_read_already_is_an_error(link: str) -> None:
    """N-11, S-56."""
    async with rig(replies(container("a"), 200, {"link": link})) as at:
        assert await refused(at) == NeedsAttention("paging_loop")
        assert len(at.lms.calls) <= 2


async def test_another_origin_gets_neither_a_request_nor_the_token() -> None:
    """N-11, S-56."""
    async with loopback(answers(container())) as other, rig() as at:
        at.origins.accepted.add(other.url(""))
        at.lms.services = replies(container("a"), 200, {"link": f"<{other.url('/members')}>; rel=next"})
        assert await refused(at) == NeedsAttention("paging_foreign_origin")
        assert other.accepts == 0


async def numbered(request: Request, writer: asyncio.StreamWriter) -> None:
    """Pages without end, of one member each."""
    number = int(dict(query(request)).get("p", "1"))
    link = {"link": f"<{START}&p={number + 1}>; rel=next"}
    writer.write(answer(200, json.dumps(container(f"u{number}")).encode(), link))


async def test_there_are_a_thousand_pages_at_most() -> None:
    """S-56."""
    async with rig(numbered) as at:
        assert await refused(at) == NeedsAttention("paging_too_long")
        assert len(at.lms.calls) == MAX_PAGES == 1_000


async def test_there_are_so_many_members_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memberships.MAX_MEMBERS == 200_000
    monkeypatch.setattr(memberships, "MAX_MEMBERS", 3)
    async with rig(replies(container("a", "b", "c"))) as at:
        assert len(await pages(at)) == 1
        at.lms.services = replies(container("a", "b", "c", "d"))
        assert await refused(at) == NeedsAttention("roster_too_large")


async def test_a_page_larger_than_five_mebibytes_is_not_read() -> None:
    async with rig(replies(b" " * (5 * 2**20 + 1))) as at:
        assert await refused(at) == RetryLater("too_large")


class Forgiving(LtiAdapter):
    """Ends where a page names one as the next that was read already."""

    def next_page(self, answer: ServiceAnswer, url: str, seen: Collection[str]) -> str | None:
        following = super().next_page(answer, url, seen)
        return None if following in seen else following


async def test_a_plugin_may_end_a_list_that_comes_round() -> None:
    async with rig(replies(container("a"), 200, {"link": f"<{START}&p=2>; rel=next"})) as at:
        assert len(await pages(at, Forgiving)) == 2
