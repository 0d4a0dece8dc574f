"""Scores go out.

1 claim     what is due, platform by platform, under a lease; the deadline is taken before
2 bind      whose it is, and whether anything may be sent now
3 scale     the tenant's plugins and the LMS's own turn it into what this gradebook takes
4 send      once, if the deadline has not passed
5 judge     what the answer means; where the LMS holds something newer, what stands there is read first
6 settle    stored, if the lease is still ours; then plugins and applications hear of it
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from ltihost import breaker
from ltihost.bindings import NotBound
from ltihost.errors import Busy, LtihostError, PluginFailed, ServiceFailed
from ltihost.flows.grades import judge
from ltihost.flows.grades.lane import AHEAD, Lane, Pair
from ltihost.host import Host
from ltihost.lti.outcomes import words_of
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.records import Binding
from ltihost.retry import asked_delay, spread
from ltihost.service_records import (
    LineItemGone,
    Outcome,
    PausePlatform,
    RetryLater,
    Score,
    ServiceAnswer,
    Stale,
    Withheld,
)
from ltihost.store import line_items
from ltihost.store.grades import AT_ONCE, Claim, Platform, Settled, Terms, Verdict
from ltihost.store.grades_store import Grades
from ltihost.store.ids import new_id

log = structlog.get_logger()

#: Scores on their way from one process, to all platforms together.
LANES = 32
#: Platforms that are looked at together.
PLATFORMS = 64
#: So much of an error answer is kept.
MAX_EXCERPT = 200
#: What is switched off is looked at again after this time.
OFF_SECONDS = 120.0
_UNSENT = Verdict("unsent", counts=False)


class ScoreRunner:
    """Delivers scores. Any number may run, in one process and in many.

    `terms` are for tests. `progress` is called when there is room again for what may be left.
    """

    def __init__(
        self, host: Host, grades: Grades | None = None, *, terms: Terms | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.stopping = False
        self._host = host
        self._terms = terms or Terms()
        self._grades = grades or Grades(host.database, lease=self._terms.lease)
        self._owner = new_id("wrk")
        self._progress = progress
        self._lanes: defaultdict[Platform, Lane] = defaultdict(lambda: Lane(self._settle))
        self._room = asyncio.Semaphore(LANES)
        self._tasks: set[asyncio.Task[None]] = set()
        #: How many scores this process has in hand.
        self._held = 0
        #: Whether platforms were left for later, since too much was under way.
        self._full = False
        #: The platforms that were visited in this turn and brought nothing, though something is due there.
        self._seen: set[Platform] = set()
        #: Seconds until pacing lets more through; None when it holds nothing back.
        self.again: float | None = None

    async def work_once(self) -> int:
        """Deliver what is due now, and wait until it is settled; answers how many scores that were."""
        done = 0
        while started := await self.start():
            done += started
            await self.finish()
        return done

    async def start(self) -> int:
        """Claim what is due and there is room for, and begin to deliver it; answers how many scores that are."""
        whole = not self._seen
        while True:
            started = await self._start_some()
            ended = not self._seen
            if started or self._full or self.stopping or (ended and whole):
                return started
            whole = whole or ended  # those with whom a turn began earlier may have become ready since

    async def finish(self) -> None:
        """Wait until everything that was started is settled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _start_some(self) -> int:
        """One portion of the platforms. The next one follows, whatever this one brought: many may be held back at the
        moment (paced, or busy), and they keep nobody from their turn."""
        started, self._full = 0, not self._has_room
        if self._full or not self._seen:
            self.again = None
        if self._full:
            return 0
        most = len(self._seen) + PLATFORMS
        due = await self._grades.due(most)
        for platform in [platform for platform in due if platform not in self._seen]:
            self._full = not self._has_room
            if self.stopping or self._full:
                return started
            brought = await self._start(platform)
            started += brought
            if not brought:
                self._seen.add(platform)
        if len(due) < most:  # that were all
            self._seen.clear()
        return started

    @property
    def _has_room(self) -> bool:
        return self._held <= AHEAD * LANES - AT_ONCE

    async def _start(self, platform: Platform) -> int:
        lane, deadline = self._lanes[platform], time.monotonic() + self._terms.deadline
        if not lane.has_room:
            lane.more = True
            return 0
        most, lane.tokens = breaker.admit(lane.tokens, self._host.clock(), busy=0, most=AHEAD * lane.width)
        if not most:
            return 0
        claimed = await self._grades.claim(platform, owner=self._owner, most=most)
        lane.more = claimed.more
        if claimed.again is not None:
            self.again = min(claimed.again, claimed.again if self.again is None else self.again)
        for claim in claimed.claims:
            lane.held += 1
            self._held += 1
            task = asyncio.create_task(self._work(lane, claim, deadline))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(claimed.claims)

    async def _work(self, lane: Lane, claim: Claim, deadline: float) -> None:
        """Steps 2 to 6. Nothing that goes wrong here stops the others; an unsettled claim is another's in a minute."""
        try:
            binding, verdict = await self._deliver(lane, claim, deadline)
            settled = await lane.settle(claim, verdict)
            await self._tell(settled, binding, verdict)
            if (tokens := lane.token_news()) is not None:
                await self._grades.note_tokens(claim.platform, tokens)
        except LtihostError as error:
            log.warning("grade.not_settled", delivery=claim.slot_id, code=error.code)
        except Exception:
            log.exception("grade.not_settled", delivery=claim.slot_id)
        finally:
            lane.held -= 1
            self._held -= 1
            if self._has_room and (self._full or (lane.more and lane.has_room)):
                self._progress()

    async def _deliver(self, lane: Lane, claim: Claim, deadline: float) -> tuple[Binding | None, Verdict]:
        async with lane.sending, self._room:
            if self._is_late(deadline):
                return None, _UNSENT
            try:
                binding = await self._host.binding(claim.platform.registration_id, claim.deployment_id)
            except NotBound as off:
                return None, Verdict("unsent", off.code, counts=False)
            adapter = self._host.adapter(binding)
            lane.widen(adapter.in_flight)
            return binding, await self._try(lane, claim, binding, adapter, deadline)

    async def _try(self, lane: Lane, claim: Claim, binding: Binding, adapter: LtiAdapter, deadline: float) -> Verdict:
        """Steps 3 to 5."""
        try:
            scaled = self._host.calls.scale_score(claim.score, claim.line_item, binding)
        except PluginFailed as error:
            return judge.failed_here(claim, error.code, unknown=False)
        if isinstance(scaled, Withheld):
            return judge.withheld(scaled)
        try:
            outcome = await self._send(claim, scaled, adapter, deadline)
        except Exception:
            log.exception("grade.adapter_failed", delivery=claim.slot_id, plugin=binding.registration.plugin)
            return judge.failed_here(claim, "adapter_failed", unknown=True)
        if outcome is None:
            return _UNSENT
        verdict = await self._judge(lane, claim, scaled, adapter, outcome)
        if self._lacks_token(lane, adapter, outcome):
            verdict = replace(verdict, counts=False, platform=None, unknown=False)
        return _with_answer(verdict, adapter.client.answered)

    async def _send(self, claim: Claim, score: Score, adapter: LtiAdapter, deadline: float) -> Outcome | None:
        """Step 4. None when the deadline passed before anything was sent."""
        if claim.line_item.url is None:
            return LineItemGone("line_item_pending")
        # A process that was frozen meanwhile must not send what another worker may have claimed by now.
        if self._is_late(deadline):
            return None
        try:
            async with asyncio.timeout(self._terms.send):
                return await adapter.send_score(claim.urls, claim.line_item, claim.subject, score, claim.second)
        except TimeoutError:
            return RetryLater("timeout")

    async def _judge(self, lane: Lane, claim: Claim, sent: Score, adapter: LtiAdapter, outcome: Outcome) -> Verdict:
        """Step 5."""
        if not isinstance(outcome, Stale):
            rate = lane.went_through() if isinstance(outcome, PausePlatform) else 0.0
            verdict = judge.judge(
                outcome, claim, sent, enforces_timestamp=adapter.enforces_timestamp, went_through=rate
            )
            if verdict.end == "confirmed":
                lane.took_one()
            return verdict
        try:
            async with asyncio.timeout(self._terms.send):
                found = await adapter.results(claim.urls, claim.line_item, subject=claim.subject)
        except (ServiceFailed, TimeoutError) as error:
            code = error.code if isinstance(error, ServiceFailed) else "timeout"
            return judge.failed_here(claim, code, unknown=False)
        standing = found[0] if found else None
        return judge.judge_stale(claim, sent, standing, code=outcome.code)

    def _lacks_token(self, lane: Lane, adapter: LtiAdapter, outcome: Outcome) -> bool:
        """Whether nothing was sent for want of a token that should be had again later: then this process lets the
        platform alone. Those that have a token go on."""
        now = self._host.clock()
        match outcome if adapter.client.lacks_token else None:
            case RetryLater(code, None):
                lane.tokens = breaker.failed(lane.tokens, now, code)
            case RetryLater(code, after) | PausePlatform(code, after) if after is not None:
                lane.tokens = breaker.paused(lane.tokens, now, asked_delay(after), code)
            case PausePlatform():  # refused to all workers: the breaker that they share opens
                return False
            case _:
                lane.tokens = breaker.succeeded(lane.tokens, now)
                return False
        return True

    def _is_late(self, deadline: float) -> bool:
        return self.stopping or time.monotonic() >= deadline

    async def _settle(self, pairs: Sequence[Pair]) -> Sequence[Settled]:
        """Step 6. A database that does not answer is asked again while the leases last."""
        until = time.monotonic() + self._terms.deadline
        while True:
            try:
                return await self._grades.settle(pairs)
            except Busy:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(spread(1.0))

    async def _tell(self, settled: Settled, binding: Binding | None, verdict: Verdict) -> None:
        claim = settled.claim
        if settled.lost:
            log.warning("grade.lease_lost", delivery=claim.slot_id)
        elif binding is None and verdict.code is not None:
            seconds = spread(OFF_SECONDS)
            await self._grades.hold(claim.platform, claim.deployment_id, code=verdict.code, seconds=seconds)
        elif verdict.code == LineItemGone().code and claim.line_item.url is not None:
            await self._report_lost(claim)
        if settled.event in ("grade.delivered", "grade.failed") and settled.delivery and binding:
            log.info("grade.settled", delivery=claim.slot_id, became=settled.delivery.state, code=verdict.code)
            await self._host.calls.grade_settled(settled.delivery, binding)

    async def _report_lost(self, claim: Claim) -> None:
        """The column is not where it was: a job looks where it went, and lets its scores go on."""
        with suppress(Busy):  # the next score finds it again
            await self._host.database.run(
                claim.platform.tenant_id, line_items.lost, claim.line_item_id, claim.line_item.url or "",
                self._host.clock(),
            )  # fmt: skip


def _with_answer(verdict: Verdict, answered: ServiceAnswer | None) -> Verdict:
    """The verdict with what the LMS answered last, for the history."""
    if answered is None:
        return verdict
    said = words_of(answered)[:MAX_EXCERPT] if answered.status >= 400 else None
    return replace(verdict, http_status=answered.status, note=verdict.note or said)
