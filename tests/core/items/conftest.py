"""A world on either database, with a launch in it, so that there are a context and a link."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ltihost.store.database import Database
from tests.core.store.support import DEPLOYMENT, World, make_world

NOW = 1_790_000_000.0


@dataclass
class Placed:
    """A world and where its launch came from."""

    world: World
    user_id: str
    context_id: str
    link_id: str

    @property
    def tenant_id(self) -> str:
        return self.world.tenant.id

    @property
    def place(self) -> tuple[str, str]:
        return self.world.registration.id, DEPLOYMENT

    @property
    def application(self) -> tuple[str, str]:
        return self.world.application.tenant_id, self.world.application.id


async def placed(db: Database, slug: str = "north") -> Placed:
    world = await make_world(db, slug)
    outcome = await db.hot.accept_launch(world.work())
    assert outcome.user_id is not None
    assert outcome.context_id is not None
    assert outcome.resource_link_id is not None
    return Placed(world, outcome.user_id, outcome.context_id, outcome.resource_link_id)


@pytest.fixture
async def here(db: Database) -> Placed:
    return await placed(db)
