"""What a launch says of the LMS's services: which of it is believed, and where it is kept.

A launch names the URLs to which the host will send tokens and grades. The first origin of a kind is believed, a later
other one is held until an operator accepts it: the launch goes on, that service does not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import TypeVar

import structlog

from ltihost.errors import LtihostError, Refused
from ltihost.host import Host
from ltihost.lti.messages import Message
from ltihost.records import Binding, Launch, Services
from ltihost.service_records import ServiceUrls
from ltihost.store import services
from ltihost.store.hot import AcceptOutcome
from ltihost.targets import origin_of
from ltihost.trace import Trace

T = TypeVar("T")
log = structlog.get_logger()
#: Seconds for which an accepted origin is not looked up again.
_BELIEVED_SECONDS = 5.0
#: And for which a context's services are not stored again: other processes store them too, and what waits for them (a
#: column that was gone) is tried again by a launch.
_KEPT_SECONDS = 300.0
_REMEMBERED = 20_000


class LaunchServices:
    """Per process. What is remembered saves writes: the store is told now and then of each context and link."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._believed: OrderedDict[Hashable, float] = OrderedDict()
        self._kept: OrderedDict[Hashable, tuple[Services, float]] = OrderedDict()

    async def admitted(self, message: Message, binding: Binding, trace: Trace) -> Services:
        """The services of the message without those at a held origin. Raises Refused (`return_url_held`)."""
        origins = _origins(message)
        place = (binding.tenant.id, binding.registration.id, binding.deployment_id, tuple(sorted(origins.items())))
        now = self._host.clock()
        if not origins or self._believed.get(place, 0.0) > now:
            return message.services
        held = await self._host.database.run(
            binding.tenant.id, services.note, registration_id=binding.registration.id,
            deployment_id=binding.deployment_id, context_id=None, resource_link_id=None,
            application=(binding.application.tenant_id, binding.application.id), urls=ServiceUrls(),
            line_item_url=None, origins=origins, now=now,
        )  # fmt: skip
        if "deep_linking" in held:
            raise Refused("return_url_held", "target", expected="the known origin", received=origins["deep_linking"])
        for kind in sorted(held):
            trace.warn(f"the service {kind} lies at another origin than before ({origins[kind]}) and is held")
        if not held:
            _remember(self._believed, place, now + _BELIEVED_SECONDS)
        return _without(message.services, held)

    async def keep(self, launch: Launch, ids: AcceptOutcome) -> None:
        """Store where the context's services are, before the application hears of the launch and may use them.

        The launch is stored by now and cannot be repeated, so a failure here is only logged: the next launch tells it.
        """
        said, context_id, link_id = launch.services, ids.context_id, ids.resource_link_id
        if context_id is None or said == Services():
            return
        place, binding = (context_id, link_id), launch.binding
        kept, until = self._kept.get(place, (None, 0.0))
        if kept == said and self._host.clock() < until:
            return
        urls = _urls(said)
        try:
            await self._host.database.run(
                binding.tenant.id, services.note, registration_id=binding.registration.id,
                deployment_id=binding.deployment_id, context_id=context_id, resource_link_id=link_id,
                application=(binding.application.tenant_id, binding.application.id), urls=urls,
                line_item_url=said.line_item_url, origins=services.origins_of(urls, said.line_item_url),
                now=launch.launched_at,
            )  # fmt: skip
        except LtihostError as error:
            log.warning("services.not_kept", launch=launch.id, context=context_id, code=error.code)
            return
        _remember(self._kept, place, (said, self._host.clock() + _KEPT_SECONDS))


def _origins(message: Message) -> dict[str, str]:
    """The origin of each kind of service that the message names, that of the deep linking answer included."""
    said = message.services
    origins = services.origins_of(_urls(said), said.line_item_url)
    answer = origin_of(message.deep_linking.return_url) if message.deep_linking else None
    return origins | ({"deep_linking": answer} if answer else {})


def _urls(said: Services) -> ServiceUrls:
    return ServiceUrls(said.line_items_url, said.ags_scopes, said.memberships_url, said.groups_url, said.notices_url)


def _without(said: Services, held: frozenset[str]) -> Services:
    if "line_items" in held:
        said = replace(said, line_items_url=None, line_item_url=None, ags_scopes=())
    if "memberships" in held:
        said = replace(said, memberships_url=None)
    if "groups" in held:
        said = replace(said, groups_url=None)
    if "notices" in held:
        said = replace(said, notices_url=None)
    return said


def _remember(memory: OrderedDict[Hashable, T], key: Hashable, value: T) -> None:
    memory[key] = value
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)
