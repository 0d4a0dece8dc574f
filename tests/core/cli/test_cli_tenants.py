"""Organisations, plugin switches, applications, their keys and role rules, as an operator handles them."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, SecretStr

from ltihost.commands import plugin
from ltihost.errors import Invalid, NotFound
from ltihost.plugins import LtiAdapter, Manifest
from ltihost.plugins.loader import LoadedPlugin, Plugins, RefusedPlugin, load_plugins
from ltihost.store import applications
from tests.core.cli.conftest import Cli


class PolicySettings(BaseModel):
    region: str
    retries: int = 3
    api_secret: SecretStr = SecretStr("")


POLICY = LoadedPlugin(Manifest("policy", "Policy", kind="policy", settings=PolicySettings), LtiAdapter, "policy", "1.0")
PLAIN = LoadedPlugin(Manifest("plain", "Plain"), LtiAdapter, "plain", "1.0")


def test_a_tenant_is_made_listed_suspended_and_resumed(cli: Cli) -> None:
    made = cli.json("tenant", "create", "uni", "--name", "Uni Nord")
    assert made == {"id": made["id"], "slug": "uni", "name": "Uni Nord", "active": True}
    assert cli.json("tenant", "list") == [made]
    assert cli.json("tenant", "suspend", "uni") == made | {"active": False}
    assert "suspended" in cli.run("tenant", "list").stdout
    assert cli.json("tenant", "resume", "uni") == made


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["tenant", "create", "uni", "--name", "Again"], "tenant_exists"),
        (["tenant", "create", "Uni Nord", "--name", "x"], "slug_invalid"),
        (["tenant", "suspend", "other"], "tenant_unknown"),
        (["app", "create", "quiz", "--name", "x", "--launch-url", "https://quiz.example/"], "application_exists"),
        (["app", "create", "x", "--name", "x", "--launch-url", "quiz.example"], "url_invalid"),
        (["app", "create", "x", "--name", "x", "--launch-url", "http://quiz.example/"], "url_insecure"),
        (["app", "create", "x", "--name", "x", "--launch-url", "https://q.example/", "--release", "grades"], "choice_invalid"),
        (["app", "create", "x", "--name", "x", "--launch-url", "https://q.example/", "--tenant", "other"], "tenant_unknown"),
        (["app", "key", "create", "other"], "application_unknown"),
        (["app", "key", "create", "quiz", "--scope", "everything"], "scope_unknown"),
        (["app", "key", "revoke", "abcdefgh"], "key_unknown"),
        (["plugin", "enable", "absent", "--tenant", "uni"], "plugin_unknown"),
        (["plugin", "enable", "lti", "--tenant", "other"], "tenant_unknown"),
        (["plugin", "enable", "lti", "--tenant", "uni", "--set", "a=b"], "no_settings"),
        (["plugin", "disable", "absent", "--tenant", "uni"], "plugin_not_enabled"),
        (["role-rule", "add", "Learner", "--tenant", "uni"], "role_rule_empty"),
        (["role-rule", "add", "Pupil", "--tenant", "uni", "--group", "member"], "role_unknown"),
        (["role-rule", "remove", "rul_x", "--tenant", "uni"], "role_rule_unknown"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else value,
)  # fmt: skip
def test_what_cannot_be_done_is_said_with_its_code(uni: Cli, arguments: list[str], code: str) -> None:
    assert f"[{code}]" in uni.refused(*arguments)


def test_an_application_serves_every_tenant_unless_it_has_one(uni: Cli) -> None:
    own = uni.json(
        "app", "create", "film", "--name", "Films", "--launch-url", "https://film.example/launch", "--tenant", "uni",
        "--picker-url", "https://film.example/pick", "--allow-target", "https://film.example/watch",
        "--allow-target", "https://film.example/list", "--release", "names,email",
    )  # fmt: skip
    assert (own["tenant"], own["release"]) == ("uni", ["email", "names"])
    assert own["allowed_targets"] == ["https://film.example/list", "https://film.example/watch"]
    uni.run("tenant", "create", "other", "--name", "Other")
    assert [item["slug"] for item in uni.json("app", "list", "--tenant", "uni")] == ["film", "quiz"]
    assert [item["slug"] for item in uni.json("app", "list", "--tenant", "other")] == ["quiz"]
    assert [item["tenant"] for item in uni.json("app", "list")] == ["uni", None]


def test_plain_http_serves_on_this_machine(uni: Cli) -> None:
    uni.run("app", "create", "local", "--name", "Local", "--launch-url", "http://localhost:5000/launch")


def test_a_key_is_shown_once_and_never_again(uni: Cli) -> None:
    made = uni.json("app", "key", "create", "quiz")
    parsed = applications.parse_key(made["key"])
    assert parsed is not None
    assert (parsed.id, made["application"]) == (made["id"], "quiz")
    assert {"launch:exchange", "grades:write", "roster:read"} < set(made["scopes"])
    assert "grades:override" not in made["scopes"]
    second = uni.run("app", "key", "create", "quiz")
    assert applications.parse_key(second.stdout.strip()) is not None
    assert "not shown again" in second.stderr
    everything = [
        uni.run("app", "key", "list", "quiz"),
        uni.run("app", "key", "list", "quiz", "--json"),
        uni.run("app", "list", "--json"),
    ]
    for ended in everything:
        assert made["key"].split("_")[3] not in ended.stdout + ended.stderr


def test_two_keys_are_live_and_revoking_one_makes_room(uni: Cli) -> None:
    first = uni.json("app", "key", "create", "quiz", "--tenant", "uni")
    uni.run("app", "key", "create", "quiz", "--tenant", "uni")
    assert "[too_many_keys]" in uni.refused("app", "key", "create", "quiz", "--tenant", "uni")
    assert uni.json("app", "key", "revoke", first["id"])["revoked"] is True
    uni.run("app", "key", "create", "quiz", "--tenant", "uni")
    listed = uni.json("app", "key", "list", "quiz")
    assert [(key["tenant"], key["revoked"]) for key in listed] == [("uni", True), ("uni", False), ("uni", False)]


def test_plugins_are_listed_with_what_a_tenant_switched_on(uni: Cli) -> None:
    known = {item["key"]: item for item in uni.json("plugin", "list")}
    assert (known["lti"]["status"], known["lti"]["enabled"]) == ("loaded", None)
    switched = uni.json("plugin", "disable", "lti", "--tenant", "uni")
    assert switched == {"key": "lti", "tenant": "uni", "enabled": False, "settings": {}}
    assert {item["key"]: item["enabled"] for item in uni.json("plugin", "list", "--tenant", "uni")}["lti"] is False
    assert uni.json("plugin", "enable", "lti", "--tenant", "uni")["enabled"] is True
    assert "yes" in uni.run("plugin", "list", "--tenant", "uni").stdout


def test_a_plugin_that_was_not_loaded_is_listed_with_the_reason(cli: Cli) -> None:
    narrowed = Cli(cli.environment | {"LTIHOST_PLUGINS": "absent"})
    listed = {item["key"]: item for item in narrowed.json("plugin", "list")}
    assert set(listed) == {"lti", "absent"}
    assert listed["absent"]["status"] == "refused"
    assert listed["absent"]["reason"].startswith("not_installed: ")
    assert "refused: not_installed" in narrowed.run("plugin", "list").stdout


def test_settings_are_read_by_the_plugins_model_and_secrets_kept_apart() -> None:
    found = plugin.read_settings(POLICY, ["region=eu", "retries=5", "api_secret=s3cret"])
    assert found.plain == {"region": "eu", "retries": 5}
    assert found.secret == {"api_secret": "s3cret"}


@pytest.mark.parametrize(
    ("chosen", "assignments", "code"),
    [
        (POLICY, ["retries=5"], "setting_invalid"),
        (POLICY, ["region=eu", "retries=s3cret"], "setting_invalid"),
        (POLICY, ["region=eu", "colour=s3cret"], "setting_unknown"),
        (POLICY, ["region"], "assignment_invalid"),
        (PLAIN, ["region=s3cret"], "no_settings"),
    ],
)
def test_settings_that_do_not_fit_are_refused_without_their_values(
    chosen: LoadedPlugin, assignments: list[str], code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        plugin.read_settings(chosen, assignments)
    assert caught.value.code == code
    assert "s3cret" not in str(caught.value)


def test_a_refused_plugin_cannot_be_enabled_and_says_why() -> None:
    plugins = Plugins(
        {}, (RefusedPlugin("broken", "import_failed", "it cannot be imported"),), load_plugins([]).manager
    )
    with pytest.raises(NotFound, match="it cannot be imported") as caught:
        plugin.loaded(plugins, "broken")
    assert caught.value.code == "plugin_refused"


def test_role_rules(uni: Cli) -> None:
    made = uni.json("role-rule", "add", "Instructor", "--tenant", "uni", "--global", "editor", "--group", "manager")
    assert (made["lti_role"], made["global_role"], made["group_role"]) == ("Instructor", "editor", "manager")
    assert "[role_rule_exists]" in uni.refused("role-rule", "add", "Instructor", "--tenant", "uni", "--group", "member")
    assert uni.json("role-rule", "list", "--tenant", "uni") == [made]
    assert "Instructor" in uni.run("role-rule", "list", "--tenant", "uni").stdout
    uni.run("role-rule", "remove", made["id"], "--tenant", "uni")
    assert uni.json("role-rule", "list", "--tenant", "uni") == []
