"""The `ltihost` command: the table of its commands, and how it ends.

Exit status: 0 it worked; 1 it was refused or did not work; 2 the command line is wrong; 78 the configuration is;
130 it was interrupted.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from ltihost import __version__
from ltihost.commands import (
    admin,
    app,
    audit,
    database,
    demo,
    deployment,
    grade,
    key,
    launch,
    output,
    plugin,
    registration,
    role_rule,
    roster,
    serve,
    tenant,
    worker,
)
from ltihost.errors import ConfigurationError, LtihostError
from ltihost.logs import configure_logs

FAILED, MISUSED, MISCONFIGURED = 1, 2, 78

COMMANDS: Mapping[str, Callable[..., None]] = {
    "demo": demo.demo,
    "serve": serve.serve,
    "worker": worker.worker,
    "migrate": database.migrate,
    "check": database.check,
}
GROUPS: Mapping[str, tuple[str, Mapping[str, Callable[..., None]]]] = {
    "tenant": ("Tenants: each is one customer organisation.", {
        "create": tenant.create, "list": tenant.list_, "suspend": tenant.suspend, "resume": tenant.resume,
    }),
    "plugin": ("LMSs and policies: what is loaded here, what each tenant switched on.", {
        "list": plugin.list_, "enable": plugin.enable, "disable": plugin.disable,
    }),
    "app": ("Applications that receive launches.", {
        "create": app.create, "list": app.list_, "show": app.show, "set": app.set_,
    }),
    "app key": ("Their keys for the API.", {
        "create": app.create_key, "list": app.list_keys, "revoke": app.revoke_key,
    }),
    "registration": ("Trust between one LMS and the host.", {
        "create": registration.create, "list": registration.list_, "show": registration.show,
        "set": registration.set_, "guide": registration.guide, "check": registration.check,
        "approve": registration.approve, "disable": registration.disable,
    }),
    "deployment": ("Where launches of a registration come from, and whose they are.", {
        "list": deployment.list_, "approve": deployment.approve, "disable": deployment.disable,
        "origins": deployment.origins,
    }),
    "role-rule": ("Which roles of the application an LTI role gives.", {
        "add": role_rule.add, "list": role_rule.list_, "remove": role_rule.remove,
    }),
    "roster": ("Who is in a context, as its LMS says.", {
        "sync": roster.sync, "approve": roster.approve, "list": roster.list_,
    }),
    "admin": ("People who look after the host or one tenant.", {"create": admin.create, "list": admin.list_}),
    "launch": ("Logins and launches, and why they went as they did.", {"list": launch.list_, "show": launch.show}),
    "key": ("The keys that the host signs with.", {"list": key.list_, "rotate": key.rotate, "revoke": key.revoke}),
    "grade": ("Scores on their way to the LMSs, and what became of them.", {
        "list": grade.list_, "show": grade.show, "replay": grade.replay, "verify": grade.verify_,
    }),
    "audit": ("The trail of changes and launches.", {"verify": audit.verify}),
}  # fmt: skip


class Root(TyperGroup):
    """The whole command: what goes wrong becomes a line or two on standard error and an exit status."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        configure_logs(level=logging.WARNING)
        try:
            status = super().main(args, "ltihost", complete_var, False, windows_expand_args, **extra)
        except LtihostError as error:
            output.fail(str(error))
            status = MISCONFIGURED if isinstance(error, ConfigurationError) else FAILED
        except typer.TyperException as error:
            status = _misused(error)
        except typer.Abort:
            status = FAILED
        sys.exit(status or 0)


def _misused(error: Any) -> int:
    """A usage error in two lines; a group without a command shows its help."""
    if not error.format_message():
        error.show()
        return MISUSED
    output.fail(error.format_message().replace("Value error, ", ""))  # the words of the library that reads choices
    if context := getattr(error, "ctx", None):
        output.hint(f"try: {context.command_path} --help")
    return MISUSED


def _version(wanted: bool) -> None:
    if wanted:
        output.say(f"ltihost {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """An LTI 1.3 tool host: one clean launch for your applications from every LMS.

    Settings come from the environment: LTIHOST_BASE_URL, LTIHOST_DATABASE_URL, LTIHOST_SECRET_KEY and others.
    """


def _build() -> typer.Typer:
    command = typer.Typer(
        name="ltihost",
        cls=Root,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    command.callback()(_root)
    for name, function in COMMANDS.items():
        command.command(name)(function)
    groups: dict[str, typer.Typer] = {"": command}
    for path, (text, verbs) in GROUPS.items():
        parent, _, name = path.rpartition(" ")
        groups[path] = typer.Typer(help=text, no_args_is_help=True)
        groups[parent].add_typer(groups[path], name=name)
        for verb, function in verbs.items():
            groups[path].command(verb)(function)
    return command


command = _build()


def main() -> None:
    """The entry point of the `ltihost` script."""
    command()
