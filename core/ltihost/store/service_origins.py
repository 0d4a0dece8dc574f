"""Where a deployment's services are: the origins that its launches named and that count. Others get no token."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.store.database import Database
from ltihost.store.routing import TTL_SECONDS, Remembered
from ltihost.store.service_tables import ServiceOrigin


def accepted(session: Session, registration_id: str, deployment_id: str) -> frozenset[str]:
    """The origins of this deployment that are not held, of all kinds of services."""
    query = select(ServiceOrigin.origin).where(
        ServiceOrigin.registration_id == registration_id,
        ServiceOrigin.deployment_id == deployment_id,
        ServiceOrigin.state == "accepted",
    )
    return frozenset(session.scalars(query))


class ServiceOrigins:
    """`accepted`, remembered for five seconds at most."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._remembered: Remembered[frozenset[str]] = Remembered(TTL_SECONDS, clock)

    async def includes(self, tenant_id: str, registration_id: str, deployment_id: str, origin: str) -> bool:
        """Whether the origin counts. A no is never remembered: a launch may have named it a moment ago."""
        key = (tenant_id, registration_id, deployment_id)

        async def ask() -> frozenset[str]:
            return await self._database.run(tenant_id, accepted, registration_id, deployment_id)

        if origin in await self._remembered.get(key, ask):
            return True
        self._remembered.drop(key)
        return origin in await self._remembered.get(key, ask)
