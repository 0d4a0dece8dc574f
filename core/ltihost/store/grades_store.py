"""`GradeStore` on both databases: scripts, run by `Database.transact`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        """See `GradeStore.take`; workers are told."""
        box = self._database.box
        taken = await self._database.transact(
            intake.tenant_id, lambda now: grades_intake.take(intake, box, self._now(now))
        )
        if taken.due:
            self._database.work.give("scores")
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
