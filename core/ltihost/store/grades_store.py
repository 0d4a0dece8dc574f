"""`GradeStore` on both databases: scripts, run by `Database.transact`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import asyncpg

from ltihost.breaker import Breaker
from ltihost.errors import Busy, Conflict, LtihostError
from ltihost.store import grades_claim, grades_intake, grades_settle
from ltihost.store.database import Database
from ltihost.store.grades import LEASE_SECONDS, Claim, Claimed, Intake, Platform, Settled, Taken, Verdict


class Grades:
    """Grade slots. `lease` is in seconds; `shift` moves the database's time, for tests that travel."""

    def __init__(
        self, database: Database, *, lease: float = LEASE_SECONDS, shift: Callable[[float], float] = float
    ) -> None:
        self._database = database
        self._lease = lease
        self._now = shift

    async def take(self, intake: Intake) -> Taken:
        """See `GradeStore.take`; workers are told. Scores of a tenant that come at once share a transaction."""
        try:
            taken = await self._database.groups.join(("scores", intake.tenant_id), intake, self._take)
        except Conflict as conflict:
            if conflict.code != "in_flight":
                raise
            taken = await self._take_alone(intake)
        if taken.due:
            self._database.work.give("scores")
        return taken

    async def _take(self, intakes: Sequence[Intake]) -> Sequence[grades_intake.Outcome]:
        box = self._database.box
        try:
            return await self._database.transact(
                intakes[0].tenant_id, lambda now: grades_intake.take(intakes, box, self._now(now))
            )
        except (Busy, Conflict) as error:
            if not _is_held_up(error):
                raise
            # Not raised: each then goes alone beside the others, and only those wait that have to.
            return [grades_intake.in_flight() for _ in intakes]

    async def _take_alone(self, intake: Intake) -> Taken:
        """Who has to wait for others does so here, where nobody waits behind it."""
        box = self._database.box
        taken = await self._database.transact(
            intake.tenant_id, lambda now: grades_intake.take_alone(intake, box, self._now(now))
        )
        if isinstance(taken, LtihostError):
            raise taken
        return taken

    async def due(self, limit: int = 64) -> Sequence[Platform]:
        """See `GradeStore.due`."""
        return await self._database.transact("", lambda now: grades_claim.due(limit, self._now(now)))

    async def claim(self, platform: Platform, *, owner: str, most: int) -> Claimed:
        """See `GradeStore.claim`."""
        box = self._database.box
        return await self._database.transact(
            platform.tenant_id,
            lambda now: grades_claim.claim(
                platform, box, owner=owner, most=most, lease=self._lease, now=self._now(now)
            ),
        )

    async def settle(self, settled: Sequence[tuple[Claim, Verdict]]) -> Sequence[Settled]:
        """See `GradeStore.settle`."""
        box, platform = self._database.box, settled[0][0].platform
        return await self._database.transact(
            platform.tenant_id, lambda now: grades_settle.settle(platform, settled, box, self._now(now))
        )

    async def hold(self, platform: Platform, deployment_id: str, *, code: str, seconds: float) -> None:
        """See `GradeStore.hold`."""
        await self._database.transact(
            platform.tenant_id,
            lambda now: grades_settle.hold(platform, deployment_id, code=code, seconds=seconds, now=self._now(now)),
        )

    async def note_tokens(self, platform: Platform, tokens: Breaker) -> None:
        """See `GradeStore.note_tokens`."""
        await self._database.transact(
            platform.tenant_id, lambda now: grades_settle.note_tokens(platform, tokens, self._now(now))
        )


def _is_held_up(error: LtihostError) -> bool:
    """Whether somebody else holds what is needed."""
    return error.code == "in_flight" or isinstance(error.__cause__, asyncpg.LockNotAvailableError)
