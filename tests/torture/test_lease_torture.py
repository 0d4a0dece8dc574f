"""Many processes and many slots, under short leases."""

from __future__ import annotations

import pytest

from ltihost.settings import Settings
from tests.flows.grades.test_leases import claim_together

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]


async def test_eight_processes_never_hold_one_of_five_thousand_slots_at_once(settings: Settings) -> None:
    """R-05."""
    await claim_together(settings, slots=5_000, processes=8, lease=1.0)
