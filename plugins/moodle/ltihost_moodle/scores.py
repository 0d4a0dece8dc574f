"""Scores as Moodle's gradebook takes them. Moodle keeps no progress: a score that is not fully graded, or has no number, empties
the cell, and one without comment clears the comment (Moodle 4.5, gradebookservices/classes/local/resources/scores.php).
"""

from __future__ import annotations

from dataclasses import replace

from ltihost.plugins import Score, Withheld


def scaled(score: Score) -> Score | Withheld:
    """What may go out: the clearing of a grade, or a number that is fully graded. Moodle scales it itself."""
    if clears(score):
        return score
    if score.grading_progress != "FullyGraded":
        return Withheld("Moodle keeps no progress and would erase the grade that stands.")
    return with_comment(with_number(score))


def clears(score: Score) -> bool:
    """The form in which a grade is taken away. AGS 3.4.4."""
    return score.given is None and (score.activity_progress, score.grading_progress) == ("Initialized", "NotReady")


def with_number(score: Score) -> Score | Withheld:
    """A comment alone would erase the number, so the number that stands goes with it."""
    before = score.previous
    if score.given is None and before is not None and before.given is not None:
        score = replace(score, given=before.given, maximum=before.maximum)
    if score.given is None:
        return Withheld("Moodle takes no comment without a number.")
    if score.maximum is None or score.maximum <= 0:
        return Withheld("Moodle would store the number unscaled, since its maximum is not above zero.")
    return score


def with_comment(score: Score | Withheld) -> Score | Withheld:
    """The last comment goes with every score that has none of its own; an empty one takes it away."""
    if isinstance(score, Withheld) or score.comment is not None or score.previous is None:
        return score
    return replace(score, comment=score.previous.comment)
