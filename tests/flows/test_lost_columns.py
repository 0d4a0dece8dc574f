"""R-21: a column that went while scores wait for it. They find out, and they all arrive in the one that follows."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.store.service_tables import GradeSlot
from tests.flows.gradebook import ALL_SCOPES, SCOPE, Desk, desk
from tests.flows.platform import put

__all__ = ["desk"]  # a fixture

PEOPLE = 50


@dataclass
class School:
    """A column that is made, then deleted in the LMS, and fifty people with a score for it."""

    desk: Desk
    scores: ScoreRunner
    item_id: str

    async def states(self) -> Counter[tuple[str, str | None]]:
        rig = self.desk.rig
        return await rig.host.database.run(rig.tenant.id, _states)

    def met_with_a_404(self) -> int:
        """How many scores were posted to where the column was."""
        return self.desk.gradebook.ledger.count("POST 1/lineitem/scores")

    async def work(self) -> None:
        """Two workers deliver scores, and two do what else there is, until nothing is left to do."""
        other = ScoreRunner(self.desk.rig.host)
        for _ in range(3):
            await asyncio.gather(
                self.scores.work_once(), other.work_once(), self.desk.work(), self.desk.work(),
            )  # fmt: skip


@pytest.fixture
async def school(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> School:
    """The LMS is one where a line item that went may be made again."""
    monkeypatch.setattr(LtiAdapter, "may_recreate_line_items", True)
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    assert desk.gradebook.creations() == 1
    desk.gradebook.items.clear()
    made = School(desk, ScoreRunner(desk.rig.host), item["id"])
    for number in range(PEOPLE):
        await desk.launch(put(sub=f"person-{number}", lti_roles=["Learner"]))
        await post_score(made, number)
    return made


def _states(session: Session) -> Counter[tuple[str, str | None]]:
    return Counter((slot.state, slot.code) for slot in session.scalars(select(GradeSlot)))


async def post_score(school: School, number: int) -> None:
    desk = school.desk
    answer = await desk.rig.http.post(
        f"/api/v1/line-items/{school.item_id}/scores",
        json={"user_id": desk.user_id, "given": number, "maximum": PEOPLE},
        headers={"authorization": f"Bearer {desk.key}", "idempotency-key": f"key-{number}"},
    )
    assert answer.status_code == 202, answer.text


def expected() -> dict[str, float]:
    return {f"person-{number}": number for number in range(PEOPLE)}


async def test_fifty_scores_make_the_column_once_more_and_all_stand_there(school: School) -> None:
    await school.work()
    gradebook = school.desk.gradebook
    assert school.met_with_a_404() > 1
    assert gradebook.creations() == 2
    assert gradebook.scores == {2: expected()}
    assert await school.states() == {("idle", None): PEOPLE}
    assert (await school.desk.show(school.item_id))["state"] == "ready"


async def test_without_the_scope_fifty_scores_wait_and_go_when_it_returns(school: School) -> None:
    """One alert, and not one more request meanwhile."""
    desk = school.desk
    await desk.launch(scopes=(SCOPE + "lineitem.readonly", SCOPE + "score"))
    await school.work()
    assert await school.states() == {("blocked", "line_item_gone"): PEOPLE}
    assert school.met_with_a_404() == PEOPLE
    assert [alert["code"] for alert in await desk.alerts()] == ["line_item_gone"]
    asked = len(desk.gradebook.server.requests)
    await school.work()
    assert len(desk.gradebook.server.requests) == asked
    await desk.launch(scopes=ALL_SCOPES)
    await school.work()
    assert desk.gradebook.creations() == 2
    assert desk.gradebook.scores == {2: expected()}
    assert await school.states() == {("idle", None): PEOPLE}
    assert len(await desk.alerts()) == 1
