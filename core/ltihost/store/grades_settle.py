"""Settling claims: what became of each is stored, if its lease is still the worker's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from ltihost import breaker as breakers
from ltihost.breaker import Breaker
from ltihost.service_records import Delivery, SentScore
from ltihost.store import health
from ltihost.store.crypto import SecretBox
from ltihost.store.events import event_values
from ltihost.store.grades import NEVER, Claim, Platform, PlatformSign, Settled, Verdict
from ltihost.store.grades_claim import confirmed_place
from ltihost.store.grades_intake import exact
from ltihost.store.hot_values import storable
from ltihost.store.results import RESULTS_DUE_SQL, SOON_SECONDS
from ltihost.store.script import Many, Row, Script

#: How long after an unclear try a score is sent once more, to a platform that lets an older one overwrite a newer.
SETTLE_SECONDS = 120.0

_SLOTS = """
SELECT * FROM grade_slots
 WHERE tenant_id = $1 AND id IN (SELECT value FROM json_array_elements_text($2)) FOR UPDATE
"""
_COLUMNS = (
    "state", "desired_rev", "confirmed_rev", "unknown_outcome", "settle_at", "due_at", "tries", "stale_tries",
    "first_failed_at", "paused_seconds", "code", "note", "lease_owner", "confirmed_given", "confirmed_maximum",
    "confirmed_attempt", "confirmed_comment", "confirmed_at", "updated_at",
)  # fmt: skip
_MOVE = f"""
UPDATE grade_slots SET {", ".join(f"{name} = ${place}" for place, name in enumerate(_COLUMNS, 3))}
 WHERE tenant_id = $1 AND id = $2
"""  # noqa: S608  (the names above)
_END_TRY = """
UPDATE delivery_tries SET ended_at = $3, outcome = $4, code = $5, http_status = $6, retry_after = $7, note = $8
 WHERE tenant_id = $1 AND id = $2
