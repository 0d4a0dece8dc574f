"""The host's own key pairs: states, rotation by several workers, revocation, and secrets that were moved."""

from __future__ import annotations

import asyncio
import base64
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy.orm import Session

from ltihost.errors import DecryptionError, NotFound
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import keys, tables
from ltihost.store.database import Database
from tests.core.store.misplaced import copy_key
from tests.core.store.support import ACTOR, World, make_world


async def states(world: World) -> list[str]:
    return [row.state for row in await world.db.run_host(keys.listed, world.registration.id)]


async def test_a_registration_has_a_key_that_signs(world: World) -> None:
    key = await world.db.run(world.tenant.id, keys.signing_key, world.registration.id)
    (public,) = await world.db.run(world.tenant.id, keys.public_keys, world.registration.id)
    assert (public["kid"], public["kty"], public["alg"], public["use"]) == (key.kid, "RSA", "RS256", "sig")
    assert set(public) == {"kty", "use", "alg", "kid", "n", "e"}
    private = load_pem_private_key(key.pem, None)
    assert isinstance(private, RSAPrivateKey)
    modulus = int.from_bytes(base64.urlsafe_b64decode(public["n"] + "=="))
    assert private.public_key().public_numbers().n == modulus
    assert private.key_size == 2048


async def test_the_private_half_is_sealed(world: World) -> None:
    (row,) = await world.db.run_host(keys.listed, world.registration.id)
    assert row.private_pem is not None
    assert b"PRIVATE KEY" not in row.private_pem


async def test_the_host_has_a_set_of_its_own(world: World) -> None:
    made = await world.db.run_host(keys.create, HOST, HOST)
    assert await world.db.run_host(keys.create, HOST, HOST) == made
    (public,) = await world.db.run(HOST, keys.public_keys, HOST)
    assert public["kid"] == made


async def test_a_key_goes_through_its_states_in_time(world: World) -> None:
    owner, run = world.registration.id, world.db.run_host
    first = (await run(keys.signing_key, owner)).kid
    second = await run(keys.rotate, owner, expected=first, actor=ACTOR)
    assert await states(world) == ["signing", "published"]
    published = await run(keys.public_keys, owner)
    assert [key["kid"] for key in published] == [first, second]
    now = time.time()
    await run(keys.advance, owner, now + keys.DAY - 60)
    assert await states(world) == ["signing", "published"]
    await run(keys.advance, owner, now + keys.DAY + 60)
    assert await states(world) == ["retiring", "signing"]
    assert (await run(keys.signing_key, owner)).kid == second
    assert {key["kid"] for key in await run(keys.public_keys, owner)} == {first, second}
    await run(keys.advance, owner, now + 3 * keys.DAY)
    assert await states(world) == ["retiring", "signing"]
    await run(keys.advance, owner, now + 3 * keys.DAY + 120)
    assert await states(world) == ["removed", "signing"]
    assert [key["kid"] for key in await run(keys.public_keys, owner)] == [second]
    assert (await run(keys.listed, owner))[0].private_pem is None


async def test_two_workers_rotate_at_once_and_make_one_key(world: World, settings: Settings) -> None:
    """S-83."""
    other = Database(settings)
    await other.open()
    owner = world.registration.id
    first = (await world.db.run_host(keys.signing_key, owner)).kid
    kids = await asyncio.gather(
        *(db.run_host(keys.rotate, owner, expected=first, actor=ACTOR) for db in (world.db, other) for _ in range(2))
    )
    assert len(set(kids)) == 1
    assert await states(world) == ["signing", "published"]
    later = time.time() + 2 * keys.DAY
    await asyncio.gather(*(db.run_host(keys.advance, owner, later) for db in (world.db, other)))
    assert await states(world) == ["retiring", "signing"]
    # A worker that still believes in the first key changes nothing.
    assert await other.run_host(keys.rotate, owner, expected=first, actor=ACTOR) == kids[0]
    assert await states(world) == ["retiring", "signing"]
    await other.close()


async def test_the_database_allows_one_signing_key(world: World) -> None:
    """Whatever code does: the index forbids a second."""

    def add(session: Session) -> None:
        (row,) = keys.listed(session, world.registration.id)
        session.add(tables.KeyPair(**row.values() | {"id": "key_second"}))

    with pytest.raises(Exception, match="exists already"):
        await world.db.run_host(add)


async def test_a_revoked_key_is_gone_at_once(world: World) -> None:
    owner, run = world.registration.id, world.db.run_host
    first = (await run(keys.signing_key, owner)).kid
    second = await run(keys.revoke, first, actor=ACTOR)
    assert second != first
    assert (await run(keys.signing_key, owner)).kid == second
    assert [key["kid"] for key in await run(keys.public_keys, owner)] == [second]
    third = await run(keys.rotate, owner, expected=second, actor=ACTOR)
    assert await run(keys.revoke, second, actor=ACTOR) == third
    assert await states(world) == ["removed", "removed", "signing"]
    assert await run(keys.revoke, first, actor=ACTOR) == third


async def test_a_key_that_was_moved_does_not_open(world: World) -> None:
    """S-81: another tenant's sealed key in this row."""
    other = await make_world(world.db, "south")
    await world.db.run_host(copy_key, other.registration.id, world.registration.id)
    with pytest.raises(DecryptionError):
        await world.db.run_host(keys.signing_key, world.registration.id)
    assert (await world.db.run_host(keys.signing_key, other.registration.id)).pem


async def test_nobody_s_keys(world: World) -> None:
    assert await world.db.run_host(keys.public_keys, "reg_unknown") == []
    for work in (
        world.db.run_host(keys.signing_key, "reg_unknown"),
        world.db.run_host(keys.rotate, "reg_unknown", expected="x", actor=ACTOR),
        world.db.run_host(keys.revoke, "key_unknown", actor=ACTOR),
    ):
        with pytest.raises(NotFound):
            await work
