"""What stands in the LMS's gradebook, beside what the host was told was taken.

A result that is not the confirmed score is an override: a teacher graded by hand. It is remembered, told once per
change, and by default never fought.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from ltihost.service_records import Delivery, Result, ServiceUrls
from ltihost.service_records import LineItem as LineItemRecord
from ltihost.store import audit, events, jobs, line_items, services
from ltihost.store.crypto import Place
from ltihost.store.grades import NEVER
from ltihost.store.guard import box_of
from ltihost.store.service_tables import GradeEvent, GradeSlot, LineItem, LmsResult
from ltihost.store.tables import User

KIND = "results"
SOON_SECONDS = 600.0
DAILY_SECONDS = 86_400.0
#: Items are read daily as long as a score was confirmed within this time.
ACTIVE_SECONDS = 30 * 86_400.0
#: LMSs keep grades with few decimals, some with five; what is nearer than this part of the maximum is the same.
SAME_WITHIN = Fraction(1, 100_000)

#: The code of a slot whose score waits because a teacher graded by hand.
OVERRIDDEN = "overridden"
#: For the path that settles scores: tenant, line item, and when to read ($3 = now + `SOON_SECONDS`). It touches the row
#: only when nothing so soon is planned, so that an exam does not queue up for one row; and never waits for it, since
#: whoever holds the row may wait for the scores. Then the daily reading serves.
RESULTS_DUE_SQL = """
UPDATE line_items SET results_due_at = $3 WHERE tenant_id = $1 AND id IN (
  SELECT id FROM line_items
   WHERE tenant_id = $1 AND id = $2 AND (results_due_at IS NULL OR results_due_at > $3) FOR UPDATE SKIP LOCKED)
"""
_DUE = """
SELECT tenant_id, id FROM line_items WHERE results_due_at <= :now AND state = 'ready' ORDER BY results_due_at LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is needed to read the results of a line item. `confirmed` are the revisions that the LMS had confirmed of each
    person when the reading began: what it shows is compared with those, whatever clocks say."""

    line_item: LineItemRecord
    urls: ServiceUrls
    registration_id: str
    deployment_id: str
    confirmed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Override:
    """A teacher's grade that stands where a score of ours was confirmed."""

    delivery: Delivery
    resend: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """One person in one line item: what should stand there by us, and what the LMS shows. None: nothing, not read."""

    user_id: str
    slot: GradeSlot | None
    winner: GradeEvent | None
    lms: LmsResult | None


def due(session: Session, now: float, most: int) -> list[tuple[str, str]]:
    """Tenant and id of the line items whose results are to be read. For `run_lookup`."""
    connection = session.connection()
    query = "SELECT * FROM results_due_v1(:now, :most)" if connection.dialect.name == "postgresql" else _DUE
    return [(row[0], row[1]) for row in connection.execute(text(query), {"now": now, "most": most})]


def plan(session: Session, ids: Sequence[str], now: float) -> None:
    """Put a job for each of these line items of the tenant, and plan the next reading for tomorrow."""
    for row in session.scalars(select(LineItem).where(LineItem.id.in_(ids), LineItem.results_due_at <= now)):
        row.results_due_at = now + DAILY_SECONDS
        jobs.put(
            session, kind=KIND, registration_id=row.registration_id, deployment_id=row.deployment_id, object_id=row.id,
            now=now,
        )  # fmt: skip


def reading(session: Session, line_item_id: str) -> Reading:
    """Raises NotFound."""
    row = line_items.get(session, line_item_id)
    urls = services.urls_of(session, row.context_id) or ServiceUrls()
    query = select(GradeSlot.user_id, GradeSlot.confirmed_rev).where(GradeSlot.line_item_id == line_item_id)
    confirmed = {user_id: rev for user_id, rev in session.execute(query)}  # noqa: C416 - rows are no pairs to dict
    return Reading(line_items.record(row), urls, row.registration_id, row.deployment_id, confirmed)


