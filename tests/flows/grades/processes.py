"""Workers and hosts as processes that can be killed, frozen and told to stop.

They are forked from a server that has imported everything already: a start costs some milliseconds of processor time
instead of seconds, so that many can be killed.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import httpcore2
import httpx2

from ltihost.settings import Settings
from tests.core.cli.conftest import environment_of
from tests.flows.grades import forked, host_process, worker_process

T = TypeVar("T")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([
    "ltihost.app", "ltihost.cli", "ltihost.store.postgres_backend", forked.__name__, host_process.__name__,
    worker_process.__name__,
])  # fmt: skip

#: Lease, deadline and longest send in seconds: a few tenths of what they are.
SHORT = (2.0, 0.6, 0.6)
#: What the gates of workers and hosts understand; see there.
SAY, HALT = signal.SIGUSR1, signal.SIGUSR2
HALT_WRITTEN, HALT_STORED = signal.SIGUSR1, signal.SIGUSR2


class Process:
    """`target(say, *arguments)` with these settings in its environment; what it says is heard here."""

    def __init__(self, settings: Settings, target: Callable[..., None], *arguments: Any) -> None:
        self._heard, say = _FORKS.Pipe(duplex=False)
        environment = environment_of(settings) | {"LTIHOST_PLUGINS": "lti"}
        self._process = _FORKS.Process(target=forked.begin, args=(environment, say, target, *arguments), daemon=True)
        self._say = say

    async def start(self) -> None:
        await asyncio.to_thread(self._process.start)
        self._say.close()  # the process has its own end of it; when that is closed, it ended

    async def says(self, seconds: float = 60.0) -> Sequence[Any]:
        """What it says next. Raises EOFError when it ended."""
        await until(self._heard.poll, seconds)
        said: Sequence[Any] = self._heard.recv()
        return said

    @property
    def has_said_something(self) -> bool:
        return self._heard.poll()

    def forget(self) -> None:
        """What it said so far is of no interest."""
        while self.has_said_something:
            self._heard.recv()

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def tell(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and wait until the process ended; answers its status."""
        if self._process.pid is None:
            return 0
        if self.running:
            self.tell(number)
            await until(lambda: not self.running)
        assert self._process.exitcode is not None
        return self._process.exitcode


class Command(Process):
    """`ltihost` with these arguments."""

    def __init__(self, settings: Settings, *arguments: str) -> None:
        super().__init__(settings, forked.command, *arguments)


class WorkerProcess(Process):
    """A worker with these terms, and a gate."""

    def __init__(self, settings: Settings, terms: Sequence[float] = SHORT) -> None:
        super().__init__(settings, worker_process.main, *terms)

    async def ready(self) -> None:
        assert await self.says() == ("ready",)


class HostProcess(Process):
    """A host without a worker, and with gates; `url` is known when it is ready."""

    url = ""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, host_process.main)

    async def ready(self) -> None:
        ready, port = await self.says()
        assert ready == "ready"
        self.url = f"http://127.0.0.1:{port}"
        await answers(self.url)


async def start_all(processes: Sequence[WorkerProcess | HostProcess]) -> None:
    """Start them side by side, and wait until they are ready."""
    for process in processes:
        await process.start()
    for process in processes:
        await process.ready()


async def answers(url: str) -> None:
    """Wait until the host is there."""
    async with httpx2.AsyncClient(base_url=url) as http, asyncio.timeout(60):
        while True:
            with suppress(httpcore2.NetworkError, httpx2.HTTPError):
                if (await http.get("/healthz")).status_code == 200:
                    return
            await asyncio.sleep(0.02)


async def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(seconds):
        while True:
            if holds():
                return
            await asyncio.sleep(0.002)


async def until_true(look: Callable[[], Awaitable[T]], seconds: float = 60.0) -> T:
    """The same where one has to look in the database; answers what was found."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.01)
