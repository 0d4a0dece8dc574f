"""What an error answer of a service means where the LMS's plugin has no opinion: as HTTP and the specs say."""

from __future__ import annotations

from ltihost.retry import read_retry_after
from ltihost.service_records import (
    GiveUp,
    LineItemGone,
    NeedsAttention,
    Operation,
    Outcome,
    PausePlatform,
    RetryLater,
    ServiceAnswer,
    Stale,
)

_ON_A_LINE_ITEM: frozenset[Operation] = frozenset(
    {"line_item.read", "line_item.update", "line_item.delete", "score", "results"}
)


def outcome_of(answer: ServiceAnswer, operation: Operation, now: float) -> Outcome:
    """The meaning of a status from 400 on; `now` in Unix seconds, for a `Retry-After` that names a date."""
    status, after = answer.status, read_retry_after(answer.headers.get("retry-after"), now)
    if status == 429 or (status == 503 and after is not None):
        return PausePlatform("throttled", after)
    if status >= 500 or status in (408, 425):
        return RetryLater("platform_error", after)
    if status == 401:
        return PausePlatform("unauthorized")  # after a token renewal: it is not the token
    if status == 403:
        return NeedsAttention("scope_or_permission")
    if status in (404, 410):
        return LineItemGone() if operation in _ON_A_LINE_ITEM else NeedsAttention("service_not_found")
    if status == 409 and operation == "score":
        return Stale()
    return GiveUp("refused")
