"""Taking a score in: one transaction, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from ltihost.errors import Conflict, Invalid, NotFound
from ltihost.lti.roles import read_roles
from ltihost.service_records import Delivery
from ltihost.store import health
from ltihost.store.crypto import Place, SecretBox
from ltihost.store.grades import NEVER, Intake, Posted, Taken
from ltihost.store.grades_policy import Fact, winner
from ltihost.store.ids import new_id
from ltihost.store.script import Row, Script

#: Roles of people who are graded.
_LEARNERS = frozenset({"learner", "member"})

_ANSWERED = "SELECT request_hash, object_id FROM idempotency_keys WHERE tenant_id = $1 AND api_key_id = $2 AND key = $3"
_REMEMBER = """
INSERT INTO idempotency_keys (tenant_id, api_key_id, key, request_hash, object_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING object_id
"""
_PLACE = """
SELECT l.registration_id, l.deployment_id, l.policy, l.override_policy, l.extra_credit, l.state, l.url, l.maximum,
       m.role, m.roles, m.source, m.active, m.left_at
  FROM line_items l
  LEFT JOIN users u ON u.tenant_id = l.tenant_id AND u.id = $4 AND u.registration_id = l.registration_id
  LEFT JOIN memberships m ON m.tenant_id = l.tenant_id AND m.context_id = l.context_id AND m.user_id = u.id
 WHERE l.tenant_id = $1 AND l.id = $2 AND l.application_id = $3 AND l.state NOT IN ('deleting', 'deleted')
"""
#: For a line item that is not ready: its job may be about to say that it is, and to wake the scores that it sees. So
#: either it waits for this one, or this one hears of it. The line item comes before its slots, as in the jobs.
_UNMOVED = " FOR SHARE OF l"
_SLOT = "SELECT * FROM grade_slots WHERE tenant_id = $1 AND line_item_id = $2 AND user_id = $3 FOR UPDATE"
_SLOT_BY_ID = "SELECT * FROM grade_slots WHERE tenant_id = $1 AND id = $2"
_NEW_SLOT = """
INSERT INTO grade_slots (tenant_id, id, registration_id, deployment_id, line_item_id, user_id, state, desired_rev,
                         sent_rev, confirmed_rev, last_second, unknown_outcome, due_at, tries, stale_tries,
                         paused_seconds, lease_no, lease_until, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, 'idle', 0, 0, 0, 0, false, 0, 0, 0, 0, 0, 0, $7) ON CONFLICT DO NOTHING
"""
FACTS = """
SELECT id, kind, attempt, revision, given, maximum, request_hash FROM grade_events WHERE tenant_id = $1 AND slot_id = $2
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


def take(intake: Intake, box: SecretBox, now: float) -> Script[Taken]:
    """See `grades.GradeStore.take`."""
    answered = yield from _answered(intake)
    if answered is not None:
        return answered
    intake, place = yield from _placed(intake)
    slot = yield from _slot(intake, place, now)
    # Equal requests wait here for each other: they lock the same slot, or meet in the key.
    remembered = yield (
        _REMEMBER,
        (intake.tenant_id, intake.api_key_id, intake.idempotency_key, intake.request_hash, slot["id"], now),
    )
    if not remembered:
        return (yield from _answered_meanwhile(intake))
    facts = yield FACTS, (intake.tenant_id, slot["id"])
    if _is_known(intake, facts):
        best = winner(place["policy"], map(fact_from, facts))
        return Taken(delivery_from(slot, best), due=False)
    added = _fact(intake.posted)
    yield _NEW_FACT, _fact_values(intake, slot["id"], added.id, box, now)
    if added.kind != "attempt":
        yield _AUDIT, _audit_values(intake, slot["id"], added, now)
    best = winner(place["policy"], [*map(fact_from, facts), added])
    if (best.id if best else None) == slot["winner_event_id"]:
        return Taken(delivery_from(slot, best), due=False)
    moved = _moved(slot, place, now)
    yield _MOVE, _move_values(intake, moved, best, now)
    return Taken(delivery_from(moved, best), due=moved["state"] == "pending")


def delivery_from(slot: Row, best: Fact | None) -> Delivery:
    """A slot as applications see it."""
    return Delivery(
        id=slot["id"],
        line_item_id=slot["line_item_id"],
        user_id=slot["user_id"],
        state=slot["state"],
        given=best.given if best else None,
        maximum=best.maximum if best else None,
        attempt=best.attempt if best else None,
        code=slot["code"],
        updated_at=slot["updated_at"],
    )


def fact_from(row: Row) -> Fact:
    return Fact(row["id"], row["kind"], row["attempt"], row["revision"], number(row["given"]), number(row["maximum"]))


def number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def exact(value: Decimal | None) -> str | None:
    """The number as text, the same for equal numbers."""
    if value is None:
        return None
    plain = f"{value:f}"
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain).removeprefix("-")


def comment_place(tenant_id: str, fact_id: str) -> Place:
    return Place("grade_events", "comment", tenant_id, fact_id)


