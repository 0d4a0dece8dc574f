"""The rig of the launch tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ltihost.settings import Settings
from tests.flows.rig import Rig


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    """A host over an empty database, with one tenant, application and registration."""
    made = Rig(settings)
    await made.start()
    yield made
    await made.stop()
