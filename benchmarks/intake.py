"""R-36: a whole year hands in within a minute. Scores are accepted by one process while its worker delivers to an LMS
that takes 200 ms for each: first as fast as eight clients can post, then at a steady rate."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import meter
from actors import Browser, subject_of
from driver import quantiles
from report import Verdict, table
from school import Lms, School, open_school, store_cpu
from scores import accept, arrived, lost
from servers import BrokenError
from tools import Bench

LATENCY = 0.200
PEOPLE = 2_000
P95 = 100.0
TOOLS = ("host", "host (PostgreSQL)")
#: A connection that was idle for longer is not used again: the server closes those after five, maybe at that moment.
IDLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Taking:
    """CPU in milliseconds per score of everything that accepted and delivered, latency in milliseconds. `burst_*` is
    eight clients without a pause; `posts` is how many messages the LMS got for all those scores."""

    tool: str
    burst_rate: float
    burst_p95: float
    scores: int
    seconds: float
    errors: tuple[str, ...]
    p50: float
    p95: float
    p99: float
    cpu: float
    store: float
    posts: int
    drained: float
    lost: int


async def measure(bench: Bench, services: Lms, chosen: list[str], *, n: int, seconds: float) -> list[Taking]:
    return [await _measure(bench, services, name, n, seconds) for name in chosen]


async def _measure(bench: Bench, services: Lms, name: str, n: int, seconds: float) -> Taking:
    school = await open_school(bench, services, postgres="PostgreSQL" in name, members=PEOPLE)
    with ExitStack() as stack:
        pids = [await asyncio.to_thread(stack.enter_context, school.serving())]
        if school.store_pid is not None:
            pids.append(await asyncio.to_thread(stack.enter_context, school.delivering()))
        print(f"{PEOPLE} scores at once: {name}", file=sys.stderr)
        await services.control(latency=LATENCY)
        oracle = {subject_of(person): round(person / PEOPLE, 4) for person in range(PEOPLE)}
        begun = time.perf_counter()
        burst = await accept(school, oracle, 1)
        rate = PEOPLE / (time.perf_counter() - begun)
        await arrived(services, oracle)
        if school.store_pid is not None and bench.postgres is not None:
            await asyncio.to_thread(bench.postgres.analyze)  # as autovacuum does within the first minutes of use
        await services.control(latency=LATENCY)
        print(f"{n} scores in {seconds:g} s: {name}", file=sys.stderr)
        spent, store = sum(map(meter.cpu_ms, pids)), store_cpu(school)
        taken, errors, oracle = await _steady(school, n, seconds)
        ended = time.perf_counter()
        ledger = await arrived(services, oracle)
        drained = time.perf_counter() - ended
        cpu, store = (sum(map(meter.cpu_ms, pids)) - spent) / n, (store_cpu(school) - store) / n
    return Taking(
        name, rate, quantiles(burst)[1], n, seconds, tuple(errors), *quantiles(taken or [0.0]), cpu, store,
        ledger["posts"], drained, lost(ledger, oracle),
    )  # fmt: skip


async def _steady(school: School, n: int, seconds: float) -> tuple[list[float], list[str], dict[str, float]]:
    """A score at every tick of a steady clock, person after person, whether or not earlier ones are accepted.

    What each took, what went wrong, and what must stand in the LMS in the end.
    """
    latencies: list[float] = []
    errors: list[str] = []
    oracle: dict[str, float] = {}
    attempts: defaultdict[str, int] = defaultdict(lambda: 1)
    free: list[tuple[float, Browser]] = []

    async def one(subject: str, attempt: int, given: float) -> None:
        idle_since, browser = free.pop() if free else (0.0, Browser())
        if time.perf_counter() - idle_since > IDLE_SECONDS:
            browser.close()
        try:
            latencies.append(await school.state(browser, subject, attempt, given))
            oracle[subject] = max(given, oracle.get(subject, 0.0))  # the best attempt counts
        except (BrokenError, OSError) as error:
            errors.append(f"{type(error).__name__}: {error}")
            browser.close()
        free.append((time.perf_counter(), browser))

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(n):
            await asyncio.sleep(max(0.0, begun + number * seconds / n - time.perf_counter()))
            subject = subject_of(number % PEOPLE)
            attempts[subject] += 1
            group.create_task(one(subject, attempts[subject], round(attempts[subject] + number / n, 4)))
    for _, browser in free:
        browser.close()
    return latencies, errors, oracle


# What it says


def figures(found: list[Taking]) -> str:
    errors = [f"{taking.tool}: {error}" for taking in found for error in taking.errors[:3]]
    return "\n".join([table([_row(taking) for taking in found]), *errors])


def _row(taking: Taking) -> dict[str, str]:
    return {
        "tool": taking.tool,
        "8 clients: scores/s": f"{taking.burst_rate:.0f}",
        "p95 ms": f"{taking.burst_p95:.1f}",
        "steady": f"{taking.scores} in {taking.seconds:g} s",
        "errors": f"{len(taking.errors)}",
        "p50/p95/p99 ms": f"{taking.p50:.1f}/{taking.p95:.1f}/{taking.p99:.1f}",
        "CPU ms": f"{taking.cpu:.2f}",
        "store ms": f"{taking.store:.2f}" if taking.store else "-",
        "posts": f"{taking.posts}",
        "drained s": f"{taking.drained:.1f}",
        "lost": f"{taking.lost}",
    }


def verdicts(found: list[Taking]) -> list[Verdict]:
    return [
        verdict
        for taking in found
        for verdict in (
            Verdict(f"{taking.tool}: errors", len(taking.errors), 0),
            Verdict(f"{taking.tool}: p95 ms until accepted", taking.p95, P95),
            Verdict(f"{taking.tool}: scores lost", taking.lost, 0),
        )
    ]


def as_json(found: list[Taking]) -> dict[str, Any]:
    return {
        "tools": [asdict(taking) for taking in found],
        "targets": [asdict(verdict) | {"met": verdict.met} for verdict in verdicts(found)],
    }
