"""`Gradebook`: the columns and grades of one simulated LMS, and the ledger of every score that reached it."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ltihost.testing.parts import Cell, Column, Context, Link
from ltihost.testing.services.records import LedgerLine

_EMPTY = Cell()
_REMEMBERED = 100_000


class Gradebook:
    """Columns by number, cells by (column, slug of a person). Links, people and contexts are named by their slugs."""

    def __init__(self, contexts: Iterable[Context]) -> None:
        self.columns: dict[int, Column] = {}
        self.ledger: deque[LedgerLine] = deque(maxlen=_REMEMBERED)
        self._cells: dict[tuple[int, str], Cell] = {}
        self._numbers = itertools.count(first_number())
        for context in contexts:
            for link in context.links:
                if link.maximum is not None:
                    self.couple(context.slug, link, number=link.number + 1)

    # Columns.

    def couple(self, context: str, link: Link, *, number: int | None = None, **values: Any) -> Column:
        """The column that comes with a graded link."""
        given: dict[str, Any] = {"label": link.title, "maximum": link.maximum, **values}
        return self.put(Column(number or next(self._numbers), context, link=link.slug, coupled=True, **given))

    def make(self, context: str, owner: str | None = None, **values: Any) -> Column:
        """A column of its own."""
        return self.put(Column(next(self._numbers), context, owner=owner, **values))

    def put(self, column: Column) -> Column:
        self.columns[column.number] = column
        return column

    def remove(self, number: int) -> None:
        """Delete a column with all its grades."""
        del self.columns[number]
        self._cells = {key: cell for key, cell in self._cells.items() if key[0] != number}

    def lock(self, number: int, locked: bool = True) -> Column:
        return self.put(replace(self.columns[number], locked=locked))

    def of_context(self, slug: str) -> list[Column]:
        return [column for column in self.columns.values() if column.context == slug]

    def of_link(self, slug: str) -> list[Column]:
        return [column for column in self.columns.values() if column.link == slug]

    def column_of(self, link: str) -> Column:
        """The first column of a link. Raises KeyError."""
        found = self.of_link(link)
        if not found:
            raise KeyError(link)
        return found[0]

    # Grades.

    def cell(self, number: int, person: str) -> Cell:
        return self._cells.get((number, person), _EMPTY)

    def store(self, number: int, person: str, cell: Cell) -> None:
        self._cells[number, person] = cell

    def graded(self, number: int) -> dict[str, Cell]:
        """The cells of a column that were ever written, by person."""
        return {person: cell for (column, person), cell in self._cells.items() if column == number}

    def shown(self, link: str, person: str) -> float | None:
        """The grade that stands in the first column of a link. Raises KeyError."""
        return self.cell(self.column_of(link).number, person).shown

    def override(self, number: int, person: str, points: float | None, *, at: float | None = None) -> None:
        """A teacher types a grade over whatever stands there; None takes it back. `at` is the cell's new timestamp."""
        cell = self.cell(number, person)
        self.store(number, person, replace(cell, override=points, at=cell.at if at is None else at))

    # The ledger.

    def posts(
        self, *, column: int | None = None, user_id: str | None = None, applied: bool | None = None
    ) -> list[LedgerLine]:
        """The scores that reached the LMS, oldest first, narrowed down by what is given."""
        return [
            line
            for line in self.ledger
            if column in (None, line.column) and user_id in (None, line.user_id) and applied in (None, line.applied)
        ]


def first_number() -> int:
    """Where the numbers of what is added later begin: after a restart nothing comes back under a number of before."""
    return int(time.time()) % 100_000_000
