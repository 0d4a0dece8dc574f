"""Scores that waited for their column."""

from __future__ import annotations

import time

from ltihost.flows.grades import judge
from ltihost.service_records import LineItemGone, RetryLater
from ltihost.store import line_items
from tests.core.grades.support import Book

DAY = 86_400.0


async def test_a_score_that_waited_for_its_column_has_all_its_tries(book: Book) -> None:
    """It waited for eight days; the first fault of the LMS afterwards must not be taken for the last of many."""
    await book.take()
    (claim,) = await book.claim()
    gone = judge.judge(LineItemGone(), claim, claim.score, enforces_timestamp=False)
    await book.settle(claim, gone)
    book.shift = 8 * DAY
    await book.db.run(book.tenant_id, line_items.unblock, book.line_item_id, time.time() + book.shift)
    (claim,) = await book.claim()
    verdict = judge.judge(RetryLater("platform_error"), claim, claim.score, enforces_timestamp=False)
    assert (claim.first_failed_at, verdict.end) == (None, "retry")
