"""`ltihost worker`: delivers scores and does what else waits, in a process of its own."""

from __future__ import annotations

import asyncio

import uvloop

from ltihost.commands import output
from ltihost.commands.operator import keep_what_is_loaded, make_ready
from ltihost.host import Host
from ltihost.logs import configure_logs
from ltihost.settings import Settings, load_settings
from ltihost.worker import make_worker, stop_on_signals


def worker() -> None:
    """Deliver scores to the LMSs until stopped. Any number may run on PostgreSQL; with SQLite, `serve` does it itself.

    SIGTERM or Ctrl-C lets what is under way end; what was not sent yet is left to others.
    """
    settings = load_settings()
    configure_logs()
    uvloop.run(_work(settings))


async def _work(settings: Settings) -> None:
    await make_ready(settings)
    host, stop = Host.build(settings), asyncio.Event()
    keep_what_is_loaded()
    await host.open()
    try:
        stop_on_signals(stop)
        output.hint("working; Ctrl-C stops")
        await make_worker(host).run(stop)
    finally:
        await host.close()
