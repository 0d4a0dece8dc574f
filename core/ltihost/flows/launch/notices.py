"""A launch names the platform's notification service: the platform is to be told our address."""

from __future__ import annotations

import structlog

from ltihost.errors import LtihostError
from ltihost.host import Host
from ltihost.lti.notices import WANTED
from ltihost.records import Launch
from ltihost.store import notices
from ltihost.tool_urls import notices_url

log = structlog.get_logger()
MAX_NOTED = 20_000


class NoticeWishes:
    """Per process: each service is looked at once, and again when it changes."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._noted: set[tuple[str, ...]] = set()

    async def note(self, launch: Launch) -> None:
        """Wish for the job that tells the platform, unless it knows. What fails is tried again at the next launch."""
        binding, said = launch.binding, launch.services
        types = [kind for kind in WANTED if kind in said.notice_types]
        if said.notices_url is None or not types:
            return
        key = (binding.tenant.id, binding.registration.id, binding.deployment_id, said.notices_url, *types)
        if key in self._noted:
            return
        handler = notices_url(self.host.settings, binding.registration)
        wishes = [notices.Wish(kind, handler, said.notices_url) for kind in types]
        try:
            await self.host.database.run(
                binding.tenant.id, notices.want, binding.registration.id, binding.deployment_id, wishes,
                launch.launched_at,
            )  # fmt: skip
        except LtihostError as error:
            log.warning("notice_handler.unnoted", registration=binding.registration.id, code=error.code)
            return
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted.add(key)
