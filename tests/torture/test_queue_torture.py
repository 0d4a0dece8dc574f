"""A million slots that a million deliveries went through, and a transaction that somebody left open: claiming stays
quick. R-31."""

from __future__ import annotations

import pytest

from ltihost.store.grades import AT_ONCE
from tests.flows.grades.own_server import OwnServer, own_server
from tests.flows.grades.test_queue import DUE_SHARE, claim_all

__all__ = ["own_server"]  # fixture
pytestmark = [pytest.mark.torture, pytest.mark.postgres, pytest.mark.timeout(1800)]

#: People and line items; each pair of them is a slot. Those that are due make twenty a second for ten minutes.
SIDE = 1_000


async def test_claims_are_quick_among_a_million_slots_while_an_old_snapshot_is_open(own_server: OwnServer) -> None:
    """Twelve thousand are delivered meanwhile, and nothing of them can be tidied away: each leaves index entries behind
    that a claim steps over, about a millisecond for three thousand."""
    times = await claim_all(own_server.settings, SIDE)
    assert len(times) >= SIDE * SIDE // DUE_SHARE // AT_ONCE
    early, late = p95(times[: len(times) // 10]), p95(times[-len(times) // 10 :])
    assert p95(times) < 0.02, f"first tenth {early:.4f} s, last tenth {late:.4f} s"


def p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]
