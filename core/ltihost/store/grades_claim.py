"""Claiming slots: what is due on one platform comes under a lease, with everything that is needed to send it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import structlog

from ltihost.breaker import admit, next_token, spent
from ltihost.errors import DecryptionError
from ltihost.service_records import LineItem, Score, SentScore, ServiceUrls
from ltihost.store import health
from ltihost.store.crypto import Place, SecretBox
from ltihost.store.grades import AT_ONCE, Claim, Claimed, Platform
from ltihost.store.grades_intake import comment_place
from ltihost.store.grades_rules import number
from ltihost.store.ids import new_id
from ltihost.store.script import Either, Many, Row, Script
from ltihost.store.service_tables import AWAKE

log = structlog.get_logger()

#: Platforms with something due that may be asked now. On PostgreSQL a function of the router answers: no tenant is known.
_DUE = f"""
SELECT tenant_id, registration_id FROM (
  SELECT h.tenant_id, h.registration_id,
         (SELECT min(s.due_at) FROM grade_slots s
           WHERE s.tenant_id = h.tenant_id AND s.registration_id = h.registration_id AND s.{AWAKE}) AS due_at
    FROM platform_health h WHERE h.kind = 'score' AND h.open_until <= $1) AS platform
 WHERE due_at <= $1 ORDER BY due_at LIMIT $2
"""  # noqa: S608  (a constant of ours)
_LEASED = """
SELECT count(*) AS busy FROM grade_slots
 WHERE tenant_id = $1 AND registration_id = $2 AND state = 'leased' AND due_at > $3
"""
_SLOTS = f"""
SELECT s.*, l.context_id, l.application_owner, l.application_id, l.override_policy, l.coupled, l.url, l.label,
       l.maximum AS item_maximum, l.resource_id, l.tag, l.starts_at, l.ends_at, l.grades_released, l.submission_review,
       l.raw, u.subject, k.lms_id AS link_lms_id, c.line_items_url, c.ags_scopes, c.memberships_url, c.groups_url,
       c.notices_url, e.attempt, e.given, e.maximum, e.activity_progress, e.grading_progress, e.comment, e.started_at,
       e.submitted_at
  FROM grade_slots s
  JOIN line_items l ON l.tenant_id = s.tenant_id AND l.id = s.line_item_id
  JOIN users u ON u.tenant_id = s.tenant_id AND u.id = s.user_id
  LEFT JOIN resource_links k ON k.tenant_id = l.tenant_id AND k.id = l.resource_link_id
  LEFT JOIN context_services c ON c.tenant_id = l.tenant_id AND c.context_id = l.context_id
  LEFT JOIN grade_events e ON e.tenant_id = s.tenant_id AND e.id = s.winner_event_id
 WHERE s.tenant_id = $1 AND s.registration_id = $2 AND s.{AWAKE} AND s.due_at <= $3
   AND (s.sent_rev = s.desired_rev OR s.last_second < $4)
 ORDER BY s.due_at LIMIT $5 FOR UPDATE OF s SKIP LOCKED
"""  # noqa: S608  (a constant of ours)
_LEASE = """
UPDATE grade_slots SET state = 'leased', due_at = $3, lease_until = $3, lease_owner = $4, lease_no = lease_no + 1,
       sent_rev = desired_rev, last_second = $5, unknown_outcome = $6, paused_seconds = $7, updated_at = $8
 WHERE tenant_id = $1 AND id = $2
