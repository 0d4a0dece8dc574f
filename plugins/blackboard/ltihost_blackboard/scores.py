"""Scores as Learn's gradebook takes them. Three forms are known to work (grades sample in Blackboard's documentation): a grade, a
hand-in without number, and the removal of a grade. Everything else is undocumented, and one of those forms deletes.
"""

from __future__ import annotations

import html
import re
from dataclasses import replace

from ltihost.plugins import Score, Withheld


def scaled(score: Score) -> Score | Withheld:
    """The score in one of the three forms. Points stay exact: Learn scales by the maximum that comes with them.

    A comment is remembered until another one comes; `new_comment` says whether it goes out.
    """
    if clears(score):
        return score
    before = score.previous.comment if score.previous is not None else None
    score = replace(score, comment=before if score.comment is None else to_html(score.comment))
    return graded(score) if score.grading_progress == "FullyGraded" else handed_in(score)


def clears(score: Score) -> bool:
    """The form that removes a grade. AGS 3.4.4."""
    return score.given is None and (score.activity_progress, score.grading_progress) == ("Initialized", "NotReady")


def graded(score: Score) -> Score | Withheld:
    """A comment without a number takes along the number that stands, since a score without one may remove it."""
    before = score.previous
    if score.given is None and before is not None and before.given is not None:
        score = replace(score, given=before.given, maximum=before.maximum)
    if score.given is None:
        return Withheld("Learn may take a comment without a number for the removal of the grade.")
    return replace(score, activity_progress="Completed")


def handed_in(score: Score) -> Score | Withheld:
    """Work that waits for a grade, whoever gives it: Submitted and Pending, without the preliminary number."""
    waits = score.grading_progress in ("Pending", "PendingManual")
    if not waits or score.activity_progress not in ("Submitted", "Completed"):
        return Withheld("Learn may take a report of progress for the removal of the grade.")
    if score.previous is not None and score.previous.given is not None:
        return Withheld("Learn may take a hand-in without a number for the removal of the grade that stands.")
    return replace(score, given=None, maximum=None, activity_progress="Submitted", grading_progress="Pending")


def new_comment(score: Score) -> bool:
    """Whether the application has a comment that Learn was not told before; `score` as it came out of `scaled`."""
    before = (score.previous.comment if score.previous is not None else None) or ""
    return score.comment is not None and score.comment not in (before, to_html(before))


def to_html(text: str) -> str:
    """Learn renders comments as HTML, in which a line end is no line end (hypothesis/lms, Blackboard's misc plugin)."""
    return re.sub(r"\r\n|\r|\n", "<br/>", html.escape(text, quote=False))


def to_text(comment: str) -> str:
    """A comment as Learn holds it, as plain text: `x<br>y` is two lines."""
    lines = re.sub(r"(?i)<br\s*/?>|</p>\s*<p[^>]*>", "\n", comment)
    return html.unescape(re.sub(r"<[^<>]*>", "", lines)).strip()
