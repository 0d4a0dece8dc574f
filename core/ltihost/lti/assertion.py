"""What is said to a token endpoint, and what it answers. Security Framework 4.1.1, Core spec 6."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ltihost.lti.service_json import number, read_body, text
from ltihost.lti.strict_json import StrictJsonError
from ltihost.lti.vocabulary import DEPLOYMENT_ID

#: Seconds an assertion lives.
LIFETIME = 300
#: `iat` lies so many seconds back, because there are LMSs that refuse one two seconds ahead of their own clock.
BACKDATED = 10
DEFAULT_SECONDS = 3600.0
MAX_SECONDS = 86_400.0
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ERROR = re.compile(r'"error"\s*:\s*"(.*?)"\s*(?:[,}]|$)', re.DOTALL)


class GrantError(ValueError):
    """The answer of a token endpoint holds no token that can be used."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A token as it was granted: for these scopes, for so many seconds."""

    token: str
    scopes: frozenset[str]
    seconds: float


def assertion_claims(client_id: str, audience: str, now: float, *, deployment_id: str | None = None) -> dict[str, Any]:
    """The claims of one client assertion; never used twice, because of its `jti`."""
    issued = int(now) - BACKDATED
    claims: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": issued,
        "exp": issued + LIFETIME,
        "jti": secrets.token_urlsafe(24),
    }
    return claims if deployment_id is None else claims | {DEPLOYMENT_ID: deployment_id}


def token_form(assertion: str, scopes: Iterable[str]) -> bytes:
    """The form to post, `application/x-www-form-urlencoded`."""
    return urlencode(
        {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion,
            "scope": " ".join(sorted(scopes)),
        }
    ).encode()


def read_grant(body: bytes, asked: frozenset[str]) -> Grant:
    """A 200 answer, whatever media type it claims (text/html is seen). Raises GrantError.

    Where the platform does not say which scopes it granted, it granted what was asked. RFC 6749 5.1.
    """
    try:
        answer = read_body(body)
    except StrictJsonError as error:
        raise GrantError("the answer is not JSON") from error
    token = answer.get("access_token") if isinstance(answer, Mapping) else None
    if not isinstance(token, str) or not _sendable(token):
        raise GrantError("the answer holds no access_token")
    if str(answer.get("token_type") or "bearer").lower() != "bearer":
        raise GrantError("the token is not a bearer token")
    return Grant(token, _scopes(answer.get("scope"), asked), _seconds(answer.get("expires_in")))


def read_token_error(body: bytes) -> str:
    """The `error` of a refusal, "" if there is none. Some put free text there, its quotes not escaped."""
    try:
        answer = read_body(body)
    except StrictJsonError:
        found = _ERROR.search(body.decode(errors="replace"))
        return found[1] if found else ""
    return (text(answer.get("error")) or "") if isinstance(answer, Mapping) else ""


def _sendable(token: str) -> bool:
    """It will stand in a header: no blanks, no line ends, nothing but ASCII."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def _scopes(granted: object, asked: frozenset[str]) -> frozenset[str]:
    if isinstance(granted, list):
        return frozenset(item for item in granted if isinstance(item, str))
    said = text(granted)
    return asked if said is None else frozenset(said.split())


def _seconds(value: object) -> float:
    read = number(value)
    return DEFAULT_SECONDS if read is None else min(float(read), MAX_SECONDS)