def people(session: Session, line_item_id: str, subjects: Sequence[str]) -> dict[str, str]:
    """Our ids of those of these `sub`s that the registration knows, by `sub`; and of everybody with a score."""
    row = line_items.get(session, line_item_id)
    scored = select(GradeSlot.user_id).where(GradeSlot.line_item_id == line_item_id)
    known: dict[str, str] = {}
    for chosen in (User.id.in_(scored), *(User.subject.in_(part) for part in _parts(subjects))):
        query = select(User.subject, User.id).where(User.registration_id == row.registration_id, chosen)
        for subject, user_id in session.execute(query):
            known.setdefault(subject, user_id)
    return known


def store(
    session: Session, line_item_id: str, results: Mapping[str, Result], *, confirmed: Mapping[str, int], now: float
) -> list[Override]:
    """Keep what the LMS shows, by our user ids, and answer what is newly overridden.

    `confirmed` is of when the reading began: a score that was on its way then, or came since, is compared the next time.
    A person without a result has no grade; that counts as an override only where one was seen before.
    """
    item = line_items.get(session, line_item_id, locked=True)
    slots = {row.user_id: row for row in _slots(session, line_item_id)}
    known = {
        row.user_id: row for row in session.scalars(select(LmsResult).where(LmsResult.line_item_id == line_item_id))
    }
    found = []
    for user_id in {*results, *known}:
        result = results.get(user_id)
        before = known.get(user_id)
        slot = slots.get(user_id)
        override = _compared(session, item, user_id, result, before, slot, confirmed, now)
        if override is not None:
            found.append(override)
    item.results_read_at = now
    active = session.scalar(select(func.max(GradeSlot.confirmed_at)).where(GradeSlot.line_item_id == line_item_id))
    if active is None or active < now - ACTIVE_SECONDS:
        item.results_due_at = None
    session.flush()
    return found


def standings(session: Session, line_item_id: str, *, after: str | None = None, limit: int = 100) -> list[Standing]:
    """Ours beside the LMS's, by user id, those after `after`. Raises NotFound."""
    line_items.get(session, line_item_id)
    scored = select(GradeSlot.user_id).where(GradeSlot.line_item_id == line_item_id)
    graded = select(LmsResult.user_id).where(LmsResult.line_item_id == line_item_id)
    query = select(User.id).where(User.id.in_(scored) | User.id.in_(graded))
    query = query if after is None else query.where(User.id > after)
    ids = list(session.scalars(query.order_by(User.id).limit(limit)))
    slots = {row.user_id: row for row in _slots(session, line_item_id, ids)}
    winners = {
        row.id: row
        for row in session.scalars(
            select(GradeEvent).where(GradeEvent.id.in_([slot.winner_event_id for slot in slots.values()]))
        )
    }
    shown = select(LmsResult).where(LmsResult.line_item_id == line_item_id, LmsResult.user_id.in_(ids))
    lms = {row.user_id: row for row in session.scalars(shown)}
    return [
        Standing(
            user_id,
            slot := slots.get(user_id),
            winners.get(slot.winner_event_id or "") if slot else None,
            lms.get(user_id),
        )
        for user_id in ids
    ]


def _compared(
    session: Session, item: LineItem, user_id: str, result: Result | None, before: LmsResult | None,
    slot: GradeSlot | None, confirmed: Mapping[str, int], now: float,
) -> Override | None:  # fmt: skip
    """Store one result; answer it if it is an override that was not told yet."""
    given = result.given if result else None
    maximum = result.maximum if result else Decimal(before.maximum if before else 1)
    overridden = before is not None and before.overridden
    if slot is not None and _comparable(slot, confirmed):
        known = result is not None or (before is not None and (before.given is not None or before.overridden))
        overridden = known and not _is_ours(slot, given, maximum, before)
        if not overridden:
            _freed(slot, now)
    told = (
        before is not None
        and before.overridden
        and (_number(before.given), Decimal(before.maximum)) == (given, maximum)
    )
    row = before or LmsResult(tenant_id=item.tenant_id, line_item_id=item.id, user_id=user_id)
    row.given, row.maximum = None if given is None else format(given, "f"), format(maximum, "f")
    row.comment = _sealed(session, row, result.comment if result else None)
    row.overridden, row.read_at = overridden, now
    session.add(row)
    if not overridden or told or slot is None:
        return None
    return _told(session, item, slot, given, maximum, now)


