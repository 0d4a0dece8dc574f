"""What the host answers to a deep linking request. Deep Linking 2.0 section 4.5, Security Framework 5.2.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from secrets import token_urlsafe
from typing import Any

from ltihost.lti.vocabulary import DEPLOYMENT_ID, MESSAGE_TYPE, VERSION

_CLAIM = "https://purl.imsglobal.org/spec/lti-dl/claim/"
CONTENT_ITEMS = _CLAIM + "content_items"
DATA = _CLAIM + "data"
MESSAGE = _CLAIM + "msg"
ERROR = _CLAIM + "errormsg"

#: How long an answer is good for, in seconds, and how far it is dated back: some platforms refuse an answer whose
#: time is a second ahead of their own clock.
VALID_SECONDS = 300
BACK_DATED = 10


def response_claims(
    items: Sequence[Mapping[str, Any]], *, deployment_id: str, data: str | None, message: str | None, error: str | None
) -> dict[str, Any]:
    """The message's own claims. `data` goes back as it came, the empty text too; absent stays absent."""
    claims: dict[str, Any] = {
        MESSAGE_TYPE: "LtiDeepLinkingResponse",
        VERSION: "1.3.0",
        DEPLOYMENT_ID: deployment_id,
        CONTENT_ITEMS: [dict(item) for item in items],
    }
    optional = {DATA: data, MESSAGE: message, ERROR: error}
    return claims | {name: value for name, value in optional.items() if value is not None}


def secured(
    claims: Mapping[str, Any], *, client_id: str, issuer: str, deployment_id: str, now: float
) -> dict[str, Any]:
    """The claims ready to be signed: from this client, for this issuer alone, for five minutes, with a fresh nonce.

    They replace what an adapter may have put there.
    """
    issued_at = int(now) - BACK_DATED
    return {
        **claims,
        "iss": client_id,
        "aud": issuer,
        "iat": issued_at,
        "exp": issued_at + VALID_SECONDS,
        "nonce": token_urlsafe(24),
        DEPLOYMENT_ID: deployment_id,
    }
