"""The services as the certification suite asks for them, over sockets both ways. Certification 5 and 6."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.flows.certifier import MEMBERS, NRPS_SCOPE, RESULTS, SCOPE, SCORE, STUDENT, Certified, certified_of
from tests.flows.gradebook import ITEM
from tests.flows.rig import Rig


@pytest.fixture
async def certified(rig: Rig) -> AsyncIterator[Certified]:
    async with certified_of(rig) as made:
        yield made


async def test_a_roster_is_fetched_as_the_suite_checks_it(certified: Certified) -> None:
    """N-01 to N-05: the URL's own query, the one media type, a bearer token with the one scope."""
    desk, suite = certified.desk, certified.suite
    launch = await desk.launch(certified.claim())
    assert launch["capabilities"]["roster"] is True
    asked = await desk.call("POST", f"/contexts/{desk.context_id}/roster-sync")
    assert asked.status_code == 202
    await desk.work()
    (request,) = suite.services
    assert (request.method, request.path) == ("GET", "/members?memberships=1879")
    assert request.headers["accept"] == MEMBERS
    assert request.headers["authorization"] == "Bearer t"
    assert suite.scopes_asked() == {NRPS_SCOPE}
    members = (await desk.call("GET", f"/contexts/{desk.context_id}/members")).json()["data"]
    assert {(row["subject"], row["role"]) for row in members} == {("40899", "learner"), ("39890", "instructor")}


@pytest.mark.parametrize("role", ["Instructor", "Learner"])
async def test_a_launch_that_names_no_line_item_is_let_in(certified: Certified, role: str) -> None:
    """A-01: the guide's table says instructor, its text learner."""
    changes = (STUDENT,) if role == "Learner" else ()
    launch = await certified.desk.launch(certified.claim(), *changes)
    assert (launch["role"], launch["line_item"]) == (role.lower(), None)
    assert launch["capabilities"]["grades"] is True


async def test_a_column_is_made_a_score_sent_and_the_result_read(certified: Certified) -> None:
    """A-02 to A-04: the application makes its own column, and what arrived is shown beside what it stated."""
    desk, suite = certified.desk, certified.suite
    await desk.launch(certified.claim())
    student = (await desk.launch(certified.claim(), STUDENT))["user"]["id"]
    item = await desk.want("Quiz", 10, resource_id="quiz-1")
    await desk.work()
    (made,) = suite.asked("POST", "/lineitems")
    assert (made.headers["content-type"], made.headers["accept"]) == (ITEM, ITEM)
    assert (await desk.show(item["id"]))["state"] == "ready"
    await post_score(certified, item["id"], user_id=student, given=8.5, maximum=10)
    await certified.deliver()
    (score,) = suite.asked("POST", "/scores")
    assert score.path == "/ctx/1/lineitems/1/lineitem/scores?type_id=1"
    assert score.headers["content-type"] == SCORE
    (body,) = suite.scores[1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", body.pop("timestamp"))
    assert body == {
        "userId": "40899", "scoreGiven": 8.5, "scoreMaximum": 10, "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
    }  # fmt: skip
    shown = (await desk.call("GET", f"/line-items/{item['id']}/results", refresh=True)).json()["data"]
    assert [(row["user_id"], row["lms"]["given"], row["lms"]["overridden"]) for row in shown] == [(student, 8.5, False)]
    (read,) = suite.asked("GET", "/results")
    assert read.headers["accept"] == RESULTS
    assert {SCOPE + name for name in ("lineitem", "score", "result.readonly")} <= suite.scopes_asked()


async def post_score(certified: Certified, line_item_id: str, **body: Any) -> None:
    desk = certified.desk
    headers = {"authorization": f"Bearer {desk.key}", "idempotency-key": "one"}
    answer = await desk.rig.http.post(f"/api/v1/line-items/{line_item_id}/scores", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
