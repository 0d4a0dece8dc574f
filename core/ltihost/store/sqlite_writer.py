"""Group commit for SQLite: one thread owns the writing connection and commits what waits together.

One fsync then serves up to `GROUP` launches, so that `synchronous=FULL` costs what NORMAL costs. One piece of work that
fails leaves the others of its group alone: the group is run again, each piece in a savepoint of its own. (Savepoints
from the start would cost every launch a copy of each page that it changes.)
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import structlog

from ltihost.errors import Busy, LtihostError
from ltihost.store.failures import host_error
from ltihost.store.sqlite import DatabaseFile, connect

T = TypeVar("T")
log = structlog.get_logger()

GROUP = 64

Work = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class _Job:
    work: Work
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def tell(self) -> None:
        if self.future.done():  # its caller gave up waiting
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class GroupWriter:
    """The one writer of this process, for one event loop. Other processes may write too; SQLite's lock orders them."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._connection = connect(file.path)
        self._loop = asyncio.get_running_loop()
        self._asked: list[_Job] = []
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="ltihost-writer", daemon=True)
        self._closed = False
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` inside a transaction; what it wrote is durable when this returns. It may be run twice.

        Raises what `work` raises, and Busy when the database does not take the group or its file is gone.
        """
        if self._closed:
            raise Busy("busy", "The host is shutting down.")
        job = _Job(work, self._loop.create_future())
        if not self._asked:  # hand over once per turn of the event loop, so that what comes together stays together
            self._loop.call_soon(self._hand_over)
        self._asked.append(job)
        result: T = await job.future
        return result

    async def close(self) -> None:
        """Finish what waits, then close the connection."""
        self._closed = True
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _hand_over(self) -> None:
        jobs, self._asked = self._asked, []
        self._queue.put(jobs)

    def _serve(self) -> None:
        waiting: list[_Job] = []
        stop = False
        while waiting or not stop:
            stop = self._take(waiting, block=not waiting) or stop
            group, waiting = waiting[:GROUP], waiting[GROUP:]
            if group:
                self._commit(group)
                self._loop.call_soon_threadsafe(_tell_all, group)

    def _take(self, waiting: list[_Job], *, block: bool) -> bool:
        """Add what was asked for meanwhile, waiting for it if told to; answer whether the end was among it."""
        try:
            while len(waiting) < GROUP:
                jobs = self._queue.get(block=block)
                if jobs is None:
                    return True
                waiting.extend(jobs)
                block = False
        except Empty:
            pass
        return False

    def _commit(self, group: list[_Job]) -> None:
        try:
            self._file.check()
            self._connection.execute("BEGIN IMMEDIATE")
            if not self._all_well(group):
                self._connection.execute("BEGIN IMMEDIATE")
                for job in group:
                    self._attempt(job)
            self._file.check()  # again: the group may have waited for its turn
            self._connection.execute("COMMIT")
        except Exception as error:  # whatever it was, this thread has to go on and the callers have to hear of it
            self._give_up(group, error)

    def _all_well(self, group: list[_Job]) -> bool:
        """Run the group without savepoints; False, and nothing is done, when one of it failed."""
        try:
            for job in group:
                job.result = job.work(self._connection)
        except Exception:
            if not self._connection.in_transaction:  # SQLite rolled the group back: disk full, I/O error
                raise
            self._connection.execute("ROLLBACK")
            return False
        return True

    def _attempt(self, job: _Job) -> None:
        self._connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(self._connection)
        except Exception as error:
            if not self._connection.in_transaction:  # as above
                raise
            self._connection.execute("ROLLBACK TO job")
            job.result = None
            job.error = host_error(error)
        self._connection.execute("RELEASE job")

    def _give_up(self, group: list[_Job], error: Exception) -> None:
        for job in group:
            job.error = host_error(error)
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as failure:  # a connection that is stuck in a transaction would refuse all later work
            log.error("writer.rollback_failed", exc_info=failure)
            self._reconnect()

    def _reconnect(self) -> None:
        """Closing a connection ends its transaction. When no other can be had, the next group tries again."""
        stuck = self._connection
        try:
            self._file.check()
            self._connection = connect(self._file.path)
            stuck.close()
        except (sqlite3.Error, LtihostError) as error:
            log.error("writer.not_reconnected", exc_info=error)


def _tell_all(jobs: list[_Job]) -> None:
    for job in jobs:
        job.tell()
