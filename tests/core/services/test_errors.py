"""What an LMS's error means, for each operation; 401 and its one renewal; what broke on the way."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import Any

import pytest

from ltihost.errors import ServiceFailed
from ltihost.lti.outcomes import words_of
from ltihost.outbound import Timeouts
from ltihost.plugins import (
    Delivered,
    GiveUp,
    LineItem,
    LineItemGone,
    NeedsAttention,
    Outcome,
    PausePlatform,
    RetryLater,
    ServiceAnswer,
    Stale,
    WaitForEnrolment,
)
from tests.core.services.rig import NOW, SCORE, Rig, replies, rig
from tests.core.support_loopback import Handler, Request, answers, drips, hangs, in_turn, loopback, resets

UNAUTHORIZED = PausePlatform("unauthorized")
DENIED = NeedsAttention("scope_or_permission")
FAULT = RetryLater("platform_error")
REFUSED = GiveUp("refused")
QUICK = Timeouts(connect=0.3, read=0.3, total=0.6)


async def operation(at: Rig, name: str) -> Outcome:
    """The outcome of one operation."""
    adapter, urls, item = at.adapter(), at.urls, at.line_item
    if name == "score":
        return await at.send()
    work: dict[str, Any] = {
        "line_items.list": lambda: adapter.line_items(urls),
        "line_item.read": lambda: adapter.read_line_item(urls, item),
        "line_item.create": lambda: adapter.create_line_item(urls, item),
        "line_item.update": lambda: adapter.update_line_item(urls, item),
        "line_item.delete": lambda: adapter.delete_line_item(urls, item),
        "results": lambda: adapter.results(urls, item),
        "roster": lambda: anext(adapter.roster(urls)),
    }
    with pytest.raises(ServiceFailed) as failed:
        await work[name]()
    assert failed.value.code == getattr(failed.value.outcome, "code", None)
    return failed.value.outcome


EVERY = ("line_items.list", "line_item.read", "line_item.create", "line_item.update", "line_item.delete",
         "score", "results", "roster")  # fmt: skip
ON_AN_ITEM = frozenset({"line_item.read", "line_item.update", "score", "results"})


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("status", "headers", "meaning"),
    [
        (400, {}, REFUSED),
        (401, {}, UNAUTHORIZED),
        (403, {}, DENIED),
        (405, {}, REFUSED),
        (408, {}, FAULT),
        (412, {}, REFUSED),
        (422, {}, REFUSED),
        (429, {}, PausePlatform("throttled")),
        (429, {"retry-after": "120"}, PausePlatform("throttled", 120.0)),
        (500, {}, FAULT),
        (501, {}, FAULT),
        (503, {"retry-after": "120"}, PausePlatform("throttled", 120.0)),
    ],
)
async def test_a_status_means_the_same_for_every_operation(
    name: str, status: int, headers: dict[str, str], meaning: Outcome
) -> None:
    """A-17."""
    async with rig(replies(b"[]", status, headers)) as at:
        assert await operation(at, name) == meaning


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_not_there_is_the_line_item_or_the_service(name: str, status: int) -> None:
    async with rig(replies(b"", status)) as at:
        if name == "line_item.delete":
            await at.adapter().delete_line_item(at.urls, at.line_item)  # that was wanted
        else:
            found = LineItemGone() if name in ON_AN_ITEM else NeedsAttention("service_not_found")
            assert await operation(at, name) == found


@pytest.mark.parametrize("name", EVERY)
async def test_a_conflict_means_a_newer_score_and_else_a_refusal(name: str) -> None:
    async with rig(replies(b"[]", 409)) as at:
        assert await operation(at, name) == (Stale() if name == "score" else REFUSED)


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("120", 120.0), ("0", 1.0), ("9999999", 86_400.0), ("-5", None), ("abc", None), ("", None), ("1.5", None),
        ("99999999999999999999", None), (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW + 9_999_999, usegmt=True), 86_400.0),
    ],
)  # fmt: skip
async def test_a_time_to_wait_is_honoured_within_reason(header: str, after: float | None) -> None:
    async with rig(replies(b"", 429, {"retry-after": header})) as at:
        assert await at.send() == PausePlatform("throttled", after)


@pytest.mark.parametrize("name", EVERY)
async def test_the_plugin_is_asked_first_about_every_operation(name: str) -> None:
    asked: list[tuple[int, str]] = []

    def classify(answer: Any, operation: Any) -> Outcome:
        asked.append((answer.status, operation))
        return WaitForEnrolment("student_not_gradable")

    async with rig(replies({"errors": "x"}, 422)) as at:
        at.classify = classify
        assert await operation(at, name) == WaitForEnrolment("student_not_gradable")
    assert asked == [(422, name)]


async def test_the_failure_shows_what_was_answered() -> None:
    async with rig(replies(b"<b>why</b>" + b"x" * 1000, 403)) as at:
        with pytest.raises(ServiceFailed) as failed:
            await at.adapter().line_items(at.urls)
        assert failed.value.status == 403
        assert failed.value.excerpt.startswith("<b>why</b>")
        assert len(failed.value.excerpt) == 300
        assert failed.value.message == "127.0.0.1 answered 403 to line_items.list."
        assert "token-1" not in repr(failed.value) + str(failed.value.__dict__)


async def test_the_last_answer_is_kept_for_the_history() -> None:
    async with rig(replies(b"[]", 409)) as at:
        adapter = at.adapter()
        assert adapter.client.answered is None
        await adapter.send_score(at.urls, at.line_item, "u", SCORE, 1)
        assert adapter.client.answered is not None
        assert adapter.client.answered.status == 409


# 401


async def test_a_token_that_is_refused_is_renewed_once() -> None:
    """T-06."""
    async with rig(in_turn(replies(b"", 401), replies(b""))) as at:
        assert await at.send() == Delivered()
        assert [call.headers["authorization"] for call in at.lms.calls] == ["Bearer token-1", "Bearer token-2"]
        assert at.lms.calls[0].body == at.lms.calls[1].body
        assert await at.send() == Delivered()
        assert len(at.lms.token_requests) == 2


async def test_a_second_refusal_is_not_about_the_token() -> None:
    """T-06."""
    async with rig(replies(b"", 401)) as at:
        assert await at.send() == UNAUTHORIZED
        assert (len(at.lms.calls), len(at.lms.token_requests)) == (2, 2)


async def test_a_403_is_about_the_token_only_if_it_says_so() -> None:
    bearer = {"www-authenticate": 'Bearer error="invalid_token"'}
    async with rig(in_turn(replies(b"", 403, bearer), replies(b""))) as at:
        assert await at.send() == Delivered()
    async with rig(in_turn(replies(b"", 403), replies(b""))) as at:
        assert await at.send() == DENIED
        assert len(at.lms.token_requests) == 1


async def test_without_a_token_nothing_is_sent() -> None:
    async with rig() as at:
        at.lms.token = replies({"error": "invalid_client"}, 400)
        assert await at.send() == PausePlatform("invalid_client")
        assert at.lms.calls == []


async def test_a_renewal_that_fails_is_the_outcome() -> None:
    async with rig(replies(b"", 401)) as at:
        grant = at.lms.token
        at.lms.token = in_turn(grant, replies(b"", 500))
        assert await at.send() == RetryLater("token_unavailable", applied="no")
        assert len(at.lms.calls) == 1


async def test_a_hundred_scores_at_once_take_one_token() -> None:
    async with rig() as at:
        assert set(await asyncio.gather(*(at.send(subject=f"u{n}") for n in range(100)))) == {Delivered()}
        assert (len(at.lms.calls), len(at.lms.token_requests)) == (100, 1)


# What broke on the way


async def half_sent(request: Request, writer: asyncio.StreamWriter) -> None:
    """Half a status line, and no more."""
    writer.write(b"HTTP/1.1 2")
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("broken", "code"), [(hangs, "timeout"), (half_sent, "timeout"), (resets, "connection_failed")]
)
async def test_what_broke_after_sending_may_have_been_applied_and_is_not_repeated(broken: Handler, code: str) -> None:
    async with rig(broken, timeouts=QUICK) as at:
        assert await at.send() == RetryLater(code, applied="perhaps")
        assert len(at.lms.calls) == 1


@pytest.mark.parametrize(
    ("pause", "timeouts"), [(1, Timeouts(read=0.2)), (0.05, Timeouts(total=0.5))], ids=["stops", "drips"]
)
async def test_a_body_that_never_ends_after_a_success_changes_nothing(pause: float, timeouts: Timeouts) -> None:
    async with rig(drips(pause), timeouts=timeouts) as at:
        assert await at.send() == Delivered()


async def test_a_change_of_protocol_delivers_no_score() -> None:
    async with rig(replies(b"", 101)) as at:
        assert await at.send() == RetryLater("connection_failed", applied="perhaps")


async def test_a_refused_connection_was_not_applied() -> None:
    async with loopback() as gone:
        port = gone.port
    async with rig() as at:
        at.origins.accepted.add(f"http://127.0.0.1:{port}")
        item = LineItem("lin_1", "Quiz", at.line_item.maximum, url=f"http://127.0.0.1:{port}/i")
        outcome = await at.adapter().send_score(at.urls, item, "u", SCORE, 1)
        assert outcome == RetryLater("connection_failed", applied="no")


async def test_a_redirect_is_not_followed() -> None:
    async with loopback(answers({})) as other, rig() as at:
        at.lms.services = replies(b"", 302, {"location": other.url("/scores")})
        assert await at.send() == RetryLater("redirect_refused")
        assert other.accepts == 0


@pytest.mark.parametrize("name", EVERY)
async def test_a_foreign_origin_sees_nothing_of_us(name: str) -> None:
    async with rig() as at:
        at.origins.accepted.clear()
        assert await operation(at, name) == GiveUp("service_origin", at_once=True)
        assert at.lms.calls == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:{port}@evil.example/i", "service_origin"),
        ("http://127.0.0.1:{port}/a/../b", "service_origin"),
        ("ftp://127.0.0.1:{port}/i", "service_origin"),
        ("http://127.0.0.1:{port}/i#x", "url_fragment"),
    ],
)
async def test_a_url_that_two_could_read_differently_is_refused(url: str, code: str) -> None:
    async with rig() as at:
        item = LineItem("lin_1", "Quiz", at.line_item.maximum, url=url.format(port=at.lms.server.port))
        outcome = await at.adapter().send_score(at.urls, item, "u", SCORE, 1)
        assert outcome == GiveUp(code, at_once=True)
        assert at.lms.calls == []


async def test_a_large_answer_is_not_read_to_its_end() -> None:
    async with rig(replies(b"[" + b" " * 2**20 + b"]")) as at:
        assert await operation(at, "line_items.list") == RetryLater("too_large")


async def test_an_lms_that_drips_is_given_up_in_time() -> None:
    async with rig(drips(0.05), timeouts=Timeouts(connect=0.3, read=0.3, total=0.5)) as at:
        started = time.monotonic()
        assert await operation(at, "roster") == RetryLater("timeout")
        assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"status": 403, "reason": "Access is switched off", "request": {}}', "Access is switched off"),
        ('{"errors": {"type": "unprocessable", "message": "User not found"}}', "User not found"),
        ('{"error": "invalid_scope", "error_description": "No such scope"}', "No such scope"),
        ('{"error": "invalid_scope"}', "invalid_scope"),
        ('{"reason": "", "message": 5, "errors": []}', '{"reason": "", "message": 5, "errors": []}'),
        ("[]", "[]"),
        ("", ""),
        ("<h1>Forbidden</h1>", "<h1>Forbidden</h1>"),
    ],
)
def test_the_sentence_for_people_is_taken_out_of_json(body: str, words: str) -> None:
    assert words_of(ServiceAnswer(403, {}, body.encode())) == words
