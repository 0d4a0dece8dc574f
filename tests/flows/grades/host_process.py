"""A host as a process of its own, on a free port and without a worker.

It says `ready PORT` as soon as connections wait for it. After SIGUSR1 it stops itself (SIGSTOP) between the INSERT of the
next scores and their COMMIT and says `written ATTEMPT …`; after SIGUSR2 between COMMIT and answer, `stored ATTEMPT …`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import uvicorn

from ltihost.app import build_app
from ltihost.commands.serve import listen, server_options
from ltihost.logs import configure_logs
from ltihost.settings import load_settings
from ltihost.store import grades_intake
from ltihost.store.grades import Intake
from ltihost.store.grades_store import Grades
from ltihost.store.script import Script
from tests.flows.grades.forked import Say


def main(say: Say) -> None:
    configure_logs()
    _put_gates(say)
    listener = listen("127.0.0.1", 0)
    say("ready", listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(build_app(load_settings(), work=False), **server_options())).run(sockets=[listener])


def _put_gates(say: Say) -> None:
    told: set[int] = set()
    insert, take = grades_intake.take, Grades._take

    def gate(number: signal.Signals, word: str, intakes: Sequence[Intake]) -> None:
        if number in told:
            told.clear()
            say(word, *(intake.posted.attempt for intake in intakes))
            os.kill(os.getpid(), signal.SIGSTOP)
            threading.Event().wait()  # the signal may reach another thread first, and this one a moment later

    def gated_insert(intakes: Sequence[Intake], *surroundings: Any) -> Script[list[grades_intake.Outcome]]:
        outcomes = yield from insert(intakes, *surroundings)
        gate(signal.SIGUSR1, "written", intakes)
        return outcomes

    async def gated_take(grades: Grades, intakes: Sequence[Intake]) -> Sequence[grades_intake.Outcome]:
        outcomes = await take(grades, intakes)
        gate(signal.SIGUSR2, "stored", intakes)
        return outcomes

    grades_intake.take = gated_insert  # type: ignore[assignment]
    Grades._take = gated_take  # type: ignore[method-assign,assignment]
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: told.add(number))
