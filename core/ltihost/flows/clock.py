"""This machine's clock is wrong: the operator hears of it, once an hour.

Applications are not told: they can do nothing about it.
"""

from __future__ import annotations

import socket

import structlog

from ltihost.clock_check import HOUR
from ltihost.host import Host
from ltihost.records import HOST
from ltihost.store import audit

log = structlog.get_logger()

ACTION = "clock.skewed"
#: How often it is looked whether something was heard. An answer of an LMS is soon there, so it is soon after the start.
SECONDS = 60.0


async def check(host: Host) -> None:
    """Raise the alert if the clock is wrong, unless a process of this machine did within the hour."""
    skew = host.clock_check.found()
    if skew is None:
        return
    details = {"seconds": round(skew.seconds), "server": skew.server}
    raised = await host.database.run(
        HOST, audit.append_seldom, HOST, actor="host", action=ACTION, object_id=socket.gethostname(), details=details,
        seconds=HOUR,
    )  # fmt: skip
    if raised:
        log.warning("clock.skewed", **details)
