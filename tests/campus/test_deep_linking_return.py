"""Content that a tool gives back: checked as each LMS checks it, added, and launched."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from ltihost.testing.profile import AGS, DEEP_LINKING, LTI, Claims
from ltihost.testing.serving import RunningCampus
from tests.campus.conftest import KEYS
from tests.campus.service_client import ServiceClient, registered, signed
from tests.campus.stub_tool import auth_params, payload

DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
ITEM = {
    "type": "ltiResourceLink", "title": "Fractions", "text": "Ten sums", "url": "https://tool.example.org/lti?item=7",
    "custom": {"ltihost_item": "itm_7"}, "lineItem": {"scoreMaximum": 20, "label": "Fractions", "resourceId": "r7", "tag": "t7"},
}  # fmt: skip


@pytest.fixture(params=KEYS)
def client(request: pytest.FixtureRequest, campus: RunningCampus) -> Iterator[ServiceClient]:
    with registered(campus, request.param) as found:
        yield found


@pytest.fixture
def on(campus: RunningCampus) -> Iterator[Callable[[str], ServiceClient]]:
    """A tool of the LMS of this key."""
    stack = []

    def enter(key: str) -> ServiceClient:
        stack.append(registered(campus, key))
        return stack[-1].__enter__()

    yield enter
    for manager in stack:
        manager.__exit__(None, None, None)


def picking(client: ServiceClient) -> Claims:
    """The claims of a picker that a teacher has just opened."""
    login = client.platform.start("tess", None, client.tool, context="biology")
    answer = client.platform.authorize(auth_params(dict(login.fields), client.tool.launch_url))
    return payload(answer.fields["id_token"])  # type: ignore[union-attr]


def response(client: ServiceClient, asked: Claims, *items: dict[str, Any], **changes: Any) -> Claims:
    now = int(client.platform.clock())
    data = asked[DEEP_LINKING].get("data")
    claims: Claims = {
        "iss": client.tool.client_id, "sub": client.tool.client_id, "aud": asked["iss"], "iat": now - 5, "exp": now + 200,
        "nonce": secrets.token_hex(8), LTI + "message_type": "LtiDeepLinkingResponse", LTI + "version": "1.3.0",
        LTI + "deployment_id": client.tool.deployment_id, DL + "content_items": list(items),
        **({DL + "data": data} if data is not None else {}),
    }  # fmt: skip
    return {name: value for name, value in (claims | changes).items() if value is not None}


def give_back(client: ServiceClient, asked: Claims, *items: dict[str, Any], **changes: Any) -> httpx2.Response:
    url = asked[DEEP_LINKING]["deep_link_return_url"]
    return client.http.post(url, data={"JWT": signed(response(client, asked, *items, **changes))})


def confirmed(client: ServiceClient, shown: httpx2.Response) -> httpx2.Response:
    """Press the button, where the LMS asks once more."""
    key = re.search(r'name="choice" value="([^"]+)"', shown.text)
    return client.http.post(client.platform.base_url + "/_add", data={"choice": key[1]}) if key else shown


def added(client: ServiceClient) -> Any:
    return client.platform.contexts["biology"].links[-1]


def test_a_chosen_link_is_added_and_launched(client: ServiceClient) -> None:
    shown = give_back(client, picking(client), ITEM)
    assert "Fractions" in shown.text
    assert (added(client).title == "Fractions") == (client.platform.profile.key == "blackboard")  # the others ask first
    done = confirmed(client, shown)
    assert "Added to the course" in done.text
    link = added(client)
    claims = client.claims(link.slug)
    assert claims[LTI + "target_link_uri"] == ITEM["url"]
    assert claims[LTI + "custom"]["ltihost_item"] == "itm_7"
    assert claims[LTI + "resource_link"]["title"] == "Fractions"
    item = client.item(claims[AGS]["lineitem"]).json()
    assert (item["label"], item["scoreMaximum"]) == ("Fractions", 20)
    assert item.get("resourceId", "") == ("" if client.platform.profile.key == "blackboard" else "r7")
    assert client.score(10, scoreMaximum=20, link=link.slug).is_success
    assert client.grade(link=link.slug) == 10


def test_a_choice_is_added_once(client: ServiceClient) -> None:
    shown = give_back(client, picking(client), ITEM)
    confirmed(client, shown)
    before = len(client.platform.contexts["biology"].links)
    confirmed(client, shown)
    assert len(client.platform.contexts["biology"].links) == before


def test_nothing_and_an_error_add_nothing(client: ServiceClient) -> None:
    before = client.platform.contexts["biology"].links
    assert "Nothing was chosen" in give_back(client, picking(client)).text
    failed = give_back(client, picking(client), ITEM, **{DL + "errormsg": "The library <b>is</b> closed"})
    assert "The library &lt;b&gt;is&lt;/b&gt; closed" in failed.text
    assert client.platform.contexts["biology"].links == before


def test_a_foreign_signature_is_refused(client: ServiceClient, campus: RunningCampus) -> None:
    asked = picking(client)
    url = asked[DEEP_LINKING]["deep_link_return_url"]
    forged = signed(response(client, asked, ITEM))[:-8] + "AAAAAAAA"
    assert client.http.post(url, data={"JWT": forged}).status_code >= 400
    assert client.http.post(url, data={"JWT": "garbage"}).status_code >= 400
    assert client.http.post(url, data={}).status_code >= 400


@pytest.mark.parametrize(
    "name", ["iss", "aud", "exp", "nonce", LTI + "message_type", LTI + "version", LTI + "deployment_id", DL + "data"]
)
def test_by_the_spec_everything_must_be_there(on: Callable[[str], ServiceClient], name: str) -> None:
    client = on("lti")
    refused = give_back(client, picking(client), ITEM, **{name: None})
    assert refused.status_code == 400
    assert added(client).title != "Fractions"


def test_by_the_spec_a_nonce_serves_once(on: Callable[[str], ServiceClient]) -> None:
    client = on("lti")
    asked = picking(client)
    assert give_back(client, asked, ITEM, nonce="once").status_code == 200
    assert give_back(client, asked, ITEM, nonce="once").status_code == 400


def test_by_the_spec_other_types_are_material(on: Callable[[str], ServiceClient]) -> None:
    client = on("lti")
    page = {"type": "link", "title": "A page", "url": "https://example.org/page"}
    confirmed(client, give_back(client, picking(client), page))
    (material,) = client.platform.materials["biology"]
    assert (material.title, material.url) == ("A page", "https://example.org/page")
    refused = give_back(client, picking(client), {"type": "image", "url": "https://example.org/a.png"})
    assert "image cannot be added here" in refused.text


def test_moodle_looks_at_little(on: Callable[[str], ServiceClient]) -> None:
    client = on("moodle")
    loose = {"aud": "https://elsewhere.example", "nonce": None, LTI + "message_type": None, LTI + "deployment_id": "99"}
    assert give_back(client, picking(client), ITEM, **loose).status_code == 200
    assert give_back(client, picking(client), ITEM, iss="other").status_code == 404
    assert give_back(client, picking(client), ITEM, iat=int(client.platform.clock()) + 30).status_code == 404


@pytest.mark.parametrize("maximum", [12.5, 0, 500, 101])
def test_moodle_takes_whole_maxima_up_to_a_hundred(on: Callable[[str], ServiceClient], maximum: float) -> None:
    client = on("moodle")
    bad = {**ITEM, "title": "Bad", "lineItem": {"scoreMaximum": maximum}}
    done = confirmed(client, give_back(client, picking(client), bad, ITEM))
    assert "integer between 1 and 100" in done.text or "Fractions" in done.text
    assert [link.title for link in client.platform.contexts["biology"].links][-1] == "Fractions"
    assert "Bad" not in [link.title for link in client.platform.contexts["biology"].links]


def test_moodle_parameters_are_lines_and_the_label_is_the_title(on: Callable[[str], ServiceClient]) -> None:
    client = on("moodle")
    odd = {**ITEM, "custom": {"a": "1\nb=2"}, "lineItem": {"scoreMaximum": 5, "label": "Other"}}
    confirmed(client, give_back(client, picking(client), odd))
    assert added(client).custom == {"a": "1", "b": "2"}
    assert client.platform.gradebook.column_of(added(client).slug).label == "Fractions"
    nested = {**ITEM, "custom": {"a": {"b": 1}}}
    assert "Nothing was added" in give_back(client, picking(client), nested).text


def test_canvas_answers_json_and_takes_one(on: Callable[[str], ServiceClient]) -> None:
    client = on("canvas")
    refused = give_back(client, picking(client), ITEM, ITEM)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["jwt"])
    now = int(client.platform.clock())
    assert "older than 5 minutes" in give_back(client, picking(client), ITEM, iat=now - 310).text
    assert "aud" in give_back(client, picking(client), ITEM, aud="https://other.example").text
    assert give_back(client, picking(client), ITEM, aud=["https://canvas.instructure.com"]).status_code == 200


def test_blackboard_wants_its_data_back(on: Callable[[str], ServiceClient]) -> None:
    client = on("blackboard")
    asked = picking(client)
    data = asked[DEEP_LINKING]["data"]
    assert give_back(client, asked, ITEM, **{DL + "data": None}).status_code == 400
    assert give_back(client, asked, ITEM, **{DL + "data": data + " "}).status_code == 400
    assert give_back(client, asked, ITEM, sub=None).status_code == 400
    assert give_back(client, asked, ITEM, nonce=None).status_code == 200


def test_blackboard_cannot_open_what_has_no_url(on: Callable[[str], ServiceClient]) -> None:
    client = on("blackboard")
    give_back(client, picking(client), {**ITEM, "url": None})
    assert added(client).title == "(Invalid Link)"
    decimal = {**ITEM, "lineItem": {"scoreMaximum": 12.5}}
    assert "must be an integer" in give_back(client, picking(client), decimal).text
