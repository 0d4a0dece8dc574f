"""Who is calling, what they may do, and whose objects they may name.

An application's key is sent as `Authorization: Bearer KEY`; cookies count for nothing here. A key without a tenant
serves every tenant of its application: each object that it names is looked up with the application beside it.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ltihost.api.problems import ApiError
from ltihost.host import Host
from ltihost.store import audit
from ltihost.store.applications import parse_key
from ltihost.store.hot import ApiKey
from ltihost.store.hot_values import findable
from ltihost.store.ownership import Kind, tenant_of_object

_bearer = HTTPBearer(
    auto_error=False, scheme_name="applicationKey", description="A key made with `ltihost app key create`."
)
#: Requests a minute and key. Reading lists is slower business than exchanging launches and posting scores.
LISTS_PER_MINUTE = 600
#: How many rows one key reads of one tenant before the audit trail says so again.
ROWS_PER_AUDIT = 1_000

Pace = Literal["calls", "lists"]
Caller = Callable[..., Awaitable[ApiKey]]


async def tenant_for(host: Host, key: ApiKey, kind: Kind, object_id: str) -> str:
    """The tenant that has this object of the caller's application. Answers 404 when there is none that it may see."""
    tenant_id = None
    if findable(object_id):
        tenant_id = await host.database.run_lookup(tenant_of_object, kind, object_id, key.application_id, key.tenant_id)
    if tenant_id is None:
        raise ApiError(404, f"{kind}_unknown", f"There is no such {kind.replace('_', ' ')}.")
    return tenant_id


class Callers:
    """Checks keys against the store, and counts requests per key and minute."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._windows: dict[tuple[str, Pace], _Window] = {}
        self._rows: dict[tuple[str, str, str], int] = {}

    async def identify(self, request: Request) -> None:
        """Keep the caller's key as the request's `state.key`, and count the request, whatever becomes of it.

        Raises ApiError 401 for no key that is valid, 429 for one that calls too often.
        """
        credentials = await _bearer(request)
        request.state.key = await self._key(credentials.credentials if credentials else "")
        self._count(request.state.key, "calls")

    def requires(self, scope: str, *, pace: Pace = "calls") -> Caller:
        """A dependency: the key of the caller, which must hold `scope`. Lists are calls that have a pace of their own."""
        bearer = Security(_bearer, scopes=[scope])  # for the OpenAPI document

        async def caller(request: Request, _: HTTPAuthorizationCredentials | None = bearer) -> ApiKey:
            key: ApiKey = request.state.key
            if scope not in key.scopes:
                raise ApiError(403, "scope_missing", f"This key lacks the scope {scope}.")
            if pace == "lists":
                self._count(key, pace)
            return key

        return caller

    async def tenant_for(self, key: ApiKey, kind: Kind, object_id: str) -> str:
        """See `tenant_for`."""
        return await tenant_for(self._host, key, kind, object_id)

    async def rows_read(self, key: ApiKey, tenant_id: str, what: str, count: int) -> None:
        """Note that a key read rows of people; the tenant's audit trail tells of every thousand."""
        place = (key.id, tenant_id, what)
        before = self._rows.get(place, 0)
        self._rows[place] = after = before + count
        if before // ROWS_PER_AUDIT < after // ROWS_PER_AUDIT:
            await self._host.database.run(
                tenant_id, audit.append, tenant_id, actor=f"key {key.id}", action="data.read", object_id=what,
                details={"rows": after, "application": key.application_id},
            )  # fmt: skip

    async def _key(self, text: str) -> ApiKey:
        """A key with a wrong checksum is refused without asking the database; one that was revoked, within seconds."""
        parsed = parse_key(text)
        key = await self._host.routing.api_key(parsed.id) if parsed else None
        good = key is not None and parsed is not None and hmac.compare_digest(key.secret_hash, parsed.secret_hash)
        if key is None or not good or key.revoked or (key.expires_at or math.inf) <= self._host.clock():
            raise ApiError(
                401, "key_invalid", "Send a valid application key as `Authorization: Bearer KEY`.",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        return key

    def _count(self, key: ApiKey, pace: Pace) -> None:
        now = self._host.clock()
        place, minute = (key.id, pace), int(now // 60)
        window = self._windows.get(place)
        if window is None or window.minute != minute:
            window = self._windows[place] = _Window(minute)
        window.used += 1
        most = LISTS_PER_MINUTE if pace == "lists" else self._host.settings.api_rate_per_minute
        if window.used > most:
            wait = 60 - int(now % 60)
            raise ApiError(429, "rate_exceeded", "This key sent too many requests.", headers={"Retry-After": str(wait)})


@dataclass(slots=True)
class _Window:
    minute: int
    used: int = 0
