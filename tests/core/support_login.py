"""One login that waits for its id_token, for the tests of the verifier."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ltihost.errors import Refused
from ltihost.lti.keys import PlatformKeys
from ltihost.lti.token import VerifiedToken, verify_id_token
from ltihost.outbound import Outbound
from ltihost.records import Registration
from ltihost.trace import Trace
from tests.core.support_loopback import LOOPBACK, Server, answers, loopback
from tests.core.support_tokens import (
    Platform,
    a_registration,
    claims,
    ec_key,
    public_jwk,
    rsa_key,
)

NOW = 1_800_000_000.0
NONCE = "nonce-of-this-login"
ORDER = ("token", "key", "signature", "issuer", "audience", "time", "nonce")


class Login:
    """One login waiting for its token: the platform with its key set server, the registration and the verifier."""

    def __init__(self, server: Server, keys: PlatformKeys) -> None:
        self.server = server
        self.keys = keys
        self.platform = Platform()
        self.registration = a_registration(jwks_url=server.url())
        self.trace = Trace()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims with these changed; None takes a claim out."""
        changed = claims(self.registration, nonce=NONCE, now=NOW) | changes
        return {name: value for name, value in changed.items() if value is not None}

    def token(self, **changes: Any) -> str:
        return self.platform.id_token(self.claims(**changes))

    def token_with_header(self, **changes: Any) -> str:
        """Signed with RS256 whatever the header says."""
        return self.platform.id_token(self.claims(), header=self.platform.header() | changes)

    async def verify(self, raw: str, registration: Registration | None = None, now: float = NOW) -> VerifiedToken:
        self.trace = Trace()
        expected = hashlib.sha256(NONCE.encode()).digest()
        return await verify_id_token(
            raw,
            registration or self.registration,
            self.keys,
            nonce_hash=expected,
            asked_at=NOW,
            now=now,
            trace=self.trace,
        )

    async def refusal(self, raw: str, registration: Registration | None = None, now: float = NOW) -> str:
        """The code of the refusal, after a look at whether the trace agrees with it."""
        with pytest.raises(Refused) as caught:
            await self.verify(raw, registration, now)
        refused = caught.value
        status = {check.name: check.status for check in self.trace.checks(refused)}
        assert status[refused.check] == "failed"
        later = ORDER[max(ORDER.index(name) for name in ORDER if status[name] != "not_reached") + 1 :]
        assert {status[name] for name in later} <= {"not_reached"}
        for text in (refused.expected, refused.received):
            assert text is None or (text.isascii() and (len(raw) < 100 or raw not in text))
        return refused.code


@asynccontextmanager
async def a_login() -> AsyncIterator[Login]:
    """A login at a platform whose key set holds key-1, key-2, ec-1 (P-256) and named (for RS512 only)."""
    members = [
        *Platform().key_set()["keys"],
        public_jwk(rsa_key(1), "key-2"),
        public_jwk(ec_key("P-256"), "ec-1"),
        public_jwk(rsa_key(), "named", alg="RS512"),
    ]
    async with loopback(answers({"keys": members})) as server:
        outbound = Outbound(LOOPBACK)
        yield Login(server, PlatformKeys(outbound, lambda: NOW))
        await outbound.aclose()
