"""The tokens of the campus: signed for the key set, in each LMS's dialect, and wrong in just one way when asked."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from ltihost.testing.platform import FormPost, SimulatedPlatform
from ltihost.testing.profile import AGS, DEEP_LINKING, INSTITUTION, LTI, MEMBERSHIP, NOTICES, SYSTEM, TEST_USER
from tests.campus.conftest import KEYS, TOOL, Clock, connected
from tests.campus.stub_tool import auth_params, payload


def launch(platform: SimulatedPlatform, person: str, link: str | None, **options: Any) -> tuple[str, dict[str, str]]:
    """The id_token of a launch and the request that asked for it."""
    params = auth_params(dict(platform.start(person, link, **options).fields), f"{TOOL}/launch")
    answer = platform.authorize(params)
    assert isinstance(answer, FormPost)
    return answer.fields["id_token"], params


def verified(platform: SimulatedPlatform, token: str) -> dict[str, Any]:
    """The claims, if the key set of the LMS has the key."""
    keys = KeySet.import_key_set({"keys": platform.key_set(platform.tool().client_id)["keys"]})
    return dict(jwt.decode(token, keys, algorithms=["RS256"]).claims)


def test_token_fits_request_key_set_and_registration(platform: SimulatedPlatform, clock: Clock) -> None:
    token, params = launch(platform, "ada", "cell-quiz")
    claims = verified(platform, token)
    tool = platform.tool()
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (platform.issuer, tool.client_id, params["nonce"])
    assert claims[LTI + "deployment_id"] == tool.deployment_id
    assert claims[LTI + "target_link_uri"] == f"{TOOL}/launch"
    assert claims["iat"] == clock.now
    assert claims["exp"] == clock.now + platform.profile.token_seconds


@pytest.mark.parametrize(("key", "seconds"), [("canvas", 3600), ("moodle", 60), ("blackboard", 3600)])
def test_life_of_a_token(key: str, seconds: int, clock: Clock) -> None:
    claims = payload(launch(connected(key, clock), "ada", "cell-quiz")[0])
    assert claims["exp"] - claims["iat"] == seconds


@pytest.mark.parametrize(("key", "age"), [("lti", 0), ("canvas", 200), ("moodle", 0), ("blackboard", 0)])
def test_when_a_token_is_built(key: str, age: int, clock: Clock) -> None:
    """Canvas builds it when the login starts and adds the nonce later."""
    platform = connected(key, clock)
    params = auth_params(dict(platform.start("ada", "cell-quiz").fields), f"{TOOL}/launch")
    clock.now += 200
    answer = platform.authorize(params)
    assert isinstance(answer, FormPost)
    claims = payload(answer.fields["id_token"])
    assert (clock.now - claims["iat"], claims["nonce"]) == (age, params["nonce"])


def test_key_rotation_keeps_the_old_key_published(platform: SimulatedPlatform) -> None:
    before, _ = launch(platform, "ada", "cell-quiz")
    after, _ = launch(platform, "ada", "cell-quiz", faults=["new_key"])
    assert verified(platform, before)["sub"] == verified(platform, after)["sub"]
    assert len(platform.key_set(platform.tool().client_id)["keys"]) == 2


def test_key_set_holds_nothing_private(platform: SimulatedPlatform) -> None:
    launch(platform, "ada", "cell-quiz")
    for key in platform.key_set(platform.tool().client_id)["keys"]:
        assert set(key) == {"kty", "n", "e", "kid", "alg", "use"}


def test_one_client_cannot_use_anothers_keys_where_the_lms_has_a_set_per_client(clock: Clock) -> None:
    platform = connected("blackboard", clock)
    first, second = platform.key_set("one")["keys"], platform.key_set("two")["keys"]
    assert first[0]["kid"] != second[0]["kid"]
    assert platform.endpoints("one")["jwks_url"].endswith("/applications/one/jwks.json")


@pytest.mark.parametrize(("fault", "error"), [("unknown_key", InvalidKeyIdError), ("tampered", BadSignatureError)])
def test_spoilt_signatures(platform: SimulatedPlatform, fault: str, error: type[JoseError]) -> None:
    token, _ = launch(platform, "ada", "cell-quiz", faults=[fault])
    with pytest.raises((error, ValueError)):
        verified(platform, token)


@pytest.mark.parametrize(
    ("fault", "changed"),
    [
        ("late_clock", {"iat", "exp"}),
        ("fast_clock", {"iat", "exp"}),
        ("expired", {"iat", "exp"}),
        ("wrong_audience", {"aud"}),
        ("wrong_nonce", {"nonce"}),
        ("unknown_deployment", {LTI + "deployment_id"}),
    ],
)
def test_each_fault_changes_one_thing(clock: Clock, fault: str, changed: set[str]) -> None:
    platform = connected("lti", clock)
    good = payload(launch(platform, "ada", "cell-quiz")[0])
    token, params = launch(platform, "ada", "cell-quiz", faults=[fault])
    claims = verified(platform, token)
    good["nonce"] = params["nonce"]
    found = {name for name in good.keys() | claims.keys() if good.get(name) != claims.get(name)}
    assert found - {NOTICES} == changed  # the address for notices names the deployment


def test_times_of_the_faults(clock: Clock) -> None:
    platform = connected("lti", clock)
    times = {
        fault: payload(launch(platform, "ada", "cell-quiz", faults=[fault])[0])
        for fault in ("late_clock", "fast_clock", "expired")
    }
    offsets = {fault: (claims["iat"] - clock.now, claims["exp"] - clock.now) for fault, claims in times.items()}
    assert offsets == {"late_clock": (-900, -600), "fast_clock": (900, 1200), "expired": (-300, -180)}


def test_unknown_deployment_is_unknown_from_the_login_on(platform: SimulatedPlatform) -> None:
    login = platform.start("ada", "cell-quiz", faults=["unknown_deployment"])
    told = login.fields.get("lti_deployment_id") or login.fields["deployment_id"]
    answer = platform.authorize(auth_params(dict(login.fields), f"{TOOL}/launch"))
    assert isinstance(answer, FormPost)
    assert payload(answer.fields["id_token"])[LTI + "deployment_id"] == told != platform.tool().deployment_id


def test_withheld_names(platform: SimulatedPlatform) -> None:
    open_claims = payload(launch(platform, "ada", "cell-quiz")[0])
    claims = payload(launch(platform, "ada", "cell-quiz", faults=["no_names"])[0])
    assert claims["sub"] == open_claims["sub"]
    assert {"name", "given_name", "family_name", "email"} <= open_claims.keys()
    assert not {"name", "given_name", "family_name", "email", "picture"} & claims.keys()
    assert "ada" not in str(claims.get(LTI + "ext"))


def test_a_test_may_change_any_claim(platform: SimulatedPlatform) -> None:
    token, _ = launch(platform, "ada", "cell-quiz", edit=lambda claims: claims.update({LTI + "version": "1.3"}))
    assert verified(platform, token)[LTI + "version"] == "1.3"


def test_unknown_names_are_refused(platform: SimulatedPlatform) -> None:
    with pytest.raises(ValueError, match="unknown faults: flood"):
        platform.start("ada", "cell-quiz", faults=["flood"])
    with pytest.raises(KeyError):
        platform.start("nobody", "cell-quiz")
    with pytest.raises(KeyError):
        platform.start("ada", "no-such-link")


# Dialects.


def roles(platform: SimulatedPlatform, person: str, link: str = "cell-quiz") -> list[str]:
    found: list[str] = payload(launch(platform, person, link)[0])[LTI + "roles"]
    return found


def test_roles_of_canvas(clock: Clock) -> None:
    """Institution roles say what somebody is anywhere; the list is sorted."""
    canvas = connected("canvas", clock)
    assistant = [
        INSTITUTION + "Instructor", INSTITUTION + "Student", MEMBERSHIP + "Instructor",
        MEMBERSHIP.replace("#", "/Instructor#") + "TeachingAssistant", SYSTEM + "User",
    ]  # fmt: skip
    assert roles(canvas, "amir") == sorted(assistant)
    assert MEMBERSHIP + "Learner" in roles(canvas, "amir", "averages")
    assert MEMBERSHIP + "Instructor" not in roles(canvas, "amir", "averages")
    assert TEST_USER in roles(canvas, "preview")
    assert not [role for role in roles(canvas, "sam", "account-menu") if role.startswith(MEMBERSHIP)]
    assert roles(canvas, "visitor", "biology-menu") == [SYSTEM + "None"]


def test_roles_of_blackboard(clock: Clock) -> None:
    """Whoever is privileged is an Instructor; a variable tells who really is."""
    blackboard = connected("blackboard", clock)
    codes = {}
    for person in ("tess", "amir", "greta", "dario"):
        claims = payload(launch(blackboard, person, "cell-quiz")[0])
        assert claims[LTI + "roles"] == [MEMBERSHIP + "Instructor"]
        codes[person] = claims[LTI + "custom"]["bb_course_role"]
    assert codes == {"tess": "P", "amir": "T", "greta": "G", "dario": "B"}


def test_a_link_in_the_menu_is_no_real_link(clock: Clock) -> None:
    canvas = payload(launch(connected("canvas", clock), "tess", "biology-menu")[0])
    assert canvas[LTI + "resource_link"]["id"] == canvas[LTI + "context"]["id"]
    assert canvas["https://www.instructure.com/placement"] == "course_navigation"
    blackboard = payload(launch(connected("blackboard", clock), "tess", "biology-menu")[0])
    assert LTI + "resource_link" not in blackboard


def test_nobody_signed_in_on_canvas(clock: Clock) -> None:
    claims = payload(launch(connected("canvas", clock), "visitor", "biology-menu")[0])
    assert "sub" not in claims
    assert "name" not in claims
    assert claims[LTI + "lti11_legacy_user_id"] == ""


def test_canvas_says_deployment_id_at_login_and_repeats_the_storage_target(clock: Clock) -> None:
    canvas = connected("canvas", clock)
    login = canvas.start("ada", "cell-quiz")
    assert login.fields["deployment_id"] == canvas.tool().deployment_id
    assert "lti_deployment_id" not in login.fields
    answer = canvas.authorize(auth_params(dict(login.fields), f"{TOOL}/launch"))
    assert isinstance(answer, FormPost)
    assert answer.fields["lti_storage_target"] == login.fields["lti_storage_target"] == "post_message_forwarding"


@pytest.mark.parametrize(
    ("key", "method", "target"),
    [
        ("lti", "post", "_parent"),
        ("canvas", "post", "post_message_forwarding"),
        ("moodle", "post", None),
        ("blackboard", "get", "lti_storage_frame"),
    ],
)
def test_login_method_and_storage(key: str, method: str, target: str | None, clock: Clock) -> None:
    platform = connected(key, clock)
    login = platform.start("ada", "cell-quiz")
    assert (login.method, login.fields.get("lti_storage_target")) == (method, target)
    assert "lti_storage_target" not in platform.start("ada", "cell-quiz", storage=False).fields


@pytest.mark.parametrize("key", KEYS)
def test_deep_linking_names_no_new_link_and_no_line_item(key: str, clock: Clock) -> None:
    claims = payload(launch(connected(key, clock), "tess", None, context="biology")[0])
    assert claims[LTI + "message_type"] == "LtiDeepLinkingRequest"
    assert claims[DEEP_LINKING]["deep_link_return_url"].startswith(f"https://campus.example/{key}/")
    assert "lineitem" not in claims[AGS]
    folder = {"id": "_14_1"} if key == "blackboard" else None
    assert claims.get(LTI + "resource_link") == folder


def test_line_item_stands_where_there_are_points(platform: SimulatedPlatform) -> None:
    assert "lineitem" in payload(launch(platform, "ada", "cell-quiz")[0])[AGS]
    assert "lineitem" not in payload(launch(platform, "ada", "lab-safety")[0])[AGS]


def test_ids_differ_between_all_people_places_and_links(platform: SimulatedPlatform) -> None:
    profile = platform.profile
    links = [link for context in profile.contexts for link in context.links]
    for ids in (
        [profile.person_id(person) for person in profile.people],
        [profile.context_id(context) for context in profile.contexts],
        [profile.link_id(link) for link in links],
        [link.slug for link in links],
    ):
        assert len(ids) == len(set(ids))