"""
_EVENT = """
INSERT INTO events (tenant_id, id, application_owner, application_id, type, data, at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_HOLD = """
UPDATE grade_slots SET due_at = $4, code = $5, paused_seconds = paused_seconds + $6, updated_at = $7
 WHERE tenant_id = $1 AND registration_id = $2 AND deployment_id = $3
   AND state IN ('pending', 'waiting_enrolment', 'blocked') AND due_at <= $7
"""
_TYPES = {
    "confirmed": "grade.delivered",
    "blocked": "grade.waiting",
    "waiting_enrolment": "grade.waiting",
    "conflict": "grade.failed",
    "dead": "grade.failed",
}


def settle(
    platform: Platform, settled: Sequence[tuple[Claim, Verdict]], box: SecretBox, now: float
) -> Script[list[Settled]]:
    """See `grades.GradeStore.settle`."""
    key = (platform.tenant_id, platform.registration_id, "score")
    known = breaker = yield from health.read(key)
    ids = orjson.dumps([claim.slot_id for claim, _ in settled]).decode()
    slots = {row["id"]: row for row in (yield _SLOTS, (platform.tenant_id, ids))}
    answers, moved, ended, events = [], [], [], []
    for claim, verdict in settled:
        slot = slots.get(claim.slot_id)
        held = slot is not None and slot["state"] == "leased" and slot["lease_no"] == claim.lease_no
        ended.append(_try_values(claim, verdict, now, held=held))
        breaker = _after_sign(breaker, verdict.platform, now)
        if slot is None or not held:
            answers.append(Settled(claim, None))
            continue
        after = _after(slot, claim, verdict, box, now, charged=known.state == "closed")
        moved.append((platform.tenant_id, claim.slot_id, *(after[name] for name in _COLUMNS)))
        event = _event_type(slot, after, verdict, claim)
        delivery = _delivery(after, claim)
        if event is not None:
            events.append(_event_values(claim, event, delivery, now))
        answers.append(Settled(claim, delivery, event))
    yield Many(_END_TRY, ended)
    if moved:
        yield Many(_MOVE, moved)
    if events:
        yield Many(_EVENT, events)
    for line_item_id in {claim.line_item_id for claim, verdict in settled if verdict.end == "confirmed"}:
        yield RESULTS_DUE_SQL, (platform.tenant_id, line_item_id, now + SOON_SECONDS)
    if breaker != known:
        yield from health.write(key, breaker, now)
    return answers


def hold(platform: Platform, deployment_id: str, *, code: str, seconds: float, now: float) -> Script[None]:
    """See `grades.GradeStore.hold`."""
    where = (platform.tenant_id, platform.registration_id, deployment_id)
    yield _HOLD, (*where, now + seconds, code, seconds, now)


def note_tokens(platform: Platform, tokens: Breaker, now: float) -> Script[None]:
    """See `grades.GradeStore.note_tokens`."""
    key = (platform.tenant_id, platform.registration_id, "token")
    yield from health.add(key, now)
    yield from health.write(key, tokens, now)


def _after(slot: Row, claim: Claim, verdict: Verdict, box: SecretBox, now: float, *, charged: bool) -> dict[str, Any]:
    """The slot after this verdict. `charged`: the platform's breaker was closed, so a failed try counts."""
    after = dict(slot) | {"lease_owner": None, "updated_at": now}
    if verdict.end in ("confirmed", "withheld"):
        return after | _confirmed(slot, claim, verdict, box, now)
    if verdict.end == "unsent":
        # Code and note stay: they may tell why it waited before. What it waited until the claim is counted already.
        return after | {"state": "pending", "due_at": claim.claimed_at}
    after |= {
        "code": verdict.code,
        "note": storable(verdict.note),
        "unknown_outcome": bool(slot["unknown_outcome"]) or verdict.unknown,
        "first_failed_at": now if verdict.afresh else slot["first_failed_at"] or now,
        "tries": (0 if verdict.afresh else slot["tries"]) + (verdict.counts and charged),
        "due_at": now + verdict.after,
    }
    if verdict.end == "resend":
        after["stale_tries"] += 1
        after["desired_rev"] = max(slot["desired_rev"], claim.rev + 1)
    if verdict.end in ("retry", "resend"):
        return after | {"state": "pending"}
    if verdict.end == "dead":
        return after | _dead(slot, claim, verdict, now)
    if verdict.end == "blocked":  # for a reason outside of it: tries and horizon begin when that is cleared
        after |= {"tries": 0, "stale_tries": 0, "first_failed_at": None, "paused_seconds": 0.0}
    return after | {"state": verdict.end}


def _confirmed(slot: Row, claim: Claim, verdict: Verdict, box: SecretBox, now: float) -> dict[str, Any]:
    """The LMS has this revision; what came meanwhile follows, and an unclear older try is outdone later."""
    settle_at = now + SETTLE_SECONDS if verdict.settle else slot["settle_at"]
    if settle_at is not None and settle_at <= now:
        settle_at = None
    after = _fresh(verdict.note) | {
        "state": "idle", "confirmed_rev": claim.rev, "unknown_outcome": False, "settle_at": settle_at, "due_at": now,
    }  # fmt: skip
    if verdict.end == "confirmed":
        after |= _sent_values(claim, verdict.sent, box, now)
    if slot["desired_rev"] > claim.rev:
        return after | {"state": "pending", "due_at": max(now, claim.second + 1.0)}
    if settle_at is not None:
        return after | {"state": "pending", "due_at": settle_at, "desired_rev": claim.rev + 1}
    return after


def _dead(slot: Row, claim: Claim, verdict: Verdict, now: float) -> dict[str, Any]:
    if verdict.final:
        return {"state": "dead", "due_at": NEVER}
    if slot["desired_rev"] > claim.rev:  # a newer score came while this one was refused: it deserves its own tries
        return _fresh(None) | {"state": "pending", "due_at": max(now, claim.second + 1.0)}
    return {"state": "dead", "due_at": now}


def _fresh(note: str | None) -> dict[str, Any]:
    return {
        "tries": 0, "stale_tries": 0, "first_failed_at": None, "paused_seconds": 0.0, "code": None, "note": note,
    }  # fmt: skip


def _sent_values(claim: Claim, sent: SentScore | None, box: SecretBox, now: float) -> dict[str, Any]:
    score = claim.score
    sent = sent or SentScore(score.given, score.maximum, score.attempt, score.comment)
    place = confirmed_place(claim.platform.tenant_id, claim.slot_id)
    return {
        "confirmed_given": exact(sent.given),
        "confirmed_maximum": exact(sent.maximum),
        "confirmed_attempt": sent.attempt,
        "confirmed_comment": box.seal(sent.comment.encode(), place) if sent.comment else None,
        "confirmed_at": now,
    }


def _after_sign(breaker: Breaker, sign: PlatformSign | None, now: float) -> Breaker:
    match sign:
        case PlatformSign("ok"):
            return breakers.succeeded(breaker, now)
        case PlatformSign("failed", code):
            return breakers.failed(breaker, now, code)
        case PlatformSign("refused", code):
            return breakers.tripped(breaker, now, code)
        case PlatformSign("throttled", _, after, went_through):
            return breakers.throttled(breaker, now, after, went_through=went_through)
    return breaker


def _event_type(slot: Row, after: dict[str, Any], verdict: Verdict, claim: Claim) -> str | None:
    """The event to tell the application; none for what it was told before."""
    event = _TYPES.get(verdict.end)
    if verdict.end == "confirmed" and claim.settling and _same_value(slot, after):
        return None
    if event == "grade.waiting" and slot["code"] == after["code"]:
        return None
    return None if verdict.end == "dead" and after["state"] != "dead" else event


def _same_value(slot: Row, after: dict[str, Any]) -> bool:
    names = ("confirmed_given", "confirmed_maximum", "confirmed_attempt")
    return all(slot[name] == after[name] for name in names)


def _delivery(after: dict[str, Any], claim: Claim) -> Delivery:
    score = claim.score
    attempt = score.attempt if claim.winner_id else None
    return Delivery(
        claim.slot_id, claim.line_item_id, claim.user_id, after["state"], score.given, score.maximum, attempt,
        after["code"], after["updated_at"],
    )  # fmt: skip


def _event_values(claim: Claim, type_: str, delivery: Delivery, now: float) -> Sequence[Any]:
    data = {
        "delivery_id": delivery.id, "line_item_id": delivery.line_item_id, "user_id": delivery.user_id,
        "state": delivery.state, "attempt": delivery.attempt, "code": delivery.code,
    }  # fmt: skip
    owner, application = claim.application
    values = event_values(
        claim.platform.tenant_id, application_owner=owner, application_id=application, type=type_, data=data, now=now
    )
    names = ("tenant_id", "id", "application_owner", "application_id", "type", "data", "at")
    return [values[name] for name in names]


def _try_values(claim: Claim, verdict: Verdict, now: float, *, held: bool) -> Sequence[Any]:
    outcome = verdict.end if held else "stale"
    asked = verdict.platform.after if verdict.platform else None
    note = storable(verdict.note)
    return (claim.platform.tenant_id, claim.try_id, now, outcome, verdict.code, verdict.http_status, asked, note)
