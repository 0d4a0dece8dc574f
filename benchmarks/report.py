"""What the benchmark says: who refuses what, the table, and the ratios against the targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from actors import Answer
from driver import ATTEMPTS, Exam, Round
from tools import Tool

#: (host, beside whom, at most this ratio of CPU per launch, the store's included)
RATIOS = (
    ("host", "PyLTI1p3", 0.33),
    ("host", "PyLTI1p3 keys kept", 0.45),
    ("host", "floor-core", 1.6),
    ("host (PostgreSQL)", "floor-pgcte", 1.5),
)
HOSTS = ("host", "host (PostgreSQL)")
EXAM_P95 = 300.0


@dataclass(frozen=True, slots=True)
class Result:
    """One tool: how it answered the nine attempts, and its rounds."""

    tool: Tool
    answers: Mapping[str, Answer]
    rounds: list[Round]

    def median(self, figure: str) -> float:
        values: list[float] = [getattr(round_, figure) for round_ in self.rounds]
        return statistics.median(values)

    @property
    def refused(self) -> int:
        return sum(not answer.accepted for answer in self.answers.values())


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target: met when the value is at most, or `at_least`, the limit."""

    target: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def line(self) -> str:
        word, sign = "pass" if self.met else "MISS", ">=" if self.at_least else "<="
        return f"{word}  {self.target:<52} {self.value:7.2f}  (target {sign} {self.limit:g})"


def verdicts(results: Mapping[str, Result]) -> list[Verdict]:
    """The targets that this run can speak about. Ratios hold from machine to machine; the rest says how this one did."""
    found = []
    for ours, other, limit in RATIOS:
        if ours in results and other in results:
            ratio = results[ours].median("total") / results[other].median("total")
            found.append(Verdict(f"{ours} / {other}: CPU", ratio, limit))
    if "host" in results and "PyLTI1p3" in results:
        rate = results["host"].median("rate") / results["PyLTI1p3"].median("rate")
        found.append(Verdict("host / PyLTI1p3: launches per second", rate, 2, at_least=True))
    return found + [verdict for name in HOSTS if name in results for verdict in _of_a_host(name, results[name])]


def _of_a_host(name: str, result: Result) -> list[Verdict]:
    return [
        Verdict(f"{name}: forgeries refused", result.refused, len(ATTEMPTS), at_least=True),
        Verdict(f"{name}: key set fetches while measured", result.median("key_set_fetches"), 0),
        Verdict(f"{name}: memory, PSS MiB", result.median("pss"), 85),
        Verdict(f"{name}: ready after seconds", result.tool.ready, 1.0),
    ]


# As text


def refusals(results: Mapping[str, Result]) -> str:
    return table(
        [
            {"attempt": attempt} | {name: _word(result.answers[attempt]) for name, result in results.items()}
            for attempt in ATTEMPTS
        ]
    )


def _word(answer: Answer) -> str:
    return f"{'ACCEPTED' if answer.accepted else 'refused'} {answer.status}"


def figures(results: Mapping[str, Result]) -> str:
    yardstick = results["PyLTI1p3"].median("total") if "PyLTI1p3" in results else None
    return table([_row(name, result, yardstick) for name, result in results.items()])


def _row(name: str, result: Result, yardstick: float | None) -> dict[str, str]:
    cpus = [round_.cpu for round_ in result.rounds]
    return {
        "tool": name,
        "CPU ms": f"{result.median('cpu'):.2f}",
        "min-max": f"{min(cpus):.2f}-{max(cpus):.2f}",
        "store ms": f"{result.median('store'):.2f}" if result.tool.store_pid else "-",
        "total": f"{result.median('total'):.2f}",
        "of PyLTI1p3": f"{result.median('total') / yardstick:.2f}" if yardstick else "-",
        "launches/s": f"{result.median('rate'):.0f}",
        "p50/p95/p99 ms": "/".join(f"{result.median(figure):.1f}" for figure in ("p50", "p95", "p99")),
        "PSS MiB": f"{result.median('pss'):.0f}",
        "ready s": f"{result.tool.ready:.2f}",
        "key sets": f"{result.median('key_set_fetches'):.0f}",
    }


def exam(result: Exam) -> str:
    met = not result.errors and result.p95 < EXAM_P95
    counts = f"{result.launches} launches in {result.seconds:.1f} s, {len(result.errors)} errors"
    latency = f"p50/p95/p99 {result.p50:.1f}/{result.p95:.1f}/{result.p99:.1f} ms"
    target = f"{'pass' if met else 'MISS'}  0 errors, p95 < {EXAM_P95:g} ms"
    return "\n".join([f"{counts}, {latency}", *result.errors[:5], target])


_FIGURES = ("cpu", "store", "total", "rate", "p50", "p95", "p99", "pss", "key_set_fetches")


def as_json(results: Mapping[str, Result]) -> dict[str, Any]:
    return {
        "tools": {name: _as_json(result) for name, result in results.items()},
        "targets": [asdict(verdict) | {"met": verdict.met} for verdict in verdicts(results)],
    }


def _as_json(result: Result) -> dict[str, Any]:
    medians = {figure: result.median(figure) for figure in _FIGURES}
    answers = {attempt: _word(answer) for attempt, answer in result.answers.items()}
    return {"answers": answers, "ready": result.tool.ready, **medians}


def table(rows: list[dict[str, str]]) -> str:
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(_padded(line, widths) for line in lines)


def _padded(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
