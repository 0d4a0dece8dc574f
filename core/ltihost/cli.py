"""The `ltihost` command: the table of its commands, and how it ends.

Exit status: 0 it worked; 1 it was refused or did not work; 2 the command line is wrong; 78 the configuration is;
130 it was interrupted.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from ltihost import __version__
from ltihost.commands import (
    app,
    database,
    demo,
    output,
    plugin,
    serve,
    tenant,
)
from ltihost.errors import ConfigurationError, LtihostError
from ltihost.logs import configure_logs

WORKED, FAILED, MISUSED, MISCONFIGURED = 0, 1, 2, 78


class Command(TyperGroup):
    """The whole command: what goes wrong becomes a line or two on standard error and an exit status."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:
        configure_logs(level=logging.WARNING)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
        try:
            status = super().main(args=args, **extra | {"prog_name": "ltihost", "standalone_mode": False})
        except LtihostError as error:
            output.fail(str(error))
            status = MISCONFIGURED if isinstance(error, ConfigurationError) else FAILED
        except typer.TyperException as error:
            status = _misused(error)
        sys.exit(status if isinstance(status, int) else WORKED)


def _misused(error: Any) -> int:
    """Usage errors in two lines; a group without a command shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return MISUSED
    output.fail(error.format_message())
    if context := getattr(error, "ctx", None):
        output.hint(f"try: {context.command_path} --help")
    return MISUSED


def _version(wanted: bool) -> None:
    if wanted:
        output.say(f"ltihost {__version__}")
        raise typer.Exit


command = typer.Typer(
    name="ltihost",
    cls=Command,
    help="An LTI 1.3 tool host: one clean launch for your applications from every LMS.",
    epilog="Settings come from the environment: LTIHOST_BASE_URL, LTIHOST_DATABASE_URL, LTIHOST_SECRET_KEY.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@command.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def _group(name: str, text: str, **commands: Callable[..., None]) -> None:
    group = typer.Typer(help=text, no_args_is_help=True)
    for verb, function in commands.items():
        group.command(verb)(function)
    command.add_typer(group, name=name)


command.command("demo")(demo.demo)
command.command("serve")(serve.serve)
command.command("migrate")(database.migrate)
command.command("check")(database.check)
_group(
    "tenant", "Customer organisations.",
    create=tenant.create, list=tenant.list_, suspend=tenant.suspend, resume=tenant.resume,
)  # fmt: skip
_group("plugin", "LMSs and policies, per organisation.", list=plugin.list_, enable=plugin.enable, disable=plugin.disable)
_group("app", "Applications that receive launches.", create=app.create, list=app.list_)
