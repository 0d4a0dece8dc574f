"""Taking scores in: several of one tenant in one transaction, on both databases.

What is there is read for all of them, then each is decided by it and by those before it, then everything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any

import orjson

from ltihost.errors import Conflict, Invalid, LtihostError
from ltihost.service_records import Delivery
from ltihost.store import health
from ltihost.store.crypto import Place, SecretBox
from ltihost.store.grades import Intake, Posted, Taken
from ltihost.store.grades_policy import Fact, winner
from ltihost.store.grades_rules import is_ready, moved, no_line_item, number, placed
from ltihost.store.ids import new_id
from ltihost.store.script import Each, Either, Many, Row, Script

#: What is known where a score wants to go, and of its key: one row, whatever of it is there. Each table is told the whole
#: key itself: PostgreSQL without statistics would else read all members of the context.
LOOK = """
SELECT k.request_hash, k.object_id, l.id AS line_item_id, l.registration_id, l.deployment_id, l.policy,
       l.override_policy, l.extra_credit, l.state, l.url, l.maximum, m.role, m.roles, m.source, m.active, m.left_at,
       s.id AS slot_id
  FROM (SELECT 1) AS one
  LEFT JOIN idempotency_keys k ON k.tenant_id = $1 AND k.api_key_id = $2 AND k.key = $3
  LEFT JOIN line_items l ON l.tenant_id = $1 AND l.id = $4 AND l.application_id = $5
                        AND l.state NOT IN ('deleting', 'deleted')
  LEFT JOIN users u ON u.tenant_id = $1 AND u.id = $6 AND u.registration_id = l.registration_id
  LEFT JOIN memberships m ON m.tenant_id = $1 AND m.context_id = l.context_id AND m.user_id = $6 AND u.id = $6
  LEFT JOIN grade_slots s ON s.tenant_id = $1 AND s.line_item_id = $4 AND s.user_id = $6 AND l.id = $4
"""
#: The same for those behind whom others queue: from here on they wait for nobody longer than this.
_LOOK_BRIEFLY = Either(LOOK, postgres=LOOK.replace("SELECT", "SELECT set_config('lock_timeout', '200ms', true),", 1))
#: For a line item that is not ready: its job may be about to say that it is, and to wake the scores that it sees. So
#: either it waits for these, or these hear of it. The line item comes before its slots, as in the jobs.
_UNMOVED = "SELECT id FROM line_items WHERE tenant_id = $1 AND id = $2 FOR SHARE"
#: For a line item that stands: one that is being deleted because it has no slots waits for this one, or this for it.
NEW_SLOT = """
INSERT INTO grade_slots (tenant_id, id, registration_id, deployment_id, line_item_id, user_id, state, desired_rev,
                         sent_rev, confirmed_rev, last_second, unknown_outcome, due_at, tries, stale_tries,
                         paused_seconds, lease_no, lease_until, updated_at)
SELECT l.tenant_id, $2, l.registration_id, l.deployment_id, l.id, $4, 'idle', 0, 0, 0, 0, false, 0, 0, 0, 0, 0, 0, $5
  FROM line_items l
 WHERE l.tenant_id = $1 AND l.id = $3 AND l.state NOT IN ('deleting', 'deleted') FOR KEY SHARE OF l
ON CONFLICT DO NOTHING
"""
_SLOT = "SELECT * FROM grade_slots WHERE tenant_id = $1 AND line_item_id = $2 AND user_id = $3 FOR UPDATE"
#: Who waits while holding other slots could wait for somebody who waits for those.
_FREE_SLOT = f"{_SLOT} SKIP LOCKED"
_SLOT_BY_ID = "SELECT * FROM grade_slots WHERE tenant_id = $1 AND id = $2"
_FACTS = """
SELECT slot_id, id, kind, attempt, revision, given, maximum, request_hash FROM grade_events
 WHERE tenant_id = $1 AND slot_id = $2
