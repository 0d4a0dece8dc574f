"""`ltihost demo`: the host, an application and a campus of simulated LMSs, on this machine only."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltihost.commands import output
from ltihost.commands.output import AsJson
from ltihost.logs import configure_logs

if TYPE_CHECKING:
    from ltihost.commands.demo_check import Step

DEFAULT_PORT = 8700


def demo(
    port: Annotated[
        int | None, typer.Option(min=1, max=65_534, help="The host's; the campus takes the next. [default: 8700]")
    ] = None,
    app: Annotated[str, typer.Option("--app", metavar="NAME", help="The application to launch into.")] = "demo",
    plugin: Annotated[str | None, typer.Option(metavar="KEY", help="Only this LMS.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the data here. Without it they go when the demo ends.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Play the story without a browser, then end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try it: a host, an application and a campus of simulated LMSs on this machine. Needs no settings."""
    # A host, a campus and an HTTP client are much to load; no other command waits for them.
    from ltihost.commands import demo_stage

    wish = demo_stage.Wish(app, plugin, data, port or (0 if check else DEFAULT_PORT))
    if not check:
        configure_logs(level=logging.INFO)
        asyncio.run(demo_stage.run(wish, as_json=as_json))
        return
    steps = asyncio.run(demo_stage.play(wish, tell=_ignore if as_json else _print_step))
    failed = sum(step.status == "failed" for step in steps)
    if as_json:
        output.document([asdict(step) for step in steps])
    elif not steps:
        output.say(("no step was played", "bold red"))
    else:
        output.say((f"{len(steps)} steps, {failed or 'none'} failed", "bold red" if failed else "bold green"))
    if failed or not steps:
        raise typer.Exit(1)


def _print_step(step: Step) -> None:
    style = "green" if step.status == "ok" else "bold red"
    output.say((f"{step.status:<7}", style), f"{step.lms:<12}{step.step:<14}{step.detail} ({step.seconds:.2f} s)")


def _ignore(_: Step) -> None:
    """A JSON document is printed whole, at the end."""
