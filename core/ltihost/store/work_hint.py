"""Waking the workers when there is something to do. A hint and no more: they look by themselves every second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, get_args

import structlog

from ltihost.errors import LtihostError

log = structlog.get_logger()
#: PostgreSQL's name for it.
CHANNEL = "ltihost_work"

Kind = Literal["scores", "jobs"]


class WorkHint:
    """Tells those who wait in this process, and through `tell` those in others."""

    def __init__(self, tell: Callable[[str], Awaitable[None]]) -> None:
        self._tell = tell
        self._waiting: dict[str, set[asyncio.Event]] = {kind: set() for kind in get_args(Kind)}
        self._telling: asyncio.Task[None] | None = None
        self._untold: set[Kind] = set()

    def subscribe(self, kind: Kind) -> asyncio.Event:
        """An event that every hint of this kind sets; who waits for it clears it before looking for work."""
        event = asyncio.Event()
        self._waiting[kind].add(event)
        return event

    def unsubscribe(self, kind: Kind, event: asyncio.Event) -> None:
        self._waiting[kind].discard(event)

    def heard(self, kind: str) -> None:
        """There may be work: said by another process, or by `give`."""
        for event in self._waiting.get(kind, ()):
            event.set()

    def give(self, kind: Kind) -> None:
        """There is work, and it is committed. Hints that come close together leave this process as one."""
        self.heard(kind)
        self._untold.add(kind)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_others())

    async def close(self) -> None:
        if self._telling is not None:
            await self._telling

    async def _tell_others(self) -> None:
        while self._untold:
            try:
                await self._tell(self._untold.pop())
            except LtihostError as error:
                log.warning("work.not_announced", code=error.code)
