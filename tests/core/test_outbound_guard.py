"""Where outbound calls may lead: the form of a URL, and the addresses behind its name."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltihost.addresses import is_public, unwrapped
from ltihost.errors import OutboundRefused
from ltihost.guard import GuardedSessions
from ltihost.outbound import Outbound, Timeouts, approved_ports
from tests.core.support_loopback import LOOPBACK, answers, loopback
from tests.core.support_names import Names

CAMPUS = (ip_network("10.20.0.0/16"),)


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
        ("https://2130706433/", "url_host"),
        ("https://0x7f000001/", "url_host"),
        ("https://127.1/", "url_host"),
        ("https://0177.0.0.1/", "url_host"),
        ("https://0x7f.0x1/", "url_host"),
        ("https://[fe80::1%25eth0]/", "url_host"),
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
        ("https://lms.example:８443/", "url_invalid"),
        (" https://lms.example/", "url_scheme"),
        ("https://[127.0.0.1]/", "url_invalid"),
        ("https://@lms.example/", "url_credentials"),
        ("https://[::1]lms.example/", "url_invalid"),
        (f"https://lms.example/{'a' * 65_536}", "url_invalid"),
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
    [
        "https://lms.example/jwks?client=1",
        "https://LMS.Example:443/",
        "https://xn--mller-kva.example/",
        "https://a_b.example/",
        "https://müller.example/",
    ],
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
    "url",
    ["http://10.20.0.1:8080/", "http://moodle.campus.example/", "https://10.20.0.1:81/", "https://[::ffff:10.20.0.1]/"],
)
def test_an_allowed_network_permits_addresses_http_and_any_port(url: str) -> None:
    Outbound(CAMPUS).check_url(url)


def test_an_address_outside_the_allowed_networks_stays_refused() -> None:
    with pytest.raises(OutboundRefused) as refused:
        Outbound(CAMPUS).check_url("http://10.21.0.1/")
    assert refused.value.code == "address_refused"


@given(st.text(max_size=40) | st.builds("https://{}{}".format, st.text(max_size=20), st.sampled_from(["", "/", ":1"])))
def test_no_text_does_more_than_be_refused(url: str) -> None:
    with suppress(OutboundRefused):
        OUTSIDE.check_url(url)
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
    "address",
    ["1.1.1.1", "93.184.215.14", "172.32.0.1", "192.0.1.1", "198.20.0.1", "2606:2800:21f:cb07::1", "2a00:1450::1"],
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


async def test_an_address_in_place_of_a_name_is_checked_at_the_connect_too() -> None:
    async with loopback() as server:
        sessions = GuardedSessions(CAMPUS, Names(["10.20.0.1"]), Timeouts().for_each_step())
        with pytest.raises(OutboundRefused) as refused:
            await sessions.session(inside_only=True).get(server.url())
        await sessions.aclose()
    assert refused.value.code == "address_refused"
    assert server.accepts == 0


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with loopback() as server:
        outbound = Outbound(LOOPBACK, resolve=Names(["127.0.0.9", "127.0.0.1"]))
        answer = await outbound.get(server.url(host="lms.example"), limit=10)
        await outbound.aclose()
    assert answer.status == 200


# What is requested


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("/next?Page=Bookmark%3aAbC&x=%2F+%20a", "/next?Page=Bookmark%3aAbC&x=%2F+%20a"),
        ("/a/../b//c;d?q=/?:@!$'()*,|~[]", "/a/../b//c;d?q=/?:@!$'()*,|~[]"),
        ("/ä b?q=ü<>", "/%C3%A4%20b?q=%C3%BC%3C%3E"),
        ("", "/"),
        ("?a=1", "/?a=1"),
    ],
)
async def test_a_url_is_requested_as_it_is_written(written: str, target: str) -> None:
    async with loopback() as server:
        outbound = Outbound(LOOPBACK)
        await outbound.get(server.url(written), limit=10)
        await outbound.aclose()
    assert server.requests[0].path == target


async def test_an_international_name_is_asked_for_in_punycode() -> None:
    names = Names(["127.0.0.1"])
    async with loopback() as server:
        outbound = Outbound(LOOPBACK, resolve=names)
        await outbound.get(server.url(host="Müller.example"), limit=10)
        await outbound.aclose()
    assert names.hosts == ["xn--mller-kva.example"]
    assert server.requests[0].headers["host"] == f"xn--mller-kva.example:{server.port}"
