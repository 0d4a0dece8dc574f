"""What Moodle's error answers mean. The router writes JSON with a reason; errors of scores have the body `[]` and say why in the
status line alone; a PHP fault is an HTML page with status 404, a database fault a 502 of the web server (Moodle 4.5,
mod/lti/classes/local/ltiservice/response.php).
"""

from __future__ import annotations

from ltihost.plugins import (
    GiveUp,
    NeedsAttention,
    Operation,
    Outcome,
    PausePlatform,
    ServiceAnswer,
    WaitForEnrolment,
)

#: Texts of the token endpoint that are no error codes; their quotation marks may make the body no JSON at all.
TOKEN_TEXTS = {
    "iat prior to": "clock_skew",
    "expired token": "clock_skew",
    "unable to lookup correct key": "key_unknown_to_platform",
    "signature verification failed": "key_unknown_to_platform",
}


def classified(answer: ServiceAnswer, operation: Operation) -> Outcome | None:
    if operation == "token":
        return _token(answer)
    if answer.status == 401:
        # It stands after a token renewal, and Moodle says 401 for a missing scope and another tool's URL too.
        return NeedsAttention("scope_missing")
    if answer.status == 404 and _html(answer):
        return GiveUp("platform_fault")
    if answer.status == 403 and operation != "roster" and _says_forbidden(answer):
        return NeedsAttention("line_item_foreign")
    return _score(answer) if operation == "score" else None


def _says_forbidden(answer: ServiceAnswer) -> bool:
    """Quirk 27: the bare word is about the column or its link; another reason is about the tool (a proxy's, a switch's)."""
    return answer.body.strip() == b"[]" or b'"Forbidden"' in answer.body


def _score(answer: ServiceAnswer) -> Outcome | None:
    """Quirks 29, 52, 53: without a reason in the body, 400 means somebody who cannot be graded, 500 a locked column."""
    if answer.body.strip() != b"[]":
        return None
    meanings: dict[int, Outcome] = {400: WaitForEnrolment("user_not_gradable"), 500: NeedsAttention("line_item_locked")}
    return meanings.get(answer.status)


def _token(answer: ServiceAnswer) -> Outcome | None:
    """Quirks 20, 22, 24. What is not listed is an error code of OAuth and means what it means everywhere."""
    if answer.status == 404 and _html(answer):
        return PausePlatform("key_set_unreachable")
    words = answer.text.lower()
    code = next((code for text, code in TOKEN_TEXTS.items() if text in words), None)
    return PausePlatform(code) if answer.status == 400 and code else None


def _html(answer: ServiceAnswer) -> bool:
    """Moodle labels JSON as text/html in places, so the body is asked, not the header."""
    return answer.body.lstrip().startswith(b"<")
