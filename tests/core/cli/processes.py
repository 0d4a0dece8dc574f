"""Processes that tests start: none outlives its test, whatever became of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process; it is killed at the end if it still runs, so that a failed test does not wait for it for ever."""
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
