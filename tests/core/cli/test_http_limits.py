"""A stranger's connection: a head without end and a connection without a request are ended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ltihost.commands import http_limits
from ltihost.commands.http_limits import BoundedHttpTools
from ltihost.testing.serving import listen, port_of


async def _read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        continue
    await PlainTextResponse("ok")(scope, receive, send)


@contextmanager
def served() -> Iterator[int]:
    sockets = listen("127.0.0.1")
    config = uvicorn.Config(_read_all, http=BoundedHttpTools, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    yield port_of(sockets)
    server.should_exit = True
    thread.join()


def talk(port: int, *parts: bytes) -> bytes:
    """Send, then read until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            return b"".join(iter(lambda: connection.recv(65_536), b""))
        except (ConnectionResetError, BrokenPipeError):
            return b""


def test_an_ordinary_request_with_a_large_body_is_answered() -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 200000\r\n\r\n"
    with served() as port:
        assert talk(port, head + b"x" * 100_000, b"x" * 100_000).startswith(b"HTTP/1.1 200")
        assert talk(
            port, b"GET / HTTP/1.1\r\nhost: x\r\nx-large: " + b"x" * 40_000 + b"\r\nconnection: close\r\n\r\n"
        ).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [60_000, 70_000, 100_000, 200_000, 400_000])
def test_a_connection_that_is_kept_answers_after_a_large_body_too(size: int) -> None:
    """The bytes that end a body are no part of the next head, however they come."""
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size
    last = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    with served() as port:
        for parts in (
            [post + b"x" * size],
            [post, b"x" * size],
            [post + b"x" * (size // 2), b"x" * (size - size // 2)],
        ):
            assert talk(port, *parts, *parts, last).count(b"HTTP/1.1 200") == 3


def test_a_head_without_end_is_ended() -> None:
    with served() as port:
        assert talk(port, b"GET / HTTP/1.1\r\nhost: x\r\n", *[b"x-a: " + b"x" * 10_000 + b"\r\n"] * 40) == b""


def test_a_connection_without_a_request_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "HEAD_SECONDS", 0.2)
    with served() as port:
        assert talk(port, b"GET / HT") == b""
