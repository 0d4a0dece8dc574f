"""The adapters of the plugins, with their hooks, against the simulated LMSs over real connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from ltihost.errors import ServiceFailed
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.service_records import (
    Delivered,
    LineItem,
    Member,
    NeedsAttention,
    Operation,
    Outcome,
    PausePlatform,
    Score,
    SentScore,
    ServiceAnswer,
    ServiceUrls,
    WaitForEnrolment,
    Withheld,
)
from ltihost.testing.parts import Cell
from ltihost.testing.profile import NRPS
from ltihost.testing.serving import RunningCampus
from tests.campus.service_client import ServiceClient, registered
from tests.plugins.reading import Reader
from tests.plugins.scripted import ALL_SCOPES, CLEARED, graded

KEYS = ("canvas", "moodle", "blackboard")
LINK = "cell-quiz"


class Lent:
    """Core's side of the seam, without its guard: the LMS is on this machine."""

    def __init__(self, client: ServiceClient, http: httpx2.AsyncClient, reader: Reader) -> None:
        self.clock = client.platform.clock
        self._client = client
        self._http = http
        self._reader = reader

    async def request(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> ServiceAnswer:
        answer = await self._http.request(method, url, headers=headers, content=content)
        return ServiceAnswer(answer.status_code, dict(answer.headers), answer.content)

    async def token(self, scopes: Sequence[str], *, also: Sequence[str] = (), refused: str | None = None) -> str:
        return self._client.token

    def classify(self, answer: ServiceAnswer, operation: Operation) -> Outcome | None:
        return self._reader.classify(answer, operation)


class Gradebook:
    """One column of one LMS, as the host's delivery sees it: what was confirmed comes back with the next score."""

    def __init__(self, reader: Reader, client: ServiceClient, adapter: LtiAdapter) -> None:
        self.reader, self.client, self.adapter = reader, client, adapter
        self.urls = ServiceUrls(client.items_url(), ALL_SCOPES, client.claims()[NRPS]["context_memberships_url"])
        shown = client.platform.gradebook.column_of(LINK)
        self.column = LineItem("lin_1", shown.label, Decimal(str(shown.maximum)), url=client.item_url(), coupled=True)
        self.previous: SentScore | None = None
        self._second = int(client.platform.clock()) - 1_000

    async def send(self, score: Score, person: str = "ada", **more: Any) -> Outcome | Withheld:
        scaled = self.reader.scaled(replace(score, previous=self.previous, **more), self.column)
        if isinstance(scaled, Withheld):
            return scaled
        self._second += 2
        subject = self.client.user_id(person)
        outcome = await self.adapter.send_score(self.urls, self.column, subject, scaled, self._second)
        if isinstance(outcome, Delivered):
            self.previous = SentScore(scaled.given, scaled.maximum, scaled.attempt, scaled.comment)
        return outcome

    @property
    def number(self) -> int:
        return self.client.platform.gradebook.column_of(LINK).number

    @property
    def cell(self) -> Cell:
        return self.client.platform.gradebook.cell(self.number, "ada")


@pytest.fixture
async def books(campus: RunningCampus) -> AsyncIterator[dict[str, Gradebook]]:
    with ExitStack() as stack:
        async with httpx2.AsyncClient(trust_env=False, timeout=5) as http:
            found = {}
            for key in KEYS:
                reader, client = Reader(key), stack.enter_context(registered(campus, key))
                found[key] = Gradebook(reader, client, reader.adapter_over(Lent(client, http, reader)))
            yield found


@pytest.fixture(params=KEYS)
def book(request: pytest.FixtureRequest, books: dict[str, Gradebook]) -> Gradebook:
    return books[request.param]


async def test_grades_arrive_grow_and_go(book: Gradebook) -> None:
    share = book.column.maximum / 10
    for given in ("0", "4", "9.5"):
        assert await book.send(graded(given)) == Delivered()
        assert book.cell.shown == pytest.approx(float(Decimal(given) * share))
    assert await book.send(CLEARED) == Delivered()
    assert book.cell.shown is None


async def test_nothing_but_a_grade_or_its_end_touches_a_grade(book: Gradebook) -> None:
    await book.send(graded("8"))
    stands = book.cell.shown
    for activity, grading in (("Started", "NotReady"), ("InProgress", "Pending"), ("Submitted", "PendingManual")):
        await book.send(graded(None, activity_progress=activity, grading_progress=grading))
        assert book.cell.shown == stands
    await book.send(graded("1", grading_progress="Pending"))
    await book.send(graded(None, comment="See me"))
    assert book.cell.shown == stands


async def test_a_comment_is_there_once(book: Gradebook) -> None:
    await book.send(graded("4", comment="Well done"))
    await book.send(graded("5"))
    await book.send(graded("6", comment="Well done"))
    assert book.cell.comments == ("Well done",)


async def test_results_are_read_back(book: Gradebook) -> None:
    await book.send(graded("7", comment="a & b\nc"))
    subject = book.client.user_id("ada")
    (result,) = await book.adapter.results(book.urls, book.column, subject=subject)
    assert result.subject == subject
    assert result.given is not None
    assert result.given / result.maximum == Decimal("0.7")
    assert await book.adapter.results(book.urls, book.column, subject=book.client.user_id("zoe")) == ()


async def test_a_teacher_gets_no_grade(book: Gradebook) -> None:
    assert isinstance(await book.send(graded("7"), person="tess"), WaitForEnrolment)


async def test_a_new_title_arrives_and_unties_nothing(book: Gradebook) -> None:
    updated = await book.adapter.update_line_item(book.urls, replace(book.column, label="Another title"))
    column = book.client.platform.gradebook.column_of(LINK)
    assert (updated.label, column.label, column.link) == ("Another title", "Another title", LINK)


async def test_a_column_is_made_found_and_deleted(book: Gradebook) -> None:
    wanted = LineItem(None, "Effort", Decimal("12.5"), resource_id="effort", tag="points")
    made = await book.adapter.create_line_item(book.urls, wanted)
    (found,) = await book.adapter.line_items(book.urls, resource_id="effort", tag="points")
    assert (found.url, found.label) == (made.url, "Effort")
    await book.adapter.delete_line_item(book.urls, found)
    assert await book.adapter.line_items(book.urls, resource_id="effort") == ()


async def test_the_roster_is_read_whole(book: Gradebook) -> None:
    """Blackboard's last page names a next one, Canvas has pages of 50, Moodle has one page."""
    book.client.platform.populate("biology", 1_050)
    rows = [row async for page in book.adapter.roster(book.urls) for row in page.rows]
    members = [book.reader.listed(row) for row in rows]
    present = [member for member in members if isinstance(member, Member)]
    assert len({row["user_id"] for row in rows}) == len(rows) > 1_050
    assert len(present) > 1_050
    assert not [member for member in present if member.test_user]


async def test_canvas_counts_attempts_as_the_application_does(books: dict[str, Gradebook]) -> None:
    book = books["canvas"]
    await book.send(graded(None, activity_progress="Started", grading_progress="NotReady"))
    assert book.cell.attempts == 0
    await book.send(graded("4"))
    await book.send(graded("5"))
    assert book.cell.attempts == 1
    await book.send(graded("6", attempt=2))
    await book.send(graded("6", attempt=2), repeated=True)
    assert book.cell.attempts == 2


async def test_canvas_takes_a_grade_when_attempts_have_run_out(books: dict[str, Gradebook]) -> None:
    book = books["canvas"]
    gradebook = book.client.platform.gradebook
    gradebook.put(replace(gradebook.column_of(LINK), attempts_allowed=1))
    for attempt in (1, 2):
        assert await book.send(graded(str(attempt + 4), attempt=attempt)) == Delivered()
    assert (book.cell.attempts, book.cell.shown) == (1, float(6 * book.column.maximum / 10))


async def test_canvas_throttles_the_platform(books: dict[str, Gradebook]) -> None:
    book = books["canvas"]
    book.client.platform.faults.switch("throttled", times=1)
    assert await book.send(graded("4")) == PausePlatform("throttled", 10.0)


async def test_moodle_says_that_a_column_is_locked(books: dict[str, Gradebook]) -> None:
    book = books["moodle"]
    book.client.platform.gradebook.lock(book.number)
    assert await book.send(graded("4")) == NeedsAttention("line_item_locked")


@pytest.mark.parametrize("key", ["moodle", "blackboard"])
async def test_the_maximum_of_a_used_column_stays(books: dict[str, Gradebook], key: str) -> None:
    book = books[key]
    await book.send(graded("4"))
    wanted = replace(book.column, label="Another title", maximum=book.column.maximum * 2)
    with pytest.raises(ServiceFailed) as failed:
        await book.adapter.update_line_item(book.urls, wanted)
    column = book.client.platform.gradebook.column_of(LINK)
    assert failed.value.outcome == NeedsAttention("maximum_in_use")
    assert (column.label, column.maximum) == ("Another title", float(book.column.maximum))


async def test_blackboard_keeps_the_teachers_comment(books: dict[str, Gradebook]) -> None:
    book = books["blackboard"]
    await book.send(graded("4", comment="Good"))
    gradebook = book.client.platform.gradebook
    gradebook.store(book.number, "ada", replace(book.cell, comments=("See me <b>after</b> class",)))
    await book.send(graded("5", comment="Good"))
    assert (book.cell.comments, book.cell.shown) == (("See me <b>after</b> class",), float(book.column.maximum / 2))
