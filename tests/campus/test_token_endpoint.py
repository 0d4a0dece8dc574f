"""The campus's token endpoint gives a token for a good assertion, and for nothing else."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.responses import JSONResponse

from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.services.rules_tokens import ASSERTION_TYPE
from ltihost.testing.services.tokens import SCOPES
from ltihost.testing.serving import RunningCampus, listen, port_of, serving

KEY = RSAKey.generate_key(2048, parameters={"kid": "tool-key", "alg": "RS256", "use": "sig"})
STRANGER = RSAKey.generate_key(2048, parameters={"kid": "tool-key", "alg": "RS256", "use": "sig"})
Claims = dict[str, Any]


@pytest.fixture
def platform(campus: RunningCampus) -> Iterator[SimulatedPlatform]:
    """An LMS with a tool that publishes KEY."""
    found = campus.platforms["canvas"]
    sockets = listen("127.0.0.1")
    url = f"http://127.0.0.1:{port_of(sockets)}"
    found.register(client_id="tool-1", login_url=url, launch_url=url, jwks_url=url)
    with serving(JSONResponse(KeySet([KEY]).as_dict(private=False)), sockets):
        yield found


def ask(
    platform: SimulatedPlatform,
    change: Callable[[Claims], object] | None = None,
    key: RSAKey = KEY,
    fields: dict[str, str] | None = None,
) -> httpx2.Response:
    """A token request that is good but for what the arguments change."""
    url = platform.endpoints("tool-1")["token_url"]
    now = int(time.time())
    claims: Claims = {
        "iss": "tool-1",
        "sub": "tool-1",
        "aud": url,
        "iat": now,
        "exp": now + 300,
        "jti": secrets.token_hex(8),
    }
    if change:
        change(claims)
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode({"alg": "RS256", "kid": "tool-key"}, claims, key, algorithms=["RS256"]),
        "scope": " ".join(SCOPES[:2]),
    } | (fields or {})
    return httpx2.post(url, data=form)


def test_a_good_assertion_gets_a_token(platform: SimulatedPlatform) -> None:
    answer = ask(platform)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 3600, " ".join(SCOPES[:2]))
    assert answer.headers["cache-control"] == "no-store"


def test_only_known_scopes_are_granted(platform: SimulatedPlatform) -> None:
    assert ask(platform, fields={"scope": f"{SCOPES[4]} https://example.org/fly"}).json()["scope"] == SCOPES[4]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda claims: claims.update(iss="other"), KEY),
        (lambda claims: claims.update(sub="other"), KEY),
        (lambda claims: claims.update(sub=None), KEY),
        (lambda claims: claims.update(aud="https://elsewhere.example/token"), KEY),
        (lambda claims: claims.update(exp=claims["iat"] - 61), KEY),
        (lambda claims: claims.update(iat=claims["iat"] + 120), KEY),
        (lambda claims: claims.pop("jti"), KEY),
        (lambda claims: claims.pop("exp"), KEY),
        (lambda claims: None, STRANGER),
    ],
    ids=["issuer", "subject", "no subject", "audience", "expired", "future", "no jti", "no exp", "foreign key"],
)
def test_a_wrong_assertion_gets_none(
    platform: SimulatedPlatform, change: Callable[[Claims], object], key: RSAKey
) -> None:
    answer = ask(platform, change, key)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("grant_type", "password", "unsupported_grant_type"),
        ("client_assertion_type", "secret", "invalid_request"),
        ("client_assertion", "garbage", "invalid_client"),
        ("scope", "https://example.org/fly", "invalid_scope"),
    ],
)
def test_a_wrong_field_gets_none(platform: SimulatedPlatform, field: str, value: str, error: str) -> None:
    answer = ask(platform, fields={field: value})
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_an_assertion_serves_once(platform: SimulatedPlatform) -> None:
    assert ask(platform, lambda claims: claims.update(jti="once")).status_code == 200
    assert ask(platform, lambda claims: claims.update(jti="once")).json()["error"] == "invalid_client"


def test_a_tool_without_a_key_set_gets_none(platform: SimulatedPlatform) -> None:
    (free,) = listen("127.0.0.1")
    dead = f"http://127.0.0.1:{port_of([free])}"
    free.close()
    platform.register(client_id="tool-1", login_url=dead, launch_url=dead, jwks_url=dead)
    assert "no key set" in ask(platform).json()["error_description"]
