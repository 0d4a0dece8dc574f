"""Group commit for SQLite: one thread owns the writing connection and commits what waits together.

One fsync then serves up to `GROUP` launches, so that `synchronous=FULL` costs what NORMAL costs. Each piece of work
runs in a savepoint of its own: one that fails leaves the others of its group alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ltihost.errors import Busy
from ltihost.store.failures import host_error
from ltihost.store.sqlite import connect

T = TypeVar("T")
GROUP = 64

Work = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class _Job:
    work: Work
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)

    def tell(self) -> None:
        if self.future.done():  # its caller gave up waiting
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class GroupWriter:
    """The one writer of this process. Other processes may write to the same file; SQLite's lock orders them."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="ltihost-writer", daemon=True)
        self._closed = False
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` inside a transaction; what it wrote is durable when this returns.

        Raises what `work` raises, and Busy when the database does not take the group.
        """
        if self._closed:
            raise Busy("busy", "The host is shutting down.")
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        self._queue.put(job)
        result: T = await job.future
        return result

    async def close(self) -> None:
        """Finish what waits, then close the connection."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            group = [job]
            stop = self._drain(group)
            self._commit(group)
            _tell(group)
            if stop:
                return

    def _drain(self, group: list[_Job]) -> bool:
        """Add what waits to the group; answer whether the end was among it."""
        while len(group) < GROUP:
            try:
                job = self._queue.get_nowait()
            except Empty:
                return False
            if job is None:
                return True
            group.append(job)
        return False

    def _commit(self, group: list[_Job]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in group:
                self._attempt(job)
            self._connection.execute("COMMIT")
        except Exception as error:  # whatever it was, this thread has to go on and the callers have to hear of it
            self._give_up(group, error)

    def _attempt(self, job: _Job) -> None:
        self._connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(self._connection)
        except Exception as error:
            if not self._connection.in_transaction:  # SQLite rolled the whole group back: disk full, I/O error
                raise
            self._connection.execute("ROLLBACK TO job")
            job.error = host_error(error)
        self._connection.execute("RELEASE job")

    def _give_up(self, group: list[_Job], error: Exception) -> None:
        for job in group:
            job.error = host_error(error)
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _tell(group: list[_Job]) -> None:
    """Wake the callers, with one call into each event loop."""
    for loop in {job.loop for job in group}:
        jobs = [job for job in group if job.loop is loop]
        try:
            loop.call_soon_threadsafe(_tell_all, jobs)
        except RuntimeError:  # that loop is closed, nobody waits any more
            continue


def _tell_all(jobs: list[_Job]) -> None:
    for job in jobs:
        job.tell()
