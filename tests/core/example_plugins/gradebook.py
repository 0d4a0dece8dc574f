"""An LMS with opinions about scores: it doubles them, keeps some back, and knows who is not enrolled."""

from __future__ import annotations

from dataclasses import replace

from ltihost.plugins import Manifest, Operation, Outcome, Score, ServiceAnswer, WaitForEnrolment, Withheld, hookimpl

manifest = Manifest(key="gradebook", name="Gradebook")
#: What was told about the ends of deliveries.
settled: list[tuple[str, str | None]] = []


@hookimpl
def scale_score(score: Score) -> Score | Withheld | None:
    if score.comment == "fail":
        raise RuntimeError("no idea")
    if score.grading_progress != "FullyGraded":
        return Withheld("Only final scores reach this gradebook.")
    return (
        None
        if score.given is None or score.maximum is None
        else replace(score, given=score.given * 2, maximum=score.maximum * 2)
    )


@hookimpl
def classify_error(response: ServiceAnswer, operation: Operation) -> Outcome | None:
    return WaitForEnrolment() if "not enrolled" in response.text else None


@hookimpl
def grade_settled(delivery: object) -> None:
    settled.append((getattr(delivery, "state", ""), getattr(delivery, "code", None)))
