"""Keeps a flood out of the log: so many lines a minute, then one that says how many more there were."""

from __future__ import annotations

import asyncio

import structlog

log = structlog.get_logger()
LINES = 60
SECONDS = 60.0


class CappedLog:
    """Writes lines of one event. One instance per process, used on its event loop."""

    def __init__(self, event: str, *, lines: int = LINES, seconds: float = SECONDS) -> None:
        self._event = event
        self._lines = lines
        self._seconds = seconds
        self._count = 0

    def info(self, **fields: object) -> None:
        """Write a line, unless this minute has had its share."""
        if self._count == 0:
            asyncio.get_running_loop().call_later(self._seconds, self._end)
        self._count += 1
        if self._count <= self._lines:
            log.info(self._event, **fields)

    def _end(self) -> None:
        """The minute is over."""
        if self._count > self._lines:
            log.info("log.capped", line=self._event, count=self._count - self._lines, seconds=self._seconds)
        self._count = 0
