"""The quizzes: questions with one right answer each, and who answered what."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Question:
    """`right` is the index of the right choice."""

    text: str
    choices: tuple[str, ...]
    right: int


@dataclass(frozen=True, slots=True)
class Quiz:
    """`key` names it in content items."""

    key: str
    title: str
    summary: str
    questions: tuple[Question, ...]

    def points(self, answers: Mapping[int, int]) -> int:
        """How many answers (index of the question to index of the choice) are right."""
        return sum(answers.get(index) == question.right for index, question in enumerate(self.questions))


QUIZZES = {
    quiz.key: quiz
    for quiz in (
        Quiz("cells", "Inside a cell", "Organelles and what they do.", (
            Question("What makes most of a cell's ATP?", ("Mitochondria", "Ribosomes", "The nucleus"), 0),
            Question("Where are proteins put together?", ("Vacuoles", "Ribosomes", "The membrane"), 1),
            Question("What does a plant cell have and an animal cell not?", ("A nucleus", "A membrane", "A wall"), 2),
            Question("What keeps the DNA of an animal cell?", ("The nucleus", "Lysosomes", "Cytoplasm"), 0),
        )),
        Quiz("light", "From light to sugar", "Photosynthesis in four steps.", (
            Question("Which gas does a leaf take in?", ("Oxygen", "Carbon dioxide", "Nitrogen"), 1),
            Question("Which gas does it give off?", ("Oxygen", "Methane", "Carbon dioxide"), 0),
            Question("What catches the light?", ("Cellulose", "Starch", "Chlorophyll"), 2),
            Question("Where does it happen?", ("Chloroplasts", "Mitochondria", "Roots"), 0),
        )),
        Quiz("rome", "A morning in Rome", "Stones and their stories.", (
            Question("Which building has an open eye in its dome?", ("The Colosseum", "The Pantheon", "The Curia"), 1),
            Question("What was the Forum?", ("A harbour", "A square", "A bath"), 1),
            Question("What carried water into the city?", ("Aqueducts", "Canals", "Mules"), 0),
        )),
        Quiz("averages", "Mean, median, mode", "Three ways to the middle.", (
            Question("What is the median of 1, 2 and 9?", ("4", "2", "9"), 1),
            Question("What is the mean of 1, 2 and 9?", ("4", "2", "3"), 0),
            Question("Which is hardly moved by one huge value?", ("The mean", "The median", "The sum"), 1),
        )),
    )
}  # fmt: skip
_WORDS = {"photosynthesis": "light", "forum": "rome", "dome": "rome", "mean": "averages", "median": "averages"}


def quiz_for(custom: Mapping[str, str], title: str | None) -> Quiz:
    """The quiz of a link: the one that was chosen for it, else one that its title suggests."""
    chosen = QUIZZES.get(custom.get("quiz", ""))
    suggested = (key for word, key in _WORDS.items() if word in (title or "").lower())
    return chosen or QUIZZES[next(suggested, "cells")]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One go at a quiz. `place` is the resource link; `delivery` what the host calls the grade, once it was sent."""

    place: str
    user_id: str
    number: int
    points: int
    maximum: int
    at: float
    delivery: str | None = None


class Attempts:
    """Everybody's attempts, in memory and, with a file, for the next start too (a line of JSON each)."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._made: dict[tuple[str, str], list[Attempt]] = {}
        for line in file.read_text().splitlines() if file and file.exists() else ():
            self._put(Attempt(**json.loads(line)))

    def of(self, place: str, user_id: str) -> list[Attempt]:
        """Oldest first."""
        return list(self._made.get((place, user_id), ()))

    def best(self, place: str, user_id: str) -> Attempt | None:
        return max(self.of(place, user_id), key=lambda attempt: attempt.points / attempt.maximum, default=None)

    def make(self, place: str, user_id: str, points: int, maximum: int) -> Attempt:
        """The next attempt; `keep` it once it was sent."""
        return Attempt(place, user_id, len(self.of(place, user_id)) + 1, points, maximum, time.time())

    def keep(self, attempt: Attempt) -> None:
        self._put(attempt)
        if self._file:
            with self._file.open("a") as file:
                file.write(json.dumps(asdict(attempt)) + "\n")

    def _put(self, attempt: Attempt) -> None:
        self._made.setdefault((attempt.place, attempt.user_id), []).append(attempt)
