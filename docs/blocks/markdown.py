"""Pieces of Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

#: Python's docstrings use single backquotes for code and double ones for nothing, as Markdown does.
_BLANK_LINES = re.compile(r"\n{3,}")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; cells may hold Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """A list of names and values."""
    return "\n".join(f"- **{name}:** {paragraph(str(value))}" for name, value in pairs)


def fence(language: str, text: str) -> str:
    """A block of code. The fence is longer than any inside it."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`{3,}", text)), default=0))
    return f"{ticks}{language}\n{text.strip(chr(10))}\n{ticks}"


def code(text: object) -> str:
    """Code within a line; nothing for nothing."""
    return f"`{text}`" if text not in (None, "") else ""


def joined(*parts: str | None) -> str:
    """Paragraphs with a blank line between them; absent ones are left out."""
    return _BLANK_LINES.sub("\n\n", "\n\n".join(part.strip("\n") for part in parts if part))


def document(thing: object) -> str:
    """The docstring of `thing`, without its indentation."""
    return inspect.getdoc(thing) or ""


def paragraph(text: str) -> str:
    """`text` on one line."""
    return " ".join(text.split())


def _cell(value: object) -> str:
    return paragraph(str(value)).replace("|", "\\|")
