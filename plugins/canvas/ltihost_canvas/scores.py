"""Scores as Canvas's gradebook takes them. The numbers (G1, G2…) are those of the table of grades in this package's README.

Canvas reads its own member of the score, `https://canvas.instructure.com/lti/submission`; without it every score is a new
attempt, and every score that is not final empties the gradebook's cell (canvas-lms, lti/ims/scores_controller.rb).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ltihost.plugins import Score

SUBMISSION = "https://canvas.instructure.com/lti/submission"
#: Members that describe a new attempt and have no place in a score that is none.
OF_AN_ATTEMPT = ("submission_type", "submission_data", "submitted_at", "content_items")


def scaled(score: Score) -> Score:
    """Points and maximum stay as the application gave them: Canvas scales by itself and rounds worse from fractions (G5).

    A comment is remembered until another one comes; `new_comment` says whether it goes out.
    """
    stands = score.previous.comment if score.previous is not None else None
    comment = stands if score.comment is None else score.comment
    return replace(score, comment=comment, extensions={**score.extensions, SUBMISSION: submission(score)})


def submission(score: Score) -> dict[str, Any]:
    """G1, G2: whether this is a new attempt, and whether the grade that stands is to stay."""
    stated = score.extensions.get(SUBMISSION)
    said = dict(stated) if isinstance(stated, Mapping) else {}
    wish, keep = said.pop("new_submission", True), bool(said.pop("preserve_score", False))
    if not (new_attempt(score) and wish):
        said = {name: value for name, value in said.items() if name not in OF_AN_ATTEMPT} | {"new_submission": False}
    else:
        said = {"submission_type": "external_tool", **said, "new_submission": True}
    return said | {"preserve_score": True} if not clears(score) and (keep or not writes_grade(score)) else said


def writes_grade(score: Score) -> bool:
    """G1: only these two words let Canvas write a score; with any other, or without a score, it empties the cell."""
    return score.given is not None and score.grading_progress in ("FullyGraded", "PendingManual")


def clears(score: Score) -> bool:
    """The form in which a grade is taken away. AGS 3.4.4."""
    return score.given is None and (score.activity_progress, score.grading_progress) == ("Initialized", "NotReady")


def new_attempt(score: Score) -> bool:
    """G2: each new submission uses up one of the student's attempts and sets dates, so it is asked for once per attempt.

    A send whose answer was lost may have counted already. A confirmed score without a number was a report of progress.
    """
    handed_in = score.given is not None or score.activity_progress in ("Submitted", "Completed")
    if not handed_in or score.repeated:
        return False
    before = score.previous
    return before is None or before.attempt != score.attempt or (before.given is None and score.given is not None)


def without_attempt(score: Score) -> Score:
    """The same grade, and no new submission."""
    return scaled(replace(score, repeated=True))


def new_comment(score: Score) -> bool:
    """G8: Canvas adds a comment to the others at each score, so the same text is sent once."""
    return score.previous is None or score.comment != score.previous.comment
