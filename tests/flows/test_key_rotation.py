"""Keys change while platforms keep key sets for a day: what is signed fits the set that a platform has. Certification T-09."""

from __future__ import annotations

import time
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from ltihost.flows import key_set
from ltihost.store import keys
from tests.flows.picker import Picker, lti_link, token_in
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
