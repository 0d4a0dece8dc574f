"""The campus over HTTP: launches walked by the driver, tools registered, people changed, errors shown."""

from __future__ import annotations

import httpx2
import pytest
from starlette.testclient import TestClient

from ltihost.testing.campus import build_campus
from ltihost.testing.driver import Driver, walk
from ltihost.testing.profile import LTI
from ltihost.testing.serving import RunningCampus
from tests.campus.conftest import KEYS, MAKERS
from tests.campus.stub_tool import StubTool, payload


@pytest.fixture
def client() -> TestClient:
    """A campus in this process, without a tool."""
    return TestClient(build_campus([make() for make in MAKERS.values()], base_url="http://testserver"))


@pytest.fixture
def form() -> dict[str, object]:
    base = "https://tool.example.org/lti"
    return {"login_url": f"{base}/login", "launch_url": f"{base}/launch", "jwks_url": f"{base}/jwks"}


@pytest.mark.parametrize("key", KEYS)
async def test_a_launch_on_each_lms(campus: RunningCampus, tool: StubTool, key: str) -> None:
    way = await walk(campus.launch_url(key, "ada", "photosynthesis"))
    assert way.ok
    assert "Launched" in way.response.text
    claims = payload(tool.launches[0]["id_token"])
    assert claims["iss"] == campus.platforms[key].issuer
    assert claims[LTI + "resource_link"]["title"] == "Photosynthesis exercise"
    auth = campus.platforms[key].endpoints(claims["aud"])["auth_url"]
    assert [step.url.partition("?")[0] for step in way.steps][-3:] == [
        tool.base_url + "/login",
        auth,
        tool.base_url + "/launch",
    ]
    assert {step.status for step in way.steps} <= {200, 302}


@pytest.mark.parametrize("key", KEYS)
async def test_content_is_chosen_by_those_who_may(campus: RunningCampus, tool: StubTool, key: str) -> None:
    url = f"{campus.base_url}/{key}/_launch?context=biology&person="
    assert (await walk(url + "tess")).ok
    assert payload(tool.launches[0]["id_token"])[LTI + "message_type"] == "LtiDeepLinkingRequest"
    refused = await walk(url + "ada")
    assert (refused.response.status_code, len(tool.launches)) == (403, 1)


async def test_nobody_opens_a_link_of_a_course_they_are_not_in(campus: RunningCampus, tool: StubTool) -> None:
    way = await walk(campus.launch_url("moodle", "kofi", "cell-quiz"))
    assert way.response.status_code == 403
    assert "not enrolled" in way.response.text
    assert tool.logins == []


async def test_a_fault_is_asked_for_in_the_url(campus: RunningCampus, tool: StubTool) -> None:
    await walk(campus.launch_url("canvas", "ada", "cell-quiz", fault="access_denied"))
    assert tool.launches[0]["error"] == "access_denied"
    await walk(campus.launch_url("canvas", "ada", "cell-quiz", storage="none"))
    assert "lti_storage_target" not in tool.logins[1]
    unknown = await walk(campus.launch_url("canvas", "ada", "cell-quiz", fault="flood"))
    assert unknown.response.status_code == 400


async def test_moodle_sends_a_browser_without_a_session_once_more(campus: RunningCampus, tool: StubTool) -> None:
    async with Driver() as driver:
        start = await driver.request(campus.launch_url("moodle", "ada", "cell-quiz"))
        assert driver.cookies.names("127.0.0.1") == {"campus-moodle"}
    with httpx2.Client(follow_redirects=False) as client:  # keeps no cookie of the campus
        login = _form(start.text)
        away = client.post(tool.base_url + "/login", data=login)
        again = client.get(away.headers["location"])
        assert 'name="repost" value="true"' in again.text
        assert 'action="/moodle/mod/lti/auth.php"' in again.text
        answer = client.post(f"{campus.base_url}/moodle/mod/lti/auth.php", data=_form(again.text))
        assert "id_token" in _form(answer.text)


def _form(html: str) -> dict[str, str]:
    from ltihost.testing.driver import forms

    return dict(forms(html, "http://127.0.0.1")[0].fields)


