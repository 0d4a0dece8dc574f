"""Line items by the spec: what is asked, what is read, and what is never sent. AGS 2.0 sections 3.1 and 3.2."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ltihost.errors import ServiceFailed
from ltihost.lti.vocabulary import SCOPE_LINE_ITEM, SCOPE_LINE_ITEM_READ, SCOPE_SCORE
from ltihost.plugins import GiveUp, LineItem, LineItemGone, NeedsAttention, Outcome, RetryLater, ServiceUrls
from tests.core.services.rig import Rig, form, paged, query, replies, rig, routes
from tests.core.support_loopback import in_turn

ITEM = "application/vnd.ims.lis.v2.lineitem+json"
CONTAINER = "application/vnd.ims.lis.v2.lineitemcontainer+json"
NEW = LineItem(None, "Essay", Decimal("12.5"), resource_id="task-7:é", tag="a&b", resource_link="rl 1")


def column(number: int = 7, /, **members: Any) -> dict[str, Any]:
    return {"id": f"https://lms.example/items/{number}?type_id=1", "label": "Quiz", "scoreMaximum": 10} | members


async def refused(work: Any) -> Outcome:
    with pytest.raises(ServiceFailed) as failed:
        await work
    return failed.value.outcome


# Reading


async def test_a_list_is_asked_for_with_its_own_query_one_media_type_and_the_smaller_scope() -> None:
    async with rig(replies([])) as at:
        assert await at.adapter().line_items(at.urls) == ()
        (request,) = at.lms.calls
        assert (request.method, request.path) == ("GET", "/items?type_id=1")
        assert request.headers["accept"] == CONTAINER
        assert request.headers["authorization"] == "Bearer token-1"
        assert request.headers["user-agent"].startswith("ltihost/")
        assert SCOPE_LINE_ITEM_READ in form(at.lms.token_requests[0])["scope"].split()


async def test_filters_join_the_query_escaped_and_are_applied_once_more() -> None:
    fits = column(1, resourceId="task-7:é", tag="a&b", resourceLinkId="rl 1")
    others = [column(2, tag="a&b"), column(3, resourceId="task-7:é"), column(4, resourceLinkId="rl 1"), column(5)]
    async with rig(replies([*others, fits])) as at:
        found = await at.adapter().line_items(at.urls, resource_id="task-7:é", tag="a&b", resource_link="rl 1")
        assert [item.url for item in found] == ["https://lms.example/items/1?type_id=1"]
        assert at.lms.paths == [
            "/items?type_id=1&resource_id=task-7%3A%C3%A9&tag=a%26b&resource_link_id=rl%201"
        ]  # fmt: skip
        assert query(at.lms.calls[0])[0] == ("type_id", "1")


async def test_a_line_item_is_read_member_by_member() -> None:
    sent = column(
        resourceId="r", tag="t", resourceLinkId=4, startDateTime="2027-01-01T00:00:00Z",
        endDateTime="2027-02-01T00:00:00+01:00", gradesReleased=False, submissionReview={"url": "https://x"},
        **{"https://lms.example/ext": 1},
    )  # fmt: skip
    async with rig(replies([sent])) as at:
        (item,) = await at.adapter().line_items(at.urls)
        assert item == LineItem(
            None, "Quiz", Decimal(10), "https://lms.example/items/7?type_id=1", "r", "t", "4",
            starts_at="2027-01-01T00:00:00Z", ends_at="2027-02-01T00:00:00+01:00", grades_released=False,
            submission_review={"url": "https://x"}, raw=sent,
        )  # fmt: skip


async def test_blank_members_are_absent_ones() -> None:
    sent = column(label=None, resourceId="", tag=" ", resourceLinkId=None, startDateTime="", submissionReview=None)
    async with rig(replies([sent])) as at:
        (item,) = await at.adapter().line_items(at.urls)
        assert (item.label, item.resource_id, item.tag, item.resource_link, item.starts_at) == (
            "",
            None,
            None,
            None,
            None,
        )


async def test_all_pages_are_read() -> None:
    """A-11."""
    pages = {
        "/items?type_id=1": ([column(1)], "</items?type_id=1&amp;from=1>; rel=“next”"),
        "/items?type_id=1&from=1": ([column(2)], "</items?type_id=1&from=0>; rel=prev"),
    }
    async with rig(paged(pages)) as at:
        assert len(await at.adapter().line_items(at.urls)) == 2


@pytest.mark.parametrize("body", [{}, "x", b"<html>", b"[", {"items": []}])
async def test_a_list_that_is_none_should_pass(body: Any) -> None:
    async with rig(replies(body)) as at:
        assert await refused(at.adapter().line_items(at.urls)) == RetryLater("answer_unreadable")


async def test_rows_that_are_no_line_items_are_passed_over() -> None:
    async with rig(replies([1, None, {}, {"id": ""}, {"id": 4, "scoreMaximum": 1}, column()])) as at:
        assert len(await at.adapter().line_items(at.urls)) == 1


async def test_one_line_item_keeps_what_is_ours() -> None:
    async with rig(replies(column(9, label="Renamed"))) as at:
        ours = replace(at.line_item, coupled=True)
        read = await at.adapter().read_line_item(at.urls, ours)
        assert (read.id, read.coupled, read.url, read.label) == ("lin_1", True, ours.url, "Renamed")
        (request,) = at.lms.calls
        assert (request.path, request.headers["accept"]) == ("/items/7?type_id=1", ITEM)


# Scopes


@pytest.mark.parametrize(
    ("offered", "asked"),
    [((SCOPE_LINE_ITEM,), SCOPE_LINE_ITEM), ((SCOPE_LINE_ITEM_READ,), SCOPE_LINE_ITEM_READ)],
)
async def test_only_offered_scopes_are_asked_for(offered: tuple[str, ...], asked: str) -> None:
    async with rig(replies([])) as at:
        await at.adapter().line_items(replace(at.urls, ags_scopes=offered))
        assert form(at.lms.token_requests[0])["scope"] == asked


async def test_with_the_score_scope_alone_nothing_is_read() -> None:
    """A-19."""
    async with rig() as at:
        urls = replace(at.urls, ags_scopes=(SCOPE_SCORE,))
        assert await refused(at.adapter().line_items(urls)) == NeedsAttention("scope_missing")
        assert await refused(at.adapter().read_line_item(urls, at.line_item)) == NeedsAttention("scope_missing")
        assert at.lms.server.requests == []


async def test_with_the_reading_scope_alone_nothing_is_written() -> None:
    """A-20."""
    async with rig() as at:
        adapter, urls = at.adapter(), replace(at.urls, ags_scopes=(SCOPE_LINE_ITEM_READ,))
        for work in (
            adapter.create_line_item(urls, NEW),
            adapter.update_line_item(urls, at.line_item),
            adapter.delete_line_item(urls, at.line_item),
        ):
            assert await refused(work) == NeedsAttention("scope_missing")
        assert at.lms.server.requests == []


async def test_without_a_container_there_is_no_service() -> None:
    async with rig() as at:
        urls = ServiceUrls(ags_scopes=at.urls.ags_scopes)
        assert await refused(at.adapter().line_items(urls)) == NeedsAttention("service_missing")
        assert await refused(at.adapter().create_line_item(urls, NEW)) == NeedsAttention("service_missing")


# Writing


async def test_a_new_line_item_is_posted_once_to_the_container_as_it_is() -> None:
    answer = column(11, label="Essay", scoreMaximum=12.5, resourceId="task-7:é", tag="a&b")
    async with rig(replies(answer, 201)) as at:
        made = await at.adapter().create_line_item(at.urls, replace(NEW, id="lin_2"))
        assert (made.id, made.url) == ("lin_2", "https://lms.example/items/11?type_id=1")
        (request,) = at.lms.calls
        assert (request.method, request.path) == ("POST", "/items?type_id=1")
        assert (request.headers["content-type"], request.headers["accept"]) == (ITEM, ITEM)
        assert b'"scoreMaximum":12.5' in request.body
        assert json.loads(request.body) == {
            "label": "Essay", "scoreMaximum": 12.5, "resourceId": "task-7:é", "tag": "a&b", "resourceLinkId": "rl 1",
        }  # fmt: skip


async def test_what_the_lms_made_of_it_counts() -> None:
    async with rig(replies(column(11, label="Essay (2)", scoreMaximum=13), 201)) as at:
        made = await at.adapter().create_line_item(at.urls, NEW)
        assert (made.label, made.maximum) == ("Essay (2)", Decimal(13))


@pytest.mark.parametrize(
    "item",
    [
        replace(NEW, label=" "),
        replace(NEW, maximum=Decimal(0)),
        replace(NEW, maximum=Decimal(-5)),
        replace(NEW, maximum=Decimal("NaN")),
        replace(NEW, maximum=Decimal("Infinity")),
        replace(NEW, maximum=Decimal("1e400")),
        replace(NEW, tag="t" * 256),
        replace(NEW, resource_id="r" * 256),
    ],
)
async def test_what_an_lms_could_not_undo_is_never_sent(item: LineItem) -> None:
    async with rig() as at:
        for work in (
            at.adapter().create_line_item(at.urls, item),
            at.adapter().update_line_item(at.urls, replace(item, url=at.line_item.url)),
        ):
            assert await refused(work) == GiveUp("line_item_invalid", at_once=True)
        assert at.lms.server.requests == []


async def test_a_long_label_is_cut() -> None:
    async with rig(replies(column(), 201)) as at:
        await at.adapter().create_line_item(at.urls, replace(NEW, label="L" * 300))
        assert len(json.loads(at.lms.calls[0].body)["label"]) == 255


@pytest.mark.parametrize("body", [b"", {}, {"label": "Essay", "scoreMaximum": 5}])
async def test_a_creation_that_names_no_url_is_unknown_not_done(body: Any) -> None:
    async with rig(replies(body, 201)) as at:
        assert await refused(at.adapter().create_line_item(at.urls, NEW)) == RetryLater("answer_unreadable")
        assert len(at.lms.calls) == 1


async def test_an_update_reads_the_whole_object_changes_it_and_writes_it_back() -> None:
    """A-15."""
    stands = column(resourceLinkId="1", ltiLinkId="1", tag="t", gradesReleased=True, **{"https://lms.example/x": [1]})
    async with rig(routes(GET=stands, PUT=stands | {"label": "New"})) as at:
        wanted = replace(at.line_item, label="New", maximum=Decimal("20.50"), ends_at="2027-01-01T00:00:00Z")
        assert (await at.adapter().update_line_item(at.urls, wanted)).label == "New"
        read, written = at.lms.calls
        assert (read.method, read.headers["accept"], read.path) == ("GET", ITEM, "/items/7?type_id=1")
        assert (written.method, written.path) == ("PUT", "/items/7?type_id=1")
        assert written.headers["content-type"] == ITEM
        assert json.loads(written.body) == {
            "label": "New", "scoreMaximum": 20.5, "resourceLinkId": "1", "ltiLinkId": "1", "tag": "t",
            "gradesReleased": True, "https://lms.example/x": [1], "endDateTime": "2027-01-01T00:00:00Z",
        }  # fmt: skip


async def test_what_is_so_already_is_not_written() -> None:
    async with rig(routes(GET=column(scoreMaximum=10.0))) as at:
        assert (await at.adapter().update_line_item(at.urls, at.line_item)).maximum == 10
        assert [request.method for request in at.lms.calls] == ["GET"]


@pytest.mark.parametrize("body", [b"", {}, []])
async def test_an_update_that_is_answered_without_the_object_is_read_again(body: Any) -> None:
    async with rig() as at:
        at.lms.services = in_turn(replies(column()), replies(body), replies(column(label="New")))
        wanted = replace(at.line_item, label="New")
        assert (await at.adapter().update_line_item(at.urls, wanted)).label == "New"
        assert [request.method for request in at.lms.calls] == ["GET", "PUT", "GET"]


@pytest.mark.parametrize("status", [200, 204, 404, 410])
async def test_deleting_ends_with_nothing_there(status: int) -> None:
    async with rig(replies(b"", status)) as at:
        await at.adapter().delete_line_item(at.urls, at.line_item)
        (request,) = at.lms.calls
        assert (request.method, request.path) == ("DELETE", "/items/7?type_id=1")


async def test_a_deletion_that_is_refused_is_not_done() -> None:
    async with rig(replies(b"", 403)) as at:
        assert await refused(at.adapter().delete_line_item(at.urls, at.line_item)) == NeedsAttention(
            "scope_or_permission"
        )


async def missing_url(at: Rig) -> list[Any]:
    nowhere = replace(at.line_item, url=None)
    return [at.adapter().read_line_item(at.urls, nowhere), at.adapter().results(at.urls, nowhere)]


async def test_a_line_item_that_is_not_in_the_lms_is_gone() -> None:
    async with rig() as at:
        for work in await missing_url(at):
            assert await refused(work) == LineItemGone()
