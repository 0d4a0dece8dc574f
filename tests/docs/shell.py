"""A shell that stays open, and the demo as a process: what the reader of the tutorial has."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.docs.reading import ROOT

BIN = Path(sys.executable).parent
_END = "--- end of command, status "


class Shell:
    """Runs one line after the other in the same bash, so that variables and background jobs live on."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LTIHOST_")}
        self._process = subprocess.Popen(
            ["bash", "--norc"], cwd=ROOT, env={**own, "PATH": f"{BIN}{os.pathsep}{own['PATH']}", **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, line: str) -> str:
        """What the line printed, errors included. Raises AssertionError when it failed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\necho; echo '{_END}'$?\n")
        self._process.stdin.flush()
        printed: list[str] = []
        for text in self._process.stdout:
            if text.startswith(_END):
                assert text == f"{_END}0\n", f"{line}\n{''.join(printed)}"
                break
            printed.append(text)
        return "".join(printed)

    def close(self) -> None:
        """End the shell and the jobs that it started."""
        assert self._process.stdin
        self._process.stdin.write("kill $(jobs -p) 2>/dev/null; wait; exit\n")
        self._process.communicate(timeout=20)


@contextmanager
def running_demo(port: int) -> Iterator[dict[str, Any]]:
    """`ltihost demo` at `port`; what it says of itself as JSON."""
    process = subprocess.Popen(
        [BIN / "ltihost", "demo", "--port", str(port), "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        yield json.loads(_document(process))
    finally:
        process.terminate()
        process.communicate(timeout=40)


def free_ports() -> tuple[int, int]:
    """A port whose successor is free too, for the demo, and another one."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as other:
            port: int = first.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", port + 1)).close()
            except OSError:
                continue
            return port, other.getsockname()[1]


def _document(process: subprocess.Popen[str]) -> str:
    """The lines up to the brace that closes the document; the process goes on."""
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.rstrip() == "}":
            break
    return "".join(lines)
