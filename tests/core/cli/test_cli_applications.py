"""Applications shown and changed after they were made, and the secret of their webhooks, on both databases."""

from __future__ import annotations

import base64

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import DecryptionError
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import applications, tables
from tests.core.cli.conftest import Cli, environment_of

HOOK = "https://quiz.example/hook"


@pytest.fixture
def both(settings: Settings) -> Cli:
    """The command on a database of either kind, with an organisation and an application that serves all."""
    cli = Cli(environment_of(settings) | {"LTIHOST_ALLOW_NETWORKS": ""})
    cli.run("tenant", "create", "uni", "--name", "Uni Nord")
    cli.run("app", "create", "quiz", "--name", "Quiz", "--launch-url", "https://quiz.example/launch")
    return cli


def stored_secret(cli: Cli, slug: str) -> str | None:
    def read(session: Session) -> str | None:
        return applications.webhook_secret(session, applications.by_slug(session, slug).id)

    return cli.store(lambda database: database.run_host(read))


def row_of(cli: Cli, slug: str) -> tables.Application:
    def read(session: Session) -> tables.Application:
        return session.scalars(select(tables.Application).where(tables.Application.slug == slug)).one()

    return cli.store(lambda database: database.run_host(read))


def test_a_webhook_s_secret_is_shown_once_and_stored_sealed(both: Cli) -> None:
    made = both.json(
        "app", "create", "film", "--name", "Films", "--launch-url", "https://film.example/", "--webhook-url", HOOK
    )
    secret = made["webhook_secret"]
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert stored_secret(both, "film") == secret
    assert secret.encode() not in (row_of(both, "film").webhook_secret or b"")
    for words in (
        ["app", "list"],
        ["app", "list", "--json"],
        ["app", "show", "film"],
        ["app", "show", "film", "--json"],
    ):
        ended = both.run(*words)
        assert secret not in ended.stdout + ended.stderr
        assert HOOK in ended.stdout or "show" not in words
    assert both.json("app", "set", "film", "name=Film")["webhook_secret"] is None


def test_without_a_webhook_there_is_no_secret(both: Cli) -> None:
    made = both.json("app", "create", "film", "--name", "Films", "--launch-url", "https://film.example/")
    assert made["webhook_secret"] is None
    assert stored_secret(both, "film") is None


def test_a_secret_lives_as_long_as_there_is_a_webhook(both: Cli) -> None:
    first = both.json("app", "set", "quiz", f"webhook-url={HOOK}")["webhook_secret"]
    assert stored_secret(both, "quiz") == first
    moved = both.json("app", "set", "quiz", f"webhook-url={HOOK}/2")
    assert (moved["webhook_url"], moved["webhook_secret"]) == (f"{HOOK}/2", None)
    assert stored_secret(both, "quiz") == first
    both.run("app", "set", "quiz", "webhook-url=")
    assert stored_secret(both, "quiz") is None
    shown = both.run("app", "set", "quiz", f"webhook-url={HOOK}")
    assert "whsec_" in shown.stdout
    assert "not shown again" in shown.stderr
    assert stored_secret(both, "quiz") != first


def test_a_secret_that_was_moved_does_not_open(both: Cli) -> None:
    """S-81."""
    both.run("app", "create", "film", "--name", "F", "--launch-url", "https://film.example/", "--webhook-url", HOOK)
    both.run("app", "set", "quiz", f"webhook-url={HOOK}")

    def move(session: Session) -> None:
        rows = {row.slug: row for row in session.scalars(select(tables.Application))}
        rows["quiz"].webhook_secret = rows["film"].webhook_secret

    both.store(lambda database: database.run_host(move))
    with pytest.raises(DecryptionError):
        stored_secret(both, "quiz")


def test_every_field_can_be_set_and_emptied(both: Cli) -> None:
    changed = both.json(
        "app", "set", "quiz", "name=Quizzes", "launch-url=https://new.example/launch", "picker-url=https://new.example/pick",
        "allow-target=https://b.example/, https://a.example/", "release=names,email",
    )  # fmt: skip
    del changed["webhook_secret"]
    assert changed == both.json("app", "show", "quiz")
    assert (changed["name"], changed["launch_url"]) == ("Quizzes", "https://new.example/launch")
    assert changed["allowed_targets"] == ["https://a.example/", "https://b.example/"]
    assert changed["release"] == ["email", "names"]
    emptied = both.json("app", "set", "quiz", "picker-url=", "allow-target=", "release=")
    assert (emptied["picker_url"], emptied["allowed_targets"], emptied["release"]) == (None, [], [])
    assert "https://new.example/launch" in both.run("app", "show", "quiz").stdout


def test_a_change_is_in_the_audit_trail(both: Cli) -> None:
    changed = both.json("app", "set", "quiz", "release=email", "name=Q")

    def last(session: Session) -> tables.Audit:
        query = select(tables.Audit).where(tables.Audit.tenant_id == HOST).order_by(tables.Audit.seq.desc())
        return session.scalars(query.limit(1)).one()

    row = both.store(lambda database: database.run_host(last))
    assert (row.action, row.object_id, row.details) == (
        "application.set", changed["id"], {"fields": ["name", "release"]},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["quiz", "colour=red"], "field_unknown"),
        (["quiz", "slug=other"], "field_unknown"),
        (["quiz", "name"], "assignment_invalid"),
        (["quiz", "name="], "text_invalid"),
        (["quiz", "launch-url="], "text_invalid"),
        (["quiz", "launch-url=quiz.example"], "url_invalid"),
        (["quiz", "launch-url=http://quiz.example/"], "url_insecure"),
        (["quiz", "allow-target=https://a.example/,http://b.example/"], "url_insecure"),
        (["quiz", "webhook-url=http://quiz.example/"], "url_insecure"),
        (["quiz", "release=names,grades"], "choice_invalid"),
        (["other", "name=x"], "application_unknown"),
        (["quiz", "name=x", "--tenant", "uni"], "application_shared"),
        (["quiz", "name=x", "--tenant", "other"], "tenant_unknown"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_cannot_be_set_is_said_and_changes_nothing(uni: Cli, arguments: list[str], code: str) -> None:
    before = uni.json("app", "list")
    assert f"[{code}]" in uni.refused("app", "set", *arguments)
    assert uni.json("app", "list") == before


def test_a_refused_value_takes_the_others_back(both: Cli) -> None:
    before = both.json("app", "show", "quiz")
    both.refused("app", "set", "quiz", "allow-target=https://a.example/", "name=Other", "release=grades")
    assert both.json("app", "show", "quiz") == before


def test_an_organisation_s_own_application_is_named_with_it(both: Cli) -> None:
    both.run("app", "create", "film", "--name", "F", "--launch-url", "https://film.example/", "--tenant", "uni")
    assert both.json("app", "set", "film", "name=Films", "--tenant", "uni")["name"] == "Films"
    assert both.json("app", "show", "film", "--tenant", "uni")["tenant"] == "uni"
    assert both.json("app", "show", "quiz", "--tenant", "uni")["tenant"] is None
    assert "[application_unknown]" in both.refused("app", "show", "film")
