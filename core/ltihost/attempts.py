"""Attempts: every login that was refused and every launch post, with its checks, whatever became of it.

An attempt has an id and a short code as soon as somebody asks for them (a login that goes well never does). The store keeps refused ones up to a rate, so
that nobody can fill the database with rubbish, and counts the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import structlog
from starlette.requests import Request

from ltihost.errors import Busy, Refused
from ltihost.records import HOST, Attempt, Registration, Rung
from ltihost.store.hot import HotPath
from ltihost.store.ids import new_code, new_id
from ltihost.trace import Trace

log = structlog.get_logger()


class OpenAttempt:
    """An attempt under way. Its fields are filled in as they become known."""

    def __init__(self, kind: Literal["login", "launch"], request: Request, at: float) -> None:
        self.kind = kind
        self.at = at
        self.trace = Trace()
        self.registration: Registration | None = None
        self.tenant_id = HOST
        self.deployment_id: str | None = None
        self.message: str | None = None
        self.rung: Rung | None = None
        self.was_waiting = False
        self._remote_address = request.client.host if request.client else None
        self._user_agent = request.headers.get("user-agent", "")[:200] or None

    @cached_property
    def id(self) -> str:
        return new_id("lch")

    @cached_property
    def code(self) -> str:
        return new_code()

    def renew(self) -> None:
        """Take a fresh id and code."""
        self.id = new_id("lch")
        self.code = new_code()

    def end(self, outcome: Literal["accepted", "refused", "waiting"], refused: Refused | None = None) -> Attempt:
        """The attempt as it is stored."""
        return Attempt(
            id=self.id,
            tenant_id=self.tenant_id,
            code=self.code,
            kind=self.kind,
            outcome=outcome,
            at=self.at,
            refusal=refused.code if refused else None,
            registration_id=self.registration.id if self.registration else None,
            deployment_id=self.deployment_id,
            message=self.message,
            rung=self.rung,
            checks=self.trace.checks(refused),
            warnings=tuple(self.trace.warnings),
            remote_address=self._remote_address,
            user_agent=self._user_agent,
        )


class AttemptLog:
    """Stores attempts that did not end as launches."""

    def __init__(self, hot: HotPath, clock: Callable[[], float]) -> None:
        self._hot = hot
        self._clock = clock

    def begin(self, kind: Literal["login", "launch"], request: Request) -> OpenAttempt:
        return OpenAttempt(kind, request, self._clock())

    async def store(
        self, attempt: OpenAttempt, outcome: Literal["refused", "waiting"], refused: Refused | None
    ) -> None:
        """Durable when it returns, unless the database is busy (then it is logged only)."""
        try:
            await self._hot.record_attempts([attempt.end(outcome, refused)])
        except Busy as error:
            log.error("attempt.unstored", code=attempt.code, refusal=refused.code if refused else None, why=error.code)
