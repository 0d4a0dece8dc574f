"""Scores on the wire. AGS 2.0 section 3.4."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ltihost.lti.service_json import text, usable
from ltihost.lti.service_urls import below
from ltihost.service_records import Score

MEDIA_TYPE = "application/vnd.ims.lis.v1.score+json"
#: An answer to a score has nothing in it that is needed.
MAX_BYTES = 65_536


def scores_url(line_item_url: str) -> str:
    """Where scores of a line item go. AGS 3.4.1."""
    return below(line_item_url, "scores")


def score_body(subject: str, score: Score, at: int) -> dict[str, Any]:
    """What to post; equal arguments give equal bytes, so that a repeat is the same message.

    A score without `given` clears the grade or reports progress only: its maximum is left out then.
    """
    members: dict[str, Any] = {
        "userId": subject,
        "timestamp": timestamp(at),
        "activityProgress": score.activity_progress,
        "gradingProgress": score.grading_progress,
        "scoreGiven": score.given,
        "scoreMaximum": None if score.given is None else score.maximum,
        "comment": text(score.comment),
        "submission": _submission(score),
    }
    return {member: value for member, value in members.items() if value is not None} | dict(score.extensions)


def is_web_page(body: bytes) -> bool:
    """Whether a page for people came instead of the gradebook's answer: of a proxy, a sign-in or a maintenance, which all like
    to say 200. By the body, since there are platforms that call every answer `text/html`."""
    return body[:1_000].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))


def is_valid(score: Score) -> bool:
    """Whether it may be sent: platforms make 0 of a negative score and do not scale by a maximum of 0, in silence."""
    return score.given is None or (
        usable(score.given) and score.given >= 0 and score.maximum is not None and _is_maximum(score.maximum)
    )


def timestamp(at: int) -> str:
    """ISO 8601 in UTC with the sub-second part that the spec asks for. AGS 3.4.9."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _is_maximum(value: Decimal) -> bool:
    return usable(value) and value > 0


def _submission(score: Score) -> dict[str, str] | None:
    times = {"startedAt": score.started_at, "submittedAt": score.submitted_at}
    return {member: value for member, value in times.items() if value} or None
