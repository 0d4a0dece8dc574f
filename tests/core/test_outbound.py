"""Outbound calls: what is sent, how much may come back, when a call is repeated."""

from __future__ import annotations

import ast
import asyncio
import gzip
import socket
import ssl
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import ltihost
from ltihost.errors import OutboundError, OutboundFailed
from ltihost.outbound import Outbound, Timeouts
from tests.core.support_loopback import LOOPBACK, Handler, answers, bombs, drips, hangs, in_turn, loopback, resets
from tests.core.support_names import Names

QUICK = Timeouts(connect=0.3, read=0.3, total=0.8)


# What is sent


async def test_a_request_says_who_asks_and_carries_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    async with loopback() as proxy, loopback(answers({}, set_cookie="a=b; Path=/")) as server:
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        outbound = Outbound(LOOPBACK)
        await outbound.get(server.url(), limit=10)
        await outbound.get(server.url(), limit=10, accept="text/plain", headers={"x-one": "1"})
        await outbound.aclose()
    first, second = (request.headers for request in server.requests)
    assert first["user-agent"] == f"ltihost/{ltihost.__version__}"
    assert first["accept"] == "application/json"
    assert (second["accept"], second["x-one"]) == ("text/plain", "1")
    assert not {"authorization", "cookie", "proxy-authorization"} & {*first, *second}
    assert (proxy.accepts, server.accepts) == (0, 1)


async def test_a_post_carries_its_content() -> None:
    async with loopback() as server:
        outbound = Outbound(LOOPBACK)
        await outbound.request("POST", server.url(), limit=10, content=b"a=1", headers={"content-type": "text/x"})
        await outbound.aclose()
    request = server.requests[0]
    assert (request.method, request.body, request.headers["content-type"]) == ("POST", b"a=1", "text/x")


# What comes back


async def test_an_answer_has_status_headers_and_body() -> None:
    async with loopback(answers(b"body", 404, X_Kind="one")) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=4)
        await outbound.aclose()
    assert (answer.status, answer.headers["x-kind"], answer.body) == (404, "one", b"body")
    assert len(server.requests) == 1


async def test_a_redirect_is_refused_and_not_followed() -> None:
    async with loopback() as inner, loopback(answers(b"", 302, location=inner.url())) as server:
        failed = await _failure(server.url(), Outbound(LOOPBACK))
    assert (failed.code, failed.status) == ("redirect_refused", 302)
    assert inner.url() in failed.message
    assert (len(server.requests), inner.accepts) == (1, 0)


async def test_more_bytes_than_allowed_are_refused() -> None:
    await _fails("too_large", answers(b"12345678901"))


async def test_a_gzip_bomb_is_stopped_at_the_limit_without_filling_memory() -> None:
    tracemalloc.start()
    await _fails("too_large", bombs, limit=262_144)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


async def test_a_compressed_answer_is_unpacked() -> None:
    async with loopback(answers(gzip.compress(b"0123456789"), content_encoding="gzip")) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=10)
        await outbound.aclose()
    assert answer.body == b"0123456789"


async def test_a_body_that_does_not_unpack_is_a_failure() -> None:
    await _fails("body_unreadable", answers(b"not gzip", content_encoding="gzip"))


async def test_a_server_that_speaks_no_http_is_a_failed_connection() -> None:
    async def nonsense(request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")

    await _fails("connection_failed", nonsense)


async def test_a_server_that_does_not_answer_is_given_up_after_the_read_time() -> None:
    await _fails("timeout", hangs, requests=1)


async def test_a_server_that_drips_is_given_up_after_the_total_time() -> None:
    await _fails("timeout", drips(0.1), limit=10_000, requests=1)


async def test_a_name_server_that_hangs_is_given_up_after_the_connect_time() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    outbound = Outbound((), resolve=never, timeouts=QUICK)
    assert (await _failure("https://lms.example/", outbound)).code == "timeout"


async def test_a_name_without_address_is_a_failed_connection() -> None:
    await _fails("connection_failed", answers({}), resolve=Names([]))


async def test_a_name_that_nobody_knows_is_a_failed_connection() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    failed = await _failure("https://lms.example/", Outbound((), resolve=unknown))
    assert failed.code == "connection_failed"


# Repeats


@pytest.mark.parametrize("bad", [answers(b"", 502), answers(b"", 503), answers(b"", 504), resets])
async def test_a_get_is_repeated_after_a_passing_failure(bad: Handler) -> None:
    async with loopback(in_turn(bad, bad, answers({}))) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=10)
        await outbound.aclose()
    assert (answer.status, len(server.requests)) == (200, 3)


