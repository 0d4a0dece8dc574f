"""`ltihost serve` as a process: what it answers, what it refuses to start on, how it stops."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from ltihost.commands.serve import GRACE_SECONDS, MAX_CONNECTIONS, server_options
from tests.core.cli.conftest import LTIHOST, Cli
from tests.core.cli.processes import ending


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(cli: Cli, port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The process, listening: it says so before the first connection is accepted, and those wait in the backlog."""
    command = [str(LTIHOST), "serve", "--port", str(port), *arguments]
    with ending(subprocess.Popen(command, env=cli.process_environment, stderr=subprocess.PIPE, text=True)) as process:
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["one process", "two processes"])
def test_it_answers_and_stops_when_told(cli: Cli, arguments: tuple[str, ...]) -> None:
    port = free_port()
    with serving(cli, port, *arguments) as process:
        answer = httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=30)
        ready = httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=30)
    assert (answer.status_code, answer.text, ready.text) == (200, "ok", "ok")
    assert "server" not in answer.headers
    assert "date" in answer.headers
    assert process.returncode in (0, -signal.SIGTERM)


def test_what_a_stranger_puts_into_forwarded_headers_counts_for_nothing(cli: Cli) -> None:
    port = free_port()
    with serving(cli, port):
        httpx2.get(f"http://127.0.0.1:{port}/lti/login", headers={"X-Forwarded-For": "198.51.100.7"}, timeout=30)
    code = cli.json("launch", "list")[0]["code"]
    assert cli.json("launch", "show", code)["remote_address"] == "127.0.0.1"


def test_a_named_proxy_is_believed(cli: Cli) -> None:
    port = free_port()
    with serving(cli, port, "--forwarded-allow-ips", "127.0.0.1"):
        httpx2.get(f"http://127.0.0.1:{port}/lti/login", headers={"X-Forwarded-For": "198.51.100.7"}, timeout=30)
    code = cli.json("launch", "list")[0]["code"]
    assert cli.json("launch", "show", code)["remote_address"] == "198.51.100.7"


def test_a_port_in_use_is_said_in_a_line(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stderr = cli.refused("serve", "--port", str(taken.getsockname()[1]))
    assert "address already in use" in stderr
    assert "[cannot_listen]" in stderr


def test_a_database_of_another_release_is_not_served(cli: Cli) -> None:
    from sqlalchemy import text

    from ltihost.store.database import Database

    async def age(database: Database) -> None:
        await database.run_host(
            lambda session: session.connection().execute(text("UPDATE alembic_version SET version_num = '9999'"))
        )

    cli.store(age)
    assert "[schema_newer]" in cli.refused("serve", "--port", "1", status=78)


def test_the_server_is_bounded_and_graceful() -> None:
    options = server_options()
    assert (options["access_log"], options["server_header"], options["proxy_headers"]) == (False, False, False)
    assert (options["limit_concurrency"], options["timeout_graceful_shutdown"]) == (MAX_CONNECTIONS, GRACE_SECONDS)
