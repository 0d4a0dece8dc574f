"""One operator's day, on each kind of database."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ltihost.settings import Settings
from tests.conftest import Postgres, make_settings
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


@pytest.mark.postgres
@pytest.mark.usefixtures("postgres_template")  # it makes the roles
def test_postgresql_without_the_schema_is_not_served(postgres: Postgres) -> None:
    postgres.run("CREATE DATABASE bare OWNER ltihost_owner")
    bare = Cli(environment_of(postgres.settings("bare")))
    try:
        for command in (["serve", "--port", "1"], ["tenant", "list"]):
            stderr = bare.refused(*command, status=78)
            assert "ltihost migrate" in stderr
            assert "[schema_missing]" in stderr
    finally:
        postgres.run("DROP DATABASE bare (FORCE)")


@pytest.mark.postgres
@pytest.mark.parametrize("user", ["ltihost_owner", "postgres"])
def test_postgresql_is_not_served_as_a_role_that_sees_past_its_tenant(
    postgres: Postgres, postgres_settings: Settings, user: str
) -> None:
    name = urlsplit(postgres_settings.database).path.lstrip("/")
    strong = Cli(environment_of(postgres_settings) | {"LTIHOST_DATABASE_URL": postgres.url(user, name)})
    assert "role" in strong.refused("serve", "--port", "1", status=78)
    assert [step["status"] for step in strong.json("check", status=1)][-1] == "fail"


@pytest.mark.postgres
def test_a_server_that_is_not_there_is_no_traceback(tmp_path: Path) -> None:
    gone = Cli(environment_of(make_settings(f"postgresql://nobody@/x?host={tmp_path}")))
    gone.refused("tenant", "list")
    assert gone.json("check", status=1)[-1]["status"] == "fail"
