"""`SecretAlarm`: a stored secret does not open, and the operator hears of it.

Somebody changed the database by hand, put back a part of it, or took a key out of the ring. What needs the secret is
refused until it opens again. Everything else goes on, also other tenants on the same registration, so no registration
changes its state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable

import structlog

from ltihost.errors import DecryptionError, LtihostError
from ltihost.store import audit

log = structlog.get_logger()

ACTION = "secret.unreadable"
#: So often for each secret, however many launches need it.
SECONDS = 3_600.0


class SecretAlarm:
    """Rings once an hour for each secret: in the log, and in the audit trail of the tenant that it belongs to.

    `run` is `Database.run`.
    """

    def __init__(self, run: Callable[..., Awaitable[bool]]) -> None:
        self._run = run
        self._rang: dict[tuple[str, str], float] = {}

    async def ring(self, error: DecryptionError) -> None:
        """Tell of it, unless this process or another one did within the hour."""
        secret, now = (error.tenant_id, error.where), time.monotonic()
        if now - self._rang.get(secret, -math.inf) < SECONDS:
            return
        self._rang[secret] = now
        try:
            first = await self._run(
                error.tenant_id, audit.append_seldom, error.tenant_id, actor="host", action=ACTION, object_id=error.where,
                details={"code": error.code}, seconds=SECONDS,
            )  # fmt: skip
        except LtihostError as failed:
            del self._rang[secret]
            log.warning("secret.alarm_lost", where=error.where, code=failed.code)
            return
        if first:
            log.error("secret.unreadable", tenant=error.tenant_id, where=error.where, code=error.code)
