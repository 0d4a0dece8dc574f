"""What each LMS's authorisation endpoint lets pass, and how it says no."""

from __future__ import annotations

import pytest

from ltihost.testing.parts import Page
from ltihost.testing.platform import FormPost, SimulatedPlatform
from tests.campus.conftest import KEYS, TOOL, Clock, connected
from tests.campus.stub_tool import auth_params

Answer = int | str


def ask(platform: SimulatedPlatform, changes: dict[str, str | None] | None = None, **options: str | None) -> Answer:
    """The `error` of the post, "id_token" for a launch, or the status of the LMS's own page."""
    params = auth_params(dict(platform.start("ada", "cell-quiz").fields), f"{TOOL}/launch") | (changes or {})
    return outcome(platform.authorize({k: v for k, v in params.items() if v is not None}, **options))


def outcome(answer: FormPost | Page) -> Answer:
    if isinstance(answer, Page):
        return answer.status
    return "id_token" if "id_token" in answer.fields else answer.fields["error"]


#: Per change of a good request, what the LMSs answer. Moodle's answers are held against its captures elsewhere.
RULES: dict[str, tuple[dict[str, str | None], dict[str, Answer]]] = {
    "nothing": ({}, {"lti": "id_token", "canvas": "id_token", "blackboard": "id_token"}),
    "other redirect_uri": (
        {"redirect_uri": f"{TOOL}/other"},
        {"lti": 400, "canvas": 400, "blackboard": 400},
    ),
    "redirect_uri with a query": (
        {"redirect_uri": f"{TOOL}/launch?a=1"},
        {"lti": 400, "canvas": "id_token", "blackboard": 400},
    ),
    "more scopes": (
        {"scope": "openid profile"},
        {"lti": "invalid_request", "canvas": "invalid_request_object", "blackboard": 400},
    ),
    "no response_mode": (
        {"response_mode": None},
        {"lti": "invalid_request", "canvas": "invalid_request_object", "blackboard": "id_token"},
    ),
    "no prompt": (
        {"prompt": None},
        {"lti": "invalid_request", "canvas": "invalid_request_object", "blackboard": "id_token"},
    ),
    "no nonce": (
        {"nonce": None},
        {"lti": "invalid_request", "canvas": "invalid_request_object", "blackboard": 400},
    ),
    "no state": ({"state": None}, {"lti": "id_token", "canvas": "id_token", "blackboard": "id_token"}),
    "other client": (
        {"client_id": "other"},
        {"lti": "unauthorized_client", "canvas": "unauthorized_client", "blackboard": 400},
    ),
    "other login_hint": (
        {"login_hint": "other"},
        {"lti": "login_required", "canvas": "login_required", "blackboard": 400},
    ),
    "no message hint": ({"lti_message_hint": None}, {"lti": 400, "canvas": 400, "blackboard": 400}),
}
CASES = [(key, name) for name, (_, answers) in RULES.items() for key in answers]


@pytest.mark.parametrize(("key", "name"), CASES)
def test_each_lms_has_its_own_rules(key: str, name: str, clock: Clock) -> None:
    changes, answers = RULES[name]
    assert ask(connected(key, clock), changes) == answers[key]


@pytest.mark.parametrize(
    ("key", "again"),
    [("lti", "id_token"), ("canvas", "launch_no_longer_valid"), ("moodle", 404), ("blackboard", "id_token")],
)
def test_the_same_request_twice(key: str, again: Answer, clock: Clock) -> None:
    platform = connected(key, clock)
    params = auth_params(dict(platform.start("ada", "cell-quiz").fields), f"{TOOL}/launch")
    assert outcome(platform.authorize(params)) == "id_token"
    assert outcome(platform.authorize(params)) == again


@pytest.mark.parametrize(
    ("key", "late"), [("lti", 400), ("canvas", "launch_no_longer_valid"), ("moodle", 404), ("blackboard", 400)]
)
def test_a_hint_that_is_too_old(key: str, late: Answer, clock: Clock) -> None:
    platform = connected(key, clock)
    params = auth_params(dict(platform.start("ada", "cell-quiz").fields), f"{TOOL}/launch")
    clock.now += platform.profile.hint_seconds
    assert outcome(platform.authorize(params)) == "id_token"
    params = auth_params(dict(platform.start("ada", "cell-quiz").fields), f"{TOOL}/launch")
    clock.now += platform.profile.hint_seconds + 1
    assert outcome(platform.authorize(params)) == late


@pytest.mark.parametrize(
    ("key", "answer"), [("lti", "login_required"), ("canvas", "login_required"), ("moodle", 404), ("blackboard", 400)]
)
def test_another_persons_session(key: str, answer: Answer, clock: Clock) -> None:
    platform = connected(key, clock)
    assert ask(platform, signed_in="ada") == "id_token"
    assert ask(platform, signed_in="tess") == answer


@pytest.mark.parametrize("key", KEYS)
def test_answer_goes_where_it_was_asked_with_the_state(key: str, clock: Clock) -> None:
    platform = connected(key, clock)
    params = auth_params(dict(platform.start("ada", "cell-quiz").fields), f"{TOOL}/launch")
    answer = platform.authorize(params)
    assert isinstance(answer, FormPost)
    assert (answer.url, answer.fields["state"]) == (f"{TOOL}/launch", params["state"])


@pytest.mark.parametrize("error", ["login_required", "launch_no_longer_valid", "access_denied"])
def test_errors_on_purpose_carry_the_state_and_no_token(platform: SimulatedPlatform, error: str) -> None:
    login = platform.start("ada", "cell-quiz", faults=[error])
    params = auth_params(dict(login.fields), f"{TOOL}/launch")
    answer = platform.authorize(params)
    assert isinstance(answer, FormPost)
    assert answer.fields == {"error": error, "error_description": "made on purpose", "state": params["state"]}
