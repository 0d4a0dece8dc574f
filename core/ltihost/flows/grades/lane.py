"""A platform as one worker sees it: how many scores may be on their way to it, and what is to be settled."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from ltihost.breaker import Breaker
from ltihost.store.grades import AT_ONCE, Claim, Settled, Verdict

#: Scores on their way to one platform, until its adapter says otherwise.
WIDTH = 4
#: So many times as many are claimed, so that none waits for the database.
AHEAD = 2
SETTLED_AT_ONCE = 64
#: While others are on their way, what ended waits so long for them: a transaction for several costs little more.
GATHER_SECONDS = 0.005

Pair = tuple[Claim, Verdict]
Settle = Callable[[Sequence[Pair]], Awaitable[Sequence[Settled]]]


class Lane:
    """What is on its way to one platform. What ends while a transaction runs is settled together in the next."""

    def __init__(self, settle: Settle) -> None:
        self.held = 0
        #: Whether the store may have more for this platform than was claimed.
        self.more = False
        #: Whether this process gets tokens there. Others may still have one, so it is no business of theirs.
        self.tokens = Breaker()
        self._told = self.tokens
        self._settle = settle
        self._width = WIDTH
        self._sending = asyncio.Semaphore(WIDTH)
        self._ended: list[tuple[Pair, asyncio.Future[Settled]]] = []
        self._settling: asyncio.Task[None] | None = None
        self._took: deque[float] = deque(maxlen=1_000)

    @property
    def width(self) -> int:
        """How many may be on their way at once."""
        return self._width

    @property
    def has_room(self) -> bool:
        """Whether it is time to claim: in portions, since each is a transaction, but before the lane runs dry."""
        return self.held <= max(self._width, AHEAD * self._width - AT_ONCE)

    def widen(self, width: int) -> None:
        """What the platform's adapter says."""
        if width != self._width:
            self._width = width
            self._sending = asyncio.Semaphore(width)  # those inside the former one are few and end soon

    @property
    def sending(self) -> asyncio.Semaphore:
        return self._sending

    def token_news(self) -> Breaker | None:
        """`tokens`, once, when it opened or closed since this was asked last: people should see it."""
        told, self._told = self._told, self.tokens
        return None if (told.code, told.open_until) == (self.tokens.code, self.tokens.open_until) else self.tokens

    def took_one(self) -> None:
        self._took.append(time.monotonic())

    def went_through(self) -> float:
        """How many the platform took in the last second."""
        since = time.monotonic() - 1.0
        return float(sum(moment > since for moment in self._took))

    async def settle(self, claim: Claim, verdict: Verdict) -> Settled:
        """Store what became of a claim. Raises what the store raises."""
        future: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        self._ended.append(((claim, verdict), future))
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle_all())
        return await future

    async def _settle_all(self) -> None:
        while self._ended:
            if self.held > len(self._ended):
                await asyncio.sleep(GATHER_SECONDS)
            batch, self._ended = self._ended[:SETTLED_AT_ONCE], self._ended[SETTLED_AT_ONCE:]
            futures = [future for _, future in batch]
            try:
                answers = await self._settle([pair for pair, _ in batch])
            except Exception as error:
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
                continue
            for future, answer in zip(futures, answers, strict=True):
                if not future.done():  # whoever waited was cancelled, as when the worker stops
                    future.set_result(answer)
