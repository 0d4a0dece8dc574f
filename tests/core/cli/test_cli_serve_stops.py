"""`ltihost serve` is told to stop: what is under way ends, and nobody is let in meanwhile."""

from __future__ import annotations

import signal
import socket
import time

import pytest

from tests.core.cli.conftest import Cli
from tests.core.cli.test_cli_serve import free_port, serving

HEAD = (
    b"POST /lti/launch HTTP/1.1\r\nhost: x\r\n"
    b"content-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n"
)


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["one process", "two processes"])
def test_nobody_is_let_in_while_the_last_request_ends(cli: Cli, arguments: tuple[str, ...]) -> None:
    """Who is not accepted any more has to hear it at once, to go elsewhere; a queue that nobody serves says nothing."""
    port = free_port()
    with serving(cli, port, *arguments) as process, socket.create_connection(("127.0.0.1", port)) as slow:
        slow.settimeout(30)
        slow.sendall(HEAD)
        assert slow.recv(65_536).startswith(b"HTTP/1.1 100 ")
        process.send_signal(signal.SIGTERM)
        assert refuses(port)
        assert process.poll() is None
        slow.sendall(b"a=b")
        assert b"".join(iter(lambda: slow.recv(65_536), b"")).startswith(b"HTTP/1.1 400 ")
    assert process.returncode in (0, -signal.SIGTERM)


def refuses(port: int) -> bool:
    """Whether nobody is let in any more, within some seconds."""
    until = time.monotonic() + 15
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.05)
    return False