def _comparable(slot: GradeSlot, confirmed: Mapping[str, int]) -> bool:
    """Whether the LMS should show what it confirmed: nothing newer was told to it, or may have arrived."""
    stood = slot.confirmed_at is not None and confirmed.get(slot.user_id) == slot.confirmed_rev
    return stood and slot.sent_rev == slot.confirmed_rev and not slot.unknown_outcome


def _is_ours(slot: GradeSlot, given: Decimal | None, maximum: Decimal, before: LmsResult | None) -> bool:
    """Whether what the LMS shows can be what we sent: nobody graded by hand when it cut the points at its maximum, nor
    when it left the points alone as the maximum changed, which LMSs do."""
    ours, ours_maximum = _number(slot.confirmed_given), _number(slot.confirmed_maximum)
    if same_grade(given, maximum, ours, ours_maximum):
        return True
    if given is None or ours is None or ours_maximum is None:
        return False
    cut = ours > ours_maximum and given == maximum
    unmoved = before is not None and not before.overridden and _number(before.given) == given
    return cut or (unmoved and before is not None and (slot.confirmed_at or 0.0) <= before.read_at)


def _told(
    session: Session, item: LineItem, slot: GradeSlot, given: Decimal | None, maximum: Decimal, now: float
) -> Override:
    """The event and the audit row of an override. Where the platform wins, later scores wait; else ours goes again."""
    resend = item.override_policy == "tool_wins" and slot.state == "idle"
    if resend:
        slot.desired_rev, slot.state, slot.due_at, slot.updated_at = slot.desired_rev + 1, "pending", now, now
    elif item.override_policy == "platform_wins" and slot.state in ("idle", "pending"):
        slot.state, slot.code, slot.due_at, slot.updated_at = "conflict", OVERRIDDEN, NEVER, now
    lms = {"given": None if given is None else float(given), "maximum": float(maximum)}
    events.append(
        session, application_owner=item.application_owner, application_id=item.application_id, type="grade.overridden",
        data={"delivery_id": slot.id, "line_item_id": item.id, "user_id": slot.user_id, "lms": lms}, now=now,
    )  # fmt: skip
    audit.append(
        session, item.tenant_id, actor="lms", action="grade.overridden", object_id=slot.id,
        details={"policy": item.override_policy, "sent_again": resend},
    )  # fmt: skip
    delivery = Delivery(
        id=slot.id,
        line_item_id=item.id,
        user_id=slot.user_id,
        state=slot.state,  # type: ignore[arg-type]
        given=_number(slot.confirmed_given),
        maximum=_number(slot.confirmed_maximum),
        attempt=slot.confirmed_attempt,
        code=OVERRIDDEN,
        updated_at=now,
    )
    return Override(delivery, resend)


def _freed(slot: GradeSlot, now: float) -> None:
    """The teacher took the own grade back: what came meanwhile goes out."""
    if (slot.state, slot.code) == ("conflict", OVERRIDDEN):
        slot.state = "idle" if slot.desired_rev == slot.confirmed_rev else "pending"
        slot.code, slot.due_at, slot.updated_at = None, now, now


def _slots(session: Session, line_item_id: str, user_ids: Sequence[str] | None = None) -> list[GradeSlot]:
    query = select(GradeSlot).where(GradeSlot.line_item_id == line_item_id)
    if user_ids is not None:
        return list(session.scalars(query.where(GradeSlot.user_id.in_(user_ids))))
    return list(session.scalars(query.with_for_update()))


def _parts(values: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _number(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _sealed(session: Session, row: LmsResult, comment: str | None) -> bytes | None:
    if not comment:
        return None
    return box_of(session).seal(comment.encode(), comment_place(row.tenant_id, row.line_item_id, row.user_id))


def same_grade(
    given: Decimal | None, maximum: Decimal | None, other: Decimal | None, other_maximum: Decimal | None
) -> bool:
    """Whether both are the same part of their maximum, as exactly as LMSs keep it; no grade equals no grade."""
    if given is None or other is None or not maximum or not other_maximum:
        return given is None and other is None
    return abs(Fraction(given) / Fraction(maximum) - Fraction(other) / Fraction(other_maximum)) <= SAME_WITHIN


def comment_place(tenant_id: str, line_item_id: str, user_id: str) -> Place:
    """Where the comment of a result is sealed."""
    return Place("lms_results", "comment", tenant_id, f"{line_item_id} {user_id}")
