"""PostgreSQL undoes one of two transactions that wait for each other; a group of launches then goes again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg

from ltihost.settings import Settings
from ltihost.store.database import Database
from tests.core.store.support import ADA, make_world

_LOCK = "UPDATE users SET name = name WHERE subject = $1"


async def test_a_group_that_was_undone_goes_again(postgres_settings: Settings) -> None:
    database = Database(postgres_settings)
    await database.open()
    world = await make_world(database)
    people = [replace(ADA, key=name, subject=name) for name in ("one", "two")]
    for person in people:
        assert (await database.hot.accept_launch(world.work(person=person))).refusal is None
    other = await asyncpg.connect(postgres_settings.owner_database)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(_LOCK, "two")
    group = asyncio.gather(*(database.hot.accept_launch(world.work(person=person)) for person in people))
    while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        assert not group.done()
    await other.execute(_LOCK, "one")  # each waits for the other; the group has waited for longer, and finds out
    await transaction.rollback()
    assert [outcome.refusal for outcome in await group] == [None, None]
    await other.close()
    await database.close()
