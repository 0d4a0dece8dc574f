"""Outbound calls: what may leave, where it may go, how much may come back."""

from __future__ import annotations

import ast
import asyncio
import gzip
import socket
import ssl
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

import ltihost
from ltihost.addresses import is_public, unwrapped
from ltihost.errors import OutboundError, OutboundFailed, OutboundRefused
from ltihost.outbound import Outbound, Timeouts, approved_ports
from tests.core.support_loopback import LOOPBACK, Handler, answers, bombs, drips, hangs, in_turn, loopback, resets

QUICK = Timeouts(connect=0.3, read=0.3, total=0.8)
CAMPUS = (ip_network("10.20.0.0/16"),)


class Names:
    """A resolver that answers from a list, one entry a call, the last one for ever; it counts the calls."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.calls = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.calls += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


# The form of a URL


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://lms.example/jwks", "url_scheme"),
        ("ftp://lms.example/jwks", "url_scheme"),
        ("file:///etc/passwd", "url_scheme"),
        ("//lms.example/jwks", "url_scheme"),
        ("lms.example", "url_scheme"),
        ("https://user:secret@lms.example/", "url_credentials"),
        ("https://user@lms.example/", "url_credentials"),
        ("https://lms.example/#part", "url_fragment"),
        ("https://lms.example/#", "url_fragment"),
        ("https:///jwks", "url_host"),
        ("https://lms.example./", "url_host"),
        ("https://lms..example/", "url_host"),
        ("https://-lms.example/", "url_host"),
        ("https://lms\\.example/", "url_host"),
        ("https://lms%2eexample/", "url_host"),
        (f"https://{'a' * 64}.example/", "url_host"),
        (f"https://{'a.' * 130}example/", "url_host"),
        ("https://lms.example:22/", "url_port"),
        ("https://lms.example:8443/", "url_port"),
        ("https://lms.example:0/", "url_port"),
        ("https://lms.example:99999/", "url_port"),
        ("https://127.0.0.1/", "address_refused"),
        ("https://93.184.215.14/", "address_refused"),
        ("https://[::1]/", "address_refused"),
        ("https://[::ffff:127.0.0.1]/", "address_refused"),
        ("http://10.20.0.1/", "address_refused"),
        ("https://lms.example\n/", "url_invalid"),
        ("https://[::1/", "url_invalid"),
        ("https://lms.example:port/", "url_invalid"),
        ("https://\ud800.example/", "url_invalid"),
    ],
)
async def test_a_url_that_cannot_be_used_is_refused_when_saved_and_when_used(url: str, code: str) -> None:
    outbound = Outbound(())
    with pytest.raises(OutboundRefused) as saved:
        outbound.check_url(url)
    assert saved.value.code == code
    with pytest.raises(OutboundRefused) as used:
        await outbound.get(url, limit=10)
    assert used.value.code == code
    await outbound.aclose()


@pytest.mark.parametrize(
    "url",
    ["https://lms.example/jwks?client=1", "https://LMS.Example:443/", "https://xn--mller-kva.example/", "https://a_b.example/"],
)
def test_a_plain_https_url_is_accepted(url: str) -> None:
    Outbound(()).check_url(url)


def test_a_port_that_the_administrator_wrote_down_is_accepted() -> None:
    saved = "https://lms.example:8443/jwks"
    assert approved_ports(saved, None, "https://lms.example/token") == {8443}
    Outbound(()).check_url(saved, ports=approved_ports(saved))


def test_a_port_of_another_service_cannot_be_approved() -> None:
    assert approved_ports("https://lms.example:22/", "https://lms.example:25/") == frozenset()


@pytest.mark.parametrize(
    "url", ["http://10.20.0.1:8080/", "http://moodle.campus.example/", "https://10.20.0.1:81/", "https://[::ffff:10.20.0.1]/"]
)
def test_an_allowed_network_permits_addresses_http_and_any_port(url: str) -> None:
    Outbound(CAMPUS).check_url(url)


def test_an_address_outside_the_allowed_networks_stays_refused() -> None:
    with pytest.raises(OutboundRefused) as refused:
        Outbound(CAMPUS).check_url("http://10.21.0.1/")
    assert refused.value.code == "address_refused"


@given(st.text(max_size=40) | st.builds("https://{}{}".format, st.text(max_size=20), st.sampled_from(["", "/", ":1"])))
def test_no_text_gets_past_the_form_check_with_anything_but_a_name(url: str) -> None:
    try:
        OUTSIDE.check_url(url)
    except OutboundRefused as refused:
        assert refused.code in {
            "url_invalid", "url_scheme", "url_credentials", "url_fragment", "url_host", "url_port", "address_refused",
        }  # fmt: skip
    else:
        assert url.lower().startswith("https://")


OUTSIDE = Outbound(())


# Where a connection may lead


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "127.1", "0177.0.0.1", "017700000001", "127.0.0.1.",
        "１２７.0.0.1", "127。0。0。1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "localhost",
        "LOCALHOST", "0.0.0.0", "0", "[::]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_no_spelling_of_loopback_is_ever_connected_to(host: str, scheme: str) -> None:
    async with loopback() as server:
        outbound = Outbound(CAMPUS)
        with pytest.raises(OutboundRefused) as refused:
            await outbound.get(f"{scheme}://{host}:{server.port}/", limit=10, ports=frozenset({server.port}))
        await outbound.aclose()
    assert refused.value.code in {"address_refused", "url_host", "url_invalid"}
    assert server.accepts == 0


REFUSED = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
    "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:20::1",
    "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
async def test_a_name_that_leads_to_a_special_address_is_refused(address: str) -> None:
    assert not is_public(unwrapped(ip_address(address)))
    outbound = Outbound((), resolve=Names([address]))
    with pytest.raises(OutboundRefused) as refused:
        await outbound.get("https://lms.example/", limit=10)
    assert refused.value.code == "address_refused"
    await outbound.aclose()


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "172.32.0.1", "192.0.1.1", "198.20.0.1", "2606:2800:21f:cb07::1", "2a00:1450::1"]
)
def test_an_ordinary_public_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_what_it_is(address: IPv4Address) -> None:
    assert is_public(unwrapped(ip_address(f"::ffff:{address}"))) == is_public(address)


async def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    async with loopback() as server:
        outbound = Outbound((ip_network("127.0.0.1/32"),), resolve=Names(["127.0.0.1", "10.0.0.1"]))
        with pytest.raises(OutboundRefused) as refused:
            await outbound.get(server.url(host="lms.example"), limit=10)
        await outbound.aclose()
    assert refused.value.code == "address_refused"
    assert server.accepts == 0


@pytest.mark.parametrize("url", ["http://lms.example/", "https://lms.example:8443/"])
async def test_http_and_unapproved_ports_reach_no_public_address(url: str) -> None:
    outbound = Outbound(CAMPUS, resolve=Names(["93.184.215.14"]))
    with pytest.raises(OutboundRefused) as refused:
        await outbound.get(url, limit=10)
    assert refused.value.code == "address_refused"
    await outbound.aclose()


async def test_a_name_that_changes_its_address_is_checked_again_at_the_next_connect() -> None:
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    async with (
        loopback(answers({}, connection="close"), host="127.0.0.2") as good,
        loopback(port=good.port) as inner,
    ):
        outbound = Outbound((ip_network("127.0.0.2/32"),), resolve=names)
        answer = await outbound.get(good.url(host="lms.example"), limit=10)
        with pytest.raises(OutboundRefused) as refused:
            await outbound.get(good.url(host="lms.example"), limit=10)
        await outbound.aclose()
    assert answer.status == 200
    assert refused.value.code == "address_refused"
    assert (good.accepts, inner.accepts, names.calls) == (1, 0, 2)


async def test_connections_are_kept_and_the_name_is_asked_once_for_each() -> None:
    names = Names(["127.0.0.1"])
    async with loopback() as server:
        outbound = Outbound(LOOPBACK, resolve=names)
        for _ in range(3):
            await outbound.get(server.url(host="lms.example"), limit=10)
        await outbound.aclose()
    assert (server.accepts, len(server.requests), names.calls) == (1, 3, 1)


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with loopback() as server:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.9", "127.0.0.1"]))
        answer = await outbound.get(server.url(host="lms.example"), limit=10)
        await outbound.aclose()
    assert answer.status == 200


async def test_a_name_without_address_is_a_failed_connection() -> None:
    await _fails("connection_failed", answers({}), resolve=Names([]))


async def test_a_name_that_nobody_knows_is_a_failed_connection() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    failed = await _failure("https://lms.example/", Outbound((), resolve=unknown))
    assert failed.code == "connection_failed"


# What is sent


async def test_a_request_says_who_asks_and_carries_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
    clients = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "aiohttp", "urllib.request", "http.client", "urllib3"}
    root = Path(ltihost.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] != "testing" and _imports(path) & clients
    }
    assert found == {"outbound.py", "guard.py"}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


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
