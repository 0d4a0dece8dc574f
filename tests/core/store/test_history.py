"""What is kept for a month goes after a month, and nothing else does."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from ltihost.store import history
from ltihost.store.linking_tables import Notice
from ltihost.store.service_tables import DeliveryTry, Event, IdempotencyKey
from tests.core.store.any_row import fill_rest
from tests.core.store.support import World

COLUMNS = {DeliveryTry: "started_at", IdempotencyKey: "created_at", Event: "at", Notice: "received_at"}


def _age(session: Session, at: float) -> None:
    for table, column in COLUMNS.items():
        session.execute(update(table).values({column: at}).execution_options(synchronize_session=False))


@pytest.mark.parametrize(("days", "gone"), [(31, True), (29, False)])
async def test_what_is_older_than_a_month_goes(world: World, days: float, gone: bool) -> None:
    now = time.time()
    await world.db.run_host(fill_rest, world.tenant.id)
    await world.db.run(world.tenant.id, _age, now - days * 86_400)
    before = await world.counts()
    assert all(before[table.__tablename__] for table in COLUMNS)
    while await world.db.run_lookup(history.prune, now):
        continue
    after = await world.counts()
    changed = {name for name, count in before.items() if after[name] != count}
    assert changed == ({table.__tablename__ for table in COLUMNS} if gone else set())
