"""What a process does every ten minutes: signing keys go on, old attempts go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
import structlog
import time_machine
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ltihost.errors import ConfigurationError
from ltihost.records import HOST
from ltihost.settings import Settings, load_settings
from ltihost.store import keys, launches, retention, tables
from ltihost.store.database import TIDY_SECONDS, Database
from tests.conftest import SECRET_KEY
from tests.core.store.support import ACTOR, World, count_rows, make_world

DAY = 86_400.0


async def states(world: World, owner: str) -> list[str]:
    return [row.state for row in await world.db.run_host(keys.listed, owner)]


async def publish(world: World, owner: str) -> None:
    signing = await world.db.run_host(keys.signing_key, owner)
    await world.db.run_host(keys.rotate, owner, expected=signing.kid, actor=ACTOR)


# Signing keys


async def test_a_published_key_signs_a_day_later_without_anybody(world: World) -> None:
    """The host's own and each registration's."""
    await world.db.run_host(keys.create, HOST, HOST)
    owners = (HOST, world.registration.id)
    for owner in owners:
        await publish(world, owner)
    now = time.time()
    for later, wanted in (
        (DAY - 700, ["signing", "published"]),
        (DAY + 60, ["retiring", "signing"]),
        (3 * DAY - 60, ["retiring", "signing"]),
        (3 * DAY + 700, ["removed", "signing"]),
    ):
        await world.db.tend(now + later)
        assert [await states(world, owner) for owner in owners] == [wanted, wanted], later


async def test_a_process_looks_every_ten_minutes_at_most(world: World) -> None:
    owner, now = world.registration.id, time.time() + DAY
    await world.db.tend(now)
    await publish(world, owner)
    await world.db.run_host(_backdate, owner)
    await world.db.tend(now + TIDY_SECONDS - 1)
    assert await states(world, owner) == ["signing", "published"]
    await world.db.tend(now + TIDY_SECONDS)
    assert await states(world, owner) == ["retiring", "signing"]


def _backdate(session: Session, owner: str) -> None:
    for row in keys.listed(session, owner):
        row.state_since -= 2 * DAY


async def test_several_processes_take_one_step_together(world: World, settings: Settings) -> None:
    other = Database(settings)
    await other.open()
    await publish(world, world.registration.id)
    now = time.time() + DAY + 60
    await asyncio.gather(world.db.tend(now), other.tend(now))
    assert await states(world, world.registration.id) == ["retiring", "signing"]
    await other.close()


async def test_an_owner_whose_keys_cannot_move_is_logged_and_leaves_others_alone(world: World) -> None:
    """Without a signing key nothing can take its place."""
    south = await make_world(world.db, "south")
    for owner in (world.registration.id, south.registration.id):
        await publish(world, owner)
    await world.db.run_host(_lose_signing_key, south.registration.id)
    with structlog.testing.capture_logs() as logged:
        await world.db.tend(time.time() + DAY + 60)
    assert [(line["event"], line["owner"], line["code"]) for line in logged] == [
        ("keys.stuck", south.registration.id, "key_missing")
    ]
    assert await states(world, world.registration.id) == ["retiring", "signing"]
    assert await states(world, south.registration.id) == ["removed", "published"]


def _lose_signing_key(session: Session, owner: str) -> None:
    row = next(row for row in keys.listed(session, owner) if row.state == "signing")
    row.state = "removed"


# Old attempts


async def store_refused(world: World, days: float, **changes: object) -> None:
    at = time.time() - days * DAY
    await world.db.hot.record_attempts([world.refused(at=at, **changes)])


async def left(world: World) -> list[str]:
    rows = (await world.db.run_host(launches.page)).rows
    return sorted(f"{row.outcome} {round((time.time() - row.at) / DAY)}" for row in rows)


async def test_attempts_go_after_ninety_days(world: World) -> None:
    """S-92: refused and waiting ones of every tenant, never a launch."""
    for days in (1, 89, 91, 400):
        await store_refused(world, days)
        await store_refused(world, days, tenant_id=HOST, registration_id=None)
    await store_refused(world, 91, outcome="waiting", refusal="browser_binding")
    accepted = world.work(attempt=world.attempt(at=time.time() - 400 * DAY))
    assert (await world.db.hot.accept_launch(accepted)).refusal is None
    await world.db.tend(time.time())
    assert await left(world) == ["accepted 400", "refused 1", "refused 1", "refused 89", "refused 89"]
    assert (await world.db.run_host(count_rows))["attempt_counters"] == 4


async def test_the_operator_says_how_long(settings: Settings) -> None:
    database = Database(settings.model_copy(update={"attempt_days": 7}))
    await database.open()
    world = await make_world(database)
    for days in (6, 8):
        await store_refused(world, days)
    await database.tend(time.time())
    assert await left(world) == ["refused 6"]
    await database.close()


async def test_a_hundred_years_are_no_mistake(world: World) -> None:
    await store_refused(world, 400)
    assert await world.db.run_lookup(retention.prune_attempts, time.time(), 36_500) == 0
    assert await left(world) == ["refused 400"]


async def test_they_go_a_slice_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 2)
    for _ in range(5):
        await store_refused(world, 100)
    gone = [await world.db.run_lookup(retention.prune_attempts, time.time(), 90) for _ in range(4)]
    assert gone == [2 + 1, 2, 1, 0]  # five rows, and the counter of their minute
    for _ in range(5):
        await store_refused(world, 100)
    await world.db.tend(time.time())
    assert await left(world) == []


@pytest.mark.parametrize("days", ["0", "-1", "many", ""])
def test_a_number_of_days_is_needed(days: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(base_url="http://localhost", secret_key=SECRET_KEY, attempt_days=days)
    assert "LTIHOST_ATTEMPT_DAYS" in caught.value.message


# What the serving role could do with the clean-up, PostgreSQL


@pytest.fixture
async def raw(postgres_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_settings.database)
    yield connection
    await connection.close()


@pytest.mark.postgres
async def test_no_time_makes_spent_nonces_usable_again(postgres_settings: Settings, raw: asyncpg.Connection) -> None:
    """A caller who says that it is the year 3000 deletes what expires in the next five minutes, no more."""
    database = Database(postgres_settings)
    await database.open()
    world = await make_world(database)
    for seconds in (60, 900):
        await database.hot.consume_nonce(world.registration.id, bytes([seconds // 60]), time.time() + seconds)
    await database.hot.accept_launch(world.work(code_expires=time.time() + 900, nonce_expires=time.time() + 900))
    assert await raw.fetchval("SELECT prune_v1(32503680000, 100)") == 1
    assert await raw.fetchval("SELECT prune_v1('infinity', 100)") == 0
    counts = await database.run_host(count_rows)
    assert (counts["nonces"], counts["one_time_codes"]) == (2, 1)
    await database.close()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "call",
    [
        "prune_attempts_v1(32503680000, 90, 100)",
        "prune_attempts_v1({now}, 0, 100)",
        "prune_attempts_v1({now}, -9999, 100)",
    ],
)
async def test_no_time_deletes_attempts_of_today(
    postgres_settings: Settings, raw: asyncpg.Connection, call: str
) -> None:
    database = Database(postgres_settings)
    await database.open()
    world = await make_world(database)
    await store_refused(world, 0.9)
    assert await raw.fetchval(f"SELECT {call.format(now=time.time())}") == 0
    assert await database.run_host(_attempts) == 1
    await database.close()


def _attempts(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(tables.Launch)) or 0


async def test_the_clock_of_a_machine_that_went_back_stops_nothing(world: World) -> None:
    await world.db.tend(time.time() + 10 * DAY)
    await publish(world, world.registration.id)
    await world.db.run_host(_backdate, world.registration.id)
    with time_machine.travel(time.time(), tick=False):
        await world.db.tend(time.time())
    assert await states(world, world.registration.id) == ["retiring", "signing"]
