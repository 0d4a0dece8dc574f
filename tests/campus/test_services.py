"""The services that every LMS of the campus has: what an honest tool does works on each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from ltihost.testing.profile import AGS, AGS_SCOPES, LTI, Profile
from ltihost.testing.services.records import LINE_ITEM, LINE_ITEMS
from ltihost.testing.serving import RunningCampus
from tests.campus.conftest import KEYS, MAKERS
from tests.campus.service_client import LINE_ITEM_SCOPE, SCORE_SCOPE, ServiceClient, below, registered, stamp


@pytest.fixture
def campus_profiles() -> Sequence[Profile]:
    return [make() for make in MAKERS.values()]


@pytest.fixture(params=KEYS)
def client(request: pytest.FixtureRequest, campus: RunningCampus) -> Iterator[ServiceClient]:
    with registered(campus, request.param) as found:
        yield found


@pytest.fixture
def plain(campus: RunningCampus) -> Iterator[ServiceClient]:
    """A tool of the LMS that does what the specs say."""
    with registered(campus, "lti") as found:
        yield found


def test_a_score_stands_in_the_gradebook_and_in_the_results(client: ServiceClient) -> None:
    answer = client.score(7, comment="Well done")
    assert answer.is_success
    assert client.grade() == 7
    (row,) = client.results().json()
    assert (row["userId"], row["resultScore"], row["resultMaximum"]) == (client.user_id("ada"), 7, 10)
    assert row["comment"] == "Well done"


def test_scores_are_scaled_to_the_column(client: ServiceClient) -> None:
    assert client.score(3, scoreMaximum=4).is_success
    assert client.grade() == 7.5


def test_the_ledger_keeps_every_post(client: ServiceClient) -> None:
    client.score(4)
    client.score(5, person="tess")  # a teacher
    lines = client.platform.gradebook.posts()
    assert [(line.applied, line.user_id) for line in lines] == [
        (True, client.user_id("ada")), (False, client.user_id("tess")),
    ]  # fmt: skip
    assert lines[0].body["scoreGiven"] == 4
    assert lines[0].client_id == client.tool.client_id
    assert lines[1].status >= 400
    assert client.platform.gradebook.posts(applied=False) == lines[1:]


def test_line_items_are_made_changed_and_deleted(client: ServiceClient) -> None:
    made = client.make({"label": "Essay", "scoreMaximum": 30, "tag": "essay", "resourceId": "e1"})
    assert made.status_code == 201
    url = made.json()["id"]
    assert [item["id"] for item in client.items(tag="essay").json()] == [url]
    assert client.items(resource_id="e1", tag="other").json() == []
    whole = {name: value for name, value in client.item(url).json().items() if name != "id"}
    changed = client.put(url, {**whole, "label": "Long essay", "scoreMaximum": 60})
    assert changed.status_code == 200
    assert (client.item(url).json()["label"], client.item(url).json()["scoreMaximum"]) == ("Long essay", 60)
    assert client.item(url).json()["resourceId"] == "e1"
    assert client.delete(url).status_code == 204
    assert client.item(url).status_code == 404


def test_the_coupled_line_item_is_found_by_its_link(client: ServiceClient) -> None:
    rlid = client.claims()[LTI + "resource_link"]["id"]
    (item,) = client.items(resource_link_id=rlid).json()
    assert item["id"] == client.item_url()
    assert (item["label"], item["scoreMaximum"], item["resourceLinkId"]) == ("Cell structure quiz", 10, rlid)


def test_a_launch_names_no_line_item_once_it_is_deleted(client: ServiceClient) -> None:
    client.platform.gradebook.remove(client.platform.gradebook.column_of("cell-quiz").number)
    assert "lineitem" not in client.claims()[AGS]


def test_another_tools_line_items_are_not_seen(client: ServiceClient, campus: RunningCampus) -> None:
    url = client.make({"label": "Mine", "scoreMaximum": 5, "tag": "mine"}).json()["id"]
    with registered(campus, client.platform.profile.key) as other:
        assert other.items(tag="mine").json() == []
        assert other.item(url).status_code in (401, 403, 412)


def test_roster(client: ServiceClient) -> None:
    body = client.members().json()
    context = client.claims()[LTI + "context"]
    assert (body["context"]["id"], body["context"]["title"]) == (context["id"], context["title"])
    members = {member["user_id"]: member for member in body["members"]}
    ada = members[client.user_id("ada")]
    assert (ada["status"], ada["email"]) == ("Active", "ada@campus.example")
    assert any(role.endswith("Learner") for role in ada["roles"])
    client.platform.unenrol("ada", "biology")
    client.platform.enrol("kofi", "biology")
    now = {member["user_id"] for member in client.members().json()["members"]}
    assert members.keys() - now == {client.user_id("ada")}
    assert now - members.keys() == {client.user_id("kofi")}


def test_roster_pages_hold_everybody_once(client: ServiceClient) -> None:
    client.platform.populate("biology", 30)
    seen: list[str] = []
    url, visited = client.members(limit="10").url, set[str]()
    answer = client.members(limit="10")
    while True:
        seen += [member["user_id"] for member in answer.json()["members"]]
        visited.add(str(answer.url))
        following = answer.links.get("next", {}).get("url")
        if following is None or following in visited:
            break
        answer = client.members(url=following)
    assert len(seen) == len(set(seen)) == len(client.members(url=str(url).partition("?")[0]).json()["members"])
    assert len(seen) >= 33


def test_roster_of_a_link(client: ServiceClient) -> None:
    rlid = client.claims()[LTI + "resource_link"]["id"]
    (ada,) = (m for m in client.members(rlid=rlid).json()["members"] if m["user_id"] == client.user_id("ada"))
    assert ("message" in ada) == (client.platform.profile.key != "blackboard")
    assert client.members(rlid="9999").status_code in (400, 404)


def test_overrides_are_seen_in_the_results(client: ServiceClient) -> None:
    client.score(4)
    client.platform.override_grade("cell-quiz", "ada", 9)
    assert client.grade() == 9
    assert client.results().json()[0]["resultScore"] == 9
    client.platform.override_grade("cell-quiz", "ada", None)
    assert client.grade() == 4


def test_results_of_people_who_left_are_gone(client: ServiceClient) -> None:
    client.score(4)
    client.platform.unenrol("ada", "biology")
    assert client.results().json() == []


# Who is let in.


def test_nobody_without_a_token(client: ServiceClient) -> None:
    client.token = ""
    assert client.items().status_code == 401


def test_a_token_lives_an_hour(client: ServiceClient) -> None:
    late = client.platform.clock
    client.platform.clock = lambda: late() + 3601
    assert client.items().status_code == 401


def test_a_token_is_for_its_scopes(client: ServiceClient) -> None:
    client.sign_in(SCORE_SCOPE)
    assert client.items().status_code in (401, 403)
    assert client.score().is_success


def test_only_what_the_administrator_granted_is_granted(campus: RunningCampus) -> None:
    with registered(campus, "lti", scopes=[SCORE_SCOPE, LINE_ITEM_SCOPE]) as client:
        assert client.ask_token(*AGS_SCOPES).json()["scope"].split() == [LINE_ITEM_SCOPE, SCORE_SCOPE]
        assert client.claims()[AGS]["scope"] == [LINE_ITEM_SCOPE, SCORE_SCOPE]
        assert client.ask_token(AGS_SCOPES[2]).json()["error"] == "invalid_scope"


# The specs, where the LMSs have ways of their own.


def test_media_types_by_the_spec(plain: ServiceClient) -> None:
    assert plain.send("GET", plain.items_url(), accept="application/json").status_code == 406
    assert plain.send("GET", plain.items_url(), accept=LINE_ITEMS).headers["content-type"].startswith(LINE_ITEMS)
    assert plain.score(media="application/json").status_code == 415
    assert plain.make({"label": "a", "scoreMaximum": 1}, media=LINE_ITEM + "; charset=utf-8").status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"userId": None}, {"timestamp": None}, {"timestamp": "yesterday"}, {"timestamp": "2026-11-21T10:00:00"},
        {"activityProgress": "Foo"}, {"gradingProgress": None}, {"scoreMaximum": None}, {"scoreMaximum": 0},
        {"scoreGiven": -1}, {"scoreGiven": "7"}, {"scoreGiven": True},
    ],
)  # fmt: skip
def test_bad_scores_by_the_spec(plain: ServiceClient, change: dict[str, object]) -> None:
    given = change.pop("scoreGiven", 7)
    assert plain.score(given, **change).status_code == 400  # type: ignore[arg-type]
    assert plain.grade() is None


@pytest.mark.parametrize(
    "body", [{"scoreMaximum": 3}, {"label": " ", "scoreMaximum": 3}, {"label": "x"}, {"label": "x", "scoreMaximum": -5}]
)
def test_bad_line_items_by_the_spec(plain: ServiceClient, body: dict[str, object]) -> None:
    assert plain.make(body).status_code == 400


def test_a_score_is_no_newer_than_its_timestamp(plain: ServiceClient) -> None:
    now = plain.platform.clock()
    assert plain.score(4, timestamp=stamp(now)).is_success
    assert plain.score(9, timestamp=stamp(now)).status_code == 409
    assert plain.score(9, timestamp=stamp(now - 5)).status_code == 409
    assert plain.score(6, timestamp=stamp(now + 0.01)).is_success
    assert plain.grade() == 6


def test_a_teachers_grade_stays(plain: ServiceClient) -> None:
    plain.platform.override_grade("cell-quiz", "ada", 9)
    assert plain.score(4).is_success
    assert plain.grade() == 9


def test_a_locked_column_takes_nothing(plain: ServiceClient) -> None:
    plain.platform.gradebook.lock(plain.platform.gradebook.column_of("cell-quiz").number)
    assert plain.score(4).status_code == 403
    assert plain.grade() is None


def test_scores_are_written_only(plain: ServiceClient) -> None:
    assert plain.send("GET", below(plain.item_url(), "/scores")).status_code == 405


def test_what_is_late_is_marked(plain: ServiceClient) -> None:
    column = plain.platform.gradebook.column_of("cell-quiz")
    whole = plain.item(plain.item_url()).json()
    assert plain.put(plain.item_url(), {**whole, "endDateTime": "2020-01-01T00:00:00Z"}).is_success
    plain.score(4)
    assert plain.platform.gradebook.cell(column.number, "ada").late