async def test_a_get_is_tried_three_times_at_most() -> None:
    async with loopback(answers(b"", 503)) as server:
        outbound = Outbound(LOOPBACK)
        answer = await outbound.get(server.url(), limit=10)
        await outbound.aclose()
    assert (answer.status, len(server.requests)) == (503, 3)
    await _fails("connection_failed", resets, requests=3)


@pytest.mark.parametrize("final", [answers(b"", 500), answers(b"", 404), answers(b"", 503, retry_after="60")])
async def test_an_answer_that_will_not_pass_soon_is_not_asked_for_again(final: Handler) -> None:
    async with loopback(final) as server:
        outbound = Outbound(LOOPBACK)
        await outbound.get(server.url(), limit=10)
        await outbound.aclose()
    assert len(server.requests) == 1


async def test_a_post_is_never_repeated() -> None:
    async with loopback(resets) as server:
        outbound = Outbound(LOOPBACK)
        with pytest.raises(OutboundFailed) as failed:
            await outbound.request("POST", server.url(), limit=10, content=b"x")
        await outbound.aclose()
    assert failed.value.code == "connection_failed"
    assert len(server.requests) == 1


# TLS


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """The server side of a certificate for lms.example; the client side trusts it through SSL_CERT_FILE."""
    pem = tmp_path / "lms.pem"
    pem.write_bytes(_certificate("lms.example"))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


async def test_tls_with_the_right_name_is_accepted(authority: ssl.SSLContext) -> None:
    async with loopback(tls=authority) as server:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.1"]))
        answer = await outbound.get(server.url(host="lms.example", scheme="https"), limit=10)
        await outbound.aclose()
    assert answer.status == 200


async def test_tls_with_another_name_is_refused(authority: ssl.SSLContext) -> None:
    async with loopback(tls=authority) as server:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.1"]))
        failed = await _failure(server.url(host="other.example", scheme="https"), outbound)
    assert failed.code == "tls_failed"
    assert server.requests == []


async def test_tls_with_an_unknown_authority_is_refused(
    authority: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    async with loopback(tls=authority) as server:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.1"]))
        failed = await _failure(server.url(host="lms.example", scheme="https"), outbound)
    assert failed.code == "tls_failed"
    assert server.requests == []


# The whole host


def test_no_other_module_speaks_http() -> None:
    root = Path(ltihost.__file__).parent
    modules = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] != "testing"]
    # Whoever only catches an error sends nothing.
    speaking = {path.relative_to(root).as_posix() for path in modules if _taken_from_clients(path) - {"HTTPError"}}
    assert speaking == {"outbound.py", "guard.py"}


def _taken_from_clients(path: Path) -> set[str]:
    """The names that a module uses of any HTTP client library."""
    clients = (
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "requests",
        "aiohttp",
        "urllib3",
        "urllib.request",
        "http.client",
    )
    taken: set[str] = set()
    local: set[str] = set()
    nodes = list(ast.walk(ast.parse(path.read_text())))
    for node in nodes:
        if isinstance(node, ast.Import):
            local |= {
                alias.asname or alias.name.split(".")[0] for alias in node.names if alias.name.startswith(clients)
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            taken |= {alias.name for alias in node.names if f"{node.module}.{alias.name}".startswith(clients)}
    taken |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and _name(node.value) in local}
    return taken


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


async def _failure(url: str, outbound: Outbound, limit: int = 10) -> OutboundFailed:
    with pytest.raises(OutboundError) as failed:
        await outbound.get(url, limit=limit)
    await outbound.aclose()
    assert isinstance(failed.value, OutboundFailed)
    return failed.value


async def _fails(
    code: str, handler: Handler, *, limit: int = 10, requests: int | None = None, resolve: Names | None = None
) -> None:
    async with loopback(handler) as server:
        outbound = Outbound(LOOPBACK, resolve=resolve, timeouts=QUICK)
        url = server.url(host="lms.example" if resolve else "127.0.0.1")
        assert (await _failure(url, outbound, limit)).code == code
    assert requests in (None, len(server.requests))


def _certificate(name: str) -> bytes:
    """A self-signed certificate with its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + private
