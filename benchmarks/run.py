"""The benchmarks: `python benchmarks/run.py launches`, and instead of `launches` also exam, scores, roster, intake.

A benchmark is not a test: it exits 0 whatever the figures say, and 1 only when something is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import intake
import report
import rosters
import scores
import uvloop
from actors import Platform
from driver import BATCH, check, run_exam, run_round
from school import Lms, lms
from servers import BrokenError, make_peer_environment, postgres_server, redis_server
from tools import PEERS, POSTGRES, SQLITE, Bench, SetUp, Tool, host, running


def main() -> int:
    options, faults = _options(), []
    try:
        uvloop.run(_BENCHMARKS[options.benchmark](options))
    except* BrokenError as broken:
        faults = [str(fault) for fault in broken.exceptions]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


async def launches(options: argparse.Namespace) -> None:
    """Check what each tool refuses, warm it up, then let the tools take turns, round after round."""
    chosen = _chosen(options)
    async with _bench(chosen) as bench:
        with ExitStack() as stack:
            tools = [await _start(stack, set_up, bench) for set_up in chosen.values()]
            results = {tool.name: report.Result(tool, await check(bench.platform, tool), []) for tool in tools}
            await _warm_up(bench, tools, options.browsers)
            for number in range(options.rounds):
                for tool in tools:
                    _progress(f"round {number + 1} of {options.rounds}: {tool.name}")
                    results[tool.name].rounds.append(await run_round(bench.platform, tool, options.n, options.browsers))
    if options.json:
        print(json.dumps(report.as_json(results), indent=2))
    else:
        print(report.refusals(results), report.figures(results), sep="\n\n")
        print("", *(verdict.line for verdict in report.verdicts(results)), sep="\n")


async def _warm_up(bench: Bench, tools: list[Tool], browsers: int) -> None:
    for tool in tools:
        await run_round(bench.platform, tool, BATCH, browsers)
    if bench.postgres is not None:
        bench.postgres.analyze()


async def exam(options: argparse.Namespace) -> None:
    """R-35: 2,000 launches in 60 s from one address, SQLite, two processes."""
    async with _bench({}) as bench:
        with ExitStack() as stack:
            tool = await _start(stack, lambda bench: host(bench, options.workers), bench)
            _progress(f"{options.n} launches in {options.seconds:g} s")
            result = await run_exam(bench.platform, tool, options.n, options.seconds)
    print(json.dumps(asdict(result), indent=2) if options.json else report.exam(result))


async def send_scores(options: argparse.Namespace) -> None:
    chosen = _of(scores.TOOLS, options)
    async with _lms_bench(chosen) as (bench, services):
        found = await scores.measure(bench, services, chosen, rounds=options.rounds, n=options.n)
    _print(
        options, scores.as_json(found, options.n), scores.figures(found, options.n), scores.verdicts(found, options.n)
    )


async def read_rosters(options: argparse.Namespace) -> None:
    chosen = _of(rosters.TOOLS, options)
    async with _lms_bench(chosen) as (bench, services):
        found = await rosters.measure(bench, services, chosen, rounds=options.rounds, n=options.n)
    _print(options, rosters.as_json(found), rosters.figures(found), rosters.verdicts(found))


async def take_scores(options: argparse.Namespace) -> None:
    chosen = _of(intake.TOOLS, options)
    async with _lms_bench(chosen) as (bench, services):
        found = await intake.measure(bench, services, chosen, n=options.n, seconds=options.seconds)
    _print(options, intake.as_json(found), intake.figures(found), intake.verdicts(found))


def _print(options: argparse.Namespace, document: object, figures: str, verdicts: list[report.Verdict]) -> None:
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        print(figures, "", *(verdict.line for verdict in verdicts), sep="\n")


@asynccontextmanager
async def _lms_bench(chosen: list[str]) -> AsyncIterator[tuple[Bench, Lms]]:
    """The platform with services that answer, and the databases that the tools need."""
    if any(name.startswith("PyLTI1p3") for name in chosen):
        make_peer_environment()
    with tempfile.TemporaryDirectory(prefix="ltihost-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        services = await asyncio.to_thread(stack.enter_context, lms(folder))
        platform = Platform(services=services.base)
        await platform.start()
        wanted = any("PostgreSQL" in tool for tool in chosen)
        yield Bench(platform, folder, stack.enter_context(postgres_server(folder)) if wanted else None, None), services


@asynccontextmanager
async def _bench(chosen: dict[str, SetUp]) -> AsyncIterator[Bench]:
    """The platform and, where a tool needs them, the stores."""
    platform = Platform()
    await platform.start()
    with tempfile.TemporaryDirectory(prefix="ltihost-bench-") as name, ExitStack() as stores:
        folder = Path(name)
        postgres = stores.enter_context(postgres_server(folder)) if chosen.keys() & POSTGRES.keys() else None
        if chosen.keys() & PEERS.keys():
            make_peer_environment()
        redis = stores.enter_context(redis_server(folder)) if chosen.keys() & PEERS.keys() else None
        yield Bench(platform, folder, postgres, redis)


async def _start(stack: ExitStack, set_up: SetUp, bench: Bench) -> Tool:
    """Set the tool up and run it, beside the event loop: the platform must answer meanwhile."""
    return await asyncio.to_thread(lambda: stack.enter_context(running(set_up(bench), bench.folder)))


def _chosen(options: argparse.Namespace) -> dict[str, SetUp]:
    starts = {} if options.database == "postgres" else dict(SQLITE)
    starts |= {} if options.database == "sqlite" else POSTGRES
    starts |= PEERS
    return {name: starts[name] for name in _of(list(starts), options)}


def _of(there: Sequence[str], options: argparse.Namespace) -> list[str]:
    only = options.tools.split(",") if options.tools else list(there)
    if unknown := set(only) - set(there):
        raise SystemExit(f"no such tool: {', '.join(sorted(unknown))}; there are: {', '.join(there)}")
    return only


def _progress(text: str) -> None:
    print(text, file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    side_by_side = commands.add_parser("launches", help="CPU, latency and memory of a launch, side by side")
    side_by_side.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    side_by_side.add_argument("--rounds", type=int, default=3)
    side_by_side.add_argument("-n", type=int, default=1500, help="launches in a round (1,500)")
    side_by_side.add_argument("--browsers", type=int, default=8, help="launches at the same time (8)")
    side_by_side.add_argument("--quick", action="store_true", help="one round of 500")
    side_by_side.add_argument("--tools", help="comma list: only these, e.g. host,floor-core")
    steady = commands.add_parser("exam", help="a steady stream of launches at the host")
    steady.add_argument("-n", type=int, default=2000, help="launches (2,000)")
    steady.add_argument("--seconds", type=float, default=60.0)
    steady.add_argument("--workers", type=int, default=2, help="processes of the host (2)")
    sending = commands.add_parser("scores", help="scores on their way to an LMS, side by side")
    sending.add_argument("--rounds", type=int, default=3)
    sending.add_argument("-n", type=int, default=2000, help="scores in a round (2,000)")
    reading = commands.add_parser("roster", help="a roster read from an LMS, side by side")
    reading.add_argument("--rounds", type=int, default=3)
    reading.add_argument("-n", type=int, default=10_000, help="members (10,000)")
    taking = commands.add_parser("intake", help="scores accepted by the API while the worker delivers")
    taking.add_argument("-n", type=int, default=10_000, help="scores (10,000)")
    taking.add_argument("--seconds", type=float, default=60.0)
    for command in (sending, reading, taking):
        command.add_argument("--tools", help="comma list: only these")
    for command in (side_by_side, steady, sending, reading, taking):
        command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args()
    if options.benchmark == "launches" and options.quick:
        options.rounds, options.n = 1, 500
    return options


_BENCHMARKS = {
    "launches": launches,
    "exam": exam,
    "scores": send_scores,
    "roster": read_rosters,
    "intake": take_scores,
}

if __name__ == "__main__":
    sys.exit(main())
