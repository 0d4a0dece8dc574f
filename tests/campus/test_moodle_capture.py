"""The simulated Moodle against what a real Moodle 4.5.6 sent and answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ltihost.testing.parts import Context, Link, Page, Person
from ltihost.testing.platform import FormPost, SimulatedPlatform
from ltihost_moodle.profile import INVALID, profile
from tests.campus.conftest import Clock
from tests.campus.stub_tool import auth_params, payload

DATA = Path(__file__).parents[1] / "data" / "moodle"
TOOL = "http://127.0.0.1:9001"
CUSTOM = {
    "ctx": "$Context.id",
    "ctx_hist": "$Context.id.history",
    "end": "$ResourceLink.submission.endDateTime",
    "groups": "$Moodle.Person.userGroupIds",
    "lang": "$Message.locale",
    "lis_person": "$Person.sourcedId",
    "mixedCase": "Hello",
    "rlid": "$ResourceLink.id",
    "role": "$Membership.role",
    "section": "$CourseSection.title",
    "sis": "$Context.sourcedId",
    "start": "$ResourceLink.available.startDateTime",
    "timezone": "$Person.timezone",
    "title": "$ResourceLink.title",
    "uid": "$User.id",
    "unknown": "$No.Such.Var",
    "username": "$User.username",
}
LINK = Link(
    slug="peer",
    number=1,
    title='Peer review "q" & é',
    description='Intro of Peer review "q" & é',
    maximum=100,
    custom={"Mixed_Key": "abc", "semi": "a;b", "space key": "x y", "task": "42"},
)
PEOPLE = (
    Person("admin", 2, "Admin", "User"),
    Person("teacher1", 3, "Tess", "Teacher"),
    Person("student01", 7, "Ada", "O'Brien 1", "S0001"),
)
COURSE = Context(
    slug="lti101",
    number=2,
    label="LTI101",
    title='LTI 101: Peer "Review" & Fairness',
    sourcedid="SIS-LTI101",
    enrolled={"admin": "administrator", "teacher1": "teacher", "student01": "student"},
    links=(LINK,),
)
#: Values that are another site's, another moment's or random; their names and types must still agree.
OTHER = {
    "nonce", "iat", "exp", "email", "custom.groups", "tool_platform.guid", "launch_presentation.return_url",
    "basicoutcome.lis_result_sourcedid", "deep_linking_settings.deep_link_return_url", "deep_linking_settings.text",
    "deep_linking_settings.title",
}  # fmt: skip


@pytest.fixture
def moodle(clock: Clock) -> SimulatedPlatform:
    site = replace(profile(), people=PEOPLE, contexts=(COURSE,), site="LBM", site_name="Loopback Moodle")
    found = SimulatedPlatform(site, "http://127.0.0.1:8090", clock=clock)
    found.register(
        client_id="NTP8xlFBlIn9rs6",
        deployment_id="1",
        login_url=f"{TOOL}/login",
        launch_url=f"{TOOL}/launch",
        jwks_url=f"{TOOL}/jwks",
        custom=CUSTOM,
    )
    return found


def captured(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / name).read_text())
    return found


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its path; claim names are cut to their last word."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from leaves(member, f"{path}.{name.rpartition('/')[2]}".lstrip("."))
    else:
        yield path, value


@pytest.mark.parametrize(
    ("file", "person", "link"),
    [
        ("launch-student01.json", "student01", "peer"),
        ("launch-teacher1.json", "teacher1", "peer"),
        ("launch-admin.json", "admin", "peer"),
        ("launch-deeplinking-teacher1.json", "teacher1", None),
    ],
)
def test_claims_are_those_of_a_real_moodle(moodle: SimulatedPlatform, file: str, person: str, link: str | None) -> None:
    real = captured(file)
    login = moodle.start(person, link, context="lti101")
    answer = moodle.authorize(auth_params(dict(login.fields), f"{TOOL}/launch"))
    assert isinstance(answer, FormPost)
    assert sorted(answer.fields) == real.get("form_fields_posted", ["id_token", "state"])
    ours, theirs = dict(leaves(payload(answer.fields["id_token"]))), dict(leaves(real["claims"]))
    assert ours.keys() == theirs.keys()
    assert {path: type(value) for path, value in ours.items()} == {path: type(value) for path, value in theirs.items()}
    assert {path: value for path, value in ours.items() if path not in OTHER} == {
        path: value for path, value in theirs.items() if path not in OTHER
    }
    assert ours["exp"] - ours["iat"] == theirs["exp"] - theirs["iat"] == 60


@pytest.mark.parametrize("file", ["launch-student01.json", "launch-deeplinking-teacher1.json"])
def test_login_is_that_of_a_real_moodle(moodle: SimulatedPlatform, file: str) -> None:
    real = captured(file)["hops"][0]
    link = None if "deeplinking" in file else "peer"
    login = moodle.start("teacher1" if link is None else "student01", link, context="lti101")
    assert (login.method, login.url) == (real["method"], real["action"])
    assert login.fields.keys() == real["fields"].keys()
    told = {name: value for name, value in login.fields.items() if name != "lti_message_hint"}
    assert told == {name: value for name, value in real["fields"].items() if name != "lti_message_hint"}
    ours, theirs = json.loads(login.fields["lti_message_hint"]), json.loads(real["fields"]["lti_message_hint"])
    assert ours.pop("launchid").rstrip("0123456789") == theirs.pop("launchid").rstrip("0123456789")
    assert ours == theirs


#: One change to a good request each, under the name it has in the capture; None takes a parameter away.
REQUESTS: dict[str, dict[str, str | None]] = {
    "auth-ok": {},
    "auth-no-prompt": {"prompt": None},
    "auth-prompt-login": {"prompt": "login"},
    "auth-no-response_mode": {"response_mode": None},
    "auth-response_mode-query": {"response_mode": "query"},
    "auth-no-nonce": {"nonce": None},
    "auth-no-state": {"state": None},
    "auth-scope-extra": {"scope": "openid profile"},
    "auth-response_type-code": {"response_type": "code"},
    "auth-client-wrong": {"client_id": "other"},
    "auth-redirect-wrong": {"redirect_uri": "http://127.0.0.1:9001/other"},
    "auth-redirect-with-query": {"redirect_uri": "http://127.0.0.1:9001/launch?a=1"},
    "auth-login_hint-wrong": {"login_hint": "5"},
    "auth-hint-garbage": {"lti_message_hint": "garbage"},
    "auth-hint-missing": {"lti_message_hint": None},
}


def request(moodle: SimulatedPlatform, **changes: str | None) -> dict[str, str]:
    login = moodle.start("student01", "peer")
    params = {**auth_params(dict(login.fields), f"{TOOL}/launch"), "state": "st", **changes}
    return {name: value for name, value in params.items() if value is not None}


def same(answer: FormPost | Page, real: dict[str, Any]) -> bool:
    if isinstance(answer, Page):
        return real["fields"] is None and (answer.status, answer.title) == (real["status"], real["error_page"])
    fields = {**real["fields"], **({"id_token": answer.fields["id_token"]} if "id_token" in real["fields"] else {})}
    return (answer.url, dict(answer.fields)) == (real["form_action"], fields)


@pytest.mark.parametrize("name", REQUESTS)
def test_endpoint_answers_as_a_real_moodle(moodle: SimulatedPlatform, name: str) -> None:
    assert same(moodle.authorize(request(moodle, **REQUESTS[name])), captured("auth-endpoint.json")[name])


def test_hint_serves_once(moodle: SimulatedPlatform) -> None:
    params = request(moodle)
    assert isinstance(moodle.authorize(params), FormPost)
    assert same(moodle.authorize(params), captured("auth-endpoint.json")["auth-replay-same-hint"])


def test_session_of_another_person_finds_no_launch(moodle: SimulatedPlatform) -> None:
    answer = moodle.authorize(request(moodle), signed_in="teacher1")
    assert same(answer, captured("auth-endpoint.json")["auth-other-user-session"])


def test_hint_does_not_live_for_ever(moodle: SimulatedPlatform, clock: Clock) -> None:
    params = request(moodle)
    clock.now += moodle.profile.hint_seconds + 1
    assert moodle.authorize(params) == INVALID
