"""What commands say. Results go to standard output, as one JSON document or as text; everything else to standard error."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import orjson
import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

#: The option of every command that lists or creates.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
_PIPE_WIDTH = 1000
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def console(stream: TextIO | None = None) -> Console:
    """A console on `stream` (standard output). Into a pipe it writes whole lines, without colour."""
    file = stream or sys.stdout
    width = None if file.isatty() else _PIPE_WIDTH
    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)


def document(value: Any) -> None:
    """The JSON document. Whoever reads it through a pipe gets it now, not when a long command ends."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())
    sys.stdout.flush()


def say(*parts: str | tuple[str, str]) -> None:
    """A line of the result; a part may be (text, style). The terminal wraps it, so that commands can be copied whole."""
    console().print(_text(*parts), soft_wrap=True)
    sys.stdout.flush()


def hint(text: str) -> None:
    """What to do next, or what is going on. It is no part of the result."""
    console(sys.stderr).print(_text((text, "dim")), soft_wrap=True)


def fail(text: str) -> None:
    """What is wrong."""
    console(sys.stderr).print(_text(("ltihost: ", "bold red"), text), soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows under their headings; where the terminal is too narrow, each row as a block of lines. `empty` is a hint."""
    if not rows:
        hint(empty)
        return
    screen = console()
    found = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    cells = [[plain(cell) for cell in row] for row in rows]
    for row in cells:
        found.add_row(*(Text(cell) for cell in row))
    if Measurement.get(screen, screen.options.update(max_width=_PIPE_WIDTH), found).maximum <= screen.width:
        _print(screen, found)
        return
    for row in cells:
        facts([(column, cell) for column, cell in zip(columns, row, strict=True) if cell])
        screen.print()


def say_limit(shown: int, limit: int) -> None:
    """Say that a list may go on, when it is as long as it may be."""
    if shown == limit:
        hint(f"only {limit} are shown; --limit shows more")


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Names and values, one pair a line; a long value goes on below itself."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, Text(plain(value)))
    _print(console(), grid)


def findings(rows: Sequence[tuple[str, str, str, str | None]]) -> None:
    """Steps of a check as (step, ok|warn|fail, detail, fix); the fix on a line of its own."""
    width = max(len(step) for step, *_ in rows)
    for step, status, detail, fix in rows:
        say((f"{status:<5}", _STYLES[status]), f"{step:<{width}}  {detail}")
        if fix and status != "ok":
            say((f"{'':<{width + 7}}{fix}", "dim"))


def verbatim(text: str) -> None:
    """Text to copy: as it is, without wrapping."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def plain(value: object) -> str:
    """A value as people read it, and as no terminal takes it for a command."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value))
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in str(value))


def short(text: str | None, most: int = 40) -> str | None:
    """A text for a table's column: cut, with an ellipsis, where it is longer than `most`."""
    return text if text is None or len(text) <= most else text[: most - 1] + "…"


def own_command() -> str:
    """This very command as another terminal can call it: by name if a shell finds it, else by path."""
    path = Path(sys.argv[0])
    return path.name if shutil.which(path.name) else shlex.quote(str(path.absolute()))


def iso(seconds: float) -> str:
    """A moment for JSON: ISO 8601 in UTC, milliseconds, `Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(seconds: float) -> str:
    """A moment for people, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _print(screen: Console, grid: Table) -> None:
    """Print without the blanks that fill up the last column, which would wrap when the text is pasted."""
    with screen.capture() as captured:
        screen.print(grid)
    screen.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _text(*parts: str | tuple[str, str]) -> Text:
    return Text.assemble(*(plain(part) if isinstance(part, str) else (plain(part[0]), part[1]) for part in parts))
