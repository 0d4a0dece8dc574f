"""From the first draft to an approved registration and its deployments."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest

from ltihost.records import HOST
from ltihost.store.database import Database
from tests.core.cli.conftest import Cli

PLATFORM = (
    "--issuer", "https://lms.example", "--client-id", "7", "--auth-url", "https://lms.example/auth",
    "--token-url", "https://lms.example/token", "--jwks-url", "https://lms.example/jwks",
)  # fmt: skip
CREATE = ("registration", "create", "--tenant", "uni", "--app", "quiz", "--plugin", "lti")


def test_a_draft_has_the_tools_urls_and_the_guide(uni: Cli) -> None:
    made = uni.json(*CREATE)
    base = f"http://localhost:8700/r/{made['id']}/lti"
    assert [made[name] for name in ("login_url", "launch_url", "jwks_url")] == [
        base + path for path in ("/login", "/launch", "/jwks")
    ]
    assert (made["state"], made["tenant"], made["application"], made["plugin"]) == ("draft", "uni", "quiz", "lti")
    assert made["missing"] == ["issuer", "client-id", "auth-url", "token-url", "jwks-url"]
    assert made["guide"]["asks"].keys() >= {"issuer", "client-id"}
    assert made["login_url"] in made["guide"]["documents"][0]["text"]


def test_people_are_shown_the_same(uni: Cli) -> None:
    ended = uni.run(*CREATE)
    known = uni.json("registration", "list")[0]
    for told in (known["login_url"], known["launch_url"], known["jwks_url"], "Tool settings", "Add an LTI 1.3 tool"):
        assert told in ended.stdout
    assert f"registration set {known['id']} issuer=..." in ended.stderr


def test_a_draft_is_completed_value_by_value_and_approved(uni: Cli) -> None:
    made = uni.json(*CREATE)["id"]
    assert uni.json("registration", "set", made, "issuer=https://lms.example", "client-id=7")["state"] == "draft"
    assert "[registration_incomplete]" in uni.refused("registration", "approve", made)
    done = uni.json(
        "registration", "set", made, "auth-url=https://lms.example/auth", "token-url=https://lms.example/token",
        "jwks-url=https://lms.example/jwks", "deployment-id=1:a b", "leeway=120", "deep-linking=no",
        "frame-origins=https://lms.example",
    )  # fmt: skip
    assert (done["state"], done["missing"], done["values"]["leeway"]) == ("pending", [], 120)
    assert (done["values"]["deep_linking"], done["values"]["frame_origins"]) == (False, ["https://lms.example"])
    assert [(item["deployment_id"], item["state"]) for item in done["deployments"]] == [("1:a b", "approved")]
    assert uni.json("registration", "approve", made)["state"] == "active"
    assert uni.json("registration", "show", made)["state"] == "active"
    shown = uni.run("registration", "show", made).stdout
    assert "1:a b (approved, uni, quiz)" in shown
    assert "leeway" in shown
    assert uni.json("registration", "disable", made)["state"] == "disabled"


def test_everything_at_once(uni: Cli) -> None:
    deployments = ("--deployment-id", "1", "--deployment-id", "2")
    made = uni.json(*CREATE, *PLATFORM, *deployments, "--audience", "aud", "--name", "Campus", "--approve")
    assert (made["state"], made["name"], made["guide"]) == ("active", "Campus", None)
    assert made["platform"]["audience"] == "aud"
    assert [item["deployment_id"] for item in made["deployments"]] == ["1", "2"]
    assert made["plugin_enabled"] is True


def test_a_shared_registration_uses_the_urls_without_its_id(uni: Cli) -> None:
    shared = ("registration", "create", "--app", "quiz", "--plugin", "lti", "--shared-urls")
    made = uni.json(*shared, *PLATFORM, "--approve")
    assert made["tenant"] is None
    assert made["login_url"] == "http://localhost:8700/lti/login"
    assert made["jwks_url"] == "http://localhost:8700/lti/jwks"
    assert uni.json("registration", "list", "--tenant", "uni") == []
    assert "shared" in uni.run("registration", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([*CREATE, *PLATFORM], "registration_exists"),
        ([*CREATE[:-1], "absent"], "plugin_unknown"),
        (["registration", "create", "--tenant", "uni", "--app", "other", "--plugin", "lti"], "application_unknown"),
        (["registration", "create", "--tenant", "other", "--app", "quiz", "--plugin", "lti"], "tenant_unknown"),
        ([*CREATE, "--issuer", "http://lms.example"], "url_scheme"),
        ([*CREATE, "--jwks-url", "https://10.0.0.1/jwks"], "address_refused"),
        ([*CREATE, "--approve"], "registration_incomplete"),
        (["registration", "create", "--app", "quiz", "--plugin", "lti", "--deployment-id", "1"], "tenant_missing"),
        (["registration", "show", "reg_x"], "registration_unknown"),
        (["registration", "set", "reg_x", "issuer=https://lms.example"], "registration_unknown"),
        (["registration", "check", "reg_x"], "registration_unknown"),
        (["registration", "guide", "reg_x"], "registration_unknown"),
        (["deployment", "disable", "reg_x", "1"], "deployment_unknown"),
        (["deployment", "approve", "reg_x", "1", "--tenant", "uni", "--app", "quiz"], "registration_unknown"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_code(uni: Cli, arguments: list[str], code: str) -> None:
    uni.run(*CREATE, *PLATFORM)
    assert f"[{code}]" in uni.refused(*arguments)
    assert len(uni.json("registration", "list")) == 1


@pytest.mark.parametrize(
    ("assignment", "code"),
    [("leeway=999", "number_invalid"), ("leeway", "assignment_invalid"), ("colour=red", "field_unknown")],
)
def test_a_value_that_cannot_be_used_changes_nothing(uni: Cli, assignment: str, code: str) -> None:
    made = uni.json(*CREATE)["id"]
    assert f"[{code}]" in uni.refused("registration", "set", made, "issuer=https://lms.example", assignment)
    assert uni.json("registration", "show", made)["platform"]["issuer"] is None


@pytest.fixture
def preset_plugin(monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed LMS plugin whose endpoints follow from the issuer."""
    found = EntryPoint("somelms", "tests.core.cli.some_lms", "ltihost.plugins")
    monkeypatch.setattr("ltihost.plugins.loader.entry_points", lambda **_: [found])
    return "somelms"


