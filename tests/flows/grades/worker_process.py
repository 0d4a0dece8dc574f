"""A worker as a process of its own, with short leases: `worker_process.py LEASE DEADLINE SEND`.

It says `ready`, then works until it is told to stop, killed or frozen.
"""

from __future__ import annotations

import asyncio
import sys

from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.host import Host
from ltihost.logs import configure_logs
from ltihost.settings import load_settings
from ltihost.store.grades import Terms
from ltihost.worker import Worker, stop_on_signals


async def main(lease: str, deadline: str, send: str) -> None:
    configure_logs()
    host, stop = Host.build(load_settings()), asyncio.Event()
    await host.open()
    stop_on_signals(stop)
    scores = ScoreRunner(host, terms=Terms(float(lease), float(deadline), float(send)))
    print("ready", flush=True)  # noqa: T201
    await Worker(host, scores=scores).run(stop)
    await host.close()


asyncio.run(main(*sys.argv[1:]))
