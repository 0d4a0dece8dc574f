"""Reads a roster as the host does: `read` asks and reads all pages and rows, `sync` stores them too."""

from __future__ import annotations

import asyncio
from typing import Any

from steps import obey

from ltihost.commands.operator import keep_what_is_loaded
from ltihost.flows.roster import RosterFlow
from ltihost.host import Host
from ltihost.logs import configure_logs
from ltihost.settings import load_settings


async def opened() -> Host:
    host = Host.build(load_settings())
    keep_what_is_loaded()
    await host.open()
    return host


async def work(host: Host, order: dict[str, Any]) -> int:
    """The number of members."""
    flow, where = RosterFlow(host), (order["tenant"], order["context"])
    if order["do"] == "read":
        return len(await flow.read_link(*where, order["link"]))
    return (await flow.sync(*where)).total


configure_logs()
with asyncio.Runner() as runner:
    host = runner.run(opened())
    obey(lambda order: runner.run(work(host, order)))
    runner.run(host.close())
