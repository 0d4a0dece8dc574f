"""The command as a whole: how it ends, what it says where, and what it never says."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from ltihost import __version__
from ltihost.cli import COMMANDS, GROUPS
from tests.core.cli.conftest import LTIHOST, Cli
from tests.core.cli.processes import ending

#: The spellings that others script against.
FIXED = (
    "demo", "serve", "migrate", "check", "tenant create", "tenant list", "tenant suspend", "tenant resume",
    "plugin list", "plugin enable", "plugin disable", "app create", "app list", "app key create", "app set",
    "app show", "admin create", "admin list",
    "registration create", "registration list", "registration show", "registration set", "registration check",
    "registration approve", "registration disable", "registration guide", "deployment list", "deployment approve",
    "deployment disable", "role-rule add", "role-rule list", "role-rule remove", "key list", "key rotate", "key revoke",
    "launch list", "launch show", "audit verify",
)  # fmt: skip
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_the_fixed_spellings_are_there() -> None:
    known = {*COMMANDS, *(f"{group} {verb}" for group, (_, verbs) in GROUPS.items() for verb in verbs)}
    assert set(FIXED) - known == set()


@pytest.mark.parametrize("words", [words.split() for words in FIXED], ids=FIXED)
def test_every_command_explains_itself(cli: Cli, words: list[str]) -> None:
    shown = cli.run(*words, "--help").stdout
    assert f"Usage: ltihost {' '.join(words)}" in shown


@pytest.mark.parametrize("group", [group.split() for group in GROUPS], ids=list(GROUPS))
def test_a_group_alone_shows_its_help(cli: Cli, group: list[str]) -> None:
    ended = cli.run(*group, status=2)
    assert f"Usage: ltihost {' '.join(group)}" in ended.stdout + ended.stderr


def test_the_installed_command_works_as_a_process(cli: Cli) -> None:
    assert cli.process("--version").stdout == f"ltihost {__version__}\n"
    made = cli.process("tenant", "create", "uni", "--name", "Uni Nord", "--json")
    assert (made.status, made.stderr) == (0, "")
    assert json.loads(made.stdout)["slug"] == "uni"
    again = cli.process("tenant", "create", "uni", "--name", "Uni Nord", "--json")
    assert (again.status, again.stdout) == (1, "")
    assert again.stderr == "ltihost: There is a tenant uni already. [tenant_exists]\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tenant", "create", "uni"], "Missing option '--name'"),
        (["tenant", "create"], "Missing argument 'SLUG'"),
        (["tenant", "found"], "No such command 'found'"),
        (["launch", "list", "--limit", "0"], "--limit"),
        (["launch", "list", "--outcome", "perhaps"], "--outcome"),
        (["tenant", "list", "--colour"], "--colour"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_two_lines(cli: Cli, arguments: list[str], said: str) -> None:
    stderr = cli.refused(*arguments, status=2)
    assert said in stderr
    assert stderr.splitlines()[1].startswith("try: ltihost")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"LTIHOST_BASE_URL": ""}, "LTIHOST_BASE_URL"),
        ({"LTIHOST_BASE_URL": "http://lti.example.org"}, "must be https"),
        ({"LTIHOST_SECRET_KEY": ""}, "LTIHOST_SECRET_KEY"),
        ({"LTIHOST_SECRET_KEY": "too short"}, "32 characters"),
        ({"LTIHOST_DATABASE_URL": "sqlite:///does/not/exist/x.db"}, "does not exist"),
        ({"LTIHOST_DATABASE_URL": "sqlite://"}, "LTIHOST_DATABASE_URL"),
        ({"LTIHOST_DATABASE_URL": "mysql://root:too short@db/x"}, "postgresql://USER:PASSWORD@HOST/NAME"),
        ({"LTIHOST_DATABASE_URL": "ltihost.db"}, "sqlite:///FILE"),
        ({"LTIHOST_MIGRATE_URL": "oracle://root:too short@db/x"}, "LTIHOST_MIGRATE_URL"),
    ],
)
@pytest.mark.parametrize("command", [["tenant", "list"], ["serve", "--port", "1"], ["migrate"]], ids=" ".join)
def test_wrong_settings_end_with_78(cli: Cli, command: list[str], changes: dict[str, str], said: str) -> None:
    stderr = Cli(cli.environment | changes).refused(*command, status=78)
    assert said in stderr
    assert "too short" not in stderr


def test_a_missing_base_url_is_named_with_an_example(cli: Cli) -> None:
    without = {name: value for name, value in cli.environment.items() if name != "LTIHOST_BASE_URL"}
    stderr = Cli(without).refused("tenant", "list", status=78)
    assert "LTIHOST_BASE_URL is required" in stderr
    assert "https://lti.example.org" in stderr


def test_a_missing_sqlite_database_is_made_and_announced(cli: Cli, tmp_path: Path) -> None:
    fresh = Cli(cli.environment | {"LTIHOST_DATABASE_URL": f"sqlite:///{tmp_path / 'new.db'}"})
    ended = fresh.run("tenant", "list", "--json")
    assert json.loads(ended.stdout) == []
    assert "made a new database" in ended.stderr
    assert fresh.run("tenant", "list").stderr.startswith("none yet")


def test_migrate_and_check(cli: Cli, tmp_path: Path) -> None:
    fresh = Cli(cli.environment | {"LTIHOST_DATABASE_URL": f"sqlite:///{tmp_path / 'new.db'}"})
    before = fresh.json("check", status=1)
    assert [step["status"] for step in before] == ["ok", "ok", "fail"]
    assert "ltihost migrate" in before[-1]["detail"]
    revision = fresh.json("migrate")["revision"]
    assert fresh.json("migrate") == {"revision": revision}
    assert {step["status"] for step in fresh.json("check")} == {"ok"}
    assert "CREATE TABLE tenants" in fresh.run("migrate", "--sql").stdout
    assert [key["state"] for key in fresh.json("key", "list")] == ["signing"]


def test_a_narrow_terminal_gets_blocks_instead_of_broken_rows(uni: Cli) -> None:
    wide, narrow = (_COLOUR.sub("", _on_terminal(uni, columns)) for columns in (120, 40))
    assert wide.splitlines()[0].split() == ["Slug", "Name", "Tenant", "Launch", "URL", "Receives"]
    assert "Launch URL" in narrow
    assert all(len(line) <= 40 for line in narrow.splitlines())
    assert "https://quiz.example/launch" in narrow.replace("\n", "").replace(" ", "")


def test_there_is_no_colour_in_a_pipe(uni: Cli) -> None:
    assert "\x1b" not in uni.process("app", "list").stdout
    assert "\x1b" in _on_terminal(uni, 120)


def test_a_reader_who_leaves_early_is_no_traceback(uni: Cli) -> None:
    with ending(
        subprocess.Popen(
            [LTIHOST, "registration", "create", "--help"],
            env=uni.process_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def _on_terminal(cli: Cli, columns: int) -> str:
    """What `app list` writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    environment = cli.process_environment | {"COLUMNS": str(columns), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    subprocess.run([LTIHOST, "app", "list"], env=environment, stdout=theirs, check=True, timeout=60)
    os.close(theirs)
    text = b""
    while chunk := _read(ours):
        text += chunk
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    """What is there; nothing once the other side is closed (Linux answers EIO then)."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
