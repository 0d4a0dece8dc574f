"""`ltihost check`, and what `serve` asks before it listens: each test breaks one thing."""

from __future__ import annotations

import secrets

import pytest

from ltihost.errors import Busy
from ltihost.settings import Settings
from ltihost.store.database import Database
from tests.core.cli.conftest import Cli, environment_of

STEPS = ["settings", "plugins", "database", "writing", "role", "secret key"]


def test_all_is_well(settings: Settings) -> None:
    cli = Cli(environment_of(settings))
    cli.run("migrate")
    found = cli.json("check")
    assert [step["step"] for step in found] == STEPS
    assert {step["status"] for step in found} == {"ok"}


def test_another_secret_key_is_noticed_before_a_grade_waits_for_it(settings: Settings) -> None:
    environment = environment_of(settings)
    Cli(environment).run("migrate")
    other = Cli(environment | {"LTIHOST_SECRET_KEY": secrets.token_urlsafe(48)})
    last = other.json("check", status=1)[-1]
    assert (last["step"], last["status"]) == ("secret key", "fail")
    assert "LTIHOST_SECRET_KEY" in last["detail"]
    assert "[secret_key_unknown]" in other.refused("serve", "--port", "1", status=78)


def test_a_new_secret_key_before_the_former_one_is_well(settings: Settings) -> None:
    environment = environment_of(settings)
    Cli(environment).run("migrate")
    ring = f"{secrets.token_urlsafe(48)},{environment['LTIHOST_SECRET_KEY']}"
    assert {step["status"] for step in Cli(environment | {"LTIHOST_SECRET_KEY": ring}).json("check")} == {"ok"}


def test_a_mistyped_setting_is_named(cli: Cli) -> None:
    mistyped = Cli(cli.environment | {"LTIHOST_DATABSE_URL": "sqlite:///other.db"})
    (warning,) = [step for step in mistyped.json("check") if step["status"] == "warn"]
    assert warning["step"] == "setting LTIHOST_DATABSE_URL"
    assert "did you mean LTIHOST_DATABASE_URL?" in warning["detail"]


def test_postgresql_that_does_not_answer_is_said_to_be_away(cli: Cli) -> None:
    away = Cli(cli.environment | {"LTIHOST_DATABASE_URL": "postgresql://somebody:secret@127.0.0.1:1/ltihost"})
    last = away.json("check", status=1)[-1]
    assert (last["step"], last["status"]) == ("database", "fail")
    assert "cannot be reached" in last["detail"]
    assert "127.0.0.1" in last["detail"]
    assert "secret" not in last["detail"]
    assert "[database_unreachable]" in away.refused("tenant", "list")


def test_a_database_that_takes_no_writes_is_not_well(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_: Database) -> None:
        raise Busy("busy", "The disk with the database is full; nothing was stored.")

    cli.run("migrate")
    monkeypatch.setattr(Database, "ping", full)
    last = cli.json("check", status=1)[-1]
    assert (last["step"], last["status"], last["fix"]) == (
        "writing",
        "fail",
        "make room, and let this user write there",
    )
    assert "full" in last["detail"]
