"""Slots against a model: whatever is stated, claimed, lost and settled in whatever order, the rules of a slot hold."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltihost.store import grade_queries
from ltihost.store.database import Database
from ltihost.store.grades import Claim, PlatformSign, Verdict
from ltihost.store.service_tables import GradeEvent, GradeSlot
from tests.core.grades.support import CONFIRMED, Book, make_book

_BOOKS = itertools.count(1)
_FAILED = PlatformSign("failed", "down")
VERDICTS = [
    CONFIRMED, CONFIRMED, CONFIRMED,
    Verdict("confirmed", settle=True),
    Verdict("retry", "down", after=5.0, unknown=True, platform=_FAILED),
    Verdict("resend", "stale_timestamp", after=5.0, counts=False),
    Verdict("unsent"),
    Verdict("dead", "refused"),
    Verdict("withheld", note="not now"),
]  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 4), st.integers(1, 2), st.integers(0, 10)),
        st.tuples(st.just("claim")),
        st.tuples(st.just("settle"), st.integers(0, 3), st.sampled_from(VERDICTS)),
        st.tuples(st.just("wait"), st.sampled_from([1, 10, 61, 130])),
    ),
    max_size=25,
)


class Model:
    """Facts as they were taken, and what the platform was last told."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.claims: list[Claim] = []
        self.best: dict[int, tuple[int, int]] = {}
        self.told: float | None = None

    async def step(self, name: str, *values: Any) -> None:
        await getattr(self, name)(*values)
        await self.check()

    async def take(self, attempt: int, revision: int, given: int) -> None:
        known = self.best.get(attempt)
        if known is not None and known[0] >= revision:
            return
        self.best[attempt] = (revision, given)
        await self.book.take(given, 10, attempt=attempt, revision=revision)

    async def claim(self) -> None:
        for claim in await self.book.claim():
            self.told = None if claim.score.given is None else float(claim.score.given)
            self.claims.append(claim)

    async def settle(self, which: int, verdict: Verdict) -> None:
        if self.claims:
            await self.book.settle(self.claims.pop(which % len(self.claims)), verdict)

    async def wait(self, seconds: int) -> None:
        self.book.shift += seconds

    async def check(self) -> None:
        found = await self.book.db.run_host(_faults)
        assert [fault.code for fault in found] == []
        leased = [row for row in await self.book.rows(GradeSlot) if row.state == "leased"]
        live = [claim for claim in self.claims if any(claim.lease_no == row.lease_no for row in leased)]
        assert len(live) <= 1

    async def drain(self) -> None:
        """Deliver everything; then the platform holds what the policy names."""
        self.book.shift += 200
        for _ in range(4):
            for claim in await self.book.claim():
                self.told = None if claim.score.given is None else float(claim.score.given)
                await self.book.settle(claim)
            self.book.shift += 200
        rows = await self.book.rows(GradeSlot)
        if rows and rows[0].state == "idle" and rows[0].note is None:
            assert self.told == max(given for _, given in self.best.values())


def _faults(session: Any) -> list[grade_queries.Fault]:
    return list(grade_queries.faults(session, 0.0))


async def _new_book(db: Database) -> Book:
    """One for each example: facts stay, so a book cannot be used twice."""
    return await make_book(db, slug=f"book-{next(_BOOKS)}")


@given(steps=STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None, derandomize=True)
async def test_the_rules_hold_after_any_steps(db: Database, steps: list[tuple[Any, ...]]) -> None:
    model = Model(await _new_book(db))
    for step in steps:
        await model.step(*step)
    await model.drain()


@given(order=st.permutations([(1, 1, 5), (1, 2, 3), (2, 1, 9), (2, 2, 4), (3, 1, 7)]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None, derandomize=True)
async def test_any_order_of_arrival_ends_alike(db: Database, order: list[tuple[int, int, int]]) -> None:
    """R-11, through the store: also all at once, and twice."""
    book = await _new_book(db)
    posts = [book.take(given, 10, attempt=attempt, revision=revision) for attempt, revision, given in order]
    again = [book.take(given, 10, attempt=attempt, revision=revision) for attempt, revision, given in order]
    await asyncio.gather(*posts, *again)
    assert len(await book.rows(GradeEvent)) == 5
    (claim,) = await book.claim()
    assert claim.score.given == 7


pytestmark = pytest.mark.timeout(120)