"""
_TRY = """
INSERT INTO delivery_tries (tenant_id, id, slot_id, rev, lease_no, second, started_at, outcome)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'started')
"""


def due(limit: int, now: float) -> Script[list[Platform]]:
    """See `grades.GradeStore.due`."""
    rows = yield Either(sqlite=_DUE, postgres="SELECT * FROM platforms_due_v1($1, $2)"), (now, limit)
    return [Platform(row["tenant_id"], row["registration_id"]) for row in rows]


def claim(platform: Platform, box: SecretBox, *, owner: str, most: int, lease: float, now: float) -> Script[Claimed]:
    """See `grades.GradeStore.claim`."""
    key = (platform.tenant_id, platform.registration_id, "score")
    known = yield from health.read(key)
    leased = yield _LEASED, (*key[:2], now)
    admitted, breaker = admit(known, now, busy=leased[0]["busy"], most=most)
    rows: Sequence[Row] = ()
    limit = min(admitted, AT_ONCE)
    if limit:
        rows = yield _SLOTS, (*key[:2], now, int(now), limit)
    claims = [_claim(platform, row, box, now) for row in rows]
    if claims:
        yield Many(_LEASE, [_lease_values(claim, owner, now + lease) for claim in claims])
        yield Many(_TRY, [_try_values(claim) for claim in claims])
    breaker = spent(breaker, len(claims))
    if breaker != known:
        yield from health.write(key, breaker, now)
    return Claimed(tuple(claims), next_token(breaker, now), more=len(claims) == limit)


def _claim(platform: Platform, row: Row, box: SecretBox, now: float) -> Claim:
    again = row["sent_rev"] == row["desired_rev"]
    unknown = _is_unknown(row)
    return Claim(
        platform=platform,
        slot_id=row["id"],
        try_id=new_id("dlt"),
        deployment_id=row["deployment_id"],
        lease_no=row["lease_no"] + 1,
        rev=row["desired_rev"],
        second=row["last_second"] if again else int(now),
        claimed_at=now,
        winner_id=row["winner_event_id"],
        user_id=row["user_id"],
        subject=row["subject"],
        line_item=_line_item(row),
        line_item_id=row["line_item_id"],
        override_policy=row["override_policy"],
        application=(row["application_owner"], row["application_id"]),
        urls=_urls(row),
        score=_score(row, box, repeated=again and unknown),
        code=row["code"],
        tries=row["tries"],
        stale_tries=row["stale_tries"],
        first_failed_at=row["first_failed_at"],
        paused_seconds=_paused(row, now),
        unknown=unknown,
        settling=row["settle_at"] is not None and row["settle_at"] <= now,
    )


def _is_unknown(row: Row) -> bool:
    """Whether an earlier try may have arrived: also one whose worker never came back."""
    return bool(row["unknown_outcome"]) or row["state"] == "leased"


def _paused(row: Row, now: float) -> float:
    """What a slot waits beyond its time (for a breaker, a pause, a free worker) does not count against it."""
    if row["first_failed_at"] is None or row["state"] == "leased":
        return float(row["paused_seconds"])
    since = row["updated_at"] if row["state"] == "waiting_enrolment" else row["due_at"]
    return float(row["paused_seconds"] + max(0.0, now - since))


def _line_item(row: Row) -> LineItem:
    review = _json(row["submission_review"])
    return LineItem(
        id=row["line_item_id"],
        label=row["label"] or "",
        maximum=Decimal(row["item_maximum"] or 1),
        url=row["url"],
        resource_id=row["resource_id"],
        tag=row["tag"],
        resource_link=row["link_lms_id"],
        coupled=bool(row["coupled"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        grades_released=None if row["grades_released"] is None else bool(row["grades_released"]),
        submission_review=review,
        raw=_json(row["raw"]),
    )


def _urls(row: Row) -> ServiceUrls:
    scopes = _json(row["ags_scopes"]) or ()
    return ServiceUrls(
        row["line_items_url"], tuple(scopes), row["memberships_url"], row["groups_url"], row["notices_url"]
    )


def _score(row: Row, box: SecretBox, *, repeated: bool) -> Score:
    """What to send. Where nothing should stand any more, the grade is cleared as AGS 4.5 says."""
    previous = _previous(row, box)
    if row["winner_event_id"] is None:
        return Score(None, None, "Initialized", "NotReady", previous=previous, repeated=repeated)
    place = comment_place(row["tenant_id"], row["winner_event_id"])
    return Score(
        given=number(row["given"]),
        maximum=number(row["maximum"]),
        activity_progress=row["activity_progress"],
        grading_progress=row["grading_progress"],
        attempt=row["attempt"],
        comment=_opened(row["comment"], place, box),
        started_at=row["started_at"],
        submitted_at=row["submitted_at"],
        previous=previous,
        repeated=repeated,
    )


def _previous(row: Row, box: SecretBox) -> SentScore | None:
    if row["confirmed_at"] is None:
        return None
    comment = _opened(row["confirmed_comment"], confirmed_place(row["tenant_id"], row["id"]), box)
    return SentScore(
        number(row["confirmed_given"]), number(row["confirmed_maximum"]), row["confirmed_attempt"], comment
    )


def confirmed_place(tenant_id: str, slot_id: str) -> Place:
    return Place("grade_slots", "confirmed_comment", tenant_id, slot_id)


def _opened(sealed: bytes | None, place: Place, box: SecretBox) -> str | None:
    """None also where it does not open: the grade goes out without its comment, and keeps back no others."""
    try:
        return None if sealed is None else box.open(bytes(sealed), place).decode()
    except DecryptionError as error:
        log.error("grade.comment_unreadable", where=error.where, code=error.code)
        return None


def _json(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str) else value


def _lease_values(claim: Claim, owner: str, until: float) -> Sequence[Any]:
    return (
        claim.platform.tenant_id, claim.slot_id, until, owner, claim.second, claim.unknown, claim.paused_seconds,
        claim.claimed_at,
    )  # fmt: skip


def _try_values(claim: Claim) -> Sequence[Any]:
    return (
        claim.platform.tenant_id, claim.try_id, claim.slot_id, claim.rev, claim.lease_no, claim.second, claim.claimed_at
    )  # fmt: skip
