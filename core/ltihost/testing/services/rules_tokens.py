"""`TokenRules`: the token endpoint of an LMS by the specs. Security Framework 1.0, section 4.1."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

from ltihost.testing.services.records import Answer

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: What can be wrong with the signature of an assertion.
BadSignature = Literal["no_kid", "unknown_kid", "signature"]
_NO_STORE = {"Cache-Control": "no-store"}


class TokenRefused(Exception):
    """The request gets no token; `code` is an error of RFC 6749 5.2, or what this LMS says instead."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(description)
        self.code = code


class TokenRules:
    """What this LMS asks of an assertion, and how it answers. `token_leeway` is in seconds."""

    token_seconds_granted: ClassVar[int] = 3600
    token_leeway: ClassVar[float] = 60

    def check_assertion(
        self, claims: Mapping[str, Any], audiences: Collection[str], used: Collection[str], now: float
    ) -> None:
        """Everything but the signature; `used` are the ids of assertions seen before. Raises TokenRefused."""
        for name, right in (
            ("iss", claims.get("iss") == claims["sub"]),
            ("aud", _names(claims.get("aud"), audiences)),
            ("exp", _is_time(claims.get("exp")) and claims["exp"] > now - self.token_leeway),
            ("iat", _is_time(claims.get("iat")) and claims["iat"] <= now + self.token_leeway),
            ("jti", bool(claims.get("jti")) and claims["jti"] not in used),
        ):
            if not right:
                raise TokenRefused("invalid_client", f"the {name!r} of the assertion is missing or wrong")

    def bad_signature(self, what: BadSignature) -> TokenRefused:
        return TokenRefused("invalid_client", f"the assertion cannot be verified: {what}")

    def token_answer(self, body: Mapping[str, Any]) -> Answer:
        return Answer(200, dict(body), headers=_NO_STORE)

    def token_refusal(self, refused: TokenRefused) -> Answer:
        described = {"error_description": str(refused)} if str(refused) else {}
        return Answer(400, {"error": refused.code, **described}, headers=_NO_STORE)


def _names(audience: object, known: Collection[str]) -> bool:
    return any(item in known for item in (audience if isinstance(audience, list) else [audience]))


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
