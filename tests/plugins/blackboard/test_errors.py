"""Learn's error answers (E and T numbers of the plugin's README)."""

from __future__ import annotations

import pytest

from ltihost.service_records import Delivered, NeedsAttention, Operation, Outcome, WaitForEnrolment
from tests.plugins.reading import Reader

NOT_FOUND = "User could not be found: b317a895e7f64796a3fd01bb18a61d65"
SAID: dict[str, tuple[int, Operation, str, Outcome | None]] = {
    "e1_token": (400, "token", '{"error": "invalid_client"}', None),
    "e2_stranger": (400, "score", NOT_FOUND, WaitForEnrolment("user_not_enrolled")),
    "e2_other_400": (400, "score", "Bad Request", None),
    "e2_elsewhere": (400, "roster", NOT_FOUND, None),
    "e3_read_only_member": (400, "line_item.update", "id is read-only", None),
    "e4_header": (401, "score", "AuthHeaderMissing", None),
    "e5_switched_off": (403, "score", "SiteApplicationDisabled", NeedsAttention("application_disabled")),
    "e5_no_access": (403, "roster", "", NeedsAttention("service_disabled")),
    "e5_at_the_portal": (403, "token", "", None),
    "e7_not_installed": (404, "line_items.list", "", NeedsAttention("application_not_installed")),
    "e7_no_roster": (404, "roster", "", NeedsAttention("application_not_installed")),
    "e8_column": (404, "score", "", None),
    "e9_quota": (429, "score", "", None),
    "e10_fault": (503, "score", "", None),
}


@pytest.mark.parametrize("case", SAID)
def test_t20_error_answers(blackboard: Reader, case: str) -> None:
    status, operation, body, outcome = SAID[case]
    assert blackboard.outcome(operation, status, body) == outcome


def test_t20_e6_no_results_yet_is_an_answer(blackboard: Reader) -> None:
    assert isinstance(blackboard.outcome("results", 404), Delivered)
