"""R-06: what was claimed is sent soon or not at all, for the lease may be another's by then.

The deadline is taken before the claim, so that whatever takes long from there on uses it up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.settings import Settings
from ltihost.store.grades import Claimed, Platform, Terms
from ltihost.store.grades_store import Grades
from tests.core.grades.support import DeliveryTry, GradeSlot
from tests.flows.grades.gradebook import Gradebook
from tests.flows.grades.rig import Rig, make_rig

TERMS = Terms(lease=1.0, deadline=0.2, send=0.2)
TOO_LONG = 0.25
#: Where some scores have to be sent in time, also on a machine with much else to do.
ROOMY = Terms(lease=3.0, deadline=1.0, send=1.0)
#: So many go to a platform at once; one more waits for them.
WIDTH = 4


@pytest.fixture
async def rig(settings: Settings, lms: Gradebook) -> AsyncIterator[Rig]:
    made = await make_rig(settings, lms, learners=WIDTH + 1)
    yield made
    await made.host.close()


class SlowGrades(Grades):
    """A database that answers a claim late."""

    async def claim(self, platform: Platform, *, owner: str, most: int) -> Claimed:
        claimed = await super().claim(platform, owner=owner, most=most)
        await asyncio.sleep(TOO_LONG)
        return claimed


async def test_a_score_that_was_scaled_for_too_long_is_left_to_another(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = rig.host.calls.scale_score

    def slow(*arguments: Any) -> Any:
        time.sleep(TOO_LONG)  # as a process that is frozen there: nothing else goes on meanwhile
        return scale(*arguments)

    await rig.book.take(8)
    with monkeypatch.context() as patch:
        patch.setattr(rig.host.calls, "scale_score", slow)
        await one_round(runner_of(rig, TERMS))
    assert rig.lms.posts == []
    await is_left(rig, learner=0)
    await another_delivers(rig)
    assert rig.standing() == (8, 10)


async def test_a_claim_that_took_too_long_is_left_to_another(rig: Rig) -> None:
    await rig.book.take(8)
    await one_round(ScoreRunner(rig.host, SlowGrades(rig.host.database, lease=TERMS.lease), terms=TERMS))
    assert rig.lms.posts == []
    await is_left(rig, learner=0)
    await another_delivers(rig)
    assert rig.standing() == (8, 10)


async def test_a_score_that_waited_for_its_turn_too_long_is_left_to_another(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones use up their time at a platform that does not answer; the last one does not even begin."""
    scaled: list[Any] = []
    scale = rig.host.calls.scale_score

    def counted(score: Any, *surroundings: Any) -> Any:
        scaled.append(score)
        return scale(score, *surroundings)

    monkeypatch.setattr(rig.host.calls, "scale_score", counted)
    rig.lms.latency = 60.0
    for number, learner in enumerate(rig.book.learners):
        await rig.book.take(number, 10, user_id=learner)
    await one_round(runner_of(rig, ROOMY))
    assert [entry.user for entry in rig.lms.posts] == [rig.subject(number) for number in range(WIDTH)]
    assert len(scaled) == WIDTH
    await is_left(rig, learner=WIDTH)
    rig.lms.latency = 0.0
    await another_delivers(rig)
    assert rig.standing(WIDTH) == (WIDTH, 10)


def runner_of(rig: Rig, terms: Terms) -> ScoreRunner:
    return ScoreRunner(rig.host, Grades(rig.host.database, lease=terms.lease), terms=terms)


async def one_round(runner: ScoreRunner) -> None:
    """Claim once, and see what becomes of it."""
    assert await runner.start() > 0
    await runner.finish()


async def is_left(rig: Rig, *, learner: int) -> None:
    """The slot is as if nobody had claimed it, and due; the try says that nothing was sent."""
    slot: GradeSlot = await rig.book.slot(learner)
    assert (slot.state, slot.tries, slot.unknown_outcome, slot.confirmed_rev) == ("pending", 0, False, 0)
    assert slot.due_at <= time.time()
    (one,) = [one for one in await rig.book.rows(DeliveryTry) if one.slot_id == slot.id]
    assert (one.outcome, one.code, one.http_status) == ("unsent", None, None)


async def another_delivers(rig: Rig) -> None:
    """Another worker, in the same moment: nobody has to wait for the lease to end."""
    assert await runner_of(rig, Terms()).work_once() == 1
