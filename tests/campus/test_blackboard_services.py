"""The simulated Blackboard's services have Blackboard's quirks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ltihost.testing.serving import RunningCampus
from tests.campus.service_client import ServiceClient, registered, stamp


@pytest.fixture
def blackboard(campus: RunningCampus) -> Iterator[ServiceClient]:
    with registered(campus, "blackboard") as found:
        yield found


def test_the_last_page_of_a_roster_has_a_next_one(blackboard: ServiceClient) -> None:
    first = blackboard.members(limit="6")
    second = blackboard.members(url=first.links["next"]["url"])
    assert len(second.json()["members"]) < 6
    assert second.links["next"]["url"] == str(second.url)
    assert "differences" in second.links


def test_a_roster_page_has_a_thousand(blackboard: ServiceClient) -> None:
    assert "next" not in blackboard.members().links
    blackboard.platform.populate("biology", 1001)
    answer = blackboard.members()
    assert len(answer.json()["members"]) == 1000
    assert "next" in answer.links


def test_only_one_pair_deletes_a_grade(blackboard: ServiceClient) -> None:
    blackboard.score(7)
    blackboard.score(None, scoreMaximum=None, activityProgress="Submitted", gradingProgress="Pending")
    assert blackboard.grade() == 7
    blackboard.score(None, scoreMaximum=None, activityProgress="Initialized", gradingProgress="NotReady")
    assert blackboard.grade() is None


def test_asking_for_one_user_loses_the_comment(blackboard: ServiceClient) -> None:
    blackboard.score(7, comment="Good")
    assert blackboard.results().json()[0]["comment"] == "Good"
    (row,) = blackboard.results(user_id=blackboard.user_id("ada")).json()
    assert "comment" not in row
    assert row["resultScore"] == 7
    assert blackboard.results(user_id=blackboard.user_id("zoe")).status_code == 404


def test_a_score_without_a_comment_clears_it(blackboard: ServiceClient) -> None:
    blackboard.score(7, comment="Good")
    blackboard.score(8)
    assert blackboard.results().json()[0]["comment"] == ""


def test_an_update_must_not_send_the_id(blackboard: ServiceClient) -> None:
    whole = blackboard.item(blackboard.item_url()).json()
    assert blackboard.put(blackboard.item_url(), {**whole, "label": "New"}).status_code == 400
    del whole["id"]
    assert blackboard.put(blackboard.item_url(), {**whole, "label": "New"}).status_code == 200
    after = blackboard.item(blackboard.item_url()).json()
    assert (after["label"], after["resourceLinkId"]) == ("New", whole["resourceLinkId"])


def test_maxima_are_whole_numbers(blackboard: ServiceClient) -> None:
    assert blackboard.make({"label": "a", "scoreMaximum": 12.5}).status_code == 400
    assert blackboard.make({"label": "a", "scoreMaximum": 12}).status_code == 201


def test_a_user_who_is_not_there(blackboard: ServiceClient) -> None:
    for person in ("kofi", "tess"):
        answer = blackboard.score(7, person=person)
        assert answer.status_code == 400
        assert answer.json()["message"] == f"User could not be found: {blackboard.user_id(person)}"


def test_whoever_comes_last_wins(blackboard: ServiceClient) -> None:
    now = blackboard.platform.clock()
    blackboard.score(9, timestamp=stamp(now))
    assert blackboard.score(4, timestamp=stamp(now - 3600)).status_code == 200
    assert blackboard.grade() == 4


def test_a_made_column_is_tied_to_nothing(blackboard: ServiceClient) -> None:
    rlid = blackboard.item(blackboard.item_url()).json()["resourceLinkId"]
    made = blackboard.make({"label": "a", "scoreMaximum": 5, "tag": "t", "resourceLinkId": rlid}).json()
    assert "resourceLinkId" not in made
    assert made["tag"] == "t"


def test_access_switched_off(blackboard: ServiceClient) -> None:
    blackboard.platform.faults.switch("access_off")
    answer = blackboard.items()
    assert (answer.status_code, answer.json()["message"]) == (403, "SiteApplicationDisabled")


def test_a_token_type_in_lower_case_and_any_issuer(blackboard: ServiceClient) -> None:
    answer = blackboard.ask_token(iss="ltilearn")
    assert answer.json()["token_type"] == "bearer"
    assert blackboard.ask_token(jti=None).status_code == 400
