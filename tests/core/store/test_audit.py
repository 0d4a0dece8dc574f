"""The audit trail: append-only, chained, and telling where it was touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import asyncpg
import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from ltihost.errors import Conflict
from ltihost.settings import Settings
from ltihost.store import audit, role_rules, tables, tenants
from ltihost.store.audit import Checkpoint
from ltihost.store.crypto import SecretBox
from ltihost.store.database import Database
from ltihost.store.sqlite import connect, database_path
from tests.conftest import SECRET_KEY, Postgres
from tests.core.store.support import ACTOR, World

Tamper = Callable[[str], None]


async def launches_sealed(world: World, number: int = 6) -> None:
    await asyncio.gather(*(world.db.hot.accept_launch(world.work()) for _ in range(number)))
    await world.db.tend(time.time())


@pytest.fixture
def tamper(request: pytest.FixtureRequest, settings: Settings) -> Tamper:
    """Run SQL as somebody who may do everything with the database, triggers off."""
    path = database_path(settings.database)
    if path is not None:

        def run(statement: str) -> None:
            connection = connect(path)
            for trigger in ("audit_not_deleted", "audit_not_changed"):
                connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
            connection.execute(statement)
            connection.close()

    else:
        server: Postgres = request.getfixturevalue("postgres")
        name = settings.database.partition("@/")[2].partition("?")[0]

        def run(statement: str) -> None:
            asyncio.run(_as_superuser(server.url("postgres", name), statement))

    return run


async def _as_superuser(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(statement)
    await connection.close()


async def test_changes_are_sealed_at_once_and_launches_by_the_next_tending(world: World) -> None:
    assert await _unsealed(world) == 0
    await asyncio.gather(*(world.db.hot.accept_launch(world.work()) for _ in range(6)))
    assert await _unsealed(world) == 6
    await world.db.tend(time.time())
    assert await _unsealed(world) == 0
    assert await world.db.run_host(audit.verify, world.tenant.id) is None
    trail = await world.db.run(world.tenant.id, audit.page, world.tenant.id, limit=100)
    assert sorted(row.seq or 0 for row in trail) == list(range(1, len(trail) + 1))
    assert {row.action for row in trail} >= {"tenant.created", "registration.approved", "launch.accepted"}


async def _unsealed(world: World) -> int:
    query = select(tables.Audit).where(tables.Audit.seq.is_(None))
    return await world.db.run_host(lambda session: len(session.scalars(query).all()))


async def test_a_long_trail_is_sealed_in_slices(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SEAL_AT_ONCE", 4)
    await launches_sealed(world, 10)
    assert await _unsealed(world) == 0
    assert await world.db.run_host(audit.verify, world.tenant.id) is None


async def test_several_workers_seal_one_chain(world: World, settings: Settings) -> None:
    other = Database(settings)
    await other.open()
    await asyncio.gather(*(world.db.hot.accept_launch(world.work()) for _ in range(20)))
    now = time.time()
    await asyncio.gather(
        world.db.tend(now),
        other.tend(now),
        *(
            world.db.run_host(role_rules.add, world.tenant.id, f"Role{n}", group_role="x", actor=ACTOR)
            for n in range(5)
        ),
    )
    await other.close()
    assert await world.db.run_host(audit.verify, world.tenant.id) is None


@pytest.mark.parametrize("set_clause", ["actor = 'somebody else'", "at = at + 1", "seq = 40", "hash = previous_hash"])
async def test_a_sealed_row_takes_no_change(world: World, set_clause: str) -> None:
    """Not even by the owner of the table."""
    await launches_sealed(world)

    def change(session: Session) -> None:
        session.connection().exec_driver_sql(f"UPDATE audit SET {set_clause}")

    with pytest.raises(Conflict):
        await world.db.run_host(change)
    assert await world.db.run_host(audit.verify, world.tenant.id) is None


async def test_an_unsealed_row_takes_its_seal_and_nothing_else(world: World) -> None:
    await world.db.hot.accept_launch(world.work())

    def change(session: Session) -> None:
        session.execute(update(tables.Audit).where(tables.Audit.seq.is_(None)).values(actor="somebody else"))

    with pytest.raises(Conflict):
        await world.db.run_host(change)


async def test_no_row_is_deleted(world: World) -> None:
    with pytest.raises(Conflict):
        await world.db.run_host(lambda session: session.execute(delete(tables.Audit)))


@pytest.mark.postgres
async def test_the_trail_is_not_truncated(postgres_settings: Settings) -> None:
    database = Database(postgres_settings)
    await database.open()
    with pytest.raises(Conflict):
        await database.run_host(lambda session: session.execute(text("TRUNCATE audit")))
    await database.close()


@pytest.mark.postgres
async def test_the_serving_role_may_only_add_and_seal(postgres_settings: Settings) -> None:
    connection = await asyncpg.connect(postgres_settings.database)
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


# Somebody with all rights, and without the key


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 4", 4),
        ("UPDATE audit SET at = at + 0.001 WHERE seq = 2", 2),
        ("UPDATE audit SET details = '{\"x\": 1}' WHERE seq = 5", 5),
        ("UPDATE audit SET hash = previous_hash WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 6", 6),
    ],
)
async def test_verify_names_the_first_bad_row(world: World, tamper: Tamper, statement: str, seq: int) -> None:
    await launches_sealed(world)
    where = f" AND tenant_id = '{world.tenant.id}'"
    await asyncio.to_thread(tamper, statement + where)
    fault = await world.db.run_host(audit.verify, world.tenant.id)
    assert fault is not None
    assert (fault.tenant_id, fault.seq) == (world.tenant.id, seq)
    assert (fault.row_id is None) == statement.startswith("DELETE")


async def test_rows_cut_off_the_end_show_against_a_checkpoint(world: World, tamper: Tamper) -> None:
    await launches_sealed(world)
    end = await world.db.run_host(audit.head, world.tenant.id)
    assert end is not None
    assert await world.db.run_host(audit.verify, world.tenant.id, end) is None
    await asyncio.to_thread(tamper, f"DELETE FROM audit WHERE tenant_id = '{world.tenant.id}' AND seq > {end.seq - 5}")
    assert await world.db.run_host(audit.verify, world.tenant.id) is None
    fault = await world.db.run_host(audit.verify, world.tenant.id, end)
    assert fault is not None
    assert fault.seq == end.seq - 4
    other = Checkpoint(1, bytes(32))
    assert await world.db.run_host(audit.verify, world.tenant.id, other) is not None


async def test_a_chain_made_without_the_key_does_not_hold(world: World, settings: Settings) -> None:
    stranger = Database(settings, SecretBox(["another key, that was never on the ring"]))
    await stranger.open()
    await stranger.run_host(tenants.suspend, "north", actor="forger")
    await stranger.close()
    fault = await world.db.run_host(audit.verify, world.tenant.id)
    assert fault is not None
    trail = await world.db.run_host(audit.page, world.tenant.id)
    assert fault.row_id == trail[0].id


async def test_a_chain_goes_on_over_a_change_of_keys(world: World, settings: Settings) -> None:
    renewed = Database(settings, SecretBox(["a new key that was put in front of the ring", SECRET_KEY]))
    await renewed.open()
    await renewed.run_host(tenants.suspend, "north", actor=ACTOR)
    assert await renewed.run_host(audit.verify, world.tenant.id) is None
    await renewed.close()
