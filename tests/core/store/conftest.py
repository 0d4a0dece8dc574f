"""The world of the store's tests."""

from __future__ import annotations

import pytest

from ltihost.store.database import Database
from tests.core.store.support import World, make_world


@pytest.fixture
async def world(db: Database) -> World:
    return await make_world(db)
