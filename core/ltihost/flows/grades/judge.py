"""What an answer of the LMS means for a slot: outcome and claim in, verdict out. Pure.

delivered              the LMS has it; one whose earlier try may still come through is sent once more later, where the LMS
                       lets an older score overwrite a newer
platform fault         again later, the same bytes; the breaker counts it
throttled, refused     the whole platform waits; the slot is charged nothing
stale                  what stands there decides: equal is confirmed, else a new timestamp, five times, then a conflict
line item, permission  blocked until somebody or something clears it
user not enrolled      waits for the roster, fourteen days at most
refused for good       three tries over an hour, then dead; at once when sending it would be unsafe
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ltihost.retry import asked_delay, delay, spread
from ltihost.service_records import (
    Delivered,
    GiveUp,
    LineItemGone,
    NeedsAttention,
    Outcome,
    PausePlatform,
    Result,
    RetryLater,
    Score,
    SentScore,
    Stale,
    WaitForEnrolment,
    Withheld,
)
from ltihost.store.grades import NEVER, Claim, PlatformSign, Verdict

DAY = 86_400.0
HORIZON_SECONDS = 7 * DAY
#: What a slot waited through no fault of its own extends its horizon by so much at most.
MOST_PAUSED_SECONDS = 14 * DAY
ENROLMENT_SECONDS = 14 * DAY
#: A refusal of one score is believed at the third try, an hour after the first.
BELIEVED_AT = 3
BELIEVED_AFTER_SECONDS = 3_600.0
DOUBT_SECONDS = 1_860.0
MOST_STALE = 5
#: How often what waits for a person or a roster is tried all the same.
WAITING_SECONDS = DAY
#: Platforms store grades as rounded numbers: two that differ by less are the same.
TOLERANCE = Decimal("0.00001")

#: The platform answered about this one score, so it is up.
_UP = PlatformSign("ok")


def judge(
    outcome: Outcome, claim: Claim, sent: Score, *, enforces_timestamp: bool, went_through: float = 0.0
) -> Verdict:
    """The verdict on a try. `went_through` is how many scores the platform took in the last second.

    A `Stale` is judged by `judge_stale`, once it was read what stands there.
    """
    match outcome:
        case Delivered(note):
            return delivered(claim, sent, enforces_timestamp=enforces_timestamp, note=note)
        case RetryLater(code, after, applied):
            wait = max(delay(claim.tries), asked_delay(after) if after is not None else 0.0)
            sign = PlatformSign("failed", code, after)
            return within_horizon(
                claim, Verdict("retry", code, after=wait, unknown=applied == "perhaps", platform=sign)
            )
        case PausePlatform(code, after):
            throttled = after is not None or code == "throttled"
            asked = None if after is None else asked_delay(after)
            sign = PlatformSign("throttled" if throttled else "refused", code, asked, went_through)
            return within_horizon(claim, Verdict("retry", code, counts=False, platform=sign))
        case LineItemGone(code) | NeedsAttention(code):
            # Looked at daily too: whoever should have told that the column is gone, or back, may have died before.
            return Verdict("blocked", code, after=spread(WAITING_SECONDS, 0.9, 1.0), platform=_UP)
        case WaitForEnrolment(code):
            return _awaiting(claim, code)
        case GiveUp(code, at_once):
            return _refused(claim, code, at_once=at_once)
        case Stale(code):
            return judge_stale(claim, sent, None, code=code)


def judge_stale(claim: Claim, sent: Score, standing: Result | None, *, code: str) -> Verdict:
    """The verdict when the LMS holds something newer; `standing` is what it holds for this person.

    It refuses what is older, so nothing that is still on its way can undo what stands.
    """
    if same_grade(sent, standing):
        return delivered(claim, sent, enforces_timestamp=True, note="It stood there already.")
    if claim.stale_tries >= MOST_STALE:
        return Verdict("conflict", code, after=NEVER, platform=_UP)
    return within_horizon(claim, Verdict("resend", code, after=delay(claim.stale_tries), counts=False, platform=_UP))


def delivered(claim: Claim, sent: Score, *, enforces_timestamp: bool, note: str | None = None) -> Verdict:
    """The LMS has it."""
    told = SentScore(sent.given, sent.maximum, sent.attempt, sent.comment)
    settle = claim.unknown and not enforces_timestamp
    return Verdict("confirmed", note=note, settle=settle, sent=told, platform=_UP)


def withheld(answer: Withheld) -> Verdict:
    """A plugin keeps it back: it counts as done, and the reason is shown."""
    return Verdict("withheld", note=answer.reason)


def failed_here(claim: Claim, code: str, *, unknown: bool) -> Verdict:
    """Something of ours failed (a plugin, a mistake in the host); the platform is not to blame."""
    return within_horizon(claim, Verdict("retry", code, after=delay(claim.tries), unknown=unknown))


def same_grade(sent: Score, standing: Result | None) -> bool:
    """Whether what stands in the LMS is what was sent, whatever maximum it shows it with."""
    held = standing.given if standing else None
    if sent.given is None or held is None or standing is None:
        return sent.given is None and held is None
    maximum = sent.maximum or Decimal(1)
    # By cross multiplication: no quotient is rounded.
    difference = abs(sent.given * standing.maximum - held * maximum)
    return difference <= TOLERANCE * abs(maximum * standing.maximum)


def within_horizon(claim: Claim, verdict: Verdict) -> Verdict:
    """`verdict`, or death when the slot has failed for too long; what it had to wait for others does not count."""
    failing = _failing_seconds(claim) - min(claim.paused_seconds, MOST_PAUSED_SECONDS)
    if failing <= HORIZON_SECONDS:
        return verdict
    return replace(verdict, end="dead", note=f"It failed for seven days, at last with {verdict.code}.")


def _failing_seconds(claim: Claim) -> float:
    return 0.0 if claim.first_failed_at is None else claim.claimed_at - claim.first_failed_at


def _awaiting(claim: Claim, code: str) -> Verdict:
    """Tried once a day as well: not every platform has a roster."""
    new = claim.code != code
    if not new and _failing_seconds(claim) > ENROLMENT_SECONDS:
        return Verdict("dead", code, final=True, platform=_UP)
    after = spread(WAITING_SECONDS, 0.9, 1.0)
    return Verdict("waiting_enrolment", code, after=after, afresh=new, platform=_UP)


def _refused(claim: Claim, code: str, *, at_once: bool) -> Verdict:
    if at_once:
        return Verdict("dead", code, final=True, platform=_UP)
    new = claim.code != code
    tried = 1 if new else claim.tries + 1
    if tried >= BELIEVED_AT and _failing_seconds(claim) >= BELIEVED_AFTER_SECONDS:
        return Verdict("dead", code, platform=_UP)
    return Verdict("retry", code, after=spread(DOUBT_SECONDS, 1.0, 1.1), afresh=new, platform=_UP)
