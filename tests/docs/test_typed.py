"""The operator's commands of each page, typed in order into a fresh host, do what the page says."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from ltihost.cli import command
from ltihost.records import HOST, Attempt
from ltihost.settings import Settings
from ltihost.store.database import Database
from tests.docs.reading import ROOT, documentation, name_of
from tests.docs.test_commands import console_lines, words_of

CODE = "K7QM-3F9X"
#: What a page may take for granted; left out where the page types the same itself.
BEFORE = (
    "tenant create north --name North",
    "tenant create south --name South",
    "app create exercises --name Exercises --launch-url https://exercises.example/launch",
    "app create former --name Former --launch-url https://former.example/launch",
    "registration create --app former --plugin moodle --issuer https://moodle.example --client-id 1",
)
#: Commands that do not end, reach the internet or an LMS, name what only a launch makes, or have tests of their own.
ELSEWHERE = (
    "serve", "worker", "demo", "registration check", "plugin enable acme", "check", "deployment origins", "grade show",
    "grade replay DELIVERY", "roster sync", "roster approve",
)  # fmt: skip
PAGES = [page for page in documentation() if page.parent.name != "adr" and page.name not in ("tutorial.md", "cli.md")]


class Operator:
    """Types commands, and copies what a page leaves open (`ID`, `KID` ...) from the lists."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.secret_keys[0]
        self.environment = {
            "LTIHOST_BASE_URL": settings.base_url,
            "LTIHOST_DATABASE_URL": settings.database,
            "LTIHOST_SECRET_KEY": secret,
        }

    def type(self, words: list[str]) -> str:
        words = [re.sub(r"^[A-Z-]+$", lambda found: self.copied(found[0]), word) for word in words]
        ended = CliRunner().invoke(command, words, env=self.environment)
        assert ended.exit_code == 0, f"ltihost {' '.join(words)}\n{ended.output}"
        return ended.stdout

    def copied(self, name: str) -> str:
        known: dict[str, Callable[[], str]] = {
            "ID": lambda: self._first("registration list", "id"),
            "REGISTRATION": lambda: self._first("registration list", "id"),
            "DEPLOYMENT": lambda: "deployment-1",
            "CODE": lambda: CODE,
            "KEY-ID": lambda: self._first("app key list exercises", "id"),
            "KID": lambda: self._first(f"key list --registration {self.copied('ID')}", "kid"),
            "RULE": lambda: self._first("role-rule list --tenant north", "id"),
        }
        return known[name]() if name in known else name

    def _first(self, listing: str, field: str) -> str:
        rows: list[dict[str, Any]] = json.loads(self.type([*listing.split(), "--json"]))
        return str(rows[-1][field])


@pytest.fixture
def operator(sqlite_settings: Settings) -> Iterator[Operator]:
    """In front of an empty host where one launch was refused. The command's logs come back as they were."""
    asyncio.run(_refuse(sqlite_settings))
    root, former = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield Operator(sqlite_settings)
    root.handlers, root.level = handlers, level
    structlog.configure(**former)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_of_a_page_work_in_its_order(page: Path, operator: Operator) -> None:
    typed = [words[1:] for line in console_lines(page) if (words := words_of(line))[:1] == ["ltihost"]]
    own = [words[:3] for words in typed]
    before = [shlex.split(line) for line in BEFORE]
    for words in [*(line for line in before if line[:3] not in own), *typed]:
        if not " ".join(words).startswith(ELSEWHERE):
            operator.type(words)


def test_a_page_with_a_command_that_fails_would_be_found(operator: Operator) -> None:
    with pytest.raises(AssertionError, match="tenant resume nobody"):
        operator.type(["tenant", "resume", "nobody"])


def test_the_pages_type_commands() -> None:
    assert sum(1 for page in PAGES for _ in console_lines(page)) > 50
    assert ROOT / "docs" / "how-to" / "register-canvas.md" in PAGES


async def _refuse(settings: Settings) -> None:
    database = Database(settings)
    await database.open()
    refused = Attempt("lch_1", HOST, CODE, "login", "refused", 1_790_000_000.0, refusal="unknown_registration")
    await database.hot.record_attempts([refused])
    await database.close()
