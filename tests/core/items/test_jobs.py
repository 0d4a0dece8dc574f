"""Jobs: one for equal wishes, one of a partition at a time, and only their leaseholder may finish them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from ltihost.store import jobs
from ltihost.store.database import Database
from ltihost.store.jobs import Dead, Done, Job, Later, LeaseLost
from ltihost.store.service_tables import Job as Row
from tests.core.items.conftest import NOW, Placed, placed


class Hands:
    """A worker's, without a worker around them."""

    def __init__(self, db: Database, here: Placed, owner: str = "one") -> None:
        self.db, self.here, self.owner = db, here, owner
        self.monotonic = 1_000.0

    async def put(self, object_id: str = "x", **values: Any) -> str:
        registration_id, deployment_id = self.here.place
        return await self.db.run(
            self.here.tenant_id, jobs.put, kind="test", registration_id=registration_id, deployment_id=deployment_id,
            object_id=object_id, **{"now": NOW} | values,
        )  # fmt: skip

    async def claim(self, now: float = NOW, most: int = 8) -> list[Job]:
        return await jobs.claim(
            self.db, owner=self.owner, kinds=["test"], now=now, most=most, clock=lambda: self.monotonic
        )

    async def rows(self, state: str | None = None) -> list[Row]:
        return await self.db.run(self.here.tenant_id, jobs.listed, state=state)

    async def let_lease_end(self) -> None:
        """As if its holder had been away for a minute: by the database's clock on PostgreSQL, by the caller's here."""
        await self.db.run(self.here.tenant_id, _end_leases)


def _end_leases(session: Session) -> None:
    session.execute(update(Row).where(Row.state == "leased").values(lease_until=0.0))


@pytest.fixture
def hands(db: Database, here: Placed) -> Hands:
    return Hands(db, here)


async def test_equal_wishes_are_one(hands: Hands) -> None:
    first = await hands.put(due_at=NOW + 60, payload={"n": 1})
    assert await asyncio.gather(*(hands.put(payload={"n": 2}) for _ in range(10))) == [first] * 10
    (job,) = await hands.claim()
    assert (job.id, job.payload) == (first, {"n": 2})


async def test_a_wish_during_the_work_is_a_job_of_its_own_and_waits(hands: Hands) -> None:
    await hands.put()
    (job,) = await hands.claim()
    second = await hands.put()
    assert second != job.id
    assert await hands.claim() == []
    assert await jobs.finish(hands.db, job, Done(), NOW)
    assert [job.id for job in await hands.claim()] == [second]


async def test_nothing_is_claimed_before_its_time(hands: Hands) -> None:
    await hands.put(due_at=NOW + 5)
    assert await hands.claim(NOW + 4.9) == []
    assert len(await hands.claim(NOW + 5)) == 1


async def test_the_oldest_of_a_partition_goes_first(hands: Hands) -> None:
    old = await hands.put("a", partition_key="p", due_at=NOW + 100)
    new = await hands.put("b", partition_key="p", now=NOW + 1)
    assert await hands.claim(NOW + 50) == []
    (job,) = await hands.claim(NOW + 100)
    assert job.id == old
    await jobs.finish(hands.db, job, Done(), NOW + 100)
    assert [job.id for job in await hands.claim(NOW + 100)] == [new]


async def test_many_workers_share_the_work(db: Database, here: Placed) -> None:
    workers = [Hands(db, here, f"worker {number}") for number in range(4)]
    wanted = {await workers[0].put(f"o{number}") for number in range(12)}
    taken: list[str] = []
    for _ in range(4):
        for found in await asyncio.gather(*(worker.claim(most=2) for worker in workers)):
            taken += [job.id for job in found]
    assert sorted(taken) == sorted(wanted)


async def test_one_platform_leaves_room(hands: Hands, db: Database) -> None:
    there = Hands(db, await placed(db, "south"))
    for number in range(10):
        await hands.put(f"o{number}")
    await there.put("late", now=NOW + 1, due_at=NOW + 1)
    found = await hands.claim(NOW + 1)
    assert [job.tenant_id for job in found].count(there.here.tenant_id) == 1
    assert len(found) == jobs.PER_PLATFORM + 1


async def test_a_lease_that_ended_is_anothers(hands: Hands) -> None:
    await hands.put()
    (lost,) = await hands.claim()
    assert await hands.claim() == []
    await hands.let_lease_end()
    (taken,) = await hands.claim()
    assert (taken.id, taken.lease.number) == (lost.id, lost.lease.number + 1)
    for verdict in (Done(), Later(NOW, "x"), Dead("x")):
        assert not await jobs.finish(hands.db, lost, verdict, NOW)
    assert not await jobs.extend(hands.db, lost, NOW)
    assert [row.state for row in await hands.rows()] == ["leased"]
    assert await jobs.finish(hands.db, taken, Done(), NOW)


async def test_a_lease_is_held_by_the_clock_of_before_the_claim(hands: Hands) -> None:
    await hands.put()
    (job,) = await hands.claim()
    hands.monotonic += jobs.LEASE_SECONDS - 1
    job.lease.assert_held()
    hands.monotonic += 1
    with pytest.raises(LeaseLost):
        job.lease.assert_held()
    assert await jobs.extend(hands.db, job, NOW)
    job.lease.assert_held()


async def test_a_failure_comes_back_later_and_counts(hands: Hands) -> None:
    await hands.put()
    (job,) = await hands.claim()
    await jobs.finish(hands.db, job, Later(NOW + 60, "down"), NOW)
    assert await hands.claim(NOW + 59) == []
    (job,) = await hands.claim(NOW + 60)
    assert (job.tries, job.first_failed_at) == (1, NOW)
    await jobs.finish(hands.db, job, Later(NOW + 70, "off", counted=False), NOW + 60)
    (job,) = await hands.claim(NOW + 70)
    assert (job.tries, job.first_failed_at) == (1, NOW)


async def test_an_equal_wish_takes_over_what_failed(hands: Hands) -> None:
    """Else asking again and again would knock at a platform that is down again and again."""
    await hands.put()
    (job,) = await hands.claim()
    second = await hands.put()
    assert await jobs.finish(hands.db, job, Later(NOW + 60, "down"), NOW)
    (row,) = await hands.rows()
    assert (row.id, row.state, row.tries, row.due_at, row.code) == (second, "pending", 1, NOW + 60, "down")
    assert await hands.put() == second
    assert (await hands.rows())[0].due_at == NOW + 60


async def test_the_dead_stay_until_the_wish_comes_true(hands: Hands) -> None:
    await hands.put()
    (job,) = await hands.claim()
    await jobs.finish(hands.db, job, Dead("refused"), NOW)
    assert await hands.claim(NOW + 9e9) == []
    assert [(row.state, row.code) for row in await hands.rows()] == [("dead", "refused")]
    await hands.put()
    (job,) = await hands.claim()
    await jobs.finish(hands.db, job, Done(), NOW)
    assert await hands.rows() == []
