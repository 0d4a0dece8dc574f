"""R-05: several processes claim the same slots, under leases so short that some end before their claims do."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Sequence

from ltihost.settings import Settings
from ltihost.store.database import Database
from tests.core.grades.support import Book, DeliveryTry, GradeSlot, add_line_item, make_book
from tests.flows.grades import claimer_process
from tests.flows.grades.processes import Process

PEOPLE = 50


async def test_no_two_processes_hold_a_slot_at_once(settings: Settings) -> None:
    """Small counts; `make torture` has the large ones."""
    await claim_together(settings, slots=150, processes=3, lease=0.4)


async def claim_together(settings: Settings, *, slots: int, processes: int, lease: float) -> None:
    database = Database(settings)
    await database.open()
    book = await make_book(database, learners=PEOPLE)
    for _ in range(slots // PEOPLE):
        item = await add_line_item(book.world, book.context_id)
        await asyncio.gather(*(book.take(7, user_id=learner, line_item_id=item) for learner in book.learners))
    whose = book.platform.tenant_id, book.platform.registration_id
    crew = [Process(settings, claimer_process.main, *whose, f"p{number}", lease) for number in range(processes)]
    try:
        for process in crew:
            await process.start()
        assert [await process.says(seconds=60 + slots / 10) for process in crew] == [("done",)] * processes
        assert {slot.state for slot in await book.rows(GradeSlot)} == {"idle"}
        await check_leases(book, slots, lease)
    finally:
        for process in crew:
            await process.end()
        await database.close()


async def check_leases(book: Book, slots: int, lease: float) -> None:
    """By the log of all claims: their numbers rise one by one, and none began before the one before it had ended."""
    by_slot: defaultdict[str, list[DeliveryTry]] = defaultdict(list)
    tries: Sequence[DeliveryTry] = await book.rows(DeliveryTry)
    for one in tries:
        by_slot[one.slot_id].append(one)
    assert len(by_slot) == slots
    for found in by_slot.values():
        found.sort(key=lambda one: one.lease_no)
        assert [one.lease_no for one in found] == list(range(1, len(found) + 1))
        assert sum(one.outcome == "confirmed" for one in found) == 1
        for former, following in itertools.pairwise(found):
            assert following.started_at >= held_until(former, lease)
    # What the test is about did happen: claims forgotten, settled too late, and made again.
    assert {one.outcome for one in tries} == {"confirmed", "retry", "started", "stale"}


def held_until(one: DeliveryTry, lease: float) -> float:
    """When the claim ended: settled, or its lease over."""
    if one.outcome in ("started", "stale"):
        return one.started_at + lease
    assert one.ended_at is not None
    return one.ended_at
