"""`Worker`: what runs in the background of a host, in its own process or inside `serve`.

Loops run side by side: scores, other jobs, and schedules. Each looks for work when it hears of some, and by itself about
once a second: a hint may be lost, work may not.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from ltihost.errors import LtihostError
from ltihost.flows import clock, notices, platforms, roster
from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.flows.jobs import JobRunner
from ltihost.flows.line_items import LineItemFlow
from ltihost.flows.results import ResultsFlow
from ltihost.host import Host
from ltihost.retry import spread
from ltihost.store import line_items
from ltihost.store import notices as notices_store
from ltihost.store import results as results_store

log = structlog.get_logger()

POLL_SECONDS = 1.0
#: How often what is due by the calendar is looked for: results to read back, rosters to read again.
RESULTS_SECONDS = 30.0
ROSTERS_SECONDS = 600.0
#: What is under way when the worker is told to stop may take this long to end.
GRACE_SECONDS = 25.0
_PAUSE_AFTER_FAILURE = 5.0


class Jobs(Protocol):
    """Other work, in small portions (`flows.jobs.JobRunner`)."""

    async def work_once(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """Something to be done every so many seconds, by whichever worker gets there. It must bear being done twice."""

    name: str
    seconds: float
    run: Callable[[], Awaitable[object]]


class Worker:
    """Delivers scores; with `jobs` and `schedules` also what they say."""

    def __init__(
        self, host: Host, *, scores: ScoreRunner | None = None, jobs: Jobs | None = None,
        schedules: Sequence[Schedule] = (),
    ) -> None:  # fmt: skip
        self._host = host
        self._news = host.database.work.subscribe("scores")
        self._job_news = host.database.work.subscribe("jobs")
        self.scores = scores or ScoreRunner(host, progress=self._news.set)
        self._jobs = jobs
        self._schedules = schedules
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end what is under way (25 s at most) and give back what was not sent yet."""
        self._stop = stop
        ending = [asyncio.create_task(self._deliver())]
        if self._jobs is not None:
            ending.append(asyncio.create_task(self._work(self._jobs)))
        lasting = [asyncio.create_task(self._keep(schedule)) for schedule in self._schedules]
        lasting.append(asyncio.create_task(self._listen()))
        try:
            await stop.wait()
            self.scores.stopping = True
            self._news.set()
            self._job_news.set()
            await asyncio.wait(ending, timeout=GRACE_SECONDS)
        finally:
            for task in (*ending, *lasting):
                task.cancel()
            await asyncio.gather(*ending, *lasting, return_exceptions=True)
            self._host.database.work.unsubscribe("scores", self._news)
            self._host.database.work.unsubscribe("jobs", self._job_news)

    async def _deliver(self) -> None:
        while not self._stop.is_set():
            self._news.clear()
            with _Logged("scores"):
                while await self.scores.start():
                    continue
            again = self.scores.again
            await _wait(self._news, min(POLL_SECONDS, POLL_SECONDS if again is None else again + 0.001))
        await self.scores.finish()

    async def _work(self, jobs: Jobs) -> None:
        while not self._stop.is_set():
            self._job_news.clear()
            with _Logged("jobs"):
                while await jobs.work_once():
                    continue
            await _wait(self._job_news, POLL_SECONDS)

    async def _keep(self, schedule: Schedule) -> None:
        while True:
            with _Logged(schedule.name):
                await schedule.run()
            await asyncio.sleep(spread(schedule.seconds, 0.9, 1.1))

    async def _listen(self) -> None:
        """Hear of work from other processes; when the connection is lost, the polling serves."""
        while True:
            with _Logged("listening"):
                async with self._host.database.listening() as lost:
                    await lost.wait()
            await asyncio.sleep(spread(_PAUSE_AFTER_FAILURE))


class _Logged:
    """A loop goes on, whatever one round met with."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if isinstance(error, LtihostError):
            log.warning("worker.failed", loop=self._name, code=error.code)
        elif isinstance(error, Exception):
            log.error("worker.failed", loop=self._name, exc_info=error)
        return isinstance(error, Exception)


async def _wait(news: asyncio.Event, seconds: float) -> None:
    """Until there is news, or about so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(spread(seconds, 0.7, 1.3) if seconds >= POLL_SECONDS else seconds):
            await news.wait()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and Ctrl-C set `stop`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)


def make_worker(host: Host) -> Worker:
    """A worker for everything that this host does in the background."""
    jobs, items, results = JobRunner(host), LineItemFlow(), ResultsFlow()
    jobs.register(line_items.KIND, items.work, on_death=items.bury)
    jobs.register(results_store.KIND, results.work)
    jobs.register(roster.JOB, roster.do)
    jobs.register(notices_store.JOB, notices.register_handlers)
    schedules = (
        Schedule("results", RESULTS_SECONDS, lambda: results.plan(host)),
        Schedule("rosters", ROSTERS_SECONDS, lambda: roster.schedule(host)),
        Schedule("clock", clock.SECONDS, lambda: clock.check(host)),
        Schedule("platforms", platforms.SECONDS, lambda: platforms.check(host)),
    )
    return Worker(host, jobs=jobs, schedules=schedules)
