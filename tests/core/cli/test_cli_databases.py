"""One operator's day, on each kind of database."""

from __future__ import annotations

from ltihost.settings import Settings
from tests.core.cli.conftest import Cli, environment_of

PLATFORM = (
    "--issuer", "https://lms.example", "--client-id", "7", "--auth-url", "https://lms.example/auth",
    "--token-url", "https://lms.example/token", "--jwks-url", "https://lms.example/jwks",
)  # fmt: skip


def test_an_operators_day(settings: Settings) -> None:
    cli = Cli(environment_of(settings))
    cli.run("migrate")
    assert {step["status"] for step in cli.json("check")} == {"ok"}
    cli.run("tenant", "create", "uni", "--name", "Uni Nord")
    assert "[tenant_exists]" in cli.refused("tenant", "create", "uni", "--name", "Uni Nord")
    cli.run("app", "create", "quiz", "--name", "Quiz", "--launch-url", "https://quiz.example/launch")
    assert cli.json("app", "key", "create", "quiz", "--tenant", "uni")["key"].startswith("ltih_live_")
    made = cli.json(
        "registration", "create", "--tenant", "uni", "--app", "quiz", "--plugin", "lti", *PLATFORM,
        "--deployment-id", "1", "--approve",
    )  # fmt: skip
    assert (made["state"], made["deployments"][0]["state"]) == ("active", "approved")
    assert cli.json("deployment", "disable", made["id"], "1")["state"] == "disabled"
    assert cli.json("deployment", "approve", made["id"], "1")["application"] == "quiz"
    cli.run("role-rule", "add", "Instructor", "--tenant", "uni", "--global", "editor")
    assert [key["state"] for key in cli.json("key", "list", "--registration", made["id"])] == ["signing"]
    assert cli.json("launch", "list", "--tenant", "uni") == []
    assert "[launch_unknown]" in cli.refused("launch", "show", "K7QM-3F9X")
    assert cli.json("tenant", "suspend", "uni")["active"] is False
    assert all(row["ok"] for row in cli.json("audit", "verify"))
