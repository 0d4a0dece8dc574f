"""Events are read in an order in which none can be missed."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest
from sqlalchemy.orm import Session

from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import applications, deployments, events
from ltihost.store.database import Database
from ltihost.store.events import Mark
from tests.core.items.conftest import NOW, Placed, placed
from tests.core.store.support import ACTOR, DEPLOYMENT


async def happen(db: Database, here: Placed, number: int, at: float = NOW) -> str:
    return await db.run(here.tenant_id, _append, here.application, number, at)


def _append(session: Session, application: tuple[str, str], number: int, at: float) -> str:
    return events.append(
        session, application_owner=application[0], application_id=application[1], type="alert.raised",
        data={"number": number}, now=at,
    )  # fmt: skip


async def read(db: Database, here: Placed, after: int = 0, limit: int = 100, tenant: str | None = None) -> list[Mark]:
    return await db.run_lookup(events.numbered, here.application[1], tenant, after, limit)


async def test_events_come_once_and_in_order(db: Database, here: Placed) -> None:
    ids = [await happen(db, here, number, NOW + number) for number in range(5)]
    first = await read(db, here, limit=3)
    rest = await read(db, here, after=first[-1].seq)
    assert [mark.id for mark in [*first, *rest]] == ids
    assert await read(db, here, after=rest[-1].seq) == []
    found = await db.run(here.tenant_id, events.by_ids, ids)
    assert [found[id_].data["number"] for id_ in ids] == list(range(5))


async def test_what_is_stored_late_comes_later_although_it_is_older(db: Database, here: Placed) -> None:
    await happen(db, here, 1, NOW + 100)
    (mark,) = await read(db, here)
    late = await happen(db, here, 2, NOW)
    assert [mark.id for mark in await read(db, here, after=mark.seq)] == [late]


@pytest.mark.postgres
async def test_a_transaction_that_ends_late_is_not_missed(postgres_settings: Settings) -> None:
    database = Database(postgres_settings)
    await database.open()
    here = await placed(database)
    slow = await asyncpg.connect(postgres_settings.database)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute("SELECT set_config('app.tenant', $1, true)", here.tenant_id)
    await slow.execute(
        "INSERT INTO events (tenant_id, id, application_owner, application_id, type, data, at)"
        " VALUES ($1, 'evt_slow', $2, $3, 'alert.raised', $4, $5)",
        here.tenant_id, *here.application, json.dumps({}), NOW,
    )  # fmt: skip
    quick = await happen(database, here, 1, NOW + 1)
    seen = await read(database, here)
    assert [mark.id for mark in seen] == [quick]
    await transaction.commit()
    await slow.close()
    assert [mark.id for mark in await read(database, here, after=seen[-1].seq)] == ["evt_slow"]
    await database.close()


async def test_many_readers_and_writers_agree(db: Database, here: Placed) -> None:
    async def write(start: int) -> None:
        for number in range(start, start + 5):
            await happen(db, here, number)

    async def follow() -> list[str]:
        found: list[str] = []
        after = 0
        while len(found) < 20:
            for mark in await read(db, here, after=after, limit=4):
                found.append(mark.id)
                after = mark.seq
            await asyncio.sleep(0)
        return found

    *_, one, two = await asyncio.gather(*(write(5 * n) for n in range(4)), follow(), follow())
    assert one == two  # type: ignore[comparison-overlap]
    assert len(set(two)) == 20  # type: ignore[arg-type]


async def test_an_application_of_the_host_reads_all_its_tenants_and_each_key_its_own(db: Database) -> None:
    shared = await db.run_host(
        applications.create, HOST, "shared", name="S", launch_url="https://s.example/", actor=ACTOR
    )
    north, south = await placed(db), await placed(db, "south")
    for here in (north, south):
        await db.run_host(deployments.approve, here.world.registration.id, DEPLOYMENT, application=shared, actor=ACTOR)
    ids = [await db.run(here.tenant_id, _append, (HOST, shared.id), 1, NOW) for here in (north, south)]
    every = await db.run_lookup(events.numbered, shared.id, None, 0, 10)
    assert {mark.id for mark in every} == set(ids)
    assert [mark.id for mark in await db.run_lookup(events.numbered, shared.id, south.tenant_id, 0, 10)] == ids[1:]
    assert await read(db, north) == []  # another application's
