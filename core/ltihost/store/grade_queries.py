"""Grade slots as people and applications look at them; and bringing dead ones up again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, cast

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, case, func, select
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, NotFound
from ltihost.service_records import Delivery, Policy, SentScore
from ltihost.store import audit
from ltihost.store.grades_policy import Fact, winner
from ltihost.store.service_tables import DeliveryTry, GradeEvent, GradeSlot, LineItem, LmsResult, PlatformHealth
from ltihost.store.tables import Context

#: What a person has to look at, the worst first; the rest follows.
URGENT = ("dead", "conflict", "blocked", "waiting_enrolment")
#: Replayed slots come due at this rate, so that no platform is flooded.
REPLAYED_A_SECOND = 10.0
#: For so long after its time, what held a platform back still explains why slots wait: a worker has to look again first.
HELD_SECONDS = 60.0
#: A slot that is due for so long while its platform is well has been forgotten.
FORGOTTEN_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot with its surroundings. `confirmed` is what the LMS took last, `standing` what it held at `read_at`.

    The delivery's `code` is the slot's own; for one that has none and could go, it is that of what holds its platform.
    """

    tenant_id: str
    delivery: Delivery
    context_id: str
    context_title: str | None
    line_item_label: str | None
    registration_id: str
    deployment_id: str
    note: str | None
    tries: int
    due_at: float
    first_failed_at: float | None
    confirmed: SentScore | None
    confirmed_at: float | None
    standing: tuple[Decimal | None, Decimal] | None
    read_at: float | None
    overridden: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """A slot that is not as it must be. `code` names the rule that it breaks."""

    tenant_id: str
    delivery_id: str
    code: str


def listed(
    session: Session,
    *,
    tenant_id: str | None = None,
    states: Sequence[str] = (),
    line_item_id: str | None = None,
    limit: int = 500,
) -> list[Slot]:
    """Slots, the worst first, then those that changed last."""
    query = _query().order_by(_urgency(), GradeSlot.updated_at.desc(), GradeSlot.id).limit(limit)
    return _slots(session, _narrowed(query, tenant_id, states, line_item_id))


def page(session: Session, line_item_id: str, *, after: str | None, limit: int) -> list[Slot]:
    """Slots of a line item by id, those after `after`."""
    query = _query().where(GradeSlot.line_item_id == line_item_id).order_by(GradeSlot.id).limit(limit)
    return _slots(session, query if after is None else query.where(GradeSlot.id > after))


def of_line_item(session: Session, line_item_id: str) -> list[Slot]:
    """Every slot of a line item."""
    return _slots(session, _query().where(GradeSlot.line_item_id == line_item_id).order_by(GradeSlot.id))


def get(session: Session, slot_id: str) -> Slot:
    """Raises NotFound."""
    found = _slots(session, _query().where(GradeSlot.id == slot_id))
    if not found:
        raise NotFound("delivery_unknown", f"There is no delivery {slot_id}.")
    return found[0]


def history(session: Session, slot_id: str) -> tuple[list[GradeEvent], list[DeliveryTry]]:
    """What was stated about a slot, and each try to send it, oldest first. Comments stay sealed."""
    events = select(GradeEvent).where(GradeEvent.slot_id == slot_id).order_by(GradeEvent.created_at, GradeEvent.id)
    tries = select(DeliveryTry).where(DeliveryTry.slot_id == slot_id).order_by(DeliveryTry.started_at, DeliveryTry.id)
    return list(session.scalars(events)), list(session.scalars(tries))


