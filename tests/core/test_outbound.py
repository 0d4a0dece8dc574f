"""Outbound calls: what is sent, when a call is repeated, whom TLS trusts."""

from __future__ import annotations

import ast
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import ltihost
from ltihost.errors import OutboundFailed
from ltihost.outbound import Outbound
from tests.core.support_loopback import LOOPBACK, Handler, answers, in_turn, loopback, resets
from tests.core.support_names import Names
from tests.core.support_outbound import fails, failure

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


async def test_no_cookie_is_kept_for_the_next_request() -> None:
    async with loopback(answers({}, set_cookie="a=b; Path=/")) as server:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.1"]))
        for _ in range(2):
            await outbound.get(server.url(host="lms.example"), limit=10)
        await outbound.aclose()
    assert ["cookie" in request.headers for request in server.requests] == [False, False]


async def test_a_request_without_content_names_no_type() -> None:
    async with loopback() as server:
        outbound = Outbound(LOOPBACK)
        await outbound.request("POST", server.url(), limit=10)
        await outbound.aclose()
    assert "content-type" not in server.requests[0].headers


async def test_a_post_carries_its_content() -> None:
    async with loopback() as server:
        outbound = Outbound(LOOPBACK)
        await outbound.request("POST", server.url(), limit=10, content=b"a=1", headers={"content-type": "text/x"})
        await outbound.aclose()
    request = server.requests[0]
    assert (request.method, request.body, request.headers["content-type"]) == ("POST", b"a=1", "text/x")


async def test_a_header_that_would_end_its_line_is_not_sent() -> None:
    async with loopback() as server:
        outbound = Outbound(LOOPBACK)
        with pytest.raises(OutboundFailed) as failed:
            await outbound.request("POST", server.url(), limit=10, headers={"authorization": "Bearer secret\r\nx: y"})
        await outbound.aclose()
    assert (failed.value.code, failed.value.sent) == ("connection_failed", False)
    assert "secret" not in failed.value.message
    assert server.requests == []


async def test_a_failure_names_no_address() -> None:
    async with loopback() as server:
        failed = await failure(
            server.url(host="lms.example"), Outbound(LOOPBACK, resolve=Names(["127.0.0.9", "127.0.0.8"]))
        )
    assert (failed.code, failed.sent) == ("connection_failed", False)
    assert failed.message == "lms.example could not be reached: Connection refused."


# Repeats


@pytest.mark.parametrize("bad", [answers(b"", 502), answers(b"", 503), answers(b"", 504), resets])
async def test_a_get_is_repeated_after_a_passingfailure(bad: Handler) -> None:
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
    await fails("connection_failed", resets, requests=3)


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
        failed = await failure(server.url(host="other.example", scheme="https"), outbound)
    assert failed.code == "tls_failed"
    assert failed.message.startswith("other.example offers no TLS that can be trusted here: [SSL: CERTIFICATE_VERIFY")
    assert server.requests == []


async def test_tls_with_an_unknown_authority_is_refused(
    authority: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    async with loopback(tls=authority) as server:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.1"]))
        failed = await failure(server.url(host="lms.example", scheme="https"), outbound)
    assert failed.code == "tls_failed"
    assert server.requests == []


async def test_a_connection_is_taken_up_only_by_requests_with_the_same_limit(authority: ssl.SSLContext) -> None:
    """With its port approved a request may go anywhere public, without it only inside the allowed networks."""
    async with loopback(tls=authority) as server:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.1"]))
        url = server.url(host="lms.example", scheme="https")
        for ports in (frozenset({server.port}), frozenset[int](), frozenset({server.port}), frozenset[int]()):
            await outbound.get(url, limit=10, ports=ports)
        await outbound.aclose()
    assert (server.accepts, len(server.requests)) == (2, 4)


# The whole host


def test_no_other_module_speaks_http() -> None:
    root = Path(ltihost.__file__).parent
    modules = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] != "testing"]
    # Whoever only catches an error sends nothing.
    speaking = {path.relative_to(root).as_posix() for path in modules if _taken_from_clients(path) - {"HTTPError"}}
    assert speaking == {"outbound.py", "guard.py", "connections.py"}


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
