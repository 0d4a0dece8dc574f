"""Whether a request that failed may have been read: it decides if a score may stand in the LMS nevertheless."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from ltihost.errors import OutboundFailed
from ltihost.outbound import Outbound, Timeouts
from tests.core.support_loopback import LOOPBACK, Handler, bombs, drips, hangs, loopback, resets
from tests.core.support_names import Names
from tests.core.test_outbound import _certificate

QUICK = Timeouts(connect=0.3, read=0.3, total=1.0)


async def failure(url: str, outbound: Outbound) -> OutboundFailed:
    with pytest.raises(OutboundFailed) as failed:
        await outbound.request("POST", url, limit=1000, content=b"a score")
    await outbound.aclose()
    return failed.value


async def no_address(host: str, port: int) -> Sequence[str]:
    raise OSError("no such name")


async def no_answer(host: str, port: int) -> Sequence[str]:
    await asyncio.Event().wait()
    return []


@pytest.mark.parametrize(("resolve", "code"), [(no_address, "connection_failed"), (no_answer, "timeout")])
async def test_a_name_that_leads_nowhere_was_sent_nothing(resolve: Names, code: str) -> None:
    failed = await failure("http://lms.example:8000/", Outbound(LOOPBACK, resolve=resolve, timeouts=QUICK))
    assert (failed.code, failed.sent, failed.status) == (code, False, None)


async def test_a_refused_connection_was_sent_nothing() -> None:
    async with loopback() as gone:
        url = gone.url()
    failed = await failure(url, Outbound(LOOPBACK))
    assert (failed.code, failed.sent) == ("connection_failed", False)


@pytest.mark.parametrize("spoken", [b"HTTP/1.1 400 No TLS\r\n\r\n", b""])
async def test_tls_that_fails_was_sent_nothing(spoken: bytes) -> None:
    """A server that speaks no TLS, and one that hangs up."""

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(spoken)
        writer.close()

    server = await asyncio.start_server(hello, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    failed = await failure(f"https://lms.example:{port}/", Outbound(LOOPBACK, resolve=Names(["127.0.0.1"])))
    server.close()
    assert (failed.code, failed.sent) == ("tls_failed", False)


async def test_a_tls_handshake_that_hangs_was_sent_nothing() -> None:
    async with loopback(hangs) as server:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.1"]), timeouts=QUICK)
        failed = await failure(server.url(host="lms.example", scheme="https"), outbound)
    assert (failed.code, failed.sent) == ("timeout", False)


@pytest.fixture
def untrusted(tmp_path: Path) -> ssl.SSLContext:
    """The server side of a certificate that nobody vouches for."""
    pem = tmp_path / "lms.pem"
    pem.write_bytes(_certificate("lms.example"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


async def test_a_certificate_that_is_not_trusted_was_sent_nothing(untrusted: ssl.SSLContext) -> None:
    async with loopback(tls=untrusted) as server:
        failed = await failure(
            server.url(host="lms.example", scheme="https"), Outbound(LOOPBACK, resolve=Names(["127.0.0.1"]))
        )
    assert (failed.code, failed.sent) == ("tls_failed", False)
    assert server.requests == []


@pytest.mark.parametrize(
    ("broken", "code", "status"),
    [(hangs, "timeout", None), (resets, "connection_failed", None), (drips(5), "timeout", 200),
     (drips(0.1), "timeout", 200), (bombs, "too_large", 200)],
)  # fmt: skip
async def test_what_fails_later_may_have_been_read_and_is_sent_once(
    broken: Handler, code: str, status: int | None
) -> None:
    async with loopback(broken) as server:
        failed = await failure(server.url(), Outbound(LOOPBACK, timeouts=QUICK))
        assert (failed.code, failed.sent, failed.status) == (code, True, status)
        assert len(server.requests) == 1


async def test_a_kept_connection_that_the_server_closed_while_it_read_is_not_tried_again() -> None:
    async with loopback() as server:
        outbound = Outbound(LOOPBACK)
        await outbound.request("POST", server.url(), limit=1000, content=b"one")
        server.handler = resets
        failed = await failure(server.url(), outbound)
        assert (failed.code, failed.sent) == ("connection_failed", True)
        assert (len(server.requests), server.accepts) == (2, 1)