def replay(
    session: Session,
    ids: Sequence[str] = (),
    *,
    tenant_id: str | None = None,
    line_item_id: str | None = None,
    actor: str,
    now: float,
) -> list[str]:
    """Send these slots again, or without `ids` all that are dead, blocked, waiting or in conflict; answers their ids.

    Each is a new revision with a new timestamp; they come due one after the other. Audited. Raises NotFound for an id
    that is none, and Conflict for one for which nothing was ever stated.
    """
    query = select(GradeSlot).order_by(GradeSlot.updated_at, GradeSlot.id).with_for_update()
    query = query.where(GradeSlot.id.in_(ids)) if ids else query.where(GradeSlot.state.in_(URGENT))
    if tenant_id is not None:
        query = query.where(GradeSlot.tenant_id == tenant_id)
    if line_item_id is not None:
        query = query.where(GradeSlot.line_item_id == line_item_id)
    rows = list(session.scalars(query))
    if missing := set(ids) - {row.id for row in rows}:
        raise NotFound("delivery_unknown", f"There is no delivery {min(missing)}.")
    for place, row in enumerate(rows):
        _wake(row, now + place / REPLAYED_A_SECOND, now)
    session.flush()
    for tenant in sorted({row.tenant_id for row in rows}):
        woken = [row.id for row in rows if row.tenant_id == tenant]
        details = {"count": len(woken), "deliveries": woken[:100]}
        audit.append(
            session, tenant, actor=actor, action="grade.replayed", object_id=line_item_id or woken[0], details=details
        )
    return [row.id for row in rows]


def faults(session: Session, now: float, *, line_item_id: str | None = None) -> Iterator[Fault]:
    """Slots that break a rule: the winner is not the policy's, numbers out of order, timestamps that fall, a slot that
    is due although nothing holds its platform back."""
    query = select(GradeSlot, LineItem.policy, PlatformHealth, _held_by(now))
    query = query.join(LineItem, _same(LineItem, GradeSlot.line_item_id)).outerjoin(PlatformHealth, _health())
    if line_item_id is not None:
        query = query.where(GradeSlot.line_item_id == line_item_id)
    for slot, policy, health, held_by in session.execute(query).all():
        events, tries = history(session, slot.id)
        best = winner(cast("Policy", policy), map(_fact, events))
        closed = health is None or (health.state == "closed" and health.open_until <= now and health.rate is None)
        well = closed and held_by is None
        broken = {
            "winner_wrong": (best.id if best else None) != slot.winner_event_id,
            "revisions_wrong": not slot.confirmed_rev <= slot.sent_rev <= slot.desired_rev,
            # A teacher's own grade stands in the way of what comes next, also when nothing has come yet.
            "idle_unsent": slot.state != "conflict"
            and (slot.state == "idle") != (slot.confirmed_rev == slot.desired_rev),
            "timestamps_fall": _falls(tries),
            "forgotten": slot.state in ("pending", "leased") and well and slot.due_at < now - FORGOTTEN_SECONDS,
        }
        yield from (Fault(slot.tenant_id, slot.id, code) for code, found in broken.items() if found)


def _fact(row: GradeEvent) -> Fact:
    kind: Any = row.kind
    return Fact(row.id, kind, row.attempt, row.revision, _number(row.given), _number(row.maximum))


def _falls(tries: Sequence[DeliveryTry]) -> bool:
    """Whether a later revision has no later timestamp."""
    seconds: dict[int, int] = {}
    for one in tries:
        seconds[one.rev] = max(one.second, seconds.get(one.rev, 0))
    told = [seconds[rev] for rev in sorted(seconds)]
    return any(later <= earlier for earlier, later in pairwise(told))


def _wake(row: GradeSlot, due_at: float, now: float) -> None:
    if row.desired_rev == 0:
        raise Conflict("nothing_to_send", f"Nothing was ever stated for {row.id}.")
    row.desired_rev += 1
    row.tries = row.stale_tries = 0
    row.first_failed_at, row.paused_seconds = None, 0.0
    row.code, row.note, row.updated_at = None, None, now
    if row.state != "leased":
        row.state, row.due_at = "pending", max(due_at, row.last_second + 1.0)


def _urgency() -> ColumnElement[int]:
    return case({state: place for place, state in enumerate(URGENT)}, value=GradeSlot.state, else_=len(URGENT))