async def test_the_session_of_another_person_shows(campus: RunningCampus, tool: StubTool) -> None:
    """Two accounts in one browser: the login starts as one, the LMS's session is by then another's."""
    async with Driver() as driver:
        start = await driver.request(campus.launch_url("lti", "ada", "cell-quiz"))
        await driver.request(campus.launch_url("lti", "zoe", "cell-quiz"))
        way = await driver.walk(tool.base_url + "/login", fields=_form(start.text))
    assert way.ok
    assert tool.launches[-1]["error"] == "login_required"


def test_a_tool_gets_what_the_lms_gives_it(client: TestClient, form: dict[str, object]) -> None:
    answer = client.post("/moodle/_tools", json=form)
    assert answer.status_code == 201
    given = answer.json()
    assert (len(given["client_id"]), given["deployment_id"]) == (15, "1")
    assert given["issuer"] == "http://testserver/moodle"
    assert given["auth_url"] == "http://testserver/moodle/mod/lti/auth.php"
    assert given["redirect_uris"] == [form["launch_url"]]
    assert given["target_link_uri"] == form["launch_url"]
    assert client.get("/moodle/_tools").json() == [given]
    assert client.get("/canvas/_tools").json() == []


def test_a_tool_may_bring_its_ids_and_replace_itself(client: TestClient, form: dict[str, object]) -> None:
    ids = {"client_id": "c-1", "deployment_id": "d-1"}
    for name in ("First", "Second"):
        client.post("/canvas/_tools", json=form | ids | {"name": name})
    client.post("/canvas/_tools", json=form | {"client_id": "c-1", "deployment_id": "d-2", "name": "Third"})
    assert [tool["name"] for tool in client.get("/canvas/_tools").json()] == ["Second", "Third"]


@pytest.mark.parametrize(
    "change", [{"login_url": None}, {"redirect_uris": "https://tool.example.org"}, {"colour": "red"}], ids=str
)
def test_a_tool_with_a_wrong_field_is_refused(
    client: TestClient, form: dict[str, object], change: dict[str, object]
) -> None:
    answer = client.post("/lti/_tools", json=form | change)
    assert answer.status_code == 400
    assert [error["loc"] for error in answer.json()["errors"]] == [[next(iter(change))]]
    assert client.get("/lti/_tools").json() == []


def test_a_link_without_a_tool_says_so(client: TestClient) -> None:
    assert "No tool is connected yet" in client.get("/canvas/c/biology").text
    assert client.get("/canvas/_launch?person=ada&link=cell-quiz").status_code == 404


def test_key_sets_stand_where_the_lms_has_them(client: TestClient) -> None:
    assert client.get("/moodle/mod/lti/certs.php").json()["keys"][0]["alg"] == "RS256"
    one = client.get("/blackboard/api/v1/management/applications/one/jwks.json").json()
    two = client.get("/blackboard/api/v1/management/applications/two/jwks.json").json()
    assert one["keys"][0]["kid"] != two["keys"][0]["kid"]


def test_changing_the_person(client: TestClient) -> None:
    answer = client.post("/canvas/_person", data={"person": "zoe", "next": "/canvas/c/biology"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/canvas/c/biology")
    assert "Signed in as Zoë Müller-Lüdecke" in client.get("/canvas/c/biology").text
    assert client.post("/canvas/_person", data={"person": "nobody"}).status_code == 404


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "//elsewhere.example", "/moodle/", "/canvas/\\x"])
def test_changing_the_person_leads_nowhere_else(client: TestClient, back: str) -> None:
    answer = client.post("/canvas/_person", data={"person": "zoe", "next": back}, follow_redirects=False)
    assert answer.headers["location"] == "/canvas/"


def pages(key: str) -> list[str]:
    course = f"/{key}/c/biology"
    return [f"/{key}/", course, f"{course}/embeds", f"{course}/pick", f"{course}/l/cell-quiz"]


@pytest.mark.parametrize("path", ["/", *(page for key in KEYS for page in pages(key))])
def test_pages_need_nothing_from_outside(client: TestClient, form: dict[str, object], path: str) -> None:
    for key in KEYS:
        client.post(f"/{key}/_tools", json=form)
    answer = client.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert "<script>" not in answer.text
    assert answer.text.count("<script") == answer.text.count('<script src="/_static/')
    assert answer.text.count("<h1") == 1
    assert answer.text.count("<iframe") == answer.text.count(" title=")  # every frame has a name to read out


@pytest.mark.parametrize("path", ["/canvas/c/none", "/canvas/c/biology/l/none", "/sakai/"])
def test_what_is_not_there(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
