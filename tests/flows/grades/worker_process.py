"""A worker as a process of its own, with short leases.

It says `ready`, then works until it is told to stop, killed or frozen. After SIGUSR1 it says `sending TRY PERSON GIVEN`
once, when it is about to send something that it claimed; after SIGUSR2 it also stops itself there (SIGSTOP).
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.host import Host
from ltihost.logs import configure_logs
from ltihost.settings import load_settings
from ltihost.store.grades import Claim, Terms, Verdict
from ltihost.worker import Worker, stop_on_signals
from tests.flows.grades.forked import Say


class GatedRunner(ScoreRunner):
    """A gate between claim and send; it is open until it is told to close for one."""

    say: Say
    told: signal.Signals | None = None
    _sending = 0

    def tell(self, number: signal.Signals) -> None:
        self.told = number

    async def _try(self, *claimed: Any) -> Verdict:
        claim: Claim = claimed[1]
        # Nobody else who passed the gate is to be held up on the way: that is another case.
        if self.told is not None and not (self.told is signal.SIGUSR2 and self._sending):
            number, self.told = self.told, None
            self.say("sending", claim.try_id, claim.subject, claim.score.given)
            if number is signal.SIGUSR2:
                os.kill(os.getpid(), signal.SIGSTOP)
        self._sending += 1
        try:
            return await super()._try(*claimed)
        finally:
            self._sending -= 1


def main(say: Say, lease: float, deadline: float, send: float) -> None:
    configure_logs()
    asyncio.run(_work(say, Terms(lease, deadline, send)))


async def _work(say: Say, terms: Terms) -> None:
    host, stop = Host.build(load_settings()), asyncio.Event()
    await host.open()
    stop_on_signals(stop)
    scores = GatedRunner(host, terms=terms, progress=lambda: host.database.work.heard("scores"))
    scores.say = say
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        asyncio.get_running_loop().add_signal_handler(number, scores.tell, number)
    say("ready")
    await Worker(host, scores=scores).run(stop)
    await host.close()
