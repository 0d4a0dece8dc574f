"""`launch list` and `launch show`: the whole story of an attempt, for people and for programs."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from ltihost.errors import CHECKS, REASONS, Refused
from ltihost.explain import QUESTIONS, explain
from ltihost.records import HOST, Attempt, Registration
from ltihost.store.database import Database
from ltihost.trace import Trace
from tests.core.cli.conftest import Cli

PLATFORM = (
    "--issuer", "https://lms.example", "--client-id", "7", "--auth-url", "https://lms.example/auth",
    "--token-url", "https://lms.example/token", "--jwks-url", "https://lms.example/jwks",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _some_lms(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoint("somelms", "tests.core.cli.some_lms", "ltihost.plugins")
    monkeypatch.setattr("ltihost.plugins.loader.entry_points", lambda **_: [found])


@pytest.fixture
def registration(uni: Cli) -> str:
    owner = ("--tenant", "uni", "--app", "quiz", "--plugin", "somelms")
    made = uni.json("registration", "create", *owner, *PLATFORM, "--approve")
    return str(made["id"])


def an_attempt(
    registration: str | None, tenant_id: str, *, code: str = "K7QM-3F9X", at: float = 1_790_000_000
) -> Attempt:
    """A launch whose signature was wrong."""
    trace = Trace()
    for name in CHECKS[: CHECKS.index("signature")]:
        trace.passed(name)
    trace.warn("the login named another target than the launch")
    refused = Refused(
        "sig_invalid", "signature", expected="a signature by key k1", received="another \x1b[31m signature"
    )
    return Attempt(
        id=f"lch_{code.lower().replace('-', '')}", tenant_id=tenant_id, code=code, kind="launch", outcome="refused", at=at,
        refusal=refused.code, registration_id=registration, deployment_id="1:a", message="resource_link", rung="cookie",
        checks=trace.checks(refused), warnings=tuple(trace.warnings), remote_address="203.0.113.9", user_agent="Firefox",
    )  # fmt: skip


def store(cli: Cli, *attempts: Attempt) -> None:
    async def record(database: Database) -> None:
        await database.hot.record_attempts(attempts)

    cli.store(record)


def tenant_id(cli: Cli) -> str:
    return str(cli.json("tenant", "list")[0]["id"])


@pytest.mark.parametrize("typed", ["K7QM-3F9X", "k7qm-3f9x", "k7qm3f9x", "K7QM 3F9X", "lch_k7qm3f9x"])
def test_a_code_is_found_however_it_is_typed(uni: Cli, registration: str, typed: str) -> None:
    store(uni, an_attempt(registration, tenant_id(uni)))
    assert uni.json("launch", "show", typed)["code"] == "K7QM-3F9X"


def test_the_story_as_json(uni: Cli, registration: str) -> None:
    store(uni, an_attempt(registration, tenant_id(uni)))
    story = uni.json("launch", "show", "K7QM-3F9X")
    assert (story["outcome"], story["refusal"], story["kind"]) == ("refused", "sig_invalid", "launch")
    assert story["at"] == "2026-09-21T14:13:20.000Z"
    assert (story["tenant"]["slug"], story["lms"], story["registration"]["id"]) == ("uni", "Some LMS", registration)
    assert (story["deployment_id"], story["message"], story["rung"]) == ("1:a", "resource_link", "cookie")
    assert [check["name"] for check in story["checks"]] == list(CHECKS)
    by_status = [check["status"] for check in story["checks"]]
    assert by_status == ["passed"] * 5 + ["failed"] + ["not_reached"] * 14
    failed = story["checks"][5]
    assert (failed["expected"], failed["received"]) == ("a signature by key k1", "another \x1b[31m signature")
    assert story["cause"] == REASONS["sig_invalid"].cause
    assert story["fix"] == REASONS["sig_invalid"].fix
    assert story["where"] == "Look under **Tools**, **Keys**."
    assert story["warnings"] == ["the login named another target than the launch"]
    assert (story["remote_address"], story["user_agent"], story["user_id"]) == ("203.0.113.9", "Firefox", None)


def test_the_story_for_people(uni: Cli, registration: str) -> None:
    store(uni, an_attempt(registration, tenant_id(uni)))
    told = uni.run("launch", "show", "K7QM-3F9X").stdout
    lines = told.splitlines()
    assert lines[0] == "Launch K7QM-3F9X was refused, 2026-09-21 14:13:20 UTC"
    assert any(line.startswith("✓ key ") for line in lines)
    assert any(line.startswith("· issuer ") for line in lines)
    at = next(number for number, line in enumerate(lines) if line.startswith("✗ signature "))
    assert lines[at + 1] == "    expected  a signature by key k1"
    assert lines[at + 2] == "    received  another ?[31m signature"
    for text in ("Some LMS https://lms.example", "uni Uni Nord", "1:a", "203.0.113.9", REASONS["sig_invalid"].cause):
        assert text in told
    assert "Where to click in Some LMS\n  Look under Tools, Keys.\n" in told
    assert "Warning\n  the login named another target than the launch\n" in told


def test_a_waiting_deployment_comes_with_the_ready_command(uni: Cli, registration: str) -> None:
    """What the registration says already need not be typed."""
    store(uni, replace(an_attempt(registration, tenant_id(uni)), refusal="deployment_pending"))
    assert uni.json("launch", "show", "K7QM-3F9X")["fix"] == f"`ltihost deployment approve {registration} 1:a`"


def test_what_a_shared_registration_does_not_say_has_to_be_typed() -> None:
    shared = Registration("reg_1", HOST, "Shared", "lti", "active")
    attempt = replace(an_attempt("reg_1", HOST), refusal="deployment_pending")
    told = explain(attempt, None, shared, None).refusal
    assert told
    assert told.fix == "`ltihost deployment approve reg_1 1:a --tenant SLUG --app SLUG`"


def test_the_organisation_is_named_in_the_command(uni: Cli, registration: str) -> None:
    store(uni, replace(an_attempt(registration, tenant_id(uni)), refusal="plugin_disabled"))
    fix = uni.json("launch", "show", "K7QM-3F9X")["fix"]
    assert fix == "Enable it: `ltihost plugin enable somelms --tenant uni`."


def test_a_terminal_never_obeys_what_an_lms_sent(uni: Cli, registration: str) -> None:
    store(uni, an_attempt(registration, tenant_id(uni)))
    assert "\x1b" not in uni.run("launch", "show", "K7QM-3F9X").stdout


def test_what_belongs_to_nobody_is_explained_too(uni: Cli) -> None:
    store(uni, an_attempt(None, HOST))
    story = uni.json("launch", "show", "K7QM-3F9X")
    assert (story["tenant"], story["registration"], story["lms"], story["where"]) == (None, None, None, None)
    assert "Tenant" not in uni.run("launch", "show", "K7QM-3F9X").stdout


def test_an_unknown_code_is_said(uni: Cli) -> None:
    assert "[launch_unknown]" in uni.refused("launch", "show", "ABCD-EFGH")


def test_lists_are_filtered_and_the_newest_comes_first(uni: Cli, registration: str) -> None:
    owner = tenant_id(uni)
    store(
        uni,
        an_attempt(registration, owner, code="AAAA-AAAA", at=1_790_000_001),
        an_attempt(registration, owner, code="BBBB-BBBB", at=1_790_000_002),
        an_attempt(None, HOST, code="CCCC-CCCC", at=1_790_000_003),
    )

    def codes(*arguments: str) -> list[str]:
        return [item["code"][0] for item in uni.json("launch", "list", *arguments)]

    assert codes() == ["C", "B", "A"]
    assert codes("--limit", "1") == ["C"]
    assert codes("--tenant", "uni") == ["B", "A"]
    assert codes("--registration", registration) == ["B", "A"]
    assert codes("--outcome", "accepted") == []
    assert codes("--refusal", "sig_invalid") == ["C", "B", "A"]
    assert codes("--refusal", "expired") == []
    assert "BBBB-BBBB" in uni.run("launch", "list").stdout
    assert "[tenant_unknown]" in uni.refused("launch", "list", "--tenant", "other")


def test_every_check_has_its_question() -> None:
    assert list(QUESTIONS) == list(CHECKS)


@pytest.mark.parametrize(
    ("code", "check", "command"),
    [
        ("registration_inactive", "registration", "`ltihost registration approve reg_1`"),
        ("deployment_pending", "deployment", "`ltihost deployment approve reg_1 '1:a b' --tenant SLUG --app SLUG`"),
        ("plugin_disabled", "plugin", "`ltihost plugin enable somelms --tenant SLUG`"),
        ("user_unknown", "subject", "`ltihost registration set reg_1 create-users=yes`"),
    ],
)
def test_a_fix_can_be_pasted(code: str, check: str, command: str) -> None:
    registration = Registration(id="reg_1", tenant_id="ten_1", name="Campus", plugin="somelms", state="active")
    refused = Refused(code, check)
    attempt = Attempt(
        id="lch_1", tenant_id="ten_1", code="K7QM-3F9X", kind="launch", outcome="refused", at=0, refusal=code,
        registration_id="reg_1", deployment_id="1:a b", checks=Trace().checks(refused),
    )  # fmt: skip
    explanation = explain(attempt, None, registration, None)
    assert explanation.refusal is not None
    assert command in explanation.refusal.fix
    assert explanation.failed is not None
    assert explanation.failed.name == check
    assert explanation.lms == "somelms"


def test_an_accepted_launch_needs_no_advice() -> None:
    attempt = Attempt(id="lch_1", tenant_id="ten_1", code="K7QM-3F9X", kind="launch", outcome="accepted", at=0)
    explanation = explain(attempt, None, None, None)
    assert (explanation.refusal, explanation.failed, explanation.lms) == (None, None, None)


def test_a_list_that_ends_at_its_limit_says_so(uni: Cli, registration: str) -> None:
    store(uni, an_attempt(registration, HOST), an_attempt(registration, HOST, code="AAAA-AAAA"))
    ended = uni.run("launch", "list", "--limit", "1")
    assert ended.stdout.splitlines()[0].split()[-2:] == ["Link", "Person"]
    assert "--limit shows more" in ended.stderr
    assert "--limit" not in uni.run("launch", "list").stderr
    assert {"resource_link_id", "user_id"} <= uni.json("launch", "list")[0].keys()
