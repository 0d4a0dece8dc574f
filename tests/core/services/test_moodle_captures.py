"""A real Moodle's services, byte for byte, through the adapter that goes by the specs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from joserfc.jwk import RSAKey

from ltihost.errors import ServiceFailed
from ltihost.lti.vocabulary import AGS_SCOPE, SCOPE_LINE_ITEM, SCOPE_MEMBERSHIPS, SCOPE_SCORE
from ltihost.plugins import (
    Delivered,
    GiveUp,
    LineItem,
    LineItemGone,
    LtiAdapter,
    NeedsAttention,
    Outcome,
    PausePlatform,
    Result,
    RetryLater,
    Score,
    ServiceUrls,
    Stale,
)
from ltihost.plugins.service_client import Call
from tests.core.services.moodle_stub import Moodle
from tests.core.services.rig import ALL_SCOPES, NOW, Rig, our_key, rig
from tests.core.support_loopback import Request

SERVICES = "/mod/lti/services.php"
INSTRUCTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"
DONE = Score(Decimal(40), Decimal(50), "Completed", "FullyGraded")


@dataclass
class Captured:
    rig: Rig
    moodle: Moodle

    @property
    def urls(self) -> ServiceUrls:
        members = f"{SERVICES}/CourseSection/2/bindings/1/memberships"
        return ServiceUrls(self.at("/2/lineitems?type_id=1"), ALL_SCOPES, self.rig.lms.url(members))

    def at(self, path: str) -> str:
        return self.rig.lms.url(SERVICES + path)

    def item(self, number: int = 14) -> LineItem:
        url = self.at(f"/2/lineitems/{number}/lineitem?type_id=1")
        return LineItem("lin_1", "Quiz", Decimal(50), url=url)

    async def score(self, subject: str = "7", score: Score = DONE) -> Outcome:
        return await self.rig.adapter().send_score(self.urls, self.item(), subject, score, 1_795_230_149)

    async def result(self, subject: str) -> Result | None:
        return next(iter(await self.rig.adapter().results(self.urls, self.item(), subject=subject)), None)


@pytest.fixture
async def captured() -> AsyncIterator[Captured]:
    key = our_key()
    moodle = Moodle({key.kid: RSAKey.import_key(key.key.as_dict(private=False))}, "client-1", NOW)

    async def serve(request: Request, writer: asyncio.StreamWriter) -> None:
        await moodle(request, writer)

    async with rig(serve) as at:
        at.change(token_url=at.lms.url("/mod/lti/token.php"))
        moodle.server = at.lms.server
        yield Captured(at, moodle)
        assert moodle.unseen == []


async def refused(work: object) -> Outcome:
    with pytest.raises(ServiceFailed) as failed:
        await work  # type: ignore[misc]
    return failed.value.outcome


# Tokens


async def test_a_token_is_granted_as_text_html(captured: Captured) -> None:
    token = await captured.rig.tokens.token(captured.rig.client(), (*ALL_SCOPES, SCOPE_MEMBERSHIPS))
    assert token == "7a180a40999fd00c5894d7b16107d4bf"


async def test_only_the_scopes_that_were_granted_count(captured: Captured) -> None:
    work = captured.rig.tokens.token(captured.rig.client(), (SCOPE_SCORE, AGS_SCOPE + "more"))
    assert await refused(work) == NeedsAttention("scope_missing")


async def test_an_unknown_scope_alone_is_refused(captured: Captured) -> None:
    work = captured.rig.tokens.token(captured.rig.client(), (AGS_SCOPE + "more",))
    assert await refused(work) == NeedsAttention("scope_missing")


@pytest.mark.parametrize("case", ["unknown-kid", "wrong-key", "sub-unknown"])
async def test_our_key_or_client_id_is_not_the_right_one(captured: Captured, case: str) -> None:
    """The body of the first is no JSON; the others hold free text and an RFC code."""
    if case == "unknown-kid":
        captured.rig.keys.key = our_key()._replace(kid="other")
    elif case == "wrong-key":
        captured.rig.keys.key = our_key(1)._replace(kid=our_key().kid)
    else:
        captured.moodle.client_id = "another"
    work = captured.rig.tokens.token(captured.rig.client(), (SCOPE_SCORE,))
    assert await refused(work) == PausePlatform("invalid_client")


@pytest.mark.parametrize("behind", [5, 9])
async def test_a_moodle_whose_clock_is_behind_grants_all_the_same(captured: Captured, behind: int) -> None:
    """It forgives nothing: an `iat` two seconds ahead is refused."""
    captured.moodle.now -= behind
    assert await captured.rig.tokens.token(captured.rig.client(), (SCOPE_SCORE,))
    captured.moodle.now = NOW - 12
    assert await refused(captured.rig.tokens.token(captured.rig.client(), ("x",))) == PausePlatform("invalid_client")


# Line items


async def test_line_items_are_listed(captured: Captured) -> None:
    first, second = await captured.rig.adapter().line_items(captured.urls)
    assert (first.label, first.maximum, first.resource_link) == ('Peer review <1> "q" & é', Decimal(50), "1")
    assert (first.resource_id, first.tag) == (None, None)
    assert first.url == captured.at("/2/lineitems/2/lineitem?type_id=1")
    assert first.raw["ltiLinkId"] == "1"
    assert second.label == "No grade link"


async def test_line_items_are_found_by_what_is_ours(captured: Captured) -> None:
    adapter = captured.rig.adapter()
    assert {item.tag for item in await adapter.line_items(captured.urls, tag="review")} == {"review"}
    (effort,) = await adapter.line_items(captured.urls, resource_id="task-7:effort")
    assert (effort.label, effort.tag) == ("Second col of link", "effort")
    linked = await adapter.line_items(captured.urls, resource_link="1")
    assert {item.resource_link for item in linked} == {"1"}


async def test_the_pages_of_curly_quotes_are_followed(captured: Captured) -> None:
    urls = replace(captured.urls, line_items_url=captured.at("/2/lineitems?type_id=1&limit=2"))
    # The page after the second was not captured.
    assert await refused(captured.rig.adapter().line_items(urls)) == RetryLater("platform_error")
    assert [request.path.rpartition("?")[2] for request in captured.rig.lms.calls if "lineitems" in request.path] == [
        "type_id=1&limit=2", "type_id=1&limit=2&from=2", "type_id=1&limit=2&from=4",
    ]  # fmt: skip
    captured.moodle.unseen.clear()


async def test_a_line_item_is_read_and_the_course_total_has_no_label(captured: Captured) -> None:
    read = await captured.rig.adapter().read_line_item(captured.urls, captured.item(2))
    assert (read.id, read.maximum) == ("lin_1", Decimal(50))
    total = await captured.rig.adapter().read_line_item(captured.urls, captured.item(1))
    assert (total.label, total.maximum) == ("", Decimal(150))


async def test_a_line_item_is_created(captured: Captured) -> None:
    item = LineItem(None, "Reviewer quality", Decimal(30), tag="review", resource_id="task-7:review")
    made = await captured.rig.adapter().create_line_item(captured.urls, item)
    assert made.url == captured.at("/2/lineitems/5/lineitem?type_id=1")


@pytest.mark.parametrize(
    ("link", "outcome"),
    [("999", NeedsAttention("scope_or_permission")), ("abc", RetryLater("platform_error"))],
)
async def test_a_line_item_for_a_link_that_is_not_ours_is_not_made(
    captured: Captured, link: str, outcome: Outcome
) -> None:
    item = LineItem(None, "x", Decimal(10), resource_link=link)
    assert await refused(captured.rig.adapter().create_line_item(captured.urls, item)) == outcome


async def test_a_line_item_is_deleted_and_then_gone(captured: Captured) -> None:
    for _ in range(2):
        await captured.rig.adapter().delete_line_item(captured.urls, captured.item(13))
    assert await refused(captured.rig.adapter().read_line_item(captured.urls, captured.item(13))) == LineItemGone()


# Scores and results


async def test_a_score_arrives_and_is_read_back(captured: Captured) -> None:
    assert await captured.rig.adapter().results(captured.urls, captured.item()) == ()
    assert await captured.result("7") is None
    assert await captured.score(score=replace(DONE, comment="Good <b>work</b> & thanks\nline2")) == Delivered()
    assert await captured.result("7") == Result("7", Decimal(40), Decimal(50), "Good <b>work</b> & thanks\nline2")


async def test_a_second_score_in_the_same_second_is_stale(captured: Captured) -> None:
    assert await captured.score(score=replace(DONE, given=Decimal(41))) == Stale()


async def test_zero_is_a_score_and_no_score_is_none(captured: Captured) -> None:
    assert await captured.score("9", replace(DONE, given=Decimal(0))) == Delivered()
    zero = await captured.result("9")
    assert zero is not None
    assert zero.given == 0
    pending = await captured.result("15")
    assert pending == Result("15", None, Decimal(1))


@pytest.mark.parametrize("subject", ["3", "37", "2", "99999"])
async def test_a_teacher_or_stranger_gets_no_score(captured: Captured, subject: str) -> None:
    """The reason stands only in the status line; without a plugin it is a refusal."""
    assert await captured.score(subject, replace(DONE, given=Decimal(11))) == GiveUp("refused")


async def test_a_score_for_a_column_that_is_not_there(captured: Captured) -> None:
    item = captured.item(9999)
    outcome = await captured.rig.adapter().send_score(captured.urls, item, "7", DONE, 1_795_230_149)
    assert outcome == LineItemGone()


async def test_every_result_is_read_in_one_answer(captured: Captured) -> None:
    await captured.rig.adapter().results(captured.urls, captured.item())  # before any score
    results = {row.subject: row for row in await captured.rig.adapter().results(captured.urls, captured.item())}
    assert results["7"] == Result("7", Decimal(46), Decimal(50))
    assert results["9"].given == 0


class Limiting(LtiAdapter):
    result_limit = 2


async def test_results_with_a_limit_break_moodle(captured: Captured) -> None:
    """PHP fails and the page that says so has status 404: it looks like a column that is gone."""
    assert await refused(captured.rig.adapter(Limiting).results(captured.urls, captured.item())) == LineItemGone()


# Rosters


async def test_a_roster_is_read_with_umlauts_and_ids_as_they_are(captured: Captured) -> None:
    (page,) = [page async for page in captured.rig.adapter().roster(captured.urls)]
    assert page.context_lms_id == "2"
    assert len(page.rows) == 34
    first = page.rows[0]
    assert (first["user_id"], first["roles"], first["status"]) == ("38", ["Learner"], "Active")
    assert any("É" in row["name"] for row in page.rows)


class ByTen(LtiAdapter):
    page_limit = 10


async def test_the_first_page_of_ten_names_the_next(captured: Captured) -> None:
    reading = captured.rig.adapter(ByTen).roster(captured.urls)
    assert len((await anext(reading)).rows) == 10
    with pytest.raises(ServiceFailed):  # it was not captured
        await anext(reading)
    assert [request.path.rpartition("?")[2] for request in captured.moodle.unseen] == ["limit=10&from=10"]
    captured.moodle.unseen.clear()


async def test_roles_and_links_are_asked_for_as_moodle_understands_them(captured: Captured) -> None:
    adapter = captured.rig.adapter()
    (teachers,) = [page async for page in adapter.roster(captured.urls, role=INSTRUCTOR)]
    assert {tuple(row["roles"]) for row in teachers.rows} == {("Instructor",)}
    (linked,) = [page async for page in adapter.roster(captured.urls, resource_link="1")]
    assert all("message" in row for row in linked.rows)


async def test_an_unknown_link_and_a_foreign_tool_are_refused(captured: Captured) -> None:
    adapter, urls = captured.rig.adapter(), captured.urls
    assert await refused(anext(adapter.roster(urls, resource_link="9999"))) == NeedsAttention("service_not_found")
    unknown = replace(urls, memberships_url=captured.at("/CourseSection/99/bindings/1/memberships"))
    assert await refused(anext(adapter.roster(unknown))) == NeedsAttention("service_not_found")
    foreign = replace(urls, memberships_url=captured.at("/CourseSection/2/bindings/77/memberships"))
    assert await refused(anext(adapter.roster(foreign))) == PausePlatform("unauthorized")


class Sloppy(LtiAdapter):
    """Sends what the captures show refused: it proves that the stub refuses it."""

    async def ask(self, url: str, accept: str, scope: str) -> None:
        await self.client.send("GET", url, Call("roster", (scope,), 65_536, accept=accept))


@pytest.mark.parametrize("accept", ["application/json", "*/*"])
async def test_moodle_wants_one_exact_media_type(captured: Captured, accept: str) -> None:
    adapter = captured.rig.adapter(Sloppy)
    assert isinstance(adapter, Sloppy)
    url = captured.urls.line_items_url or ""
    assert await refused(adapter.ask(url, accept, SCOPE_LINE_ITEM)) == GiveUp("refused")
