"""What commands say to people: what to do next, what was meant, and where a list ends."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from ltihost.commands import output
from ltihost.commands.serve import _own_port
from ltihost.errors import ConfigurationError
from ltihost.settings import load_settings
from ltihost.store.database import Database
from ltihost.store.service_tables import RosterRun
from ltihost.store.tables import Context
from tests.core.cli.conftest import Cli
from tests.core.cli.test_cli_grades import book_with_three
from tests.core.grades.support import make_book

KEY = "k" * 40
ISO = re.compile(r"\d{4}-\d\d-\d\dT")


def test_an_empty_key_file_is_none_and_a_missing_one_is_named(tmp_path: Path) -> None:
    settings = load_settings(base_url="http://localhost", secret_key=KEY, secret_key_file="")
    assert settings.secret_key_file is None
    missing = tmp_path / "absent.key"
    with pytest.raises(ConfigurationError, match=re.escape(f"LTIHOST_SECRET_KEY_FILE: {missing} cannot be read")):
        load_settings(base_url="http://localhost", secret_key_file=missing)


@pytest.mark.parametrize(("networks", "url", "taken"), [
    ("127.0.0.0/8", "http://127.0.0.5/launch", True), ("127.0.0.0/8", "http://8.8.8.8/launch", False),
    ("127.0.0.0/8", "http://nowhere.invalid/launch", False), ("10.0.0.0/8", "http://127.0.0.5/launch", False),
    ("", "http://127.0.0.5/launch", False), ("10.0.0.0/8", "https://8.8.8.8/launch", True),
])  # fmt: skip
def test_plain_http_serves_only_inside_the_permitted_networks(cli: Cli, networks: str, url: str, taken: bool) -> None:
    cli = Cli(cli.environment | {"LTIHOST_ALLOW_NETWORKS": networks})
    words = ("app", "create", "quiz", "--name", "Q", "--launch-url", url)
    if taken:
        cli.run(*words)
    else:
        assert "[url_insecure]" in cli.refused(*words)


@pytest.mark.parametrize("url", [
    "http://a..b/", f"http://{'a' * 64}.example/", "http://[::1/", "http://a.example:port/",
])  # fmt: skip
def test_a_url_that_is_none_is_said_to_be_none(uni: Cli, url: str) -> None:
    uni = Cli(uni.environment | {"LTIHOST_ALLOW_NETWORKS": "127.0.0.0/8"})
    assert "[url_invalid]" in uni.refused("app", "create", "film", "--name", "F", "--launch-url", url)
    assert "[url_invalid]" in uni.refused("app", "set", "quiz", f"picker-url={url}")


def test_an_application_of_a_tenant_is_found_without_naming_it(uni: Cli) -> None:
    uni.run("app", "create", "film", "--tenant", "uni", "--name", "F", "--launch-url", "https://film.example/")
    said = uni.refused("app", "show", "film")
    assert "There is no application film here; there is one with --tenant uni." in said
    assert "There is no application other." in uni.refused("app", "show", "other")


def test_a_webhook_s_secret_says_that_nothing_is_sent_yet(uni: Cli) -> None:
    assert "so far none is sent" in uni.run("app", "set", "quiz", "webhook-url=https://quiz.example/hook").stderr


def test_a_name_that_is_nearly_one_is_asked_about(uni: Cli) -> None:
    made = uni.json("registration", "create", "--tenant", "uni", "--app", "quiz", "--plugin", "lti")
    assert "no 'isuer'; did you mean issuer?" in uni.refused(
        "registration", "set", made["id"], "isuer=https://a.example"
    )
    assert "no 'lanch-url'; did you mean launch-url?" in uni.refused(
        "app", "set", "quiz", "lanch-url=https://a.example"
    )
    assert "it has name, " in uni.refused("app", "set", "quiz", "colour=red")


def test_a_deployment_that_nobody_saw_is_approved_with_a_warning(uni: Cli) -> None:
    made = uni.json("registration", "create", "--tenant", "uni", "--app", "quiz", "--plugin", "lti")
    assert "no launch came from zzz yet" in uni.run("deployment", "approve", made["id"], "zzz").stderr
    assert "no launch came" not in uni.run("deployment", "approve", made["id"], "zzz").stderr


def test_a_choice_that_is_none_is_refused_in_plain_words(uni: Cli) -> None:
    for words in (("grade", "list"), ("deployment", "list"), ("roster", "list")):
        said = uni.refused(*words, "--state", "bogus", status=2)
        assert "Value error" not in said
        assert "'bogus' is not one of" in said


def test_keys_are_listed_with_moments_for_people(cli: Cli) -> None:
    cli.run("migrate")
    listed = cli.run("key", "list").stdout
    assert " UTC" in listed
    assert not ISO.search(listed)
    assert not ISO.search(cli.run("key", "rotate").stdout)


def test_deliveries_are_listed_with_their_lms_and_say_where_the_list_ends(cli: Cli) -> None:
    ids = book_with_three(cli)
    whole = cli.run("grade", "list")
    assert whole.stdout.splitlines()[0].split()[:4] == ["Delivery", "State", "Why", "LMS"]
    assert "--limit" not in whole.stderr
    assert "only 2 are shown; --limit shows more" in cli.run("grade", "list", "--limit", "2").stderr
    assert cli.run("grade", "replay", ids["dead"]).stdout == "1 delivery will be sent again.\n"
    assert "By API key" in cli.run("grade", "show", ids["idle"]).stdout


def test_readings_of_rosters_are_listed_with_lms_and_title(cli: Cli) -> None:
    async def read(db: Database) -> RosterRun:
        book = await make_book(db, learners=1)
        (context,) = await book.rows(Context)
        run = RosterRun(
            tenant_id=context.tenant_id, id="run_1", context_id=context.id, state="applied", pages=1, total=1, left_out=0,
            added=1, changed=0, removed=0, started_at=1_790_000_000.0,
        )  # fmt: skip
        await db.run_host(lambda session: session.add(run))
        return run

    cli.store(read)
    shown = cli.run("roster", "list").stdout
    assert shown.splitlines()[0].split()[:4] == ["Run", "LMS", "Context", "Title"]
    assert "Biology 101" in shown
    (listed,) = cli.json("roster", "list")
    assert (listed["context_title"], listed["id"]) == ("Biology 101", "run_1")


def test_long_texts_are_cut_in_tables() -> None:
    assert output.short("x" * 41) == "x" * 39 + "…"
    assert output.short("x" * 40) == "x" * 40
    assert output.short(None) is None


def test_a_command_that_no_shell_finds_is_named_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["some folder/ltihost-not-on-the-path"])
    assert output.own_command() == f"'{Path.cwd()}/some folder/ltihost-not-on-the-path'"
    monkeypatch.setattr(sys, "argv", ["/elsewhere/sh"])
    assert output.own_command() == "sh"


def test_the_port_is_that_of_a_base_url_on_this_machine() -> None:
    assert _own_port("http://localhost:8720") == 8720
    assert _own_port("https://lti.example.org:8443") is None  # a proxy listens there
