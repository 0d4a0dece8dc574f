"""What comes back: the parts of an answer, how much of it is read, and what becomes of one that cannot be read."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import Sequence

import pytest

from ltihost.outbound import Outbound, Timeouts
from tests.core.support_loopback import LOOPBACK, answers, bombs, drips, hangs, loopback
from tests.core.support_loopback import answer as message
from tests.core.support_names import Names
from tests.core.support_outbound import QUICK, fails, failure, sends


async def test_an_answer_has_status_headers_and_body() -> None:
    async with loopback(answers(b"body", 404, X_Kind="one")) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=4)
        await outbound.aclose()
    assert (answer.status, answer.headers["x-kind"], answer.body) == (404, "one", b"body")
    assert len(server.requests) == 1


async def test_a_header_in_several_lines_is_one_list() -> None:
    links = {"link": '<https://lms.example/1>; rel="first"', "Link": '<https://lms.example/2>; rel="next"'}
    async with loopback(sends(message(200, b"{}", links))) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=10)
        await outbound.aclose()
    assert answer.headers["link"] == ", ".join(links.values())


async def test_a_header_that_is_no_ascii_is_readable() -> None:
    async with loopback(sends(message(200, b"{}", {"x-kind": "@"}).replace(b"@", b"\xff"))) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=10)
        await outbound.aclose()
    assert answer.headers["x-kind"] == "ÿ"


async def test_a_long_header_is_read_and_an_endless_one_refused() -> None:
    async with loopback(answers({}, x_policy="a" * 20_000)) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=10)
        await outbound.aclose()
    assert len(answer.headers["x-policy"]) == 20_000
    await fails("connection_failed", answers({}, x_policy="a" * 1_000_000))
    await fails("connection_failed", answers({}, **{f"x{number}": "a" for number in range(1000)}))


async def test_a_redirect_is_refused_and_not_followed() -> None:
    async with loopback() as inner, loopback(answers(b"", 302, location=inner.url())) as server:
        failed = await failure(server.url(), Outbound(LOOPBACK))
    assert (failed.code, failed.status) == ("redirect_refused", 302)
    assert inner.url() in failed.message
    assert (len(server.requests), inner.accepts) == (1, 0)


async def test_more_bytes_than_allowed_are_refused() -> None:
    await fails("too_large", answers(b"12345678901"))


async def test_a_gzip_bomb_is_stopped_at_the_limit_without_filling_memory() -> None:
    tracemalloc.start()
    await fails("too_large", bombs, limit=262_144)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


async def test_a_compressed_answer_is_unpacked() -> None:
    async with loopback(answers(gzip.compress(b"0123456789"), content_encoding="gzip")) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=10)
        await outbound.aclose()
    assert answer.body == b"0123456789"


@pytest.mark.parametrize("coding", ["gzip", ""])
async def test_an_empty_body_is_empty_whatever_its_coding(coding: str) -> None:
    async with loopback(answers(b"", content_encoding=coding)) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=10)
        await outbound.aclose()
    assert answer.body == b""


@pytest.mark.parametrize(
    "body", [b"not gzip", gzip.compress(b"{}")[:-1], gzip.compress(b"{}") + b"x"], ids=["other", "cut off", "and more"]
)
async def test_a_body_that_is_not_one_compressed_stream_is_a_failure(body: bytes) -> None:
    await fails("body_unreadable", answers(body, content_encoding="gzip"))


@pytest.mark.parametrize(
    ("packed", "more", "code"),
    [
        (gzip.compress(b"{}"), b"x", "body_unreadable"),
        (gzip.compress(b"")[:10], b"\0\0\0\xff\xff", "too_large"),
    ],
    ids=["after the end", "blocks that hold nothing"],
)
async def test_bytes_that_unpack_to_nothing_are_not_read_without_end(packed: bytes, more: bytes, code: str) -> None:
    async def goes_on(request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + packed)
        while True:
            writer.write(more * 1_000)
            await writer.drain()

    await fails(code, goes_on, requests=1)


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ([CHUNKED + b"no length\r\n"], "connection_failed"),
        ([CHUNKED, b"no length\r\n"], "connection_failed"),
        ([CHUNKED], "timeout"),
        ([message(200, b"not gzip", {"content-encoding": "gzip"})], "body_unreadable"),
        ([message(200, b"longer than ten", {})], "too_large"),
    ],
    ids=["broken in the first piece", "broken later", "unfinished", "not compressed", "too large"],
)
async def test_a_failure_says_the_status_once_it_came(pieces: list[bytes], code: str) -> None:
    async def in_pieces(request: object, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)  # so that they are read one by one

    async with loopback(in_pieces) as server:
        failed = await failure(server.url(), Outbound(LOOPBACK, timeouts=Timeouts(read=0.2)))
    assert (failed.code, failed.status, failed.sent) == (code, 200, True)


@pytest.mark.parametrize(
    ("sent", "body"),
    [(b"HTTP/1.1 204 X\r\ncontent-length: 2\r\n\r\n{}", b""), (message(200, b"{}", {}) + b"more", b"{}")],
    ids=["a body where none may be", "a length that is too small"],
)
async def test_bytes_after_an_answer_spoil_nothing_but_the_connection(sent: bytes, body: bytes) -> None:
    async with loopback(sends(sent)) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.request("POST", server.url(), limit=10)
        server.handler = answers({})
        again = await outbound.request("POST", server.url(), limit=10)
        await outbound.aclose()
    assert (answer.body, again.body) == (body, b"{}")
    assert server.accepts == 2


@pytest.mark.parametrize("headers", [{}, {"connection": "upgrade", "upgrade": "other"}], ids=["plain", "upgrade"])
async def test_a_change_of_protocol_is_a_failed_connection(headers: dict[str, str]) -> None:
    async with loopback(sends(message(101, b"", headers))) as server:
        failed = await failure(server.url(), Outbound(LOOPBACK))
    assert (failed.code, failed.status, failed.sent) == ("connection_failed", 101, True)


async def test_a_server_that_speaks_no_http_is_a_failed_connection() -> None:
    async def nonsense(request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")

    await fails("connection_failed", nonsense)


async def test_a_server_that_does_not_answer_is_given_up_after_the_read_time() -> None:
    await fails("timeout", hangs, requests=1)


async def test_a_server_that_drips_is_given_up_after_the_total_time() -> None:
    await fails("timeout", drips(0.1), limit=10_000, requests=1)


async def test_a_name_server_that_hangs_is_given_up_after_the_connect_time() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    outbound = Outbound((), resolve=never, timeouts=QUICK)
    assert (await failure("https://lms.example/", outbound)).code == "timeout"


async def test_a_name_without_address_is_a_failed_connection() -> None:
    await fails("connection_failed", answers({}), resolve=Names([]))


async def test_a_name_that_nobody_knows_is_a_failed_connection() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    failed = await failure("https://lms.example/", Outbound((), resolve=unknown))
    assert failed.code == "connection_failed"
