"""`Host`: the parts a flow works with, built once per process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ltihost.lti.keys import PlatformKeys
from ltihost.lti.state import Sealer
from ltihost.outbound import Outbound
from ltihost.pages import Pages
from ltihost.plugins.calls import Calls
from ltihost.plugins.loader import Plugins, load_plugins
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import keys
from ltihost.store.database import Database
from ltihost.store.routing import RoutingCache


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
    clock: Callable[[], float] = field(default=time.time)

    @classmethod
    def build(
        cls, settings: Settings, *, plugins: Plugins | None = None, clock: Callable[[], float] = time.time
    ) -> Host:
        """All parts for these settings; nothing is opened yet. Raises ConfigurationError."""
        loaded = plugins or load_plugins(settings.plugins)
        database = Database(settings)
        outbound = Outbound(settings.allow_networks)
        return cls(
            settings=settings,
            database=database,
            routing=RoutingCache(database.hot),
            outbound=outbound,
            platform_keys=PlatformKeys(outbound, clock),
            plugins=loaded,
            calls=Calls(loaded),
            pages=Pages(settings.allow_networks),
            sealer=Sealer(database.box.derive_all("launch state")),
            clock=clock,
        )

    async def open(self) -> None:
        """Connect, and make the host's own key set if this is the first start."""
        await self.database.open()
        await self.database.run(HOST, keys.create, HOST, HOST)

    async def close(self) -> None:
        await self.outbound.aclose()
        await self.database.close()
