"""Who is calling: an application's key, sent as `Authorization: Bearer KEY`. Cookies count for nothing here."""

from __future__ import annotations

import hmac
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ltihost.api.problems import ApiError
from ltihost.host import Host
from ltihost.store.applications import parse_key
from ltihost.store.hot import ApiKey

_bearer = HTTPBearer(
    auto_error=False, scheme_name="applicationKey", description="A key made with `ltihost app key create`."
)


class Callers:
    """Checks keys against the store, and counts requests per key and minute."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._windows: dict[str, _Window] = {}

    def requires(self, scope: str) -> Callable[..., Awaitable[ApiKey]]:
        """A dependency: the key of the caller, which must hold `scope`."""

        async def caller(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> ApiKey:
            key = await self._key(credentials.credentials if credentials else "")
            if scope not in key.scopes:
                raise ApiError(403, "scope_missing", f"This key lacks the scope {scope}.")
            self._count(key)
            return key

        return caller

    async def _key(self, text: str) -> ApiKey:
        """A key with a wrong checksum is refused without asking the database."""
        parsed = parse_key(text)
        key = await self._host.database.hot.api_key(parsed.id) if parsed else None
        good = key is not None and parsed is not None and hmac.compare_digest(key.secret_hash, parsed.secret_hash)
        if key is None or not good or key.revoked or (key.expires_at or math.inf) <= self._host.clock():
            raise ApiError(
                401, "key_invalid", "Send a valid application key as `Authorization: Bearer KEY`.",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        return key

    def _count(self, key: ApiKey) -> None:
        minute = int(self._host.clock() // 60)
        window = self._windows.get(key.id)
        if window is None or window.minute != minute:
            window = self._windows[key.id] = _Window(minute)
        window.used += 1
        if window.used > self._host.settings.api_rate_per_minute:
            wait = 60 - int(self._host.clock() % 60)
            raise ApiError(429, "rate_exceeded", "This key sent too many requests.", headers={"Retry-After": str(wait)})


@dataclass(slots=True)
class _Window:
    minute: int
    used: int = 0
