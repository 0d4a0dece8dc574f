"""Watches hooks from a thread of its own: a hook that blocks the event loop cannot be timed out from inside it.

A hook that runs for two seconds is named in the log while it still runs. After ten, where other processes share the
work, this one notes the plugin as at fault and ends; whoever started it starts another, which refuses the plugin.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()
SLOW_SECONDS = 2.0
BLOCKED_SECONDS = 10.0
EXIT_STATUS = 70
_INTERVAL = 0.25


@dataclass(frozen=True, slots=True)
class Running:
    """A hook that is being called. `since` is monotonic time."""

    plugin: str
    hook: str
    tenant: str
    since: float


class Watchdog:
    """Reads what runs by `running()`. `faults` is the file of plugins at fault; None: only the log is written."""

    def __init__(
        self, running: Callable[[], Running | None], faults: Path | None, *,
        slow: float = SLOW_SECONDS, blocked: float = BLOCKED_SECONDS,
    ) -> None:  # fmt: skip
        self._running = running
        self._faults = faults
        self._slow = slow
        self._blocked = blocked
        self._told: Running | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ltihost-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(min(_INTERVAL, self._slow)):
            call = self._running()
            if call is None:
                continue
            took = time.monotonic() - call.since
            if took >= self._slow and call is not self._told:
                self._told = call
                log.warning("plugin.hook_blocks", plugin=call.plugin, hook=call.hook, tenant=call.tenant)
            if took >= self._blocked and self._faults is not None:
                self._end(call, self._faults)

    def _end(self, call: Running, faults: Path) -> None:
        """Nothing else can free an event loop that a plugin's code holds. What was under way is repeated elsewhere."""
        log.critical("plugin.hook_blocked", plugin=call.plugin, hook=call.hook, tenant=call.tenant, action="restart")
        with faults.open("a") as file:
            file.write(f"{call.plugin} {call.hook}\n")
            file.flush()
            os.fsync(file.fileno())
        os._exit(EXIT_STATUS)


def plugins_at_fault(faults: Path | None) -> dict[str, str]:
    """The plugins noted in the file, each with the hook that blocked."""
    if faults is None or not faults.exists():
        return {}
    return dict(line.split(" ", 1) for line in faults.read_text().splitlines() if " " in line)
