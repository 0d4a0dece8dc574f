"""What a process of a test does first, in the process itself. Little is imported here, since each of them does it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

#: Tells the test something.
Say = Callable[..., None]


def begin(environment: dict[str, str], test: Connection, target: Callable[..., None], *arguments: Any) -> None:
    """Be the program with this environment. What it prints and logs goes nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    for name in [name for name in os.environ if name.startswith("LTIHOST_")]:
        del os.environ[name]
    os.environ.update(environment)
    target(lambda *words: test.send(words), *arguments)


def command(_: Say, *arguments: str) -> None:
    """Be `ltihost` with these arguments."""
    from ltihost.cli import main

    sys.argv = ["ltihost", *arguments]
    main()
