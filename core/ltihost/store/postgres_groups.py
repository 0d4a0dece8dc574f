"""Group commit for PostgreSQL: launches that would wait for each other are stored together.

Every launch counts at its resource link, and holds that row until its commit is on disk. Launches of one link (a whole
year opens its exam) would so queue inside PostgreSQL, each with a connection, a commit and several wake-ups of its
own, which costs twice the work itself. Here they queue, and whoever waits shares the next transaction. Launches of
different links do not meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass

from ltihost.errors import Busy
from ltihost.store.hot import AcceptOutcome

GROUP = 64

Store = Callable[[Sequence[str]], Awaitable[Sequence[AcceptOutcome]]]


@dataclass(slots=True)
class _Job:
    values: str
    future: asyncio.Future[AcceptOutcome]


class LaunchGroups:
    """Calls `store` for the launches of one place, one call at a time; it is one transaction, all or nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[Hashable, list[_Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, place: Hashable, values: str) -> AcceptOutcome:
        """Store one launch, given as JSON; it is durable when this returns. Raises what `store` raises."""
        job = _Job(values, asyncio.get_running_loop().create_future())
        waiting = self._waiting.get(place)
        if waiting is not None:
            waiting.append(job)
        else:
            self._waiting[place] = [job]
            task = asyncio.create_task(self._serve(place))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await job.future

    async def close(self) -> None:
        """Finish what waits."""
        await asyncio.gather(*self._tasks)

    async def _serve(self, place: Hashable) -> None:
        while waiting := self._waiting[place]:
            group, self._waiting[place] = waiting[:GROUP], waiting[GROUP:]
            await self._store_together(group)
        del self._waiting[place]

    async def _store_together(self, group: Sequence[_Job]) -> None:
        try:
            outcomes = await self._store([job.values for job in group])
        except Exception as error:  # whatever it was, the callers have to hear of it
            if len(group) == 1 or isinstance(error, Busy):
                _tell(group, [error] * len(group))
                return
            for job in group:  # one of them cannot be stored; the others can
                await self._store_together([job])
        else:
            _tell(group, outcomes)


def _tell(group: Sequence[_Job], outcomes: Sequence[AcceptOutcome | Exception]) -> None:
    for job, outcome in zip(group, outcomes, strict=True):
        if job.future.done():  # its caller gave up waiting
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
