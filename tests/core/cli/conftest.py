"""The command, run in this process or as a process of its own, against a migrated and empty database."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from typer.testing import CliRunner

from ltihost.cli import command
from ltihost.settings import Settings, load_settings
from ltihost.store.database import Database

T = TypeVar("T")
LTIHOST = Path(sys.executable).with_name("ltihost")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Cli:
    """Runs commands with these settings."""

    environment: dict[str, str]

    def run(self, *arguments: str, status: int = 0) -> Ended:
        """Run in this process; the exit status must be `status`."""
        result = CliRunner().invoke(command, list(arguments), env=self.environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return Ended(result.exit_code, result.stdout, result.stderr)

    def json(self, *arguments: str, status: int = 0) -> Any:
        """Run with --json: standard output must be one document and nothing else."""
        return json.loads(self.run(*arguments, "--json", status=status).stdout)

    def refused(self, *arguments: str, status: int = 1) -> str:
        """Run what must fail: nothing on standard output, one or two lines on standard error, no traceback."""
        ended = self.run(*arguments, status=status)
        assert ended.stdout == ""
        assert len(ended.stderr.splitlines()) <= 2
        assert ended.stderr.startswith("ltihost: ")
        return ended.stderr

    def process(self, *arguments: str) -> Ended:
        """Run the installed command as a process of its own."""
        done = subprocess.run(
            [LTIHOST, *arguments], env=self.process_environment, capture_output=True, text=True, timeout=60, check=False
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @property
    def process_environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LTIHOST_")}
        return {**kept, **self.environment}

    def store(self, work: Callable[[Database], Awaitable[T]]) -> T:
        """Do something with the database that the commands use."""

        async def once() -> T:
            database = Database(self._settings())
            await database.open()
            try:
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(once())

    def _settings(self) -> Settings:
        fields = {name.removeprefix("LTIHOST_").lower(): value for name, value in self.environment.items()}
        return load_settings(**fields)


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment that leads to these settings."""
    found = {
        "LTIHOST_BASE_URL": settings.base_url,
        "LTIHOST_DATABASE_URL": settings.database,
        "LTIHOST_SECRET_KEY": settings.secret_key.get_secret_value(),
        "LTIHOST_ALLOW_NETWORKS": ",".join(str(network) for network in settings.allow_networks),
    }
    if settings.migrate_url is not None:
        found["LTIHOST_MIGRATE_URL"] = settings.owner_database
    return found


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """The command configures logs for its process; here they come back as they were."""
    root, former = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**former)


@pytest.fixture
def cli(sqlite_settings: Settings) -> Cli:
    """The command on an empty SQLite database; no private network may be reached."""
    return Cli(environment_of(sqlite_settings) | {"LTIHOST_ALLOW_NETWORKS": ""})


@pytest.fixture
def uni(cli: Cli) -> Cli:
    """An organisation `uni` and an application `quiz`."""
    cli.run("tenant", "create", "uni", "--name", "Uni Nord")
    cli.run("app", "create", "quiz", "--name", "Quiz", "--launch-url", "https://quiz.example/launch")
    return cli