def _query() -> Select[Any]:
    """Slots with line item, context, winner, what the LMS held when it was last read, and why they wait."""
    now = time.time()
    held_by = case((and_(GradeSlot.state == "pending", GradeSlot.due_at <= now), _held_by(now)))
    query: Any = (
        select(GradeSlot, LineItem, Context, GradeEvent, LmsResult, func.coalesce(GradeSlot.code, held_by))
        .join(LineItem, _same(LineItem, GradeSlot.line_item_id))
        .join(Context, and_(Context.tenant_id == LineItem.tenant_id, Context.id == LineItem.context_id))
        .outerjoin(GradeEvent, _same(GradeEvent, GradeSlot.winner_event_id))
        .outerjoin(
            LmsResult,
            and_(
                LmsResult.tenant_id == GradeSlot.tenant_id,
                LmsResult.line_item_id == GradeSlot.line_item_id,
                LmsResult.user_id == GradeSlot.user_id,
            ),
        )
    )
    return cast("Select[Any]", query)


def _same(table: Any, column: Any) -> ColumnElement[bool]:
    return and_(table.tenant_id == GradeSlot.tenant_id, table.id == column)


def _health() -> ColumnElement[bool]:
    return and_(
        PlatformHealth.tenant_id == GradeSlot.tenant_id,
        PlatformHealth.registration_id == GradeSlot.registration_id,
        PlatformHealth.kind == "score",
    )


def _held_by(now: float) -> ScalarSelect[str | None]:
    """What holds a slot's platform back: the code of its breaker, or of the one that shows a worker's lack of tokens."""
    holding = select(PlatformHealth.code).where(
        PlatformHealth.tenant_id == GradeSlot.tenant_id,
        PlatformHealth.registration_id == GradeSlot.registration_id,
        PlatformHealth.code.is_not(None),
        PlatformHealth.open_until > now - HELD_SECONDS,
    )
    return holding.order_by(PlatformHealth.open_until.desc()).limit(1).correlate(GradeSlot).scalar_subquery()


def _narrowed(
    query: Select[Any], tenant_id: str | None, states: Sequence[str], line_item_id: str | None
) -> Select[Any]:
    if tenant_id is not None:
        query = query.where(GradeSlot.tenant_id == tenant_id)
    if states:
        query = query.where(GradeSlot.state.in_(states))
    return query if line_item_id is None else query.where(GradeSlot.line_item_id == line_item_id)


def _slots(session: Session, query: Select[Any]) -> list[Slot]:
    return [_slot(*row) for row in session.execute(query).all()]


def _slot(
    slot: GradeSlot, line_item: LineItem, context: Context, best: GradeEvent | None, standing: LmsResult | None,
    why: str | None,
) -> Slot:  # fmt: skip
    state: Any = slot.state
    confirmed = None
    if slot.confirmed_at is not None:
        given, maximum = _number(slot.confirmed_given), _number(slot.confirmed_maximum)
        confirmed = SentScore(given, maximum, slot.confirmed_attempt, None)
    return Slot(
        tenant_id=slot.tenant_id,
        delivery=Delivery(
            id=slot.id,
            line_item_id=slot.line_item_id,
            user_id=slot.user_id,
            state=state,
            given=_number(best.given) if best else None,
            maximum=_number(best.maximum) if best else None,
            attempt=best.attempt if best else None,
            code=why,
            updated_at=slot.updated_at,
        ),
        context_id=context.id,
        context_title=context.title,
        line_item_label=line_item.label,
        registration_id=slot.registration_id,
        deployment_id=slot.deployment_id,
        note=slot.note,
        tries=slot.tries,
        due_at=slot.due_at,
        first_failed_at=slot.first_failed_at,
        confirmed=confirmed,
        confirmed_at=slot.confirmed_at,
        standing=(_number(standing.given), Decimal(standing.maximum)) if standing else None,
        read_at=standing.read_at if standing else None,
        overridden=bool(standing and standing.overridden),
    )


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
