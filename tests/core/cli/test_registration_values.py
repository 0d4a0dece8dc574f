"""NAME=VALUE as people type it, and the endpoints that follow from issuer and client id."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from ltihost.errors import Invalid
from ltihost.lti import token
from ltihost.outbound import Outbound
from ltihost.plugins import Manifest, Preset
from ltihost.records import Registration
from ltihost.registration_values import check_values, fill_endpoints, split_values
from ltihost.store import registrations

DRAFT = Registration(id="reg_1", tenant_id="tnt_1", name="Campus", plugin="x", state="draft")
MANIFEST = Manifest(
    key="x",
    name="X",
    presets=(
        Preset("Hosted", "https://x.example", "https://sso.x.example/auth", "https://sso.x.example/token", "https://sso.x.example/keys/{client_id}"),
        Preset("Own", None, "{issuer}/auth", "{issuer}/token", "{issuer}/keys"),
    ),
)  # fmt: skip


def test_what_the_command_takes_is_what_a_token_may_be_signed_with() -> None:
    """The two lists stand apart: the store knows nothing of tokens."""
    assert registrations.ALGORITHMS == token.ALGORITHMS


async def check(name: str, text: str, networks: tuple[str, ...] = ()) -> None:
    outbound = Outbound([ipaddress.ip_network(item) for item in networks])
    try:
        check_values([(name, text)], outbound.check_url)
    finally:
        await outbound.aclose()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("issuer", "https://lms.example"),
        ("jwks-url", "https://lms.example:8443/keys"),
        ("client-id", "10000000000001"),
        ("deep-linking", "no"),
        ("auto-deployments", "same_instance"),
        ("leeway", "300"),
        ("algorithms", "RS256,ES256"),
        ("deployment-id", "1:abc"),
    ],
)
async def test_a_good_value_passes(name: str, text: str) -> None:
    await check(name, text)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("issuer", "", "text_invalid"),
        ("issuer", "http://lms.example", "url_scheme"),
        ("auth-url", "lms.example/auth", "url_invalid"),
        ("jwks-url", "https://127.0.0.1/keys", "address_refused"),
        ("jwks-url", "https://lms.example:22/keys", "url_port"),
        ("home-url", "http://lms.example", "url_scheme"),
        ("client-id", "", "text_invalid"),
        ("deep-linking", "perhaps", "switch_invalid"),
        ("leeway", "301", "number_invalid"),
        ("algorithms", "none", "choice_invalid"),
    ],
)
async def test_a_value_that_cannot_be_used_is_refused_with_its_name(name: str, text: str, code: str) -> None:
    with pytest.raises(Invalid, match=f"^{name}: ") as caught:
        await check(name, text)
    assert caught.value.code == code


async def test_plain_http_serves_inside_the_permitted_networks_only() -> None:
    await check("issuer", "http://127.0.0.1:8701/x", ("127.0.0.0/8",))


def test_assignments_are_split_at_the_first_sign() -> None:
    assert split_values(["auth-url=https://a.example/x?y=z", "audience= b"]) == [
        ("auth-url", "https://a.example/x?y=z"), ("audience", "b"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["issuer", "=x", "", " =x"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        split_values([text])
    assert caught.value.code == "assignment_invalid"


def filled(known: Registration | None, **given: str) -> dict[str, str]:
    return dict(fill_endpoints([(name.replace("_", "-"), text) for name, text in given.items()], known, MANIFEST))


def test_endpoints_follow_from_the_issuer() -> None:
    found = filled(DRAFT, issuer="https://x.example", client_id="7")
    assert found["auth-url"] == "https://sso.x.example/auth"
    assert found["jwks-url"] == "https://sso.x.example/keys/7"


def test_an_issuer_of_its_own_takes_the_general_preset() -> None:
    assert filled(None, issuer="https://own.example", client_id="7")["token-url"] == "https://own.example/token"


def test_what_was_given_is_never_filled_over() -> None:
    given: dict[str, Any] = {
        "issuer": "https://own.example", "client_id": "7", "auth_url": "https://own.example/other"
    }  # fmt: skip
    assert filled(None, **given)["auth-url"] == "https://own.example/other"
    known = replace(DRAFT, **given)
    assert "auth-url" not in filled(known, audience="y")


def test_endpoints_that_followed_from_the_former_issuer_follow_the_new_one() -> None:
    former = replace(DRAFT, issuer="http://old.example", client_id="7", auth_url="http://old.example/auth")
    assert filled(former, issuer="https://new.example")["auth-url"] == "https://new.example/auth"


def test_nothing_follows_while_the_client_id_is_unknown() -> None:
    assert filled(DRAFT, issuer="https://own.example") == {"issuer": "https://own.example"}
