"""Keys change while platforms keep key sets for a day: what is signed fits the set that a platform has. Certification T-09."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from ltihost.flows import key_set
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.store import keys
from ltihost.token_endpoint import Client
from tests.core.support_loopback import Request, answer, loopback
from tests.flows.picker import Picker, lti_link, token_in
from tests.flows.platform import DEPLOYMENT
from tests.flows.rig import ACTOR, Rig


@pytest.fixture
async def picker(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Picker:
    """A picker of a host that looks its keys up each time."""
    monkeypatch.setattr(key_set, "KEPT_SECONDS", 0.0)
    monkeypatch.setattr(rig.host.own_keys._looked_up, "_clock", iter(range(0, 10_000, 60)).__next__)
    return await Picker.of(rig)


async def signed(picker: Picker) -> str:
    """A fresh message of ours."""
    answer = await picker.finish(await picker.begin(), lti_link())
    return token_in(await picker.visit(answer.json()["continue_url"]))


def fits(token: str, published: Any) -> bool:
    known = KeySet.import_key_set(published)
    kid = jws.extract_compact(token.encode()).headers()["kid"]
    if kid not in {key.kid for key in known.keys}:
        return False
    return bool(jws.deserialize_compact(token, known, ["RS256"]).payload)


async def test_a_platform_with_yesterdays_key_set_verifies_everything(rig: Rig, picker: Picker) -> None:
    """T-09: published a day before it signs, and two days after it last did."""
    owner, run = rig.registration.id, rig.host.database.run_host
    first, now = (await run(keys.signing_key, owner)).kid, time.time()
    before, old = await picker.key_set(), await signed(picker)
    second = await run(keys.rotate, owner, expected=first, actor=ACTOR)
    announced = await picker.key_set()
    assert [key["kid"] for key in announced["keys"]] == [first, second]
    assert fits(await signed(picker), before)
    await run(keys.advance, owner, now + keys.DAY + 60)
    new = await signed(picker)
    assert jws.extract_compact(new.encode()).headers()["kid"] == second
    assert fits(new, announced)
    assert not fits(new, before)
    assert fits(old, await picker.key_set())
    await run(keys.advance, owner, now + 3 * keys.DAY + 120)
    last = await picker.key_set()
    assert [key["kid"] for key in last["keys"]] == [second]
    assert fits(new, last)
    for published in (before, announced, last):
        assert {member for key in published["keys"] for member in key} == {"kty", "n", "e", "kid", "alg", "use"}


class TokenEndpoint:
    """Checks every assertion with a key set that it fetches once a day, whatever kid it meets meanwhile."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.fetched_at = -math.inf
        self.key_set: Any = None
        self.fetches = 0
        self.accepted: Counter[str] = Counter()
        self.refused: list[str] = []

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        (assertion,) = parse_qs(request.body.decode())["client_assertion"]
        if self.rig.clock() >= self.fetched_at + keys.DAY:
            self.fetched_at = self.rig.clock()
            self.fetches += 1
            self.key_set = (await self.rig.http.get(f"/r/{self.rig.registration.id}/lti/jwks")).json()
        kid = jws.extract_compact(assertion.encode()).headers()["kid"]
        if fits(assertion, self.key_set):
            self.accepted[kid] += 1
            writer.write(answer(200, b'{"access_token": "t", "token_type": "bearer", "expires_in": 3600}', {}))
        else:
            self.refused.append(kid)
            writer.write(answer(400, json.dumps({"error": "invalid_client"}).encode(), {}))


async def test_no_token_request_is_refused_while_the_key_changes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-83: 200 of them over five days, eight at once. The platform fetched the key set right before the rotation."""
    requests, days = 200, 5
    monkeypatch.setattr(key_set, "KEPT_SECONDS", 0.0)
    monkeypatch.setattr(rig.host.own_keys._looked_up, "_clock", rig.clock)
    rig.clock.now = start = time.time()
    platform = TokenEndpoint(rig)
    async with loopback(platform.serve) as server:
        await rig.set(rig.registration.id, token_url=server.url("/token"))
        binding = await rig.host.binding(rig.registration.id, DEPLOYMENT)
        client = Client(binding, LtiAdapter(binding), lambda *_: None)

        async def ask(number: int) -> str:
            return await rig.host.tokens.token(client, [f"scope-{number}"])

        async def lane(numbers: Any) -> None:
            for number in numbers:
                rig.clock.now = max(rig.clock.now, start + days * keys.DAY * number / requests)
                if number % 5 == 0:
                    await rig.host.database.tend(rig.clock())
                assert await ask(number) == "t"

        await ask(0)
        first = next(iter(platform.accepted))
        second = await rig.operator(keys.rotate, rig.registration.id, expected=first, actor=ACTOR)
        numbers = iter(range(1, requests))
        await asyncio.gather(*(lane(numbers) for _ in range(8)))
    assert platform.refused == []
    assert platform.accepted.total() == requests
    assert min(platform.accepted[kid] for kid in (first, second)) > 30
    assert platform.fetches == days
    assert [key["kid"] for key in platform.key_set["keys"]] == [second]
