"""What a process and all its children cost, read from /proc (Linux only)."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def cpu_ms(root: int) -> float:
    """User and system time of the process tree in milliseconds, children that ended included."""
    return sum(_cpu_ticks(pid) for pid in tree(root)) * 1000 / _TICKS


def pss_mib(root: int) -> float:
    """Proportional set size of the process tree in MiB: shared pages are counted once."""
    return sum(_pss_kib(pid) for pid in tree(root)) / 1024


def tree(root: int) -> list[int]:
    """The process and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _cpu_ticks(pid: int) -> int:
    fields = _stat(pid)
    return sum(int(value) for value in fields[11:15])  # utime, stime, cutime, cstime


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may hold spaces; nothing when the process has ended."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _pss_kib(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
