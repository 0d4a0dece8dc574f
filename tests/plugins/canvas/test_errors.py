"""Canvas's error answers, text by text (E numbers of the plugin's README)."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.service_records import (
    GiveUp,
    NeedsAttention,
    Operation,
    Outcome,
    PausePlatform,
    Stale,
    WaitForEnrolment,
)
from tests.plugins.reading import Reader


def said(message: str, kind: str = "unprocessable_entity") -> dict[str, Any]:
    return {"errors": {"type": kind, "message": message}}


NOT_HERE = said("Access Token not linked to a Tool associated with this Context", "unauthorized")
SAID: dict[str, tuple[int, Operation, Any, Outcome | None]] = {
    "tool_not_installed": (401, "score", NOT_HERE, NeedsAttention("tool_not_in_context")),
    "key_off": (401, "roster", said("Unknown or inactive Developer Key"), PausePlatform("registration_disabled")),
    "key_invalid": (401, "score", said("Invalid Developer Key"), PausePlatform("registration_disabled")),
    "scope": (401, "results", said("Insufficient permissions"), NeedsAttention("scope_missing")),
    "other_401": (401, "score", said("Token expired"), None),
    "concluded_old": (404, "score", said("Context not found", "not_found"), NeedsAttention("context_closed")),
    "concluded": (422, "score", said("This course has concluded."), NeedsAttention("context_closed")),
    "other_404": (404, "line_item.read", "", None),
    "foreign": (
        412, "score", said("Tool does not have permission to view line_item"), NeedsAttention("line_item_foreign"),
    ),
    "not_a_student": (
        422, "score", said("User not found in course or is not a student"), WaitForEnrolment("student_not_gradable"),
    ),
    "attempts": (
        422, "score", said("The maximum number of allowed attempts has been reached for this submission"),
        GiveUp("attempts_exhausted", at_once=True),
    ),
    "other_422": (422, "score", said("ScoreMaximum not supplied when ScoreGiven present."), None),
    "older": (
        400, "score",
        said("Provided timestamp of 2026-09-21 before last updated timestamp of 2026-09-22", "bad_request"), Stale(),
    ),
    "other_400": (400, "score", said("Provided timestamp of x not a valid timestamp"), None),
    "audience": (
        400, "token", {"error": "invalid_request", "error_description": "the 'aud' is invalid"},
        PausePlatform("token_audience"),
    ),
    "other_412": (412, "line_item.create", said("Precondition failed"), None),
    "forbidden": (403, "score", "403 Forbidden", None),
    "throttled_429": (429, "score", "", None),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_t15_error_bodies(canvas: Reader, case: str) -> None:
    status, operation, body, outcome = SAID[case]
    assert canvas.outcome(operation, status, body) == outcome


def test_t15_deleting_a_coupled_column_is_no_matter_of_the_token(canvas: Reader) -> None:
    assert canvas.outcome("line_item.delete", 401) == GiveUp("line_item_coupled", at_once=True)
    assert canvas.outcome("line_item.read", 401) is None


@pytest.mark.parametrize(
    ("remaining", "seconds"), [("0", 10.0), ("-25.5", 12.55), ("99.9", 1.0), ("700", None), ("abc", None), (None, None)]
)
def test_t15_t16_throttling_waits_until_the_bucket_has_filled_up(
    canvas: Reader, remaining: str | None, seconds: float | None
) -> None:
    headers = {} if remaining is None else {"x-rate-limit-remaining": remaining, "x-request-cost": "0.8"}
    outcome = canvas.outcome("score", 403, "403 Forbidden (Rate Limit Exceeded)", headers)
    assert isinstance(outcome, PausePlatform)
    assert outcome.code == "throttled"
    assert outcome.after == (None if seconds is None else pytest.approx(seconds))


def test_e10_the_token_endpoint_throttles_too(canvas: Reader) -> None:
    assert canvas.outcome("token", 400, {"error": "Rate limit exceeded"}) == PausePlatform("throttled")
