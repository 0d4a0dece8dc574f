"""What Canvas's error answers mean. It writes `{"errors": {"type": …, "message": …}}`, with status 412 where nobody chose one
(canvas-lms, lti/ims/concerns/lti_services.rb and gradebook_services.rb); only the words tell one cause from another.
"""

from __future__ import annotations

from typing import NamedTuple

from ltihost.plugins import (
    GiveUp,
    NeedsAttention,
    Operation,
    Outcome,
    PausePlatform,
    ServiceAnswer,
    Stale,
    WaitForEnrolment,
)

REMAINING = "x-rate-limit-remaining"
#: What flows back into the bucket of a token each second, by Instructure's developers.
OUTFLOW = 10.0
#: Below this much, Canvas is let alone until the bucket has filled up to it.
ENOUGH = 100.0


ATTEMPTS_EXHAUSTED = "attempts_exhausted"
LINE_ITEM_COUPLED = GiveUp("line_item_coupled", at_once=True)


class _Saying(NamedTuple):
    status: int
    words: str
    outcome: Outcome


SAYINGS = (
    _Saying(
        401, "access token not linked to a tool associated with this context", NeedsAttention("tool_not_in_context")
    ),
    _Saying(401, "unknown or inactive developer key", PausePlatform("registration_disabled")),
    _Saying(401, "invalid developer key", PausePlatform("registration_disabled")),
    _Saying(401, "insufficient permissions", NeedsAttention("scope_missing")),
    _Saying(404, "context not found", NeedsAttention("context_closed")),
    _Saying(422, "this course has concluded", NeedsAttention("context_closed")),
    _Saying(412, "tool does not have permission to view line_item", NeedsAttention("line_item_foreign")),
    _Saying(422, "user not found in course or is not a student", WaitForEnrolment("student_not_gradable")),
    _Saying(422, "maximum number of allowed attempts", GiveUp(ATTEMPTS_EXHAUSTED, at_once=True)),
    _Saying(400, "before last updated timestamp", Stale()),
    _Saying(400, "the 'aud' is invalid", PausePlatform("token_audience")),
)


def classified(answer: ServiceAnswer, operation: Operation) -> Outcome | None:
    if answer.status == 401 and operation == "line_item.delete" and not answer.body.strip():
        # The column of an assignment that opens the tool; a new token would not help (line_items_controller.rb).
        return LINE_ITEM_COUPLED
    words = answer.text.lower()
    if answer.status in (400, 403) and "rate limit" in words:
        return PausePlatform("throttled", _pause(answer))
    return next((said.outcome for said in SAYINGS if said.status == answer.status and said.words in words), None)


def _pause(answer: ServiceAnswer) -> float | None:
    """Canvas says how much is left instead of how long to wait (doc/api/throttling.md)."""
    try:
        remaining = float(answer.headers.get(REMAINING, ""))
    except ValueError:
        return None
    return max(1.0, (ENOUGH - remaining) / OUTFLOW) if -1e6 < remaining < ENOUGH else None
