"""How fast and at what cost scores reach an LMS that answers each after 20 ms, 32 at a time.

The host's are accepted by its API first, while what delivers stands still; then the clock starts. A round's worker is
a new process, so each begins without a token.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import meter
from actors import Browser, subject_of
from driver import SETTLE_SECONDS, share_out
from report import Verdict, table
from school import LANES, Lms, School, frozen, open_school, script, store_cpu
from servers import HERE, PEER_ENVIRONMENT, BrokenError
from tools import Bench

LATENCY = 0.020
PARALLEL = 32
#: Scores that the peer sends in a round: it sends one by one, and the rest would tell nothing new.
PEER_SCORES = 200
#: 0.6 ms where the peer needs 1.04 ms: an idle machine.
PEER_RATIO = 0.58
_GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Round:
    """CPU in milliseconds per score, `wall` in seconds from the first score that came to the last that was answered,
    `accept` CPU per score of the process that accepted them."""

    sent: int
    wall: float
    cpu: float
    store: float
    tokens: int
    posts: int
    lost: int
    accept: float = 0.0

    def scaled(self, scores: int) -> float:
        """Seconds for so many scores."""
        return self.wall * scores / self.sent


Rounds = dict[str, list[Round]]


async def measure(bench: Bench, services: Lms, chosen: list[str], *, rounds: int, n: int) -> Rounds:
    """Rounds of each, taking turns."""
    found: Rounds = {name: [] for name in chosen}
    schools = {
        name: await open_school(bench, services, postgres="Postgre" in name, members=n)
        for name in chosen
        if name in ("host", "host (PostgreSQL)")
    }
    for number in range(1, rounds + 1):
        for name in chosen:
            print(f"round {number} of {rounds}: {name}", file=sys.stderr)
            if name in schools:
                found[name].append(await _host_round(bench, schools[name], services, number, n))
            else:
                found[name].append(await _script_round(bench, services, name, n))
    return found


async def _host_round(bench: Bench, school: School, services: Lms, number: int, n: int) -> Round:
    oracle = {subject_of(person): round(number + person / n, 4) for person in range(n)}
    await services.control(latency=LATENCY)
    with ExitStack() as stack:
        worker = await asyncio.to_thread(stack.enter_context, school.delivering())
        await asyncio.sleep(1.0)  # it has looked for work, and found none
        with frozen(worker), ExitStack() as accepting:
            front = await asyncio.to_thread(accepting.enter_context, school.accepting())
            begun = meter.cpu_ms(front)
            await accept(school, oracle, number)
            accepted = (meter.cpu_ms(front) - begun) / n
            if school.store_pid is not None and bench.postgres is not None:
                await asyncio.to_thread(bench.postgres.analyze)  # as autovacuum does within the first minutes of use
            spent, store = meter.cpu_ms(worker), store_cpu(school)
        ledger = await arrived(services, oracle)
        await asyncio.sleep(SETTLE_SECONDS)
        cpu, store = (meter.cpu_ms(worker) - spent) / n, (store_cpu(school) - store) / n
        ledger = await services.ledger()
        return _round(ledger, oracle, cpu, store, accepted)


async def accept(school: School, oracle: Mapping[str, float], number: int) -> list[float]:
    """Post every score of the oracle, eight at once; the seconds that each took."""
    crew, seconds = [Browser() for _ in range(LANES)], []

    async def one(browser: Browser, subject: str) -> None:
        seconds.append(await school.state(browser, subject, number, oracle[subject]))

    await share_out(crew, oracle, one)
    for browser in crew:
        browser.close()
    return seconds


async def arrived(services: Lms, oracle: Mapping[str, float]) -> dict[str, Any]:
    """The ledger, once everything stands there or time is over."""
    until = time.monotonic() + _GIVE_UP_SECONDS
    while True:
        ledger = await services.ledger()
        if not lost(ledger, oracle) or time.monotonic() > until:
            return ledger
        await asyncio.sleep(0.1)


def lost(ledger: Mapping[str, Any], oracle: Mapping[str, float]) -> int:
    standing = {subject: given for subject, (_, given) in ledger["scores"].items()}
    return sum(abs(standing.get(subject, -1.0) - given) > 1e-6 for subject, given in oracle.items())


def _round(ledger: Mapping[str, Any], oracle: Mapping[str, float], cpu: float, store: float, accept: float) -> Round:
    if ledger["first"] is None:
        raise BrokenError("no score arrived")
    wall = ledger["last"] - ledger["first"]
    return Round(len(oracle), wall, cpu, store, ledger["tokens"], ledger["posts"], lost(ledger, oracle), accept)


# The peer and the floors

_SCRIPTS = {
    "PyLTI1p3": [f"{PEER_ENVIRONMENT}/bin/python", f"{HERE}/peers/pylti1p3_services.py", "scores"],
    "floor-aiohttp": [sys.executable, f"{HERE}/floors/score_lanes.py", "aiohttp"],
    "floor-asyncio": [sys.executable, f"{HERE}/floors/score_lanes.py", "asyncio"],
}
TOOLS = ("host", "host (PostgreSQL)", *_SCRIPTS)


async def _script_round(bench: Bench, services: Lms, name: str, n: int) -> Round:
    n = min(n, PEER_SCORES) if name == "PyLTI1p3" else n
    oracle = {subject_of(person): round(person / n, 4) for person in range(n)}
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    scores = [_score(subject, given, stamp) for subject, given in oracle.items()]
    async with script(_SCRIPTS[name], {}, bench.folder / f"{name}.log") as child:
        await services.control(latency=LATENCY)
        done = await child.order({**services.urls, "scores": scores})
        return _round(await services.ledger(), oracle, done["cpu"] / n, 0.0, 0.0)


def _score(subject: str, given: float, stamp: str) -> dict[str, Any]:
    return {
        "userId": subject, "scoreGiven": given, "scoreMaximum": 100, "timestamp": stamp,
        "activityProgress": "Completed", "gradingProgress": "FullyGraded",
    }  # fmt: skip


# What it says


def figures(found: Rounds, n: int) -> str:
    peer = _median(found["PyLTI1p3"], "cpu") if "PyLTI1p3" in found else None
    return table([_row(name, rounds, n, peer) for name, rounds in found.items()])


def _row(name: str, rounds: list[Round], n: int, peer: float | None) -> dict[str, str]:
    walls = [round_.scaled(n) for round_ in rounds]
    cpu, store = _median(rounds, "cpu"), _median(rounds, "store")
    return {
        "tool": name,
        "wall s": f"{statistics.median(walls):.2f}",
        "min-max": f"{min(walls):.2f}-{max(walls):.2f}",
        "of bound": f"{statistics.median(walls) / bound(n):.2f}",
        "CPU ms": f"{cpu:.2f}",
        "store ms": f"{store:.2f}" if store else "-",
        "total": f"{cpu + store:.2f}",
        "of PyLTI1p3": f"{(cpu + store) / peer:.2f}" if peer else "-",
        "tokens": f"{max(round_.tokens for round_ in rounds)}",
        "posts": f"{_median(rounds, 'posts'):.0f}",
        "lost": f"{sum(round_.lost for round_ in rounds)}",
        "accept ms": f"{_median(rounds, 'accept'):.2f}" if rounds[0].accept else "-",
    }


def verdicts(found: Rounds, n: int) -> list[Verdict]:
    """The CPU is judged twice: in milliseconds, which a busy machine stretches, and as a ratio, which it hardly does."""
    said = []
    for name, rounds in found.items():
        if not name.startswith("host"):
            continue
        cpu = _median(rounds, "cpu")
        said.append(Verdict(f"{name}: wall / bound", statistics.median(r.wall for r in rounds) / bound(n), 1.5))
        said.append(Verdict(f"{name}: CPU ms per score", cpu, 0.6))
        if "PyLTI1p3" in found:
            said.append(Verdict(f"{name} / PyLTI1p3: CPU", cpu / _median(found["PyLTI1p3"], "cpu"), PEER_RATIO))
        said.append(Verdict(f"{name}: token requests, cold", max(r.tokens for r in rounds), 1))
        said.append(Verdict(f"{name}: scores lost", sum(r.lost for r in rounds), 0))
    return said


def bound(n: int) -> float:
    """Seconds that nobody can beat."""
    return n * LATENCY / PARALLEL


def as_json(found: Rounds, n: int) -> dict[str, Any]:
    return {
        "tools": {name: [asdict(round_) for round_ in rounds] for name, rounds in found.items()},
        "targets": [asdict(verdict) | {"met": verdict.met} for verdict in verdicts(found, n)],
    }


def _median(rounds: list[Round], figure: str) -> float:
    values: list[float] = [getattr(round_, figure) for round_ in rounds]
    return statistics.median(values)
