"""The commands on the pages exist, with these options and arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.blocks import commands
from tests.docs.reading import all_pages, code_spans, fences, name_of

_ASSIGNMENT = re.compile(r"[A-Z_]+=")
#: Words that begin a line in a console fence, other than our own command.
OTHERS = {
    "pip",
    "python3",
    "python",
    "uvicorn",
    "make",
    "createdb",
    "createuser",
    "sqlite3",
    "curl",
    "export",
    "cd",
    "source",
    "kill",
}


def console_lines(page: Path) -> Iterator[str]:
    """What is typed: lines after `$ `, with the lines that a backslash continues."""
    for fence in fences(page):
        if fence.language == "console":
            for line in fence.text.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    yield line[2:]


def words_of(line: str) -> list[str]:
    """The words of a command line, without assignments before it, and with nothing behind a pipe or a redirect."""
    words = shlex.split(line)
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    ends = [number for number, word in enumerate(words) if word in ("|", ">", "&", "&&", "<")]
    return words[: ends[0]] if ends else words


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
def test_every_typed_command_is_understood(page: Path) -> None:
    for line in console_lines(page):
        words = words_of(line)
        if words and words[0].rpartition("/")[2] == "ltihost":
            parse(words[1:])
        elif words:
            assert words[0].rpartition("/")[2] in OTHERS, line


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
def test_every_command_named_in_a_sentence_exists(page: Path) -> None:
    for span in code_spans(page):
        if span.startswith("ltihost ") and not span.startswith("ltihost >"):
            named(span.split()[1:])


def test_a_command_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(AssertionError):
        named(["tenant", "destroy"])
    with pytest.raises(AssertionError):
        named(["tenant", "create", "--colour"])
    with pytest.raises(Exception, match=r"(?i)no such option"):
        parse(["tenant", "create", "north", "--name", "North", "--colour", "red"])
    with pytest.raises(Exception, match=r"(?i)missing"):
        parse(["tenant", "create", "north"])


def parse(words: list[str]) -> None:
    """Let the command's own parser read the words, and run nothing. Raises its usage error."""
    command, rest = found(words)
    command.make_context(command.name, rest)


def named(words: list[str]) -> None:
    """A command in a sentence may lack its arguments; what it names must exist."""
    command, rest = found(words)
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert [word for word in rest if word.startswith("--") and word not in options] == [], " ".join(words)
    if getattr(command, "commands", None):
        assert not rest or not rest[0].islower(), f"ltihost {' '.join(words)} is no command"


def found(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after them."""
    command, rest = commands.root(), list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest
