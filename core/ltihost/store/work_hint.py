"""Waking the workers when there is something to do. A hint and no more: they look by themselves every second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ltihost.errors import LtihostError

log = structlog.get_logger()
#: PostgreSQL's name for it.
CHANNEL = "ltihost_work"


class WorkHint:
    """Tells those who wait in this process, and through `tell` those in others."""

    def __init__(self, tell: Callable[[], Awaitable[None]]) -> None:
        self._tell = tell
        self._waiting: set[asyncio.Event] = set()
        self._telling: asyncio.Task[None] | None = None
        self._again = False

    def subscribe(self) -> asyncio.Event:
        """An event that every hint sets; who waits for it clears it before looking for work."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        self._waiting.discard(event)

    def heard(self) -> None:
        """There may be work: said by another process, or by `give`."""
        for event in self._waiting:
            event.set()

    def give(self) -> None:
        """There is work, and it is committed. Hints that come close together leave this process as one."""
        self.heard()
        self._again = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_others())

    async def close(self) -> None:
        if self._telling is not None:
            await self._telling

    async def _tell_others(self) -> None:
        while self._again:
            self._again = False
            try:
                await self._tell()
            except LtihostError as error:
                log.warning("work.not_announced", code=error.code)