def _answered(intake: Intake) -> Script[Taken | None]:
    rows = yield _ANSWERED, (intake.tenant_id, intake.api_key_id, intake.idempotency_key)
    if not rows:
        return None
    if bytes(rows[0]["request_hash"]) != intake.request_hash:
        raise Invalid("idempotency_mismatch", "This Idempotency-Key was used for another body; use a new one.")
    (slot,) = yield _SLOT_BY_ID, (intake.tenant_id, rows[0]["object_id"])
    facts = yield FACTS, (intake.tenant_id, slot["id"])
    best = next((fact for fact in map(fact_from, facts) if fact.id == slot["winner_event_id"]), None)
    return Taken(delivery_from(slot, best), due=False)


def _answered_meanwhile(intake: Intake) -> Script[Taken]:
    answered = yield from _answered(intake)
    if answered is None:
        raise Conflict("in_flight", "A request with this Idempotency-Key is under way; try again.")
    return answered


def _placed(intake: Intake) -> Script[tuple[Intake, Row]]:
    """The line item with what is known of the person there, and the intake with the line item's maximum where the score
    names none. Raises NotFound and Invalid."""
    posted = intake.posted
    key = (intake.tenant_id, intake.line_item_id, intake.application_id, posted.user_id)
    rows = yield _PLACE, key
    if rows and not _is_ready(rows[0]):
        rows = yield _PLACE + _UNMOVED, key
    if not rows:
        raise NotFound("line_item_unknown", "The application has no such line item.")
    place = rows[0]
    if not _is_learner(place):
        raise Invalid("user_not_in_context", "No such learner is known in the line item's context.")
    if posted.given is None:
        return intake, place
    maximum = posted.maximum or number(place["maximum"])
    if maximum is None:
        raise Invalid("maximum_missing", "The line item has no maximum of its own; state one with the score.")
    if posted.given > maximum and not place["extra_credit"]:
        raise Invalid("given_above_maximum", "The score is above its maximum, and the line item gives no extra credit.")
    return replace(intake, posted=replace(posted, maximum=maximum)), place


def _is_learner(place: Row) -> bool:
    """Whether the person launched into the context, or is on its newest roster, and is graded there.

    Who left the roster has `left_at`, until a launch brings them back.
    """
    if place["role"] is None:
        return False
    if place["source"] != "launch" and (not place["active"] or place["left_at"] is not None):
        return False
    return place["role"] in _LEARNERS or any(
        role.scope == "context" and role.role in _LEARNERS for role in read_roles(orjson.loads(place["roles"]))
    )


def _slot(intake: Intake, place: Row, now: float) -> Script[Row]:
    """The slot, locked; it is made if it is not there."""
    key = (intake.tenant_id, intake.line_item_id, intake.posted.user_id)
    rows = yield _SLOT, key
    if not rows:
        registration, deployment = place["registration_id"], place["deployment_id"]
        yield from health.add((intake.tenant_id, registration, "score"), now)
        yield _NEW_SLOT, (intake.tenant_id, new_id("dlv"), registration, deployment, *key[1:], now)
        rows = yield _SLOT, key
    return rows[0]


def _is_known(intake: Intake, facts: Sequence[Row]) -> bool:
    """Whether this very fact was stated before, perhaps under another key. Raises Conflict for a different one."""
    posted = intake.posted
    for fact in facts:
        if (fact["kind"], fact["attempt"], fact["revision"]) == (posted.kind, posted.attempt, posted.revision):
            if bytes(fact["request_hash"]) == intake.request_hash:
                return True
            raise Conflict(
                "attempt_exists", "This attempt was stated differently before; correct it with a higher revision."
            )
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


def _moved(slot: Row, place: Row, now: float) -> dict[str, Any]:
    """The slot after something new should stand there. One that backs off goes on doing so."""
    moved = dict(slot) | {"updated_at": now}
    if _goes_on(slot, place):
        # Two timestamps of a slot are a second apart, and none lies ahead.
        fresh = {"due_at": max(now, slot["last_second"] + 1.0), "tries": 0, "stale_tries": 0, "first_failed_at": None}
        moved |= fresh | {"state": "pending", "code": None, "note": None, "paused_seconds": 0.0}
        if not _is_ready(place):
            gone = place["state"] == "gone"
            moved |= {"state": "blocked", "due_at": NEVER, "code": "line_item_gone" if gone else "line_item_pending"}
    return moved


def _is_ready(place: Row) -> bool:
    return place["state"] == "ready" and place["url"] is not None


def _goes_on(slot: Row, place: Row) -> bool:
    match slot["state"]:
        case "idle":
            return True
        case "pending":
            return slot["first_failed_at"] is None
        case "dead":
            return bool(slot["due_at"] < NEVER)
        case "conflict":
            return bool(place["override_policy"] == "tool_wins")
    return False


def _move_values(intake: Intake, moved: Row, best: Fact | None, now: float) -> Sequence[Any]:
    return (
        intake.tenant_id, moved["id"], moved["state"], moved["due_at"], moved["code"], moved["note"],
        best.id if best else None, moved["tries"], moved["stale_tries"], moved["first_failed_at"],
        moved["paused_seconds"], now,
    )  # fmt: skip
