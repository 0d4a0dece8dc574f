"""Administrators: accounts, one-time invitations, and what the serving role may do with them."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest
import time_machine
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, Invalid, NotFound
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import admins, audit, tables
from ltihost.store.database import Database
from tests.core.store.support import ACTOR, make_world

HASH = "$argon2id$a hash of a password"


async def create(db: Database, email: str = "Ada@Example.org", tenant_id: str = HOST) -> admins.Invitation:
    return await db.run_host(admins.create, tenant_id, email, actor=ACTOR)


async def tenant_of(db: Database, token: str, now: float | None = None) -> str | None:
    return await db.run_lookup(admins.tenant_of_invitation, admins.hash_of(token), now or time.time())


async def set_password(db: Database, token: str, tenant_id: str = HOST, now: float | None = None) -> tables.Admin:
    return await db.run(tenant_id, admins.set_password, admins.hash_of(token), HASH, now or time.time())


def _actions(session: Session, tenant_id: str) -> list[tuple[str, str, str]]:
    query = select(tables.Audit).where(tables.Audit.tenant_id == tenant_id).order_by(tables.Audit.seq)
    return [(row.action, row.actor, row.object_id) for row in session.scalars(query) if row.action.startswith("admin.")]


async def test_an_invitation_sets_the_password_once(db: Database) -> None:
    invitation = await create(db)
    assert len(invitation.token) == 43
    assert await tenant_of(db, invitation.token) == HOST
    row = await set_password(db, invitation.token)
    assert (row.id, row.email, row.password_hash) == (invitation.admin.id, "Ada@Example.org", HASH)
    assert await tenant_of(db, invitation.token) is None
    with pytest.raises(NotFound) as caught:
        await set_password(db, invitation.token)
    assert caught.value.code == "invitation_unknown"
    assert await db.run_host(_actions, HOST) == [
        ("admin.created", ACTOR, row.id),
        ("admin.password_set", f"admin:{row.id}", row.id),
    ]
    assert await db.run_host(audit.verify, HOST) is None


async def test_the_token_is_stored_nowhere(db: Database) -> None:
    invitation = await create(db)
    (row,) = await db.run_host(admins.listed)
    assert invitation.token not in repr(row.values())
    assert row.invitation_hash == admins.hash_of(invitation.token)


async def test_of_two_who_use_it_at_once_one_wins(db: Database, settings: Settings) -> None:
    other = Database(settings)
    await other.open()
    token = (await create(db)).token
    answers = await asyncio.gather(
        *(set_password(item, token) for item in (db, other) for _ in range(3)), return_exceptions=True
    )
    await other.close()
    assert sorted(type(answer).__name__ for answer in answers) == ["Admin", *["NotFound"] * 5]


async def test_an_invitation_lives_seven_days(db: Database) -> None:
    token, now = (await create(db)).token, time.time()
    assert await tenant_of(db, token, now + 7 * 86_400 - 60) == HOST
    late = now + 7 * 86_400 + 60
    assert await tenant_of(db, token, late) is None
    with pytest.raises(NotFound):
        await set_password(db, token, now=late)


async def test_asked_again_a_new_invitation_ends_the_old_one(db: Database) -> None:
    old = await create(db)
    new = await create(db, "ADA@example.ORG")
    assert new.admin.id == old.admin.id
    assert await tenant_of(db, old.token) is None
    with pytest.raises(NotFound):
        await set_password(db, old.token)
    assert (await set_password(db, new.token)).password_hash == HASH
    assert [action for action, *_ in await db.run_host(_actions, HOST)] == [
        "admin.created", "admin.invited", "admin.password_set",
    ]  # fmt: skip


async def test_an_expired_invitation_can_be_made_anew(db: Database) -> None:
    with time_machine.travel(time.time() - 8 * 86_400, tick=False):
        old = await create(db)
    assert await tenant_of(db, old.token) is None
    assert await tenant_of(db, (await create(db)).token) == HOST


async def test_an_account_with_a_password_is_not_made_again(db: Database) -> None:
    """Else whoever may make accounts could take one over unseen."""
    await set_password(db, (await create(db)).token)
    for email in ("Ada@Example.org", "ada@example.org"):
        with pytest.raises(Conflict) as caught:
            await create(db, email)
        assert caught.value.code == "admin_exists"


async def test_an_address_belongs_to_one_account_of_the_whole_host(db: Database) -> None:
    world = await make_world(db)
    invitation = await create(db, "tom@uni.example", world.tenant.id)
    with pytest.raises(Conflict):
        await create(db, "Tom@uni.example", HOST)
    assert await tenant_of(db, invitation.token) == world.tenant.id


async def test_accounts_are_listed_by_tenant(db: Database) -> None:
    world = await make_world(db)
    await create(db, "tom@uni.example", world.tenant.id)
    await create(db, "ada@example.org")
    assert [row.email for row in await db.run_host(admins.listed)] == ["ada@example.org", "tom@uni.example"]
    assert [row.email for row in await db.run_host(admins.listed, world.tenant.id)] == ["tom@uni.example"]
    assert [row.email for row in await db.run(world.tenant.id, admins.listed)] == ["tom@uni.example"]


@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@example.org", "a b@example.org", "a@b@c", "ada@example.org\n", "<a@b>", "a" * 250 + "@b.org"],
)
async def test_what_is_no_address_is_refused(email: str, db: Database) -> None:
    with pytest.raises(Invalid) as caught:
        await create(db, email)
    assert caught.value.code == "email_invalid"


async def test_another_tenant_s_invitation_opens_nothing(db: Database) -> None:
    """The token says whose it is; bound to another tenant it is as unknown as any."""
    north, south = await make_world(db), await make_world(db, "south")
    token = (await create(db, "tom@south.example", south.tenant.id)).token
    with pytest.raises(NotFound):
        await set_password(db, token, north.tenant.id)
    assert (await set_password(db, token, south.tenant.id)).tenant_id == south.tenant.id


@pytest.mark.postgres
async def test_the_serving_role_makes_no_administrators(postgres_settings: Settings) -> None:
    database = Database(postgres_settings)
    await database.open()
    invitation = await create(database)
    raw = await asyncpg.connect(postgres_settings.database)
    await raw.execute("SELECT set_config('app.tenant', 'host', false)")
    for statement in (
        "INSERT INTO admins (tenant_id, id, email, email_key, created_at) VALUES ('host', 'adm_x', 'x@y', 'x@y', 0)",
        "UPDATE admins SET email_key = 'x@y'",
        "DELETE FROM admins",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await raw.execute(statement)
    await raw.execute("SELECT set_config('app.tenant', '', false)")
    assert await raw.fetch("SELECT * FROM admins") == []
    assert await raw.fetchval("SELECT invited_v1($1, 0)", admins.hash_of(invitation.token)) == HOST
    await raw.close()
    await database.close()
