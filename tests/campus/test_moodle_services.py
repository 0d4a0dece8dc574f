"""The simulated Moodle's services have Moodle's quirks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx2
import pytest
from joserfc.jwk import RSAKey

from ltihost.testing.profile import AGS, NRPS
from ltihost.testing.services.records import LINE_ITEM, LINE_ITEMS, MEMBERS, RESULTS
from ltihost.testing.services.rules_tokens import ASSERTION_TYPE
from ltihost.testing.serving import RunningCampus
from tests.campus.service_client import ServiceClient, below, registered, signed, stamp

STRANGER = RSAKey.generate_key(2048, parameters={"kid": "tool-key", "alg": "RS256", "use": "sig"})


@pytest.fixture
def moodle(campus: RunningCampus) -> Iterator[ServiceClient]:
    with registered(campus, "moodle") as found:
        yield found


def test_urls_have_a_query(moodle: ServiceClient) -> None:
    service = moodle.claims()[AGS]
    mark = f"?type_id={moodle.tool.deployment_id}"
    assert service["lineitems"].endswith("/lineitems" + mark)
    assert service["lineitem"].endswith("/lineitem" + mark)
    assert moodle.items().json()[0]["id"].endswith(mark)
    naive = moodle.send("POST", moodle.item_url() + "/scores", {}, media="application/vnd.ims.lis.v1.score+json")
    assert naive.status_code in (400, 404, 405)


def test_seconds_decide_which_score_is_newer(moodle: ServiceClient) -> None:
    now = int(moodle.platform.clock()) - 10
    assert moodle.score(4, timestamp=stamp(now + 0.1)).status_code == 200
    again = moodle.score(9, timestamp=stamp(now + 0.9))
    assert (again.status_code, again.json()) == (409, [])
    assert moodle.score(6, timestamp=stamp(now + 1)).status_code == 200
    assert moodle.grade() == 6


def test_a_time_in_the_future_blocks_what_comes_after(moodle: ServiceClient) -> None:
    now = moodle.platform.clock()
    assert moodle.score(4, timestamp=stamp(now + 3600)).status_code == 200
    assert moodle.score(9, timestamp=stamp(now)).status_code == 409


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (LINE_ITEMS, 200),
        (None, 200),
        ("*/*", 400),
        ("application/json", 400),
        (f"{LINE_ITEMS};q=1", 400),
        (f"{LINE_ITEMS}, application/json", 400),
    ],
)
def test_accept_must_be_exact(moodle: ServiceClient, accept: str | None, status: int) -> None:
    answer = moodle.send("GET", moodle.items_url(), accept=accept)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["status"] == 400


@pytest.mark.parametrize(
    ("accept", "status"),
    [(MEMBERS, 200), (None, 200), ("*/*", 200), ("application/json", 400), (f"{MEMBERS};q=1", 400)],
)
def test_accept_of_the_roster(moodle: ServiceClient, accept: str | None, status: int) -> None:
    url = moodle.claims()[NRPS]["context_memberships_url"]
    assert moodle.send("GET", url, accept=accept).status_code == status


@pytest.mark.parametrize(
    ("media", "status"),
    [(LINE_ITEM, 201), (f"{LINE_ITEM}; charset=utf-8", 201), ("application/json", 400)],
)
def test_content_type_must_be_exact(moodle: ServiceClient, media: str, status: int) -> None:
    assert moodle.make({"label": "a", "scoreMaximum": 5}, media=media).status_code == status
    assert moodle.score(media="application/json").status_code == 400


def test_pages_are_linked_with_curly_quotes_and_escaped_ampersands(moodle: ServiceClient) -> None:
    answer = moodle.items(limit="2")
    assert len(answer.json()) == 2
    (link,) = (value for name, value in answer.headers.raw if name.lower() == b"link")
    assert b"rel=\xe2\x80\x9cnext\xe2\x80\x9d" in link
    following = link.split(b"; rel=\xe2\x80\x9cnext")[0].rpartition(b"<")[2].rstrip(b">").decode()
    assert "&amp;limit=2&amp;from=2" in following
    pages = [answer.json(), moodle.send("GET", following.replace("&amp;", "&"), accept=LINE_ITEMS).json()]
    assert [item["label"] for item in pages[0]] == ["Cell structure quiz", "Photosynthesis exercise"]
    assert [item["label"] for item in pages[1]] == ['Peer review "q" & é']


def test_a_token_says_it_is_html(moodle: ServiceClient) -> None:
    answer = moodle.ask_token()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    body = json.loads(answer.text)
    assert (body["token_type"], body["expires_in"], len(body["access_token"])) == ("Bearer", 3600, 32)


def test_an_unknown_key_id_gets_an_answer_that_is_no_json(moodle: ServiceClient) -> None:
    answer = _ask(moodle, signed({"sub": moodle.tool.client_id}, kid="other"))
    assert answer.text == '{\n  "error" : ""kid" invalid, unable to lookup correct key"\n}'
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)


@pytest.mark.parametrize(
    ("kid", "key", "error"),
    [
        (None, None, "error/Error: kid must be provided in JWT header."),
        ("tool-key", STRANGER, "Signature verification failed"),
    ],
)
def test_errors_of_the_token_endpoint(moodle: ServiceClient, kid: str | None, key: RSAKey | None, error: str) -> None:
    claims = {"sub": moodle.tool.client_id}
    answer = _ask(moodle, signed(claims, kid=kid, key=key) if key else signed(claims, kid=kid))
    assert (answer.status_code, json.loads(answer.text)["error"]) == (400, error)


def test_an_assertion_has_no_leeway(moodle: ServiceClient) -> None:
    now = int(moodle.platform.clock())
    assert json.loads(moodle.ask_token(iat=now + 30).text)["error"].startswith("Cannot handle token with iat prior to")
    assert json.loads(moodle.ask_token(exp=now - 2).text)["error"] == "Expired token"
    assert moodle.ask_token(aud="anything", iss=None, jti=None).status_code == 200


def test_what_is_not_fully_graded_erases_the_grade(moodle: ServiceClient) -> None:
    now = moodle.platform.clock() - 60
    moodle.score(4, timestamp=stamp(now))
    assert moodle.score(9, timestamp=stamp(now + 2), gradingProgress="PendingManual").status_code == 200
    assert moodle.grade() is None
    moodle.score(4, timestamp=stamp(now + 4))
    moodle.score(None, timestamp=stamp(now + 6), scoreMaximum=None, comment="only words")
    assert moodle.grade() is None
    assert "resultScore" not in moodle.results().json()[0]


def test_a_score_without_a_comment_clears_it(moodle: ServiceClient) -> None:
    now = moodle.platform.clock() - 60
    moodle.score(4, timestamp=stamp(now), comment="Good")
    assert moodle.results().json()[0]["comment"] == "Good"
    moodle.score(5, timestamp=stamp(now + 2))
    assert "comment" not in moodle.results().json()[0]


def test_a_teachers_grade_stays_and_nobody_says_so(moodle: ServiceClient) -> None:
    now = moodle.platform.clock()
    moodle.score(4, timestamp=stamp(now - 60))
    moodle.platform.override_grade("cell-quiz", "ada", 3.3)
    assert moodle.score(9, timestamp=stamp(now - 30)).status_code == 409  # older than the teacher's own change
    assert moodle.score(9, timestamp=stamp(now + 5)).status_code == 200
    assert (moodle.grade(), moodle.results().json()[0]["resultScore"]) == (3.3, 3.3)


def test_put_without_the_links_id_unties_the_column(moodle: ServiceClient) -> None:
    url = moodle.item_url()
    whole = moodle.item(url).json()
    assert whole["resourceLinkId"] == whole["ltiLinkId"]
    moodle.put(url, {**whole, "label": "New"})
    assert moodle.item(url).json()["resourceLinkId"] == whole["resourceLinkId"]
    moodle.put(url, {"label": "New", "scoreMaximum": 10})
    assert "resourceLinkId" not in moodle.item(url).json()
    assert "lineitem" not in moodle.claims()[AGS]


def test_a_changed_maximum_makes_zeros_of_empty_grades(moodle: ServiceClient) -> None:
    now = moodle.platform.clock() - 60
    moodle.score(4, timestamp=stamp(now))
    moodle.score(None, person="zoe", timestamp=stamp(now), scoreMaximum=None, gradingProgress="Pending")
    whole = moodle.item(moodle.item_url()).json()
    moodle.put(moodle.item_url(), {**whole, "scoreMaximum": 20})
    assert (moodle.grade("ada"), moodle.grade("zoe"), moodle.grade("anh")) == (8, 0, None)


@pytest.mark.parametrize(
    "change",
    [{"label": "L" * 256}, {"tag": "t" * 256}, {"resourceId": "r" * 513}, {"resourceLinkId": "abc"}],
)
def test_what_the_database_cannot_hold_is_a_bad_gateway(moodle: ServiceClient, change: dict[str, str]) -> None:
    answer = moodle.make({"label": "a", "scoreMaximum": 5, **change})
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")


def test_line_items_that_other_lmss_refuse(moodle: ServiceClient) -> None:
    assert moodle.make({"label": "zero", "scoreMaximum": 0}).status_code == 201
    assert moodle.make({"label": "negative", "scoreMaximum": -5}).status_code == 201
    assert moodle.make({"label": "foreign", "scoreMaximum": 5, "resourceLinkId": "999"}).status_code == 403
    answer = moodle.make({"label": "a", "scoreMaximum": 5, "startDateTime": "2026-01-01T00:00:00Z", "tag": "x"})
    assert answer.json()["startDateTime"]
    assert "startDateTime" not in moodle.item(answer.json()["id"]).json()


def test_a_second_column_of_a_link_hides_both_from_launches(moodle: ServiceClient) -> None:
    rlid = moodle.item(moodle.item_url()).json()["resourceLinkId"]
    moodle.make({"label": "effort", "scoreMaximum": 5, "resourceLinkId": rlid})
    assert "lineitem" not in moodle.claims()[AGS]


def test_the_coupled_column_can_be_deleted(moodle: ServiceClient) -> None:
    assert moodle.delete(moodle.item_url()).status_code == 204
    assert "lineitem" not in moodle.claims()[AGS]


@pytest.mark.parametrize("person", ["tess", "amir", "kofi"])
def test_only_students_of_the_course_get_grades(moodle: ServiceClient, person: str) -> None:
    answer = moodle.score(4, person=person)
    assert (answer.status_code, answer.json()) == (400, [])


def test_a_user_id_that_is_no_number_breaks_it(moodle: ServiceClient) -> None:
    assert moodle.score(4, userId="abc").status_code == 502


def test_points_are_cut_to_the_column(moodle: ServiceClient) -> None:
    now = moodle.platform.clock() - 60
    moodle.score(75, scoreMaximum=10, timestamp=stamp(now))
    assert moodle.grade() == 10
    moodle.score(-5, timestamp=stamp(now + 2))
    assert moodle.grade() == 0
    moodle.score(7, scoreMaximum=0, timestamp=stamp(now + 4))
    assert moodle.grade() == 7


def test_a_locked_column_is_an_error(moodle: ServiceClient) -> None:
    moodle.platform.gradebook.lock(moodle.platform.gradebook.column_of("cell-quiz").number)
    answer = moodle.score(4)
    assert (answer.status_code, answer.json()) == (500, [])


def test_results_must_not_be_limited(moodle: ServiceClient) -> None:
    moodle.score(4)
    answer = moodle.results(limit="10")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert moodle.send("GET", below(moodle.item_url(), "/results"), accept=RESULTS).status_code == 200


def test_a_missing_scope_looks_like_a_missing_token(moodle: ServiceClient) -> None:
    moodle.sign_in("https://purl.imsglobal.org/spec/lti-ags/scope/score")
    assert moodle.items().status_code == 401
    assert moodle.score().status_code == 200


def test_roster_has_short_roles_and_escaped_names(moodle: ServiceClient) -> None:
    moodle.platform.add_person("odd", "A & B", "<i>x</i>")
    moodle.platform.enrol("odd", "biology")
    members = {member["user_id"]: member for member in moodle.members().json()["members"]}
    assert members[moodle.user_id("tess")]["roles"] == ["Instructor"]
    assert members[moodle.user_id("amir")]["roles"] == ["Learner"]  # a non-editing teacher launches as an instructor
    assert moodle.user_id("sam") not in members
    assert members[moodle.user_id("odd")]["name"] == "A &amp; B &lt;i&gt;x&lt;/i&gt;"


def test_the_next_page_of_a_roster_forgets_the_role(moodle: ServiceClient) -> None:
    answer = moodle.members(role="Instructor", limit="1")
    assert [member["roles"] for member in answer.json()["members"]] == [["Instructor"]]
    moodle.platform.enrol("greta", "biology", "teacher")
    following = moodle.members(role="Instructor", limit="1").links["next"]["url"]
    assert "role=" not in following
    assert "from=1" in following
    assert len(moodle.members(role="TeachingAssistant").json()["members"]) == len(moodle.members().json()["members"])


def _ask(moodle: ServiceClient, assertion: str) -> httpx2.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        "scope": "x",
    }
    return httpx2.post(moodle.platform.endpoints(moodle.tool.client_id)["token_url"], data=form)


def test_the_clock_of_the_services_is_the_lmss(moodle: ServiceClient) -> None:
    assert abs(moodle.platform.service_time() - time.time()) < 5
