"""An LMS has taken no score for ten minutes, because it refuses the host or is down: administrators hear of it daily.

Applications are not told: their scores wait and go by themselves, and there is nothing that they could mend.
"""

from __future__ import annotations

from dataclasses import asdict

import structlog

from ltihost.host import Host
from ltihost.store import platforms, tenants

log = structlog.get_logger()

#: How often it is looked for platforms that are paused.
SECONDS = 300.0


async def check(host: Host) -> None:
    """Raise an alert for each, unless some process did within the day."""
    for tenant_id in await host.database.run_lookup(tenants.active_ids):
        for paused in await host.database.run(tenant_id, platforms.tell, tenant_id, host.clock()):
            log.warning("platform.paused", tenant=tenant_id, **asdict(paused))
