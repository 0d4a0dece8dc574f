"""Moodle's error answers, as a real Moodle 4.5.6 sent them (quirk numbers of the plugin's README)."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.service_records import GiveUp, NeedsAttention, Operation, Outcome, PausePlatform, WaitForEnrolment
from tests.plugins.reading import Reader
from tests.plugins.scripted import AT, COLUMN, URLS, ScriptedLms, answer, graded

PHP_FAULT = '<!DOCTYPE html>\n\n<html  dir="ltr" lang="en" xml:lang="en">\n<head>\n    <title>Error | LBM</title>'
BLOCKED = "<html><head><title>403 Forbidden</title></head></html>"
BAD_GATEWAY = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center>nginx/1.22.1</center>"


def router(status: int, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason, "request": {"method": "POST", "url": "/mod/lti/services.php/2"}}


SAID: dict[str, tuple[int, Operation, str | dict[str, Any], Outcome | None]] = {
    "quirk52_teacher_or_stranger": (400, "score", "[]", WaitForEnrolment("user_not_gradable")),
    "quirk28_router": (400, "score", router(400, "No handler found for /2/lineitems/14/lineitem"), None),
    "quirk53_locked_column": (500, "score", "[]", NeedsAttention("line_item_locked")),
    "quirk53_other_500": (500, "score", "", None),
    "quirk46_earlier": (409, "score", "[]", None),
    "quirk31_scope": (401, "score", router(401, "Unauthorized"), NeedsAttention("scope_missing")),
    "quirk31_roster": (401, "roster", router(401, "Unauthorized"), NeedsAttention("scope_missing")),
    "foreign_link": (403, "line_item.create", router(403, "Forbidden"), NeedsAttention("line_item_foreign")),
    "quirk27_foreign_column": (403, "score", router(403, "Forbidden"), NeedsAttention("line_item_foreign")),
    "quirk27_foreign_column_of_a_score": (403, "score", "[]", NeedsAttention("line_item_foreign")),
    "access_switched_off": (403, "score", router(403, "Access is switched off"), None),
    "a_firewall": (403, "score", BLOCKED, None),
    "missing_column": (404, "score", router(404, "Not Found: Grade item 9999 doesn't exist"), None),
    "quirk30_php_fault": (404, "results", PHP_FAULT, GiveUp("platform_fault")),
    "quirk30_database_fault": (502, "score", BAD_GATEWAY, None),
    "quirk20_key": (
        400, "token", '{\n  "error" : ""kid" invalid, unable to lookup correct key"\n}',
        PausePlatform("key_unknown_to_platform"),
    ),
    "quirk20_signature": (
        400, "token", {"error": "Signature verification failed"}, PausePlatform("key_unknown_to_platform"),
    ),
    "quirk22_clock": (
        400, "token", {"error": "Cannot handle token with iat prior to 2026-11-21T03:00:17+0000"},
        PausePlatform("clock_skew"),
    ),
    "quirk22_expired": (400, "token", {"error": "Expired token"}, PausePlatform("clock_skew")),
    "quirk24_key_set": (404, "token", PHP_FAULT, PausePlatform("key_set_unreachable")),
    "quirk25_scope": (400, "token", {"error": "invalid_scope"}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_m8_m9_m12_error_answers(moodle: Reader, case: str) -> None:
    status, operation, body, outcome = SAID[case]
    assert moodle.outcome(operation, status, body) == outcome


async def test_quirk31_a_second_401_is_a_missing_permission(moodle: Reader) -> None:
    refused = answer(router(401, "Unauthorized"), 401)
    lms = ScriptedLms(refused, refused)
    outcome = await moodle.adapter(lms).send_score(URLS, COLUMN, "7", graded(), AT)
    assert (outcome, lms.renewals) == (NeedsAttention("scope_missing"), 1)


async def test_quirk31_a_first_401_is_a_stale_token(moodle: Reader) -> None:
    lms = ScriptedLms(answer(router(401, "Unauthorized"), 401), answer())
    await moodle.adapter(lms).send_score(URLS, COLUMN, "7", graded(), AT)
    assert (lms.spent, lms.renewals) == (True, 1)
