"""Jobs: work for LMSs that waits in the store and is done by workers.

1 claim            what is due, across tenants, under a lease
2 admit            not while the platform is left alone (its breaker is open)
3 do               the handler of the job's kind; the lease is held while it works
4 judge            done, again later, or dead: by what the LMS answered, the tries, and the horizon of seven days
5 finish           only under the lease of the claim; a dead job raises an alert
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from ltihost import breaker, retry
from ltihost.bindings import NotBound
from ltihost.errors import Busy, LtihostError, NotFound, OutboundFailed, OutboundRefused, ServiceFailed
from ltihost.host import Host
from ltihost.service_records import GiveUp, Outcome, PausePlatform, RetryLater
from ltihost.store import events, jobs, tables
from ltihost.store.ids import new_id
from ltihost.store.jobs import Dead, Done, Job, Later, LeaseLost, Verdict

Handler = Callable[[Host, Job], Awaitable[Verdict]]
Funeral = Callable[[Host, Job, str], Awaitable[None]]

HORIZON_SECONDS = 7 * 86_400.0
#: How long one job may take; its lease is held as long as it works.
JOB_SECONDS = 600.0
#: What is switched off is asked for again after this time; it counts for nothing.
OFF_SECONDS = 60.0
#: A refusal is believed at the third time, so many seconds after the first.
BELIEVED_AT = 3
DOUBT_SECONDS = 1_800.0
AT_ONCE = 8
IN_FLIGHT = 4
#: Whoever takes longer than this shares the worker with what comes then, up to so many: one slow LMS has `IN_FLIGHT`
#: of each kind at most.
SLOW_SECONDS = 1.0
MOST_SLOW = 16

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Kind:
    handler: Handler
    funeral: Funeral | None


class JobRunner:
    """Does what is due. Several may run, in one process and in many."""

    def __init__(self, host: Host, *, owner: str | None = None) -> None:
        self._host = host
        self._owner = owner or new_id("wrk")
        self._kinds: dict[str, _Kind] = {}
        self._breakers: defaultdict[tuple[str, str], breaker.Breaker] = defaultdict(breaker.Breaker)
        self._busy: defaultdict[tuple[str, str], int] = defaultdict(int)

    def register(self, kind: str, handler: Handler, *, on_death: Funeral | None = None) -> None:
        """`handler(host, job)` does jobs of this kind; it raises ServiceFailed for what the LMS did not do.

        `on_death(host, job, code)` tells of one that cannot be done; else an event `alert.raised` does.
        """
        self._kinds[kind] = _Kind(handler, on_death)

    async def work_once(self) -> int:
        """Do what is due now, a few at once; answer how many that were. Beside those that take long others begin."""
        working, ended = await self._begin(AT_ONCE), set[asyncio.Task[None]]()
        try:
            while working:
                done, working = await asyncio.wait(working, timeout=SLOW_SECONDS)
                ended |= done
                working |= await self._begin(min(AT_ONCE, MOST_SLOW - len(working))) if working else set()
        finally:
            for task in working:
                task.cancel()
        for task in ended:
            task.result()
        return len(ended)

    async def _begin(self, most: int) -> set[asyncio.Task[None]]:
        if most <= 0:
            return set()
        claimed = await jobs.claim(
            self._host.database, owner=self._owner, kinds=list(self._kinds), now=self._host.clock(), most=most
        )
        return {asyncio.create_task(self._work(job)) for job in claimed}

    async def _work(self, job: Job) -> None:
        """Steps 2 to 5. Only Busy can stop it; then the lease ends by itself and another worker goes on."""
        place = (job.registration_id, job.kind)
        now = self._host.clock()
        admitted, self._breakers[place] = breaker.admit(
            self._breakers[place], now, busy=self._busy[place], most=IN_FLIGHT
        )
        if not admitted:
            await self._finish(job, self._paused(place, now))
            return
        self._breakers[place] = breaker.spent(self._breakers[place], 1)
        self._busy[place] += 1
        try:
            verdict = await self._do(job)
        except LeaseLost:
            log.warning("job.lease_lost", job=job.id, kind=job.kind)
            return
        finally:
            self._busy[place] -= 1
        await self._finish(job, verdict)

    async def _do(self, job: Job) -> Verdict:
        holding = asyncio.create_task(self._hold(job))
        try:
            async with asyncio.timeout(JOB_SECONDS):
                verdict = await self._kinds[job.kind].handler(self._host, job)
            place = (job.registration_id, job.kind)
            self._breakers[place] = breaker.succeeded(self._breakers[place], self._host.clock())
            return verdict
        except Exception as error:
            if isinstance(error, LeaseLost):
                raise
            return self._verdict(job, error)
        finally:
            holding.cancel()
            with suppress(asyncio.CancelledError):
                await holding

    async def _hold(self, job: Job) -> None:
        """Keep the lease while the handler works. Should that fail, `Lease.assert_held` stops the handler in time."""
        while True:
            await asyncio.sleep(jobs.LEASE_SECONDS / 3)
            try:
                if not await jobs.extend(self._host.database, job, self._host.clock()):
                    return
            except LtihostError as error:
                log.warning("job.lease_not_held", job=job.id, code=error.code)

    def _verdict(self, job: Job, error: Exception) -> Verdict:
        now = self._host.clock()
        if isinstance(error, ServiceFailed):
            return self._judged(job, error.outcome, now)
        if isinstance(error, NotBound):
            return Later(now + retry.spread(OFF_SECONDS, 1.0, 1.5), error.code, counted=False)
        if isinstance(error, Busy):
            return Later(now + retry.delay(0), error.code, counted=False)
        if isinstance(error, NotFound | OutboundRefused):
            return Dead(error.code)
        if isinstance(error, OutboundFailed):
            return self._judged(job, RetryLater(error.code), now)
        if isinstance(error, TimeoutError):
            return self._judged(job, RetryLater("job_timeout"), now)
        code = error.code if isinstance(error, LtihostError) else "unexpected"
        log.error("job.failed", job=job.id, kind=job.kind, code=code, exc_info=error)
        return self._again(job, code, None, now)

    def _judged(self, job: Job, outcome: Outcome, now: float) -> Verdict:
        """Step 4: what an answer of the LMS means for the job, and for the platform."""
        place = (job.registration_id, job.kind)
        known = self._breakers[place]
        if isinstance(outcome, PausePlatform):
            self._breakers[place] = (
                breaker.tripped(known, now, outcome.code)
                if outcome.after is None
                else breaker.throttled(known, now, outcome.after, went_through=1.0)
            )
            return self._paused(place, now)
        if isinstance(outcome, RetryLater):
            self._breakers[place] = breaker.failed(known, now, outcome.code)
            return self._again(job, outcome.code, outcome.after, now)
        if isinstance(outcome, GiveUp) and not outcome.at_once and job.tries + 1 < BELIEVED_AT:
            return self._again(job, outcome.code, DOUBT_SECONDS, now)
        return Dead(getattr(outcome, "code", "service_failed"))

    def _again(self, job: Job, code: str, asked: float | None, now: float) -> Verdict:
        if job.first_failed_at is not None and now - job.first_failed_at >= HORIZON_SECONDS:
            return Dead(code)
        wait = retry.delay(job.tries)
        return Later(now + max(wait, retry.asked_delay(asked) if asked is not None else 0.0), code)

    def _paused(self, place: tuple[str, str], now: float) -> Later:
        known = self._breakers[place]
        wait = max(known.open_until - now, breaker.next_token(known, now) or 0.0, 1.0)
        return Later(now + retry.spread(wait, 1.0, 1.2), known.code or "platform_paused", counted=False)

    async def _finish(self, job: Job, verdict: Verdict) -> None:
        """Step 5."""
        if not await jobs.finish(self._host.database, job, verdict, self._host.clock()):
            log.warning("job.stale", job=job.id, kind=job.kind)
            return
        if isinstance(verdict, Dead):
            log.error("job.dead", job=job.id, kind=job.kind, object=job.object_id, code=verdict.code)
            await self._bury(job, verdict.code)
        elif isinstance(verdict, Done):
            log.debug("job.done", job=job.id, kind=job.kind, object=job.object_id)

    async def _bury(self, job: Job, code: str) -> None:
        kind = self._kinds[job.kind]
        try:
            if kind.funeral is not None:
                await kind.funeral(self._host, job, code)
            else:
                await self._host.database.run(job.tenant_id, _alert, job, code, self._host.clock())
        except LtihostError as error:
            log.error("job.alert_lost", job=job.id, code=error.code)


def _alert(session: Session, job: Job, code: str, now: float) -> None:
    deployment = session.get(tables.Deployment, (job.registration_id, job.deployment_id))
    if deployment is None or deployment.application_owner is None or deployment.application_id is None:
        return  # nobody is left to be told; the log has it
    events.append(
        session,
        application_owner=deployment.application_owner,
        application_id=deployment.application_id,
        type="alert.raised",
        data={"code": code, "kind": job.kind, "object_id": job.object_id},
        now=now,
    )
