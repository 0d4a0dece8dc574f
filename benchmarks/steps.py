"""A process that works when it is told to: a line of JSON comes in, work is done, what it cost goes out.

Needs nothing but Python, so it serves in the peers' environment too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SELF = Path("/proc/self")


def obey(work: Callable[[Any], Any]) -> None:
    """Say "ready", then do `work(order)` for each line. Answers `answer`, `seconds`, `cpu` in milliseconds (all
    threads), and `grown`: by how many MiB the process was larger at its largest than before."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        (_SELF / "clear_refs").write_text("5")  # the largest size so far is counted from here
        before = _kib("VmRSS")
        begun, spent = time.perf_counter(), time.process_time()
        answer = work(order)
        cost = {"seconds": time.perf_counter() - begun, "cpu": (time.process_time() - spent) * 1000}
        print(json.dumps({"answer": answer, **cost, "grown": (_kib("VmHWM") - before) / 1024}), flush=True)


def _kib(name: str) -> int:
    lines = (_SELF / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