"""
_REMEMBER = """
INSERT INTO idempotency_keys (tenant_id, api_key_id, key, request_hash, object_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING key
"""
_NEW_FACT = """
INSERT INTO grade_events (tenant_id, id, slot_id, kind, attempt, revision, given, maximum, activity_progress,
                          grading_progress, comment, started_at, submitted_at, actor, request_hash, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
_MOVE = """
UPDATE grade_slots SET state = $3, due_at = $4, code = $5, note = $6, winner_event_id = $7, desired_rev = desired_rev + 1,
       tries = $8, stale_tries = $9, first_failed_at = $10, paused_seconds = $11, updated_at = $12
 WHERE tenant_id = $1 AND id = $2
"""
_AUDIT = "INSERT INTO audit (tenant_id, id, at, actor, action, object_id, details) VALUES ($1, $2, $3, $4, $5, $6, $7)"

_STATED = "It was stated differently before. Send attempt: {} for a new attempt, or revision: {} to correct this one."

#: What is answered or raised.
Outcome = Taken | LtihostError
#: A slot's line item and person.
_Where = tuple[str, str]


def in_flight() -> Conflict:
    """Somebody else has the key, or what else is needed, at this moment."""
    return Conflict("in_flight", "A request with this Idempotency-Key is under way; try again.")


@dataclass(slots=True)
class _Score:
    """One score, what is known where it wants to go, and what became of it."""

    intake: Intake
    place: Row
    outcome: Outcome = field(default_factory=in_flight)

    @property
    def where(self) -> _Where:
        return self.intake.line_item_id, self.intake.posted.user_id


@dataclass(slots=True)
class _Slot:
    """A slot that is locked, and what was stated about it so far, each with the hash of its request."""

    row: dict[str, Any]
    stated: list[tuple[Fact, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class _Writes:
    """Rows of parameters, in the order in which their statements are executed."""

    keys: list[Sequence[Any]] = field(default_factory=list)
    facts: list[Sequence[Any]] = field(default_factory=list)
    audits: list[Sequence[Any]] = field(default_factory=list)
    moves: list[Sequence[Any]] = field(default_factory=list)


def take(intakes: Sequence[Intake], box: SecretBox, now: float) -> Script[list[Outcome]]:
    """See `grades.GradeStore.take`: what it answers or raises for each. They are of one tenant, and others queue behind
    them.

    So they hardly wait for whoever has something that one of them needs. A slot is not waited for: the answer is a
    Conflict (`in_flight`). A key or a line item is, for a moment; then all of them fail, with this Conflict or with
    PostgreSQL's lock timeout. `take_alone` should go on with each.
    """
    return (yield from _take(intakes, box, now, patient=False))


def take_alone(intake: Intake, box: SecretBox, now: float) -> Script[Outcome]:
    """The same for one, which waits for whoever has its slot, key or line item."""
    (outcome,) = yield from _take([intake], box, now, patient=True)
    return outcome


def delivery_from(slot: Row, best: Fact | None) -> Delivery:
    """A slot as applications see it."""
    given, maximum, attempt = (best.given, best.maximum, best.attempt) if best else (None, None, None)
    return Delivery(
        slot["id"], slot["line_item_id"], slot["user_id"], slot["state"], given, maximum, attempt, slot["code"],
        slot["updated_at"],
    )  # fmt: skip


def fact_from(row: Row) -> Fact:
    return Fact(row["id"], row["kind"], row["attempt"], row["revision"], number(row["given"]), number(row["maximum"]))


def exact(value: Decimal | None) -> str | None:
    """The number as text, the same for equal numbers."""
    if value is None:
        return None
    plain = f"{value:f}"
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain).removeprefix("-")


def comment_place(tenant_id: str, fact_id: str) -> Place:
    return Place("grade_events", "comment", tenant_id, fact_id)


def _take(intakes: Sequence[Intake], box: SecretBox, now: float, *, patient: bool) -> Script[list[Outcome]]:
    places = yield from _look(intakes, patient=patient)
    scores = [_Score(intake, place) for intake, place in zip(intakes, places, strict=True)]
    fresh = yield from _fresh(scores)
    slots = yield from _slots(fresh, now, patient=patient)
    writes = _Writes()
    for score in fresh:
        slot = slots.get(score.where)
        if slot is None:
            score.outcome = no_line_item() if patient else in_flight()
        else:
            score.outcome = _stated(score, slot, writes, box, now)
    if (yield from _written(writes)):
        return [score.outcome for score in scores]
    if not patient:
        raise in_flight()
    return [(yield from _answered_meanwhile(intakes[0]))]


def _look(intakes: Sequence[Intake], *, patient: bool) -> Script[list[Row]]:
    """What `LOOK` says to each. A line item that is not ready stays as it is until the transaction ends."""
    look = Each(LOOK if patient else _LOOK_BRIEFLY, [_looking_for(intake) for intake in intakes])
    places, unmoved = (yield look), set[str]()
    while moving := _moving(places) - unmoved:  # one that was ready may be so no more at the next look
        yield Each(_UNMOVED, [(intakes[0].tenant_id, line_item_id) for line_item_id in sorted(moving)])
        unmoved |= moving
        places = yield look
    return places


def _moving(places: Iterable[Row]) -> set[str]:
    return {place["line_item_id"] for place in places if place["line_item_id"] and not is_ready(place)}


def _looking_for(intake: Intake) -> Sequence[Any]:
    return (*_key(intake), intake.line_item_id, intake.application_id, intake.posted.user_id)


def _key(intake: Intake) -> tuple[str, str, str]:
    return intake.tenant_id, intake.api_key_id, intake.idempotency_key


def _fresh(scores: Sequence[_Score]) -> Script[list[_Score]]:
    """Those to be stored. The others have their outcome, but for one whose key an earlier one of them has."""
    fresh: dict[tuple[str, str, str], _Score] = {}
    for score in scores:
        key = _key(score.intake)
        try:
            if score.place["object_id"] is not None:
                score.outcome = yield from _answer(score.intake, score.place)
            elif key not in fresh:
                score.intake = placed(score.intake, score.place)
                fresh[key] = score
        except LtihostError as refused:
            score.outcome = refused
    return list(fresh.values())


def _answer(intake: Intake, place: Row) -> Script[Taken]:
    """What was answered under this key before, as it is now. Raises Invalid for another body."""
    if bytes(place["request_hash"]) != intake.request_hash:
        raise Invalid("idempotency_mismatch", "This Idempotency-Key was used for another body; use a new one.")
    (slot,) = yield _SLOT_BY_ID, (intake.tenant_id, place["object_id"])
    facts = yield _FACTS, (intake.tenant_id, slot["id"])
    best = next((fact for fact in map(fact_from, facts) if fact.id == slot["winner_event_id"]), None)
    return Taken(delivery_from(slot, best), due=False)


def _answered_meanwhile(intake: Intake) -> Script[Taken]:
    """What another process answered meanwhile under the same key. Raises Conflict."""
    (place,) = yield LOOK, _looking_for(intake)
    if place["object_id"] is None:
        raise in_flight()
    return (yield from _answer(intake, place))


def _slots(scores: Sequence[_Score], now: float, *, patient: bool) -> Script[dict[_Where, _Slot]]:
    """The slots, locked; they are made if they are not there. Those that somebody else has locked are left out."""
    if not scores:
        return {}
    tenant_id = scores[0].intake.tenant_id
    missing = {score.where: score.place for score in scores if score.place["slot_id"] is None}
    if missing:
        yield from _make_slots(tenant_id, missing, now)
    wanted = [(tenant_id, *where) for where in sorted({score.where for score in scores})]
    rows = yield Each(_SLOT if patient else _FREE_SLOT, wanted)
    slots = {row["id"]: _Slot(dict(row)) for row in rows}
    # Read when the slots are locked: who had one of them before may have stated something.
    for fact in (yield Each(_FACTS, [(tenant_id, slot_id) for slot_id in slots])):
        slots[fact["slot_id"]].stated.append((fact_from(fact), bytes(fact["request_hash"])))
    return {(slot.row["line_item_id"], slot.row["user_id"]): slot for slot in slots.values()}


def _make_slots(tenant_id: str, places: Mapping[_Where, Row], now: float) -> Script[None]:
    for registration_id in sorted({place["registration_id"] for place in places.values()}):
        yield from health.add((tenant_id, registration_id, "score"), now)
    yield Many(NEW_SLOT, [(tenant_id, new_id("dlv"), *where, now) for where in sorted(places)])


def _stated(score: _Score, slot: _Slot, writes: _Writes, box: SecretBox, now: float) -> Taken | Conflict:
    """Add the score to its slot, and what has to be stored to `writes`."""
    intake, slot_id = score.intake, slot.row["id"]
    try:
        known = _is_known(intake, slot.stated)
    except Conflict as refused:
        return refused
    writes.keys.append((*_key(intake), intake.request_hash, slot_id, now))
    if not known:
        fact = _fact(intake.posted)
        slot.stated.append((fact, intake.request_hash))
        writes.facts.append(_fact_values(intake, slot_id, fact.id, box, now))
        if fact.kind != "attempt":
            writes.audits.append(_audit_values(intake, slot_id, fact, now))
    best = winner(score.place["policy"], [fact for fact, _ in slot.stated])
    if known or (best.id if best else None) == slot.row["winner_event_id"]:
        return Taken(delivery_from(slot.row, best), due=False)
    slot.row = moved(slot.row, score.place, now) | {"winner_event_id": best.id if best else None}
    writes.moves.append(_move_values(intake.tenant_id, slot.row))
    return Taken(delivery_from(slot.row, best), due=slot.row["state"] == "pending")


def _written(writes: _Writes) -> Script[bool]:
    """Whether every key was unused; where one was not, nothing else is written. Equal requests of different processes
    wait here for each other, if they did not at the slot."""
    if not writes.keys:
        return True
    kept = yield Each(_REMEMBER, sorted(writes.keys, key=itemgetter(1, 2)))
    if len(kept) < len(writes.keys):
        return False
    for sql, rows in ((_NEW_FACT, writes.facts), (_AUDIT, writes.audits), (_MOVE, writes.moves)):
        if rows:
            yield Many(sql, rows)
    return True


def _is_known(intake: Intake, stated: Iterable[tuple[Fact, bytes]]) -> bool:
    """Whether this very fact was stated before, perhaps under another key. Raises Conflict for a different one."""
    posted = intake.posted
    for fact, request_hash in stated:
        if (fact.kind, fact.attempt, fact.revision) == (posted.kind, posted.attempt, posted.revision):
            if request_hash == intake.request_hash:
                return True
            raise Conflict("attempt_exists", _STATED.format(posted.attempt + 1, posted.revision + 1))
    return False


def _fact(posted: Posted) -> Fact:
    return Fact(new_id("gev"), posted.kind, posted.attempt, posted.revision, posted.given, posted.maximum)


def _fact_values(intake: Intake, slot_id: str, fact_id: str, box: SecretBox, now: float) -> Sequence[Any]:
    posted = intake.posted
    comment = None
    if posted.comment:
        comment = box.seal(posted.comment.encode(), comment_place(intake.tenant_id, fact_id))
    return (
        intake.tenant_id, fact_id, slot_id, posted.kind, posted.attempt, posted.revision, exact(posted.given),
        exact(posted.maximum), posted.activity_progress, posted.grading_progress, comment, posted.started_at,
        posted.submitted_at, intake.api_key_id, intake.request_hash, now,
    )  # fmt: skip


def _audit_values(intake: Intake, slot_id: str, fact: Fact, now: float) -> Sequence[Any]:
    action = "grade.override_set" if fact.kind == "override" else "grade.override_cleared"
    details = orjson.dumps({"line_item": intake.line_item_id, "event": fact.id}).decode()
    return (intake.tenant_id, new_id("aud"), now, f"key:{intake.api_key_id}", action, slot_id, details)


def _move_values(tenant_id: str, moved: Row) -> Sequence[Any]:
    names = (
        "id", "state", "due_at", "code", "note", "winner_event_id", "tries", "stale_tries", "first_failed_at",
        "paused_seconds", "updated_at",
    )  # fmt: skip
    return (tenant_id, *(moved[name] for name in names))
