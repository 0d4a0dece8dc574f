"""How the guarded client uses its connections: one request each at a time, kept for the next, never one that is broken."""

from __future__ import annotations

import asyncio

import pytest

from ltihost import guard
from ltihost.errors import OutboundFailed
from ltihost.outbound import Outbound, Timeouts
from tests.core.support_loopback import (
    LOOPBACK,
    Handler,
    Request,
    answer,
    answers,
    drips,
    hangs,
    in_turn,
    loopback,
    resets,
)

OK = answer(200, b"{}", {})


async def test_requests_at_the_same_time_have_a_connection_each_and_later_ones_take_those() -> None:
    together = asyncio.Barrier(3)

    async def waits_for_all(request: Request, writer: asyncio.StreamWriter) -> None:
        await together.wait()
        writer.write(OK)

    async with loopback(waits_for_all) as server:
        outbound = Outbound(LOOPBACK)
        for _ in range(2):
            await asyncio.gather(*(outbound.get(server.url(), limit=10) for _ in range(3)))
        await outbound.aclose()
    assert (server.accepts, len(server.requests)) == (3, 6)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_taken_again() -> None:
    closed = asyncio.Event()

    async def leaves(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with loopback(leaves) as server:
        outbound = Outbound(LOOPBACK)
        await outbound.request("POST", server.url(), limit=10)
        await closed.wait()
        server.handler = answers({})
        again = await outbound.request("POST", server.url(), limit=10)
        await outbound.aclose()
    assert again.status == 200
    assert server.accepts == 2


def keeps(kept: list[asyncio.StreamWriter]) -> Handler:
    """Answer, and put aside where more can be written."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        kept.append(writer)

    return handler


async def floods(writer: asyncio.StreamWriter, said: bytes) -> None:
    """Megabytes of it, as fast as the client reads. Raises ConnectionError."""
    for _ in range(100):
        writer.write(said * 1_000)
        await writer.drain()
        await asyncio.sleep(0)  # lets the client read


@pytest.mark.parametrize("turns", [0, 10], ids=["unread", "read by the event loop"])
@pytest.mark.parametrize(
    "said",
    [answer(200, b"[1]", {}), b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n", b"H", b"\r\n"],
    ids=["an answer", "half a head", "an interim answer", "one letter", "an empty line"],
)
async def test_a_connection_on_which_the_server_spoke_unasked_is_not_taken_again(said: bytes, turns: int) -> None:
    """What it said there is no answer to the next request."""
    kept: list[asyncio.StreamWriter] = []
    async with loopback(keeps(kept)) as server:
        outbound = Outbound(LOOPBACK)
        await outbound.request("POST", server.url(), limit=10)
        kept[0].write(said)
        await kept[0].drain()
        for _ in range(turns):
            await asyncio.sleep(0)
        server.handler = answers({})
        again = await outbound.request("POST", server.url(), limit=10)
        await outbound.aclose()
    assert again.body == b"{}"
    assert server.accepts == 2


@pytest.mark.parametrize("said", [answer(200, b"", {}), b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["answers", "interim"])
async def test_an_idle_connection_is_not_read_without_end(said: bytes) -> None:
    kept: list[asyncio.StreamWriter] = []
    async with loopback(keeps(kept)) as server:
        outbound = Outbound(LOOPBACK)
        await outbound.request("POST", server.url(), limit=10)
        with pytest.raises(ConnectionError):
            await floods(kept[0], said)
        await outbound.aclose()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_request_that_may_have_been_read_is_not_sent_again(method: str) -> None:
    async with loopback(in_turn(answers({}), resets)) as server:
        outbound = Outbound(LOOPBACK)
        await outbound.request("GET", server.url(), limit=10)
        with pytest.raises(OutboundFailed) as failed:
            await outbound.request(method, server.url(), limit=10)
        await outbound.aclose()
    assert (failed.value.code, failed.value.sent) == ("connection_failed", True)
    assert (server.accepts, len(server.requests)) == (1, 2)


@pytest.mark.parametrize("bad", [hangs, resets, drips(0.01)], ids=["hangs", "resets", "drips"])
async def test_after_a_failure_the_next_request_has_a_new_connection(bad: Handler) -> None:
    async with loopback(bad) as server:
        outbound = Outbound(LOOPBACK, timeouts=Timeouts(total=0.2))
        with pytest.raises(OutboundFailed):
            await outbound.request("POST", server.url(), limit=100_000)
        server.handler = answers({})
        again = await outbound.request("POST", server.url(), limit=10)
        await outbound.aclose()
    assert again.status == 200
    assert server.accepts == 2


async def test_an_answer_that_is_too_large_to_be_read_leaves_no_rest_for_the_next_request() -> None:
    async with loopback(answers(b"x" * 200_000)) as server:
        outbound = Outbound(LOOPBACK)
        with pytest.raises(OutboundFailed, match="more than 10 bytes"):
            await outbound.request("POST", server.url(), limit=10)
        server.handler = answers({})
        again = await outbound.request("POST", server.url(), limit=10)
        await outbound.aclose()
    assert again.body == b"{}"
    assert server.accepts == 2


async def test_who_finds_no_free_connection_in_time_is_told_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "_MAX_CONNECTIONS", 1)
    async with loopback(hangs) as server:
        outbound = Outbound(LOOPBACK, timeouts=Timeouts(connect=0.1))
        first = asyncio.create_task(outbound.request("POST", server.url(), limit=10))
        await server.asked.wait()
        with pytest.raises(OutboundFailed) as failed:
            await outbound.request("POST", server.url(), limit=10)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        server.handler = answers({})
        again = await outbound.request("POST", server.url(), limit=10)
        await outbound.aclose()
    assert (failed.value.code, failed.value.sent) == ("timeout", False)
    assert again.status == 200
    assert len(server.requests) == 2


async def test_no_more_idle_connections_are_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_MAX_IDLE", 1)
    async with loopback() as one, loopback() as other:
        outbound = Outbound(LOOPBACK)
        for server in (one, other, other, one):
            await outbound.request("POST", server.url(), limit=10)
        await outbound.aclose()
    assert (one.accepts, other.accepts) == (2, 1)


async def test_head_and_body_of_a_request_leave_together() -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.put_nowait(await reader.read(65_536))
        writer.write(answer(200, b"{}", {"connection": "close"}))
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    outbound = Outbound(LOOPBACK)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/scores"
    await outbound.request("POST", url, limit=10, content=b"the body")
    await outbound.aclose()
    listener.close()
    assert received.get_nowait().endswith(b"\r\n\r\nthe body")


async def test_a_body_of_many_megabytes_arrives_whole() -> None:
    content = bytes(range(256)) * 20_000
    async with loopback() as server:
        outbound = Outbound(LOOPBACK)
        answered = await outbound.request("POST", server.url(), limit=10, content=content)
        await outbound.aclose()
    assert answered.status == 200
    assert server.requests[0].body == content
