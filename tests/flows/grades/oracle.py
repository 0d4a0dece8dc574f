"""What was stated, and so what must stand in the end; and the applications that state it, directly and over HTTP."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import httpcore2
import httpx2

from ltihost.errors import Busy
from ltihost.store import applications, grade_queries
from tests.core.grades.support import GradeEvent, GradeSlot
from tests.core.store.support import ACTOR
from tests.flows.grades.rig import Rig

#: Room for grades that go on rising, so that there is always something to deliver.
MAXIMUM = 1_000_000
#: Each producer states about so many scores a second.
RATE = 40.0

#: There was no answer.
BROKEN = (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.HTTPError)

#: States one more attempt of a learner; returns when it was accepted.
State = Callable[[int, int], Awaitable[None]]


class Oracle:
    """What was stated, and so what must stand."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.best: dict[int, int] = {}
        self.accepted = 0
        self._attempts: Counter[int] = Counter()

    def next_attempt(self, learner: int) -> int:
        self._attempts[learner] += 1
        return self._attempts[learner]

    def accept(self, learner: int, given: int) -> None:
        self.accepted += 1
        self.best[learner] = max(given, self.best.get(learner, 0))

    async def state(self, learner: int, given: int) -> None:
        """State one more attempt of this learner; again while a frozen process keeps the row to itself (a 503)."""
        attempt, user_id = self.next_attempt(learner), self.rig.book.learners[learner]
        while True:
            with suppress(Busy):
                await self.rig.book.take(given, MAXIMUM, attempt=attempt, user_id=user_id)
                break
        self.accept(learner, given)

    def wrong(self) -> list[int]:
        """The learners for whom something else stands."""
        return [number for number, best in self.best.items() if self.rig.standing(number) != (best, MAXIMUM)]

    async def settled(self, seconds: float = 60.0, *, entirely: bool = False) -> None:
        """Wait until nothing is left to send but what is only sent once more for certainty; `entirely`: not even that."""
        until = time.monotonic() + seconds
        while left := [row for row in await self.rig.book.rows(GradeSlot) if not _is_done(row, entirely)]:
            assert time.monotonic() < until, [row.values() for row in left]
            await asyncio.sleep(0.1)

    async def faults(self) -> list[grade_queries.Fault]:
        """What `ltihost grade` would find wrong."""
        return await self.rig.book.db.run_host(lambda session: list(grade_queries.faults(session, time.time())))

    async def stored(self) -> Counter[tuple[int, int]]:
        """How often each attempt is stored, by learner and number."""
        slots = {slot.id: self.rig.book.learners.index(slot.user_id) for slot in await self.rig.book.rows(GradeSlot)}
        return Counter((slots[fact.slot_id], fact.attempt) for fact in await self.rig.book.rows(GradeEvent))


def _is_done(slot: GradeSlot, entirely: bool) -> bool:
    certain = (
        slot.settle_at is not None and slot.desired_rev == slot.confirmed_rev + 1 and slot.due_at == slot.settle_at
    )
    return slot.state == "idle" or (slot.state == "pending" and certain and not entirely)


class Client:
    """The application over HTTP, with a connection for each request, as through most proxies."""

    def __init__(self, oracle: Oracle, http: httpx2.AsyncClient) -> None:
        self.oracle = oracle
        self.refused = 0
        self._http = http

    def at(self, url: str) -> State:
        """What states scores at this host: each again, under the same key, until it is accepted (`refused` counts)."""

        async def state(learner: int, given: int) -> None:
            attempt = self.oracle.next_attempt(learner)
            while not await self._accepted(url, learner, given, attempt):
                self.refused += 1
                await asyncio.sleep(0.1)
            self.oracle.accept(learner, given)

        return state

    async def _accepted(self, url: str, learner: int, given: int, attempt: int) -> bool:
        with suppress(*BROKEN):
            return await self.post(url, learner, given, attempt) is not None
        return False

    async def post(self, url: str, learner: int, given: int, attempt: int) -> str | None:
        """The delivery's id, None after a 503. Raises one of BROKEN when there is no answer."""
        book = self.oracle.rig.book
        path = f"{url}/api/v1/line-items/{book.line_item_id}/scores"
        body = {"user_id": book.learners[learner], "given": given, "maximum": MAXIMUM, "attempt": attempt}
        answer = await self._http.post(path, json=body, headers={"idempotency-key": f"{learner}-{attempt}"})
        assert answer.status_code in (202, 503), answer.text
        return str(answer.json()["delivery"]["id"]) if answer.status_code == 202 else None


@asynccontextmanager
async def connected(oracle: Oracle) -> AsyncIterator[Client]:
    """A client with a key that may state grades."""
    rig = oracle.rig
    key = await rig.book.db.run_host(
        applications.create_key, rig.book.world.application, scopes=("grades:write",), actor=ACTOR
    )
    headers, limits = {"authorization": f"Bearer {key.text}"}, httpx2.Limits(max_keepalive_connections=0)
    async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=30) as http:
        yield Client(oracle, http)


@asynccontextmanager
async def producing(oracle: Oracle, states: Sequence[State], dice: random.Random) -> AsyncIterator[None]:
    """While inside, a producer for each of these states scores of any learner, each a little higher than before, or
    lower."""
    stop = asyncio.Event()
    working = asyncio.gather(*(_produce(oracle, state, dice, stop) for state in states))
    try:
        yield
    finally:
        stop.set()
        await working


async def _produce(oracle: Oracle, state: State, dice: random.Random, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await state(dice.randrange(len(oracle.rig.book.learners)), 10 * oracle.accepted + dice.randrange(300))
        await asyncio.sleep(2 * dice.random() / RATE)
