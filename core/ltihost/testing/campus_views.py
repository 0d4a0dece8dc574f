"""What the pages of the gradebook, the roster and the faults show, as plain values for their templates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from ltihost.testing.parts import Cell, Column, Context, Person
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.services.faults import SERVICE_FAULTS
from ltihost.testing.services.notices import NoticeService
from ltihost.testing.services.records import LedgerLine

_LINES = 40


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the gradebook."""

    person: Person
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One row of the list of scores."""

    time: str
    column: str
    person: str
    score: str
    line: LedgerLine


def gradebook_view(platform: SimulatedPlatform, context: Context, person: Person, *, teaches: bool) -> dict[str, Any]:
    """Columns and rows; somebody who does not teach sees their own row only."""
    book, gradable = platform.gradebook, platform.profile.gradable
    columns = book.of_context(context.slug)
    people = [
        platform.people[slug]
        for slug, kind in context.enrolled.items()
        if kind in gradable and (teaches or slug == person.slug)
    ]
    lines = [Line(one, tuple(book.cell(column.number, one.slug) for column in columns)) for one in people]
    return {
        "columns": columns,
        "lines": lines,
        "teaches": teaches,
        "averages": [_average(column, lines, index) for index, column in enumerate(columns)],
    }


def roster_view(platform: SimulatedPlatform, context: Context) -> dict[str, Any]:
    members = [(platform.people[slug], kind) for slug, kind in context.enrolled.items()]
    others = [
        person for person in platform.people.values() if person.slug not in context.enrolled and not person.anonymous
    ]
    return {"members": members, "others": others}


def faults_view(platform: SimulatedPlatform, notices: NoticeService) -> dict[str, Any]:
    ledger = islice(reversed(platform.gradebook.ledger), _LINES)
    return {
        "fault_words": SERVICE_FAULTS,
        "faults_on": platform.faults.on,
        "scores": [_score_line(platform, line) for line in ledger],
        "notices": list(reversed(notices.sent))[:_LINES],
    }


def _average(column: Column, lines: list[Line], index: int) -> float | None:
    shown = [line.cells[index].shown for line in lines]
    points = [value for value in shown if value is not None]
    return sum(points) / len(points) if points else None


def _score_line(platform: SimulatedPlatform, line: LedgerLine) -> ScoreLine:
    person = platform.person_of(str(line.user_id))
    column = platform.gradebook.columns.get(line.column or -1)
    given, maximum = line.body.get("scoreGiven"), line.body.get("scoreMaximum")
    return ScoreLine(
        time=datetime.fromtimestamp(line.at, UTC).strftime("%H:%M:%S"),
        column=column.label if column else "?",
        person=person.name if person else str(line.user_id or "?"),
        score=f"{given} / {maximum}" if given is not None else "no score",
        line=line,
    )
