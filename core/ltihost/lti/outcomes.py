"""What an error answer of a service means where the LMS's plugin has no opinion: as HTTP and the specs say."""

from __future__ import annotations

from collections.abc import Mapping

from ltihost.lti.service_json import read_body
from ltihost.lti.strict_json import StrictJsonError
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
#: Where platforms put the sentence for people in an error answer. RFC 6749 5.2, RFC 9457 3.1, and habit.
_SENTENCES = ("error_description", "reason", "message", "detail", "title", "error")


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


def words_of(answer: ServiceAnswer) -> str:
    """The sentence for people in an error answer, where it is JSON that has one; else the body as it came."""
    try:
        body = read_body(answer.body)
    except StrictJsonError:
        return answer.text
    errors = body.get("errors") if isinstance(body, Mapping) else None
    for found in (errors, body):
        if isinstance(found, Mapping):
            sentences = (found.get(name) for name in _SENTENCES)
            if sentence := next((text for text in sentences if isinstance(text, str) and text), None):
                return sentence
    return answer.text
