"""What teachers do on the campus: grades, people, copies, reviews, faults; and the notices that follow."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ltihost.testing.profile import AGS, LTI, NOTICES
from ltihost.testing.services.tokens import NOTICE_SCOPE
from ltihost.testing.serving import RunningCampus, listen, port_of, serving
from tests.campus.conftest import KEYS
from tests.campus.service_client import ServiceClient, registered
from tests.campus.stub_tool import StubTool, auth_params, payload


@pytest.fixture(params=KEYS)
def client(request: pytest.FixtureRequest, campus: RunningCampus) -> Iterator[ServiceClient]:
    with registered(campus, request.param) as found:
        yield found


@pytest.fixture
def plain(campus: RunningCampus) -> Iterator[ServiceClient]:
    with registered(campus, "lti") as found:
        yield found


def browse(
    client: ServiceClient, path: str, person: str = "tess", form: dict[str, str] | None = None
) -> httpx2.Response:
    """A page of the LMS for this person, or a form that they send."""
    key = client.platform.profile.key
    with httpx2.Client(cookies={f"campus-{key}": person}, follow_redirects=True, trust_env=False) as browser:
        url = client.platform.base_url + path
        return browser.get(url) if form is None else browser.post(url, data=form)


def test_the_gradebook_shows_grades_and_whose_they_are(client: ServiceClient) -> None:
    client.score(7, comment="Mind the <b>mitochondria</b>")
    client.platform.override_grade("cell-quiz", "zoe", 3.5)
    page = browse(client, "/c/biology/grades")
    assert page.status_code == 200
    for text in ("Cell structure quiz", "Ada O&#39;Brien", ">7<", ">3.5<", "tool", "teacher", "&lt;b&gt;mitochondria"):
        assert text in page.text
    own = browse(client, "/c/biology/grades", "ada")
    assert ">7<" in own.text
    assert ">3.5<" not in own.text
    assert "override" not in own.text


def test_a_teacher_types_a_grade_and_takes_it_back(client: ServiceClient) -> None:
    client.score(7)
    column = str(client.platform.gradebook.column_of("cell-quiz").number)
    form = {"do": "override", "column": column, "person": "ada", "points": "9,5"}
    assert browse(client, "/c/biology/grades", form=form).status_code == 200
    assert client.grade() == 9.5
    browse(client, "/c/biology/grades", form={**form, "points": ""})
    assert client.grade() == 7
    assert browse(client, "/c/biology/grades", "ada", form).status_code == 403
    for points in ("many", "nan", "inf"):
        refused = browse(client, "/c/biology/grades", form={**form, "points": points})
        assert (refused.status_code, "Go back to the gradebook" in refused.text) == (400, True)


def test_columns_are_locked_and_deleted(client: ServiceClient) -> None:
    book = client.platform.gradebook
    column = book.column_of("cell-quiz")
    browse(client, "/c/biology/grades", form={"do": "lock", "column": str(column.number)})
    assert book.column_of("cell-quiz").locked
    browse(client, "/c/biology/grades", form={"do": "unlock", "column": str(column.number)})
    assert not book.column_of("cell-quiz").locked
    browse(client, "/c/biology/grades", form={"do": "delete", "column": str(column.number)})
    assert book.of_link("cell-quiz") == []
    assert browse(client, "/c/rome/grades", "greta", {"do": "delete", "column": "13"}).status_code in (403, 404)


def test_people_come_and_go(client: ServiceClient) -> None:
    page = browse(client, "/c/biology/people")
    assert "ada@campus.example" in page.text
    browse(client, "/c/biology/people", form={"do": "unenrol", "person": "ada"})
    browse(client, "/c/biology/people", form={"do": "enrol", "person": "kofi", "kind": "student"})
    enrolled = client.platform.contexts["biology"].enrolled
    assert ("ada" in enrolled, enrolled["kofi"]) == (False, "student")
    assert browse(client, "/c/biology/people", "zoe", {"do": "unenrol", "person": "anh"}).status_code == 403


def test_a_copied_context_has_new_ids_and_remembers_the_old(client: ServiceClient) -> None:
    client.make({"label": "Extra", "scoreMaximum": 5, "tag": "x"})
    client.score(7)
    before = client.claims()
    copy = client.platform.copy_context("biology")
    quiz = next(link for link in copy.links if link.title == "Cell structure quiz")
    claims = client.claims(quiz.slug)
    for name in ("context", "resource_link"):
        assert claims[LTI + name]["id"] != before[LTI + name]["id"]
    assert claims[AGS]["lineitem"] != before[AGS]["lineitem"]
    opening = client.platform.opening(client.platform.people["ada"], copy, quiz, client.tool)
    variables = client.platform.profile.variables(opening)
    assert variables["$Context.id.history"] == before[LTI + "context"]["id"]
    assert client.grade(link=quiz.slug) is None
    labels = {column.label for column in client.platform.gradebook.of_context(copy.slug)}
    assert {"Cell structure quiz", "Extra"} <= labels
    again = client.platform.copy_context(copy.slug)
    assert len(again.history) == 2


def test_blackboard_knows_the_history_of_a_link(campus: RunningCampus) -> None:
    with registered(campus, "blackboard") as client:
        copy = client.platform.copy_context("biology")
        custom = client.claims(copy.links[0].slug)[LTI + "custom"]
        assert custom["link_history"] == "_11_1"
        assert client.claims()[LTI + "custom"]["link_history"] == "$ResourceLink.id.history"


def test_a_review_names_the_person_and_the_column(client: ServiceClient) -> None:
    book = client.platform.gradebook
    made = client.make({"label": "Essay", "scoreMaximum": 5}).json()["id"]
    column = max(book.columns)
    login = client.platform.review("tess", column, "ada", client.tool)
    answer = client.platform.authorize(auth_params(dict(login.fields), client.tool.launch_url))
    claims = payload(answer.fields["id_token"])  # type: ignore[union-attr]
    assert claims[LTI + "message_type"] == "LtiSubmissionReviewRequest"
    assert claims[LTI + "for_user"]["user_id"] == client.user_id("ada")
    assert claims["sub"] == client.user_id("tess")
    assert claims[AGS]["lineitem"] == made


def test_a_review_goes_where_the_column_says(plain: ServiceClient) -> None:
    review = {"url": "https://tool.example.org/review", "custom": {"mode": "review"}}
    plain.make({"label": "Essay", "scoreMaximum": 5, "submissionReview": review})
    login = plain.platform.review("tess", max(plain.platform.gradebook.columns), "ada")
    answer = plain.platform.authorize(auth_params(dict(login.fields), plain.tool.launch_url))
    claims = payload(answer.fields["id_token"])  # type: ignore[union-attr]
    assert claims[LTI + "target_link_uri"] == review["url"]
    assert claims[LTI + "custom"]["mode"] == "review"


async def test_reviews_are_opened_by_teachers(campus: RunningCampus, tool: StubTool) -> None:
    url = f"{campus.base_url}/canvas/_launch?column=12&for_user=ada&person="
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(url + "tess")).status_code == 200
        assert (await http.get(url + "zoe")).status_code == 403
        assert (await http.get(url.replace("column=12", "column=99") + "tess")).status_code == 404


class Handler:
    """A tool's handler of notices."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, list[dict[str, str]]]] = []

    async def receive(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        return Response(status_code=204)


@pytest.mark.parametrize("key", ["lti", "canvas", "blackboard"])
def test_a_copy_is_told_to_who_asked(campus: RunningCampus, key: str) -> None:
    handler, sockets = Handler(), listen("127.0.0.1")
    url = f"http://127.0.0.1:{port_of(sockets)}/notices"
    app = Starlette(routes=[Route("/notices", handler.receive, methods=["POST"])])
    with registered(campus, key) as client, serving(app, sockets):
        service = client.claims()[NOTICES]["platform_notification_service_url"]
        client.sign_in(NOTICE_SCOPE)
        asked = client.send(
            "PUT", service, {"notice_type": "LtiContextCopyNotice", "handler": url}, media="application/json"
        )
        assert asked.status_code == 200
        listed = client.send("GET", service).json()
        assert listed["notice_handlers"] == [{"notice_type": "LtiContextCopyNotice", "handler": url}]
        assert client.send("PUT", service, {"notice_type": "Other", "handler": url}).status_code == 400
        assert browse(client, "/c/biology/_copy", form={}).status_code == 200
        (body,) = handler.bodies
        (notice,) = body["notices"]
        keys = KeySet.import_key_set({"keys": client.platform.key_set(client.tool.client_id)["keys"]})
        claims = jwt.decode(notice["jwt"], keys, algorithms=["RS256"]).claims
        assert (claims["iss"], claims["aud"]) == (client.platform.issuer, client.tool.client_id)
        assert claims[LTI + "notice"]["type"] == "LtiContextCopyNotice"
        copy = list(client.platform.contexts.values())[-1]
        assert claims[LTI + "context"]["id"] == client.platform.profile.context_id(copy)
        assert claims[LTI + "origin_contexts"] == [client.claims()[LTI + "context"]["id"]]
        assert campus.lms[key].notices.sent[0].status == 204
        client.send("PUT", service, {"notice_type": "LtiContextCopyNotice", "handler": ""})
        assert client.send("GET", service).json()["notice_handlers"] == []


def test_moodle_has_no_notices(campus: RunningCampus) -> None:
    with registered(campus, "moodle") as client:
        assert NOTICES not in client.claims()


def test_faults_are_switched_on_the_page(plain: ServiceClient) -> None:
    page = browse(plain, "/_services", form={"fault": "throttled", "on": "yes", "service": "score", "times": "2"})
    assert page.status_code == 200
    assert plain.platform.faults.on == {"throttled": "score"}
    assert plain.score(7).status_code == 429
    shown = browse(plain, "/_services").text
    assert "7 / 10" in shown
    assert "throttled" in shown
    browse(plain, "/_services", form={"fault": "throttled", "on": "no"})
    assert plain.platform.faults.on == {}
    assert browse(plain, "/_services", form={"fault": "flood", "on": "yes"}).status_code == 400
    assert browse(plain, "/_ledger").json()[0]["body"]["scoreGiven"] == 7
