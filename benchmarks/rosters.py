"""How fast and at what cost a roster is read from an LMS that answers each page after 20 ms, page after page."""

from __future__ import annotations

import math
import statistics
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

from report import Verdict, table
from school import Lms, School, Script, open_school, script, store_cpu
from servers import HERE, PEER_ENVIRONMENT, BrokenError
from tools import Bench

LATENCY = 0.020
PAGES = (100, 1000)
_PEER = [f"{PEER_ENVIRONMENT}/bin/python", f"{HERE}/peers/pylti1p3_services.py"]
_SCRIPTS = {"PyLTI1p3": [*_PEER, "roster"], "PyLTI1p3 kept": [*_PEER, "roster-kept"]}
_HOSTS = {"host": "read", "host stored": "sync", "host (PostgreSQL) stored": "sync"}
TOOLS = (*_HOSTS, *_SCRIPTS)


@dataclass(frozen=True, slots=True)
class Round:
    """One reading. CPU in milliseconds for the whole roster, `wall` in seconds, `grown` in MiB."""

    wall: float
    cpu: float
    store: float
    grown: float


@dataclass(slots=True)
class Readings:
    """`first` is what a new process did first: with storing, when everybody is new. `rounds` came after."""

    tool: str
    page: int
    pages: int
    first: Round
    rounds: list[Round]

    def median(self, figure: str) -> float:
        values: list[float] = [getattr(round_, figure) for round_ in self.rounds]
        return statistics.median(values)

    @property
    def of_bound(self) -> float:
        return self.median("wall") / (self.pages * LATENCY)

    @property
    def grown(self) -> float:
        return max(round_.grown for round_ in (self.first, *self.rounds))


@dataclass(frozen=True, slots=True)
class _Reader:
    script: Script
    order: dict[str, Any]
    school: School | None


async def measure(bench: Bench, services: Lms, chosen: list[str], *, rounds: int, n: int) -> list[Readings]:
    """For each page size: one reading of each tool to warm up, then rounds in which they take turns."""
    found: list[Readings] = []
    for page in PAGES:
        async with AsyncExitStack() as stack:
            readers = {name: await _reader(stack, bench, services, name) for name in chosen}
            pages = math.ceil(n / page)
            here = []
            for name, reader in readers.items():
                here.append(Readings(name, page, pages, await _read(reader, services, page, n), []))
            for number in range(1, rounds + 1):
                for readings in here:
                    print(f"pages of {page}, round {number} of {rounds}: {readings.tool}", file=sys.stderr)
                    readings.rounds.append(await _read(readers[readings.tool], services, page, n))
            found += here
    return found


async def _reader(stack: AsyncExitStack, bench: Bench, services: Lms, name: str) -> _Reader:
    log = bench.folder / f"roster-{name}.log"
    if name in _SCRIPTS:
        return _Reader(await stack.enter_async_context(script(_SCRIPTS[name], {}, log)), dict(services.urls), None)
    school = await open_school(bench, services, postgres="PostgreSQL" in name, members=0)
    command = [sys.executable, f"{HERE}/parts/read_roster.py"]
    child = await stack.enter_async_context(script(command, school.environment, log))
    launch = school.launch
    where = {"tenant": launch["tenant"]["id"], "context": school.context, "link": launch["resource_link"]["lms_id"]}
    return _Reader(child, {"do": _HOSTS[name], **where}, school)


async def _read(reader: _Reader, services: Lms, page: int, n: int) -> Round:
    await services.control(latency=LATENCY, members=n, page=page)
    before = store_cpu(reader.school) if reader.school else 0.0
    done = await reader.script.order(reader.order)
    if done["answer"] != n:
        raise BrokenError(f"{done['answer']} of {n} members were read")
    store = store_cpu(reader.school) - before if reader.school else 0.0
    return Round(done["seconds"], done["cpu"], store, done["grown"])


# What it says


def figures(found: list[Readings]) -> str:
    return table([_row(readings, _peer(found, readings.page)) for readings in found])


def _row(readings: Readings, peer: Readings | None) -> dict[str, str]:
    cpu, store = readings.median("cpu"), readings.median("store")
    return {
        "tool": readings.tool,
        "page": str(readings.page),
        "wall s": f"{readings.median('wall'):.2f}",
        "of bound": f"{readings.of_bound:.2f}",
        "CPU ms": f"{cpu:.0f}",
        "store ms": f"{store:.0f}" if store else "-",
        "of PyLTI1p3": f"{(cpu + store) / peer.median('cpu'):.2f}" if peer else "-",
        "first: wall s": f"{readings.first.wall:.2f}",
        "CPU": f"{readings.first.cpu:.0f}",
        "store": f"{readings.first.store:.0f}" if store else "-",
        "grown MiB": f"{readings.grown:.1f}",
    }


def _peer(found: list[Readings], page: int, name: str = "PyLTI1p3") -> Readings | None:
    return next((readings for readings in found if readings.tool == name and readings.page == page), None)


def verdicts(found: list[Readings]) -> list[Verdict]:
    """The targets are about reading; storing is shown beside it."""
    said = []
    for readings in found:
        if readings.tool == "host":
            where = f"host, pages of {readings.page}"
            said.append(Verdict(f"{where}: wall / bound", readings.of_bound, 1.1))
            said.append(Verdict(f"{where}: grown MiB", readings.grown, 15))
            if peer := _peer(found, readings.page):
                said.append(Verdict(f"{where}: CPU of PyLTI1p3", readings.median("cpu") / peer.median("cpu"), 1))
    return said


def as_json(found: list[Readings]) -> dict[str, Any]:
    return {
        "readings": [asdict(readings) for readings in found],
        "targets": [asdict(verdict) | {"met": verdict.met} for verdict in verdicts(found)],
    }
