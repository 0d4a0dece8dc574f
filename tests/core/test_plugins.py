"""Loading: each plugin alone, a bad one refused with its reason. Calling: who is asked, and what is believed."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from ltihost.errors import Refused
from ltihost.plugins.calls import Calls
from ltihost.plugins.contract import ENTRY_POINT_GROUP, Preset, fill_preset
from ltihost.plugins.loader import Plugins, load_plugins
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.records import Application, Binding, EnabledPlugin, Registration, Tenant
from tests.core.example_plugins import good

DEPLOYMENT_ID = "https://purl.imsglobal.org/spec/lti/claim/deployment_id"
CLAIMS: dict[str, Any] = {"iss": "https://lms.example", "sub": "7", "name": "ada", DEPLOYMENT_ID: "1", "x": [{"y": 1}]}


def entry(name: str, module: str | None = None) -> EntryPoint:
    return EntryPoint(name, f"tests.core.example_plugins.{module or name}", ENTRY_POINT_GROUP)


def load(*names: str) -> Plugins:
    return load_plugins(installed=[entry(name) for name in names])


def binding(plugin: str, *enabled: str) -> Binding:
    return Binding(
        Tenant("ten_1", "uni", "Uni"),
        Registration("reg_1", "ten_1", "LMS", plugin, "active"),
        "1",
        Application("app_1", "ten_1", "tool", "Tool", "https://app.example/"),
        tuple(EnabledPlugin(key) for key in enabled or (plugin,)),
    )


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("broken_import", "import_failed", "no licence found"),
        ("missing_module", "import_failed", "missing_module"),
        ("no_manifest", "no_manifest", "manifest"),
        ("renamed", "key_differs", "something_else"),
        ("newer", "api_version", "this host speaks"),
        ("misspelt", "unknown_hook", "normalize_claims"),
        ("wrong_parameters", "hook_signature", "database"),
        ("coroutine", "hook_async", "plain function"),
        ("wrapper", "hook_wrapper", "wrapper"),
        ("odd_adapter", "adapter_type", "LtiAdapter"),
    ],
)
def test_a_bad_plugin_is_refused_alone_and_says_why(name: str, code: str, words: str) -> None:
    plugins = load("good", name)
    assert set(plugins.loaded) == {"lti", "good"}
    (refused,) = plugins.refused
    assert (refused.name, refused.code) == (name, code)
    assert words in refused.reason


def test_the_built_in_plugin_is_always_there() -> None:
    plugins = load()
    assert plugins.loaded["lti"].adapter is LtiAdapter
    assert plugins.refused == ()


def test_the_operator_chooses_and_is_told_of_what_is_not_installed() -> None:
    plugins = load_plugins(["good", "absent"], installed=[entry("good"), entry("policy")])
    assert set(plugins.loaded) == {"lti", "good"}
    assert [(refused.name, refused.code) for refused in plugins.refused] == [("absent", "not_installed")]


def test_two_plugins_with_one_key() -> None:
    plugins = load_plugins(installed=[entry("good"), entry("good", "silent")])
    assert [refused.code for refused in plugins.refused] == ["key_taken"]


def test_nobody_takes_the_place_of_the_built_in_plugin() -> None:
    plugins = load_plugins(installed=[entry("lti", "good")])
    assert [refused.code for refused in plugins.refused] == ["key_taken"]
    assert plugins.loaded["lti"].adapter is LtiAdapter


def test_our_own_plugins_load() -> None:
    plugins = load_plugins()
    assert set(plugins.loaded) == {"lti", "canvas", "moodle", "blackboard", "classroom"}
    assert plugins.refused == ()


def test_security_claims_come_from_the_token_whatever_a_plugin_says() -> None:
    claims = Calls(load("good")).normalise_claims(CLAIMS, binding("good"))
    assert claims == CLAIMS | {"name": "Ada"}
    assert CLAIMS["name"] == "ada"


def test_a_claim_the_token_did_not_have_cannot_be_added() -> None:
    without = {name: value for name, value in CLAIMS.items() if name != "sub"}
    assert "sub" not in Calls(load("good")).normalise_claims(without, binding("good"))


def test_none_means_as_the_spec_says() -> None:
    assert Calls(load("silent")).normalise_claims(CLAIMS, binding("silent")) is CLAIMS


def test_an_lms_plugin_runs_for_its_own_registrations_only() -> None:
    calls = Calls(load("good", "failing"))
    assert calls.normalise_claims(CLAIMS, binding("lti", "lti", "good", "failing")) is CLAIMS


def test_a_policy_runs_after_the_lms_where_it_is_enabled() -> None:
    calls = Calls(load("good", "policy"))
    assert calls.normalise_claims(CLAIMS, binding("good", "policy", "good"))["name"] == "<Ada>"
    assert calls.normalise_claims(CLAIMS, binding("good", "good"))["name"] == "Ada"
    assert calls.normalise_claims(CLAIMS, binding("lti", "policy"))["name"] == "<ada>"


def test_a_failing_hook_refuses_the_launch() -> None:
    with pytest.raises(Refused) as caught:
        Calls(load("failing")).normalise_claims(CLAIMS, binding("failing"))
    assert (caught.value.code, caught.value.check) == ("plugin_error", "plugin")
    assert caught.value.received == "failing: normalise_claims raised KeyError"


def test_roles_that_were_not_sent_or_do_not_exist_are_ignored() -> None:
    sent = ["http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"]
    roles = Calls(load("good")).map_roles(sent, binding("good"))
    assert [(role.role, role.uri) for role in roles] == [("learner", sent[0])]


async def test_events_reach_plugins_and_their_faults_reach_nobody() -> None:
    calls = Calls(load("good", "failing"))
    good.seen.clear()
    await calls.launch_accepted(_launch("good"))
    await calls.launch_accepted(_launch("failing"))
    assert [launch.id for launch in good.seen] == ["lch_1"]


def test_routes_of_plugins() -> None:
    assert [(key, len(routes)) for key, routes in Calls(load("good", "silent")).routes()] == [("good", 1)]


def test_a_preset_fills_in_endpoints() -> None:
    preset = Preset("Cloud", None, "{issuer}/auth", "{issuer}/token", "https://keys.example/{client_id}/jwks.json")
    assert fill_preset(preset, "https://lms.example", "c-1") == {
        "auth_url": "https://lms.example/auth", "token_url": "https://lms.example/token",
        "jwks_url": "https://keys.example/c-1/jwks.json",
    }  # fmt: skip


def _launch(plugin: str) -> Any:
    class Event:
        id = "lch_1"
        binding = binding(plugin)

    return Event()
