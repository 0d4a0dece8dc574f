"""Which addresses an outbound call may reach.

The table is our own: `ipaddress.is_global` differs between Python versions and calls translated, multicast and
reserved ranges global on some of them. It follows the IANA special-purpose registries (RFC 6890) and leaves out
every range in which no LMS on the public internet can live.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DENIED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
#: Everything else of IPv6 is private, link-local, multicast, translated (NAT64) or unassigned.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_DENIED_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, wraps any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# What inet_aton would read as a number in the last place: 1, 017, 0x7f. Then the whole host is an address to it.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def literal(host: str) -> Address | None:
    """The address that `host` is in plain spelling (four decimal parts, or IPv6 without a zone), else None."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return None if "%" in host else unwrapped(address)


def is_name(host: str) -> bool:
    """Whether `host` (lower case) is a DNS name and nothing that a resolver could read as an address."""
    return len(host) <= 253 and bool(_NAME.fullmatch(host)) and not _NUMBER.fullmatch(host.rpartition(".")[2])


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped IPv6 one; any other address unchanged."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_inside(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an unwrapped address lies in one of `networks`."""
    return any(address in network for network in networks)


def is_public(address: Address) -> bool:
    """Whether an unwrapped address is one that a server on the public internet can have."""
    if isinstance(address, ipaddress.IPv4Address):
        return not is_inside(address, _DENIED_V4)
    return address in _GLOBAL_V6 and not is_inside(address, _DENIED_V6)


def http_permitted(host: str | None, networks: Sequence[Network]) -> bool:
    """Whether plain http to `host` may be used at all: an address inside `networks`, this machine when they hold it,
    and any name once there are some (where it leads is checked by who goes there)."""
    address = literal(host or "")
    if address is not None:
        return is_inside(address, networks)
    if host == "localhost":
        return any(network.overlaps(_LOOPBACK) for network in networks if network.version == 4)
    return bool(host) and bool(networks)


_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
