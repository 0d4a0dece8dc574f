"""Workers as processes that can be killed and frozen, and the oracle that says what must stand in the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ltihost.errors import Busy
from ltihost.settings import Settings
from tests.core.cli.conftest import environment_of
from tests.core.grades.support import GradeSlot
from tests.flows.grades.rig import Rig

SCRIPT = Path(__file__).with_name("worker_process.py")
#: Lease, deadline and longest send in seconds: a few tenths of what they are.
SHORT = ("2.0", "0.6", "0.6")


class WorkerProcess:
    """One `worker_process.py`, or with `command` another program."""

    def __init__(self, settings: Settings, *command: str) -> None:
        self._command = command or (sys.executable, str(SCRIPT), *SHORT)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LTIHOST_")}
        self._environment = kept | environment_of(settings) | {"LTIHOST_PLUGINS": "lti"}

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=self._environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def ready(self) -> None:
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"ready\n"

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and wait until the process ended; answers its status."""
        with suppress(ProcessLookupError):
            self.tell(number)
        await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode


class Oracle:
    """What was stated, and so what must stand."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.best: dict[int, int] = {}
        self._attempts: dict[int, int] = {}

    async def state(self, learner: int, given: int) -> None:
        """State one more attempt of this learner; again while a frozen process keeps the row to itself (a 503)."""
        attempt = self._attempts.get(learner, 0) + 1
        while True:
            try:
                await self.rig.book.take(given, 100, attempt=attempt, user_id=self.rig.book.learners[learner])
                break
            except Busy:
                continue
        self._attempts[learner] = attempt
        self.best[learner] = max(given, self.best.get(learner, 0))

    def wrong(self) -> list[int]:
        """The learners for whom something else stands."""
        return [number for number, best in self.best.items() if self.rig.standing(number) != (best, 100)]

    async def settled(self, seconds: float = 60.0) -> None:
        """Wait until nothing is left to send but what is only sent once more for certainty."""
        until = time.monotonic() + seconds
        while left := [row for row in await self.rig.book.rows(GradeSlot) if not _is_done(row)]:
            assert time.monotonic() < until, [row.values() for row in left]
            await asyncio.sleep(0.1)


def _is_done(slot: GradeSlot) -> bool:
    certain = slot.settle_at is not None and slot.desired_rev == slot.confirmed_rev + 1
    return slot.state == "idle" or (slot.state == "pending" and certain)


async def start_all(workers: Sequence[WorkerProcess]) -> None:
    for worker in workers:
        await worker.start()
    for worker in workers:
        await worker.ready()
