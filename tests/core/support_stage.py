"""A platform with a key set server, and the cache of key sets in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ltihost.errors import Refused
from ltihost.lti.keys import PlatformKeys
from ltihost.outbound import Outbound, Timeouts
from ltihost.records import Registration
from tests.core.support_loopback import LOOPBACK, Handler, Server, answers, loopback
from tests.core.support_tokens import a_registration, public_jwk, rsa_key

QUICK = Timeouts(connect=0.3, read=0.3, total=0.5)


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A platform's key set server, a registration that points to it, and the cache under test."""

    def __init__(self, server: Server, outbound: Outbound) -> None:
        self.server = server
        self.outbound = outbound
        self.clock = Clock()
        self.keys = PlatformKeys(outbound, self.clock)
        self.registration = a_registration(jwks_url=server.url())

    async def key(self, kid: object = "key-1", alg: str = "RS256", registration: Registration | None = None) -> Any:
        return await self.keys.key(registration or self.registration, kid, alg)

    async def refusal(self, kid: object = "key-1", alg: str = "RS256", registration: Registration | None = None) -> str:
        with pytest.raises(Refused) as refused:
            await self.key(kid, alg, registration)
        assert refused.value.check == "key"
        return refused.value.code

    @property
    def fetches(self) -> int:
        return len(self.server.requests)


@asynccontextmanager
async def stage(handler: Handler | None = None, timeouts: Timeouts | None = None) -> AsyncIterator[Stage]:
    async with loopback(handler or key_set(public_jwk(rsa_key()))) as server:
        outbound = Outbound(LOOPBACK, timeouts=timeouts)
        yield Stage(server, outbound)
        await outbound.aclose()


def key_set(*members: Any, **headers: str) -> Handler:
    return answers({"keys": members}, 200, **headers)
