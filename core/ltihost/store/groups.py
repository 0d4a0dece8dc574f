"""Group commit: what would wait for each other is stored together.

Every launch counts at its resource link, and holds that row until its commit is on disk. Launches of one link (a whole
year opens its exam) would so queue inside PostgreSQL, each with a connection, a commit and several wake-ups of its
own, which costs twice the work itself. Here they queue, and whoever waits shares the next transaction. Launches of
different links do not meet. The scores of a tenant do the same: a transaction has ten steps, for one score as for fifty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ltihost.errors import Busy

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

GROUP = 64
#: What has waited so long for its turn is refused: who asked may have given up by then.
WAIT_SECONDS = 5.0

#: Stores several in one transaction, all or nothing; answers an outcome, or what to raise, for each.
Store = Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Exception]]]


@dataclass(slots=True)
class _Job:
    item: Any
    future: asyncio.Future[Any]
    until: float

    def tell(self, outcome: Any) -> None:
        if self.future.done():  # its caller gave up waiting, or was told before
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Groups:
    """Stores the items of one place in groups, one group at a time."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[_Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(self, place: Hashable, item: Item, store: Store[Item, Outcome]) -> Outcome:
        """Store one item by `store`, which is the same for all of a place; it is durable when this returns.

        Raises what `store` answers or raises for it, and Busy when its turn does not come in time.
        """
        loop = asyncio.get_running_loop()
        job = _Job(item, loop.create_future(), loop.time() + WAIT_SECONDS)
        waiting = self._waiting.get(place)
        if waiting is not None:
            waiting.append(job)
        else:
            self._waiting[place] = [job]
            task = asyncio.create_task(self._serve(place, store))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        outcome: Outcome = await job.future
        return outcome

    async def close(self) -> None:
        """Finish what waits."""
        await asyncio.gather(*self._tasks)

    async def _serve(self, place: Hashable, store: Store[Any, Any]) -> None:
        group: list[_Job] = []
        try:
            while waiting := self._waiting[place]:
                group, self._waiting[place] = waiting[:GROUP], waiting[GROUP:]
                await _store_together(_in_time(group), store)
        finally:  # told to stop in the middle: those who wait would do so for ever, and all who come after them
            for job in (*group, *self._waiting.pop(place)):
                job.tell(Busy("busy", "The host is shutting down."))


def _in_time(group: Sequence[_Job]) -> Sequence[_Job]:
    """Those whose turn came in time; the others are told."""
    now = asyncio.get_running_loop().time()
    for job in group:
        if job.until < now:
            job.tell(Busy("busy", "The database has more to do than it can; nothing was stored. Try again shortly."))
    return [job for job in group if job.until >= now]


async def _store_together(group: Sequence[_Job], store: Store[Any, Any]) -> None:
    if not group:
        return
    try:
        outcomes = list(zip(group, await store([job.item for job in group]), strict=True))
    except Busy as error:
        outcomes = [(job, _own(error)) for job in group]
    except Exception as error:  # whatever it was, the callers have to hear of it
        if len(group) > 1:
            for job in group:  # one of them cannot be stored; the others can
                await _store_together([job], store)
            return
        outcomes = [(group[0], error)]
    for job, outcome in outcomes:
        job.tell(outcome)


def _own(error: Busy) -> Busy:
    """One for each caller: what is raised in several tasks would gather the traces of all of them."""
    own = Busy(error.code, error.message)
    own.__cause__ = error
    return own
