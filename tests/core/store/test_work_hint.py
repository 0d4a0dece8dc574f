"""Hints wake those who wait for that kind of work, and reach other processes."""

from __future__ import annotations

import asyncio

from ltihost.errors import Busy
from ltihost.store.work_hint import WorkHint


class Said:
    """What left the process; the first telling fails if so wanted."""

    def __init__(self, *, fails: bool = False) -> None:
        self.kinds: list[str] = []
        self._fails = fails

    async def __call__(self, kind: str) -> None:
        self.kinds.append(kind)
        if self._fails:
            raise Busy("busy", "The database does not answer.")


async def test_a_hint_wakes_who_waits_for_that_kind() -> None:
    work = WorkHint(Said())
    scores, jobs = work.subscribe("scores"), work.subscribe("jobs")
    work.give("scores")
    assert (scores.is_set(), jobs.is_set()) == (True, False)
    work.heard("jobs")
    assert jobs.is_set()
    await work.close()


async def test_who_no_longer_waits_is_not_woken() -> None:
    work = WorkHint(Said())
    gone = work.subscribe("scores")
    work.unsubscribe("scores", gone)
    work.heard("scores")
    assert not gone.is_set()


async def test_a_kind_that_another_release_speaks_of_wakes_nobody() -> None:
    work = WorkHint(Said())
    waiting = [work.subscribe("scores"), work.subscribe("jobs")]
    work.heard("something")
    assert not any(event.is_set() for event in waiting)


async def test_hints_that_come_close_together_are_told_once() -> None:
    said = Said()
    work = WorkHint(said)
    for _ in range(5):
        work.give("scores")
    work.give("jobs")
    await work.close()
    assert sorted(said.kinds) == ["jobs", "scores"]


async def test_a_hint_that_cannot_be_told_harms_nobody() -> None:
    said = Said(fails=True)
    work = WorkHint(said)
    heard = work.subscribe("jobs")
    work.give("jobs")
    await asyncio.wait_for(work.close(), 5)
    assert heard.is_set()
    assert said.kinds == ["jobs"]