def test_endpoints_follow_from_issuer_and_client_id(uni: Cli, preset_plugin: str) -> None:
    made = uni.run("registration", "create", "--tenant", "uni", "--app", "quiz", "--plugin", preset_plugin)
    known = uni.json("registration", "list")[0]
    assert f"registration set {known['id']} issuer=... client-id=...\n" in made.stderr
    assert f"plugin enable {preset_plugin} --tenant uni" in made.stderr
    done = uni.json("registration", "set", known["id"], "issuer=https://own.example", "client-id=7")
    assert done["state"] == "pending"
    assert done["platform"]["jwks_url"] == "https://own.example/keys"
    moved = uni.json("registration", "set", known["id"], "issuer=https://new.example")
    assert moved["platform"]["auth_url"] == "https://new.example/auth"


def test_the_guide_names_this_registration_and_the_application(uni: Cli, preset_plugin: str) -> None:
    made = uni.json("registration", "create", "--tenant", "uni", "--app", "quiz", "--plugin", preset_plugin)["id"]
    guide = uni.json("registration", "guide", made)
    assert guide["steps"] == [f"Open **Tools**, then `ltihost registration set {made} client-id=...`"]
    shown = uni.run("registration", "guide", made).stdout
    assert f"1.  Open Tools, then `ltihost registration set {made} client-id=...`" in shown
    assert "name: Quiz" in shown
    assert "Mind: Do not delete it." in shown


def test_deployments_that_a_launch_brought_wait_for_approval(uni: Cli) -> None:
    made = uni.json("registration", "create", "--app", "quiz", "--plugin", "lti", *PLATFORM, "--approve")["id"]

    async def launch(database: Database) -> None:
        await database.hot.note_deployment(made, "9", guid="g", url="https://lms.example", name="Campus")

    uni.store(launch)
    (waiting,) = uni.json("deployment", "list", "--state", "pending")
    assert (waiting["deployment_id"], waiting["tenant"], waiting["instance_name"]) == ("9", None, "Campus")
    assert "Campus" in uni.run("deployment", "list").stdout
    assert "[tenant_missing]" in uni.refused("deployment", "approve", made, "9")
    approved = uni.json("deployment", "approve", made, "9", "--tenant", "uni", "--app", "quiz")
    assert (approved["state"], approved["tenant"], approved["application"]) == ("approved", "uni", "quiz")
    assert uni.json("deployment", "list", "--tenant", "uni") == [approved]
    assert uni.json("deployment", "disable", made, "9")["state"] == "disabled"
    assert uni.json("deployment", "list", "--registration", made)[0]["state"] == "disabled"


def test_check_goes_on_after_a_failure_and_ends_with_1(uni: Cli) -> None:
    made = uni.json(*CREATE, *PLATFORM[:-1], "https://127.0.0.1.invalid/jwks", "--deployment-id", "1")["id"]
    found = uni.json("registration", "check", made, status=1)
    assert {step["step"]: step["status"] for step in found} == {
        "values": "ok", "state": "warn", "plugin": "ok", "deployment 1": "ok", "issuer": "ok", "auth-url": "ok",
        "token-url": "ok", "jwks-url": "ok", "key set": "fail",
    }  # fmt: skip
    told = uni.run("registration", "check", made, status=1).stdout
    assert f"ltihost registration approve {made}" in told


def test_who_did_it_stands_in_the_audit_trail(uni: Cli) -> None:
    uni.run(*CREATE, *PLATFORM, "--approve")

    async def actions(database: Database) -> list[tuple[str, str]]:
        from ltihost.store import audit, tenants

        tenant = (await database.run_host(tenants.by_slug, "uni")).id
        rows = await database.run_host(audit.page, tenant) + await database.run_host(audit.page, HOST)
        return [(row.action, row.actor) for row in rows]

    done = uni.store(actions)
    assert {"tenant.created", "registration.created", "registration.approved"} <= {action for action, _ in done}
    assert all(actor.startswith("cli") for _, actor in done)


def test_lists_are_one_document_each(uni: Cli) -> None:
    uni.run(*CREATE, *PLATFORM)
    for words in ("registration list", "deployment list", "launch list", "key list", "app list", "plugin list"):
        ended = uni.run(*words.split(), "--json")
        assert isinstance(json.loads(ended.stdout), list)
        assert ended.stderr == ""
