"""Attempts that did not end as launches, and the cap on how many are stored. D22."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from ltihost.records import HOST, Check
from ltihost.settings import Settings
from ltihost.store import launches
from ltihost.store.database import Database
from tests.core.store.support import World, make_world


async def test_an_attempt_is_stored_as_it_was(world: World) -> None:
    checks = (Check("registration", "passed"), Check("signature", "failed", "a good one", "\0 bad \ud800"))
    given = world.refused(checks=checks, warnings=("odd",), user_agent="agent\0 \ud800")
    await world.db.hot.record_attempts([given])
    row = await world.db.run(world.tenant.id, launches.show, given.code)
    stored = launches.attempt(row)
    assert replace(stored, checks=(), user_agent=None) == replace(given, checks=(), user_agent=None)
    assert [check.status for check in stored.checks] == ["passed", "failed"]
    assert stored.user_agent == "agent\N{REPLACEMENT CHARACTER} ?"


async def test_an_attempt_is_replaced_under_its_id_whoever_it_was_stored_for(world: World) -> None:
    given = world.refused(tenant_id=HOST, outcome="waiting", refusal="browser_binding")
    await world.db.hot.record_attempts([given])
    await world.db.hot.record_attempts(
        [replace(given, tenant_id=world.tenant.id, outcome="refused", refusal="expired")]
    )
    stored = await world.db.run_host(launches.page)
    assert [(row.tenant_id, row.refusal) for row in stored.rows] == [(world.tenant.id, "expired")]


async def test_what_does_not_exist_is_not_named(world: World) -> None:
    other = await make_world(world.db, "south")
    given = (
        world.refused(registration_id="reg_unknown"),
        world.refused(registration_id=other.registration.id, user_id="usr_x"),
    )
    await world.db.hot.record_attempts(given)
    stored = await world.db.run(world.tenant.id, launches.page)
    assert [(row.registration_id, row.user_id) for row in stored.rows] == [(None, None)] * 2


@pytest.fixture
async def capped(settings: Settings) -> Database:
    return Database(settings.model_copy(update={"launch_rows_per_minute": 5, "login_rows_per_minute": 3}))


async def test_beyond_the_cap_attempts_are_only_counted(capped: Database) -> None:
    await capped.open()
    world = await make_world(capped)
    minute = time.time() // 60 * 60
    launched = [world.refused(at=minute + number) for number in range(9)]
    logins = [world.refused(kind="login", tenant_id=HOST, registration_id=None, at=minute) for _ in range(7)]
    await capped.hot.record_attempts(launched[:4])
    await asyncio.gather(*(capped.hot.record_attempts([item]) for item in (*launched[4:], *logins)))
    stored = await capped.run_host(launches.page)
    assert sorted(row.kind for row in stored.rows) == ["launch"] * 5 + ["login"] * 3
    assert await capped.run_host(launches.only_counted, minute) == 4 + 4
    # An honest launch is stored all the same, and the next minute has room again.
    assert (await capped.hot.accept_launch(world.work())).refusal is None
    await capped.hot.record_attempts([world.refused(at=minute + 61)])
    assert len((await capped.run_host(launches.page)).rows) == 10
    await capped.close()


async def test_one_registration_s_cap_leaves_room_for_another_s(capped: Database) -> None:
    await capped.open()
    north, south = await make_world(capped), await make_world(capped, "south")
    now = time.time() // 60 * 60
    for world in (north, south):
        await capped.hot.record_attempts([world.refused(at=now) for _ in range(8)])
    assert len((await capped.run(south.tenant.id, launches.page)).rows) == 5
    await capped.close()


async def test_posts_of_strangers_share_the_smaller_cap(capped: Database) -> None:
    """A launch post whose state names no registration costs its sender nothing, so it may fill nothing."""
    await capped.open()
    world = await make_world(capped)
    now = time.time() // 60 * 60
    await capped.hot.record_attempts([world.refused(tenant_id=HOST, registration_id=None, at=now) for _ in range(8)])
    assert len((await capped.run_host(launches.page)).rows) == 3
    assert await capped.run_host(launches.only_counted, now) == 5
    await capped.close()
