"""Grade slots: the store's promise that an accepted score arrives.

One row per line item and person says which value the LMS should hold (`desired_rev`), which it was told (`sent_rev`)
and which it confirmed (`confirmed_rev`). Facts are only ever added; the slot moves forward in the same transaction; a
worker claims what is due, sends it, and settles what became of it. A claim carries a lease and a number (the fence):
who comes back late finds another number, and changes nothing.

    taken = await grades.take(intake)              the API, for each score
    claims = await grades.claim(platform, …)       a worker
    await grades.settle([(claim, verdict), …])     the same worker, afterwards
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Protocol, cast

from sqlalchemy import CursorResult, Select, select, update
from sqlalchemy.orm import Session

from ltihost.breaker import Breaker
from ltihost.service_records import (
    ActivityProgress,
    Delivery,
    GradingProgress,
    LineItem,
    OverridePolicy,
    Score,
    SentScore,
    ServiceUrls,
)
from ltihost.store.grades_policy import Kind
from ltihost.store.service_tables import GradeSlot
from ltihost.store.service_tables import LineItem as LineItemRow

LEASE_SECONDS = 60.0
AT_ONCE = 20
#: `due_at` of what only a person, or what it waits for, brings up again.
NEVER = 1e12


@dataclass(frozen=True, slots=True)
class Terms:
    """In seconds: how long a lease lasts, until when after the claim something may be sent, how long a send may take.

    The lease outlives the other two together, with room for clocks that differ and a database that is slow.
    """

    lease: float = LEASE_SECONDS
    deadline: float = 25.0
    send: float = 20.0


State = Literal["idle", "pending", "leased", "blocked", "waiting_enrolment", "conflict", "dead"]


@dataclass(frozen=True, slots=True)
class Posted:
    """What an application states about one person. `comment` is plain text here and sealed in the store."""

    user_id: str
    kind: Kind
    attempt: int
    revision: int
    given: Decimal | None
    maximum: Decimal | None
    activity_progress: ActivityProgress
    grading_progress: GradingProgress
    comment: str | None = None
    started_at: str | None = None
    submitted_at: str | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """One score to take in, for the application's line item. `request_hash` is of the request's body."""

    tenant_id: str
    application_id: str
    api_key_id: str
    line_item_id: str
    idempotency_key: str
    request_hash: bytes
    posted: Posted


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an intake; `due` says that a worker has something to do now."""

    delivery: Delivery
    due: bool


@dataclass(frozen=True, slots=True)
class Platform:
    """Where scores go: one tenant's use of one registration. It has a breaker of its own."""

    tenant_id: str
    registration_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot in the hands of a worker, with all that is needed to send it.

    `rev` is the revision that is sent and `second` the timestamp to state. `score.repeated` says that nobody knows
    whether the same revision arrived before. `winner_id` is None when nothing should stand there any more.
    """

    platform: Platform
    slot_id: str
    try_id: str
    deployment_id: str
    lease_no: int
    rev: int
    second: int
    claimed_at: float
    winner_id: str | None
    user_id: str
    subject: str
    line_item: LineItem
    line_item_id: str
    override_policy: OverridePolicy
    application: tuple[str, str]
    urls: ServiceUrls
    score: Score
    code: str | None
    tries: int
    stale_tries: int
    first_failed_at: float | None
    paused_seconds: float
    unknown: bool
    settling: bool


@dataclass(frozen=True, slots=True)
class PlatformSign:
    """What an answer says about the platform as a whole, for its breaker."""

    kind: Literal["ok", "failed", "throttled", "refused"]
    code: str = ""
    after: float | None = None
    went_through: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a claimed slot.

    `end` is where it goes: confirmed (the LMS has it), withheld (a plugin keeps it back), retry (`after` seconds, the
    same revision), resend (`after` seconds, as a new revision with a new timestamp), unsent (as if never claimed), and
    the states of the same names. `counts`: the try counts as one. `unknown`: the LMS may have stored it nevertheless.
    `settle`: it must be sent once more later, because an older try may still come through.
    `final`: no new score brings it up again, only a person. `sent` is what the LMS was told. `afresh`: the trouble
    is another than before, so tries and horizon begin with it.
    """

    end: Literal[
        "confirmed", "withheld", "retry", "resend", "unsent", "blocked", "waiting_enrolment", "conflict", "dead"
    ]
    code: str | None = None
    note: str | None = None
    after: float = 0.0
    counts: bool = True
    unknown: bool = False
    settle: bool = False
    final: bool = False
    sent: SentScore | None = None
    http_status: int | None = None
    afresh: bool = False
    platform: PlatformSign | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What was stored: the slot as applications see it. `lost` means that the lease was another's by then."""

    claim: Claim
    delivery: Delivery | None
    event: str | None = None

    @property
    def lost(self) -> bool:
        return self.delivery is None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim brought. `more`: there may be more than was asked for, or than may be under way at once. `again` are
    the seconds after which pacing lets more through (None: nothing is held)."""

    claims: tuple[Claim, ...] = ()
    again: float | None = None
    more: bool = False


class GradeStore(Protocol):
    """All methods raise `errors.Busy` when the database does not take the work in time."""

    async def take(self, intake: Intake) -> Taken:
        """Store one fact and move the slot, or answer what the same key was answered before.

        Raises NotFound (`line_item_unknown`), Invalid (`user_not_in_context`, `given_above_maximum`, `maximum_missing`,
        `idempotency_mismatch`), Conflict (`attempt_exists`).
        """

    async def due(self, limit: int = 64) -> Sequence[Platform]:
        """The platforms that have something due and are not left alone at the moment, the longest waiting first."""

    async def claim(self, platform: Platform, *, owner: str, most: int) -> Claimed:
        """Lease what is due on a platform, the oldest first: no more than AT_ONCE, and no more than bring the slots
        that all workers have leased there to `most`."""

    async def settle(self, settled: Sequence[tuple[Claim, Verdict]]) -> Sequence[Settled]:
        """Store what became of claims of one platform; a claim whose lease is lost changes nothing but its try."""

    async def hold(self, platform: Platform, deployment_id: str, *, code: str, seconds: float) -> None:
        """Let what is due for one deployment wait, without counting against it: it is switched off."""

    async def note_tokens(self, platform: Platform, tokens: Breaker) -> None:
        """Show that a worker gets no tokens for a platform, or gets some again. It keeps no other from sending."""


def enrolled(session: Session, context_id: str, user_ids: Sequence[str] | Select[str], now: float) -> int:
    """Let slots go on that waited until the LMS knows these people in the context; answers how many."""
    items = select(LineItemRow.id).where(LineItemRow.context_id == context_id)
    waiting = update(GradeSlot).where(
        GradeSlot.line_item_id.in_(items),
        GradeSlot.user_id.in_(user_ids),
        GradeSlot.state == "waiting_enrolment",
    )
    woken = waiting.values(state="pending", due_at=now, code=None, note=None, updated_at=now)
    result = session.execute(woken, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount
