"""The look-ups of every login, launch and call of the API, remembered for five seconds at most.

What was switched off is so everywhere within that time, and at a launch at once: storing it reads the truth again. A
call of the API reads nothing again, so its key is remembered for two seconds only.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from ltihost.store.hot import ApiKey, Deployment, HotPath, Route

T = TypeVar("T")

TTL_SECONDS = 5.0
KEY_SECONDS = 2.0
#: Entries kept per kind of look-up. What does not exist has a smaller store of its own: strangers choose its keys.
MAX_FOUND = 10_000
MAX_MISSING = 1_000


class RoutingCache:
    """`HotPath.route`, `routes`, `deployment` and `api_key`, each asked once for everybody who waits for the same answer."""

    def __init__(self, hot: HotPath, ttl: float = TTL_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._hot = hot
        self._routes_by_id: Remembered[Route | None] = Remembered(ttl, clock)
        self._routes: Remembered[Sequence[Route]] = Remembered(ttl, clock)
        self._deployments: Remembered[Deployment | None] = Remembered(ttl, clock)
        self._keys: Remembered[ApiKey | None] = Remembered(min(ttl, KEY_SECONDS), clock)

    async def route(self, registration_id: str) -> Route | None:
        """See `HotPath.route`."""
        return await self._routes_by_id.get(registration_id, lambda: self._hot.route(registration_id))

    async def routes(self, issuer: str, client_id: str | None) -> Sequence[Route]:
        """See `HotPath.routes`."""
        return await self._routes.get((issuer, client_id), lambda: self._hot.routes(issuer, client_id))

    async def deployment(self, registration_id: str, deployment_id: str) -> Deployment | None:
        """See `HotPath.deployment`."""
        key = (registration_id, deployment_id)
        return await self._deployments.get(key, lambda: self._hot.deployment(registration_id, deployment_id))

    async def api_key(self, key_id: str) -> ApiKey | None:
        """See `HotPath.api_key`; whether it expired meanwhile is for the caller to see."""
        return await self._keys.get(key_id, lambda: self._hot.api_key(key_id))

    def forget_deployment(self, registration_id: str, deployment_id: str) -> None:
        """Ask anew for this one deployment."""
        self._deployments.drop((registration_id, deployment_id))

    def forget(self) -> None:
        """Ask anew from now on; answers still under way are not kept."""
        for remembered in (self._routes_by_id, self._routes, self._deployments, self._keys):
            remembered.forget()


class Remembered(Generic[T]):
    """Answers that are good for `ttl` seconds. Who asks while an answer is under way waits for the same one."""

    def __init__(self, ttl: float, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        self._found: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._missing: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._asking: dict[Hashable, asyncio.Task[T]] = {}

    def drop(self, key: Hashable) -> None:
        for store in (self._found, self._missing, self._asking):
            store.pop(key, None)

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        known = self._found.get(key) or self._missing.get(key)
        if known is not None and self._clock() < known[0]:
            return known[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, ask))
        return await asyncio.shield(task)  # one caller who gives up does not take the answer from the others

    async def _ask(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        expires = self._clock() + self._ttl
        wanted = False
        try:
            answer = await ask()
        finally:
            if self._asking.get(key) is asyncio.current_task():  # else it was told to forget meanwhile
                wanted = self._asking.pop(key) is not None
        if wanted:
            self._keep(key, expires, answer)
        return answer

    def _keep(self, key: Hashable, expires: float, answer: T) -> None:
        self._found.pop(key, None)
        self._missing.pop(key, None)
        store, most = (self._found, MAX_FOUND) if answer else (self._missing, MAX_MISSING)
        store[key] = (expires, answer)
        if len(store) > most:
            store.popitem(last=False)
