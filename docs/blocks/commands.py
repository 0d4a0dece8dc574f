"""The `ltihost` command, read from its own parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from docs.blocks.markdown import code, fence, joined, table
from ltihost import cli


def root() -> Any:
    """The whole command as the parser has it."""
    return typer.main.get_command(cli.command)


def leaves(command: Any = None, name: str = "ltihost") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its full name: `ltihost app key create`."""
    command = command or root()
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for verb, child in inner.items():
        if not child.hidden:
            yield from leaves(child, f"{name} {verb}")


def reference() -> str:
    return joined(*(_section(name, command) for name, command in leaves()))


def exit_statuses() -> str:
    meanings = {
        0: "It worked.",
        cli.FAILED: "It was refused, or it did not work; a sentence on standard error says why.",
        cli.MISUSED: "The command line is wrong.",
        cli.MISCONFIGURED: "The settings are wrong.",
        130: "It was interrupted.",
    }
    return table(("status", "when"), ((code(status), meaning) for status, meaning in meanings.items()))


def _section(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = [_record(parameter, context) for parameter in command.params]
    rows = [(code(term), meaning) for term, meaning in records if term]
    options = table(("argument or option", "meaning"), rows) if rows else None
    return joined(f"## {name}", command.help, fence("text", re.sub(r"[{}]", "", " ".join(usage.split()))), options)


def _record(parameter: Any, context: Any) -> tuple[str, str]:
    """Term and meaning as `--help` shows them, with a word for a value that has no name."""
    term, meaning = parameter.get_help_record(context) or ("", "")
    kind = "" if parameter.param_type_name == "argument" else "NUMBER" if "<int" in term else "TEXT"
    return re.sub(r"\s*<[^>]+>", f" {kind}".rstrip(), term), meaning
