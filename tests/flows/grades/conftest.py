"""A host and a gradebook for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ltihost.settings import Settings
from tests.flows.grades.gradebook import Gradebook, gradebook
from tests.flows.grades.rig import Rig, make_rig


@pytest.fixture
async def lms() -> AsyncIterator[Gradebook]:
    """A platform that refuses old timestamps."""
    async with gradebook() as made:
        yield made


@pytest.fixture
async def rig(settings: Settings, lms: Gradebook) -> AsyncIterator[Rig]:
    """A host that delivers to it, with two learners."""
    made = await make_rig(settings, lms)
    yield made
    await made.host.close()
