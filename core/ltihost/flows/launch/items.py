"""Which content item stands behind a launch, and where its link comes from.

An item that deep linking returned comes back with its id, as a custom parameter and in the query of the launch URL;
platforms lose one or the other, copying a course keeps both. Deep Linking 2.0 section 3.2, Core spec 5.3.5.
"""

from __future__ import annotations

import re
import time
from urllib.parse import parse_qs, urlsplit

import structlog

from ltihost.errors import LtihostError
from ltihost.host import Host
from ltihost.lti.claims import usable_id
from ltihost.lti.content_items import ITEM_PARAMETER
from ltihost.lti.messages import Message
from ltihost.records import Binding, Launch
from ltihost.store import content_items
from ltihost.store.content_items import Known, Sighting
from ltihost.store.routing import TTL_SECONDS, Remembered
from ltihost.targets import same_page
from ltihost.tool_urls import launch_url
from ltihost.trace import Trace

log = structlog.get_logger()
#: The custom parameters under which the registration guides ask the LMS for the histories of copies.
LINK_HISTORY, CONTEXT_HISTORY = "link_history", "context_history"
MAX_HISTORY = 50
MAX_NOTED = 50_000
_ITEM_ID = re.compile(r"itm_[a-z2-7]{26}")


class Items:
    """Looks items up before a launch is stored, and remembers links afterwards. Launches without any cost nothing."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._known: Remembered[Known | None] = Remembered(TTL_SECONDS, time.monotonic)
        self._noted: set[tuple[str, str | None]] = set()

    async def find(self, message: Message, binding: Binding, trace: Trace) -> Known | None:
        """The item of this launch, if it is of this application and registration; another's is as good as none."""
        if message.name == "deep_linking":
            return None
        named = message.custom.get(ITEM_PARAMETER) or self._in_target(message, binding)
        if named is None:
            return await self._by_history(message, binding)
        item = await self._by_id(binding, named) if _ITEM_ID.fullmatch(named) else None
        if item is None or not _belongs(item, binding):
            trace.warn("the link names a content item that is not known here; it leads to the application's start")
            return None
        return item

    async def note(self, launch: Launch, link_id: str | None, item: Known | None) -> None:
        """Remember the link of a stored launch, once per process. What fails is tried again at the next launch."""
        history = _history(launch.custom.get(LINK_HISTORY))
        if link_id is None or (item is None and not history):
            return
        key = (link_id, item.id if item else None)
        if key in self._noted:
            return
        application = launch.binding.application
        seen = Sighting(
            link_id, application.tenant_id, application.id, key[1], history,
            _history(launch.custom.get(CONTEXT_HISTORY)),
        )  # fmt: skip
        try:
            await self.host.database.run(
                launch.binding.tenant.id, content_items.note_link, seen, now=launch.launched_at
            )
        except LtihostError as error:
            log.warning("link.unnoted", link=link_id, code=error.code)
            return
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted.add(key)

    def _in_target(self, message: Message, binding: Binding) -> str | None:
        """`item` of our own launch URL; in another URL it would be the application's own parameter."""
        target = message.target_link_uri
        if target is None or "item=" not in target:
            return None
        own = (launch_url(self.host.settings, binding.registration, shared=shared) for shared in (True, False))
        ours = any(same_page(target, url) for url in own)
        return parse_qs(urlsplit(target).query).get("item", [None])[0] if ours else None

    async def _by_id(self, binding: Binding, item_id: str) -> Known | None:
        tenant = binding.tenant.id
        return await self._known.get(
            (tenant, item_id), lambda: self.host.database.run(tenant, content_items.known, item_id)
        )

    async def _by_history(self, message: Message, binding: Binding) -> Known | None:
        """A copy whose parameters the LMS did not copy."""
        history = _history(message.custom.get(LINK_HISTORY)) if message.resource_link else ()
        if not history:
            return None
        tenant, registration, deployment = binding.tenant.id, binding.registration.id, binding.deployment_id
        item = await self._known.get(
            (tenant, registration, deployment, history),
            lambda: self.host.database.run(tenant, content_items.known_by_history, registration, deployment, history),
        )
        return item if item is not None and _belongs(item, binding) else None


def _belongs(item: Known, binding: Binding) -> bool:
    return (item.application_id, item.registration_id) == (binding.application.id, binding.registration.id)


def _history(value: str | None) -> tuple[str, ...]:
    """The platform's ids of a comma list, newest first."""
    ids = (usable_id(part.strip()) for part in (value or "").split(",", MAX_HISTORY)[:MAX_HISTORY])
    return tuple(dict.fromkeys(found for found in ids if found))
