"""`ltihost check`, and what `serve` asks before it listens: each test breaks one thing."""

from __future__ import annotations

import secrets

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Busy
from ltihost.settings import Settings
from ltihost.store import keys, tables
from ltihost.store.database import Database
from tests.core.cli.conftest import Cli, environment_of

CREATE = ("registration", "create", "--tenant", "uni", "--app", "quiz", "--plugin", "lti")
STEPS = ["settings", "plugins", "database", "writing", "role", "secret key", "key pairs"]
OTHER_KEY = "another key that is long enough to be taken as one"


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


@pytest.fixture
def registered(settings: Settings) -> tuple[Cli, str]:
    """The command on a database of either kind with one registration, and that one's id."""
    cli = Cli(environment_of(settings))
    cli.run("migrate")
    cli.run("tenant", "create", "uni", "--name", "Uni Nord")
    cli.run("app", "create", "quiz", "--name", "Quiz", "--launch-url", "https://quiz.example/launch")
    return cli, cli.json(*CREATE)["id"]


@pytest.mark.parametrize(
    "words",
    [
        CREATE,
        ("app", "set", "quiz", "webhook-url=https://quiz.example/hook"),
        ("key", "rotate"),
        ("tenant", "list"),
        ("roster", "sync", "ctx_x"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_no_command_works_with_another_secret_key(registered: tuple[Cli, str], words: tuple[str, ...]) -> None:
    """What it sealed could never be opened again."""
    cli, _ = registered
    other = Cli(cli.environment | {"LTIHOST_SECRET_KEY": OTHER_KEY})
    assert "[secret_key_unknown]" in other.refused(*words, status=78)
    assert len(cli.json("registration", "list")) == 1
    assert {step["status"] for step in cli.json("check")} == {"ok"}


def seal_with_another_key(cli: Cli, registration: str) -> str:
    """Give the registration a signing key that another secret key sealed; answer its kid."""
    (kid,) = [key["kid"] for key in cli.json("key", "list", "--registration", registration)]
    other = Cli(cli.environment | {"LTIHOST_SECRET_KEY": OTHER_KEY})
    return other.store(lambda database: database.run_host(keys.revoke, kid, actor="test"))


def test_a_registration_whose_key_does_not_open_is_named(registered: tuple[Cli, str]) -> None:
    cli, registration = registered
    kid = seal_with_another_key(cli, registration)
    *before, last = cli.json("check", status=1)
    assert {step["status"] for step in before} == {"ok"}
    assert (last["step"], last["status"]) == ("key pairs", "fail")
    assert registration in last["detail"]
    assert f"ltihost key revoke {kid}" in last["fix"]
    cli.run("key", "revoke", kid)
    assert {step["status"] for step in cli.json("check")} == {"ok"}


def test_a_key_pair_that_signs_no_more_need_not_open(registered: tuple[Cli, str]) -> None:
    cli, registration = registered
    seal_with_another_key(cli, registration)

    def retire(session: Session) -> None:
        signing = select(tables.KeyPair).filter_by(owner=registration, state="signing")
        session.scalars(signing).one().state = "retiring"

    cli.store(lambda database: database.run_host(retire))
    assert {step["status"] for step in cli.json("check")} == {"ok"}


def test_a_lost_secret_key_is_overcome_by_new_key_pairs(registered: tuple[Cli, str]) -> None:
    """The former one is gone for good: every key pair that it sealed is replaced by one that the new one seals."""
    cli, registration = registered
    after = Cli(cli.environment | {"LTIHOST_SECRET_KEY": OTHER_KEY})
    (of_host,) = after.json("key", "list")
    assert "[secret_key_unknown]" in after.refused("key", "revoke", of_host["kid"], status=78)
    after.run("key", "revoke", of_host["kid"], "--secret-key-lost")
    (left,) = [step for step in after.json("check", status=1) if step["status"] == "fail"]
    assert registration in left["detail"]
    (of_registration,) = after.json("key", "list", "--registration", registration)
    after.run("key", "revoke", of_registration["kid"])
    assert {step["status"] for step in after.json("check")} == {"ok"}


@pytest.mark.postgres
def test_without_the_owner_s_url_the_key_pairs_are_said_to_be_untried(postgres_settings: Settings) -> None:
    environment = environment_of(postgres_settings)
    del environment["LTIHOST_MIGRATE_URL"]
    last = Cli(environment).json("check")[-1]
    assert (last["step"], last["status"]) == ("key pairs", "warn")
    assert "LTIHOST_MIGRATE_URL" in last["detail"]


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
