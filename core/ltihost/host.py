"""`Host`: the parts a flow works with, built once per process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ltihost.access_tokens import AccessTokens
from ltihost.bindings import bind, sealed
from ltihost.clock_check import ClockCheck
from ltihost.errors import DecryptionError
from ltihost.lti.keys import PlatformKeys
from ltihost.lti.state import Sealer
from ltihost.outbound import Outbound
from ltihost.own_keys import OwnKeys
from ltihost.pages import Pages
from ltihost.platform_services import PlatformServices
from ltihost.plugins.calls import Calls
from ltihost.plugins.loader import Plugins, load_plugins
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.plugins.watchdog import Watchdog, plugins_at_fault
from ltihost.records import HOST, Binding
from ltihost.service_records import Operation, Outcome, ServiceAnswer
from ltihost.settings import Settings
from ltihost.store import keys
from ltihost.store.database import Database
from ltihost.store.routing import RoutingCache
from ltihost.store.service_origins import ServiceOrigins
from ltihost.token_endpoint import Client


@dataclass(slots=True)
class Host:
    """One host process. Made by `build`, opened and closed by the application's lifespan."""

    settings: Settings
    database: Database
    routing: RoutingCache
    outbound: Outbound
    platform_keys: PlatformKeys
    plugins: Plugins
    calls: Calls
    pages: Pages
    sealer: Sealer
    own_keys: OwnKeys
    tokens: AccessTokens
    origins: ServiceOrigins
    watchdog: Watchdog
    clock_check: ClockCheck
    clock: Callable[[], float] = field(default=time.time)

    @classmethod
    def build(
        cls, settings: Settings, *, plugins: Plugins | None = None, clock: Callable[[], float] = time.time
    ) -> Host:
        """All parts for these settings; nothing is opened yet. Raises ConfigurationError."""
        loaded = plugins or load_plugins(settings.plugins, at_fault=plugins_at_fault(settings.plugin_faults_file))
        database = Database(settings)
        clock_check = ClockCheck(clock)
        outbound = Outbound(settings.allow_networks, heard=clock_check.heard)
        own_keys = OwnKeys(database)
        calls = Calls(loaded)
        return cls(
            settings=settings,
            database=database,
            routing=RoutingCache(database.hot),
            outbound=outbound,
            platform_keys=PlatformKeys(outbound, clock),
            plugins=loaded,
            calls=calls,
            pages=Pages(settings.allow_networks),
            sealer=Sealer(database.box.derive_all("launch state")),
            own_keys=own_keys,
            tokens=AccessTokens(outbound, own_keys, clock),
            origins=ServiceOrigins(database),
            watchdog=Watchdog(lambda: calls.running, settings.plugin_faults_file),
            clock_check=clock_check,
            clock=clock,
        )

    async def open(self) -> None:
        """Connect, and make the host's own key set if this is the first start."""
        await self.database.open()
        try:
            await self.database.run(HOST, keys.create, HOST, HOST)
        except BaseException:
            await self.database.close()
            raise
        self.watchdog.start()

    async def binding(self, registration_id: str, deployment_id: str) -> Binding:
        """Whose (registration, deployment) is, for work outside a launch; five seconds old at most. Raises NotBound."""
        route = await self.routing.route(registration_id)
        try:
            return bind(route, await self.routing.deployment(registration_id, deployment_id), self.plugins)
        except DecryptionError as error:
            await self.database.alarm.ring(error)
            raise sealed() from error

    def adapter(self, binding: Binding) -> LtiAdapter:
        """The adapter of the binding's LMS, able to reach its services. Ask with `isinstance` what it can do."""
        plugin = self.plugins.get(binding.registration.plugin)
        kind = plugin.adapter if plugin else LtiAdapter

        def classify(answer: ServiceAnswer, operation: Operation) -> Outcome | None:
            return self.calls.classify_error(answer, operation, binding)

        client = Client(binding, kind(binding), classify)
        return kind(binding, PlatformServices(client, self.outbound, self.tokens, self.origins, self.clock))

    async def close(self) -> None:
        self.watchdog.stop()
        await self.tokens.aclose()
        await self.outbound.aclose()
        await self.database.close()
