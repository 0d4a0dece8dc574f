"""The job runner: what an answer of the LMS makes of a job, and of the platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ltihost.bindings import NotBound
from ltihost.errors import Busy, NotFound, OutboundFailed, OutboundRefused, ServiceFailed
from ltihost.flows.jobs import HORIZON_SECONDS, JobRunner
from ltihost.host import Host
from ltihost.plugins.loader import load_plugins
from ltihost.service_records import GiveUp, LineItemGone, NeedsAttention, PausePlatform, RetryLater
from ltihost.settings import Settings
from ltihost.store import directory, jobs
from ltihost.store.jobs import Done, Job, Verdict
from ltihost.store.service_tables import Event
from ltihost.store.service_tables import Job as Row
from tests.core.items.conftest import NOW, Placed, placed


class Bench:
    """A runner whose work is what a test says: an exception to raise, or nothing for done."""

    def __init__(self, host: Host, here: Placed) -> None:
        self.host, self.here = host, here
        self.now = NOW
        self.runner = JobRunner(host)
        self.runner.register("test", self.do)
        self.outcome: Exception | None = None
        self.done: list[Job] = []

    async def do(self, host: Host, job: Job) -> Verdict:
        self.done.append(job)
        if self.outcome is not None:
            raise self.outcome
        return Done()

    async def put(self, object_id: str = "x") -> None:
        registration_id, deployment_id = self.here.place
        await self.host.database.run(
            self.here.tenant_id, jobs.put, kind="test", registration_id=registration_id, deployment_id=deployment_id,
            object_id=object_id, now=self.now,
        )  # fmt: skip

    async def run(self, outcome: Exception | None = None) -> Row | None:
        """Do what is due with this outcome; what is left of it."""
        self.outcome = outcome
        await self.runner.work_once()
        rows = await self.rows()
        return rows[0] if rows else None

    async def rows(self) -> list[Row]:
        return await self.host.database.run(self.here.tenant_id, jobs.listed)

    async def alerts(self) -> list[dict[str, Any]]:
        def read(session: Session) -> list[dict[str, Any]]:
            return [row.data for row in session.scalars(select(Event))]

        return await self.host.database.run(self.here.tenant_id, read)


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    host = Host.build(settings, plugins=load_plugins(["lti"]))
    await host.open()
    made = Bench(host, await placed(host.database))
    host.clock = lambda: made.now
    await made.put()
    yield made
    await host.close()


def fails(outcome: Any) -> ServiceFailed:
    return ServiceFailed(outcome, "It did not work.")


async def test_what_is_done_is_gone(bench: Bench) -> None:
    assert await bench.run() is None
    assert await bench.runner.work_once() == 0


@pytest.mark.parametrize(("error", "code"), [
    (fails(RetryLater("http_503")), "http_503"), (OutboundFailed("timeout", "Slow."), "timeout"),
    (TimeoutError(), "job_timeout"), (RuntimeError("a mistake of ours"), "unexpected"),
])  # fmt: skip
async def test_a_fault_is_tried_again_and_counts(bench: Bench, error: Exception, code: str) -> None:
    row = await bench.run(error)
    assert row is not None
    assert (row.state, row.tries, row.code, row.first_failed_at) == ("pending", 1, code, NOW)
    assert NOW < row.due_at <= NOW + 5
    bench.now += 5
    row = await bench.run(error)
    assert row is not None
    assert (row.tries, row.first_failed_at) == (2, NOW)


async def test_what_the_lms_asks_for_is_kept(bench: Bench) -> None:
    row = await bench.run(fails(RetryLater("http_503", after=900)))
    assert row is not None
    assert NOW + 900 <= row.due_at <= NOW + 990


@pytest.mark.parametrize("error", [
    NotBound("tenant_suspended", "Off."), Busy("busy", "Later."), fails(PausePlatform("throttled", after=40)),
])  # fmt: skip
async def test_what_is_no_fault_of_the_job_counts_for_nothing(bench: Bench, error: Exception) -> None:
    row = await bench.run(error)
    assert row is not None
    assert (row.state, row.tries, row.first_failed_at) == ("pending", 0, None)
    assert row.due_at > NOW


@pytest.mark.parametrize(("error", "code"), [
    (fails(NeedsAttention("scope_missing")), "scope_missing"), (fails(GiveUp("invalid", at_once=True)), "invalid"),
    (fails(LineItemGone()), "line_item_gone"), (NotFound("line_item_unknown", "Gone."), "line_item_unknown"),
    (OutboundRefused("service_origin", "Foreign."), "service_origin"),
])  # fmt: skip
async def test_what_no_time_mends_is_told(bench: Bench, error: Exception, code: str) -> None:
    row = await bench.run(error)
    assert row is not None
    assert (row.state, row.code) == ("dead", code)
    assert await bench.alerts() == [{"code": code, "kind": "test", "object_id": "x"}]
    bench.now += 1e6
    assert await bench.runner.work_once() == 0


async def test_a_refusal_is_believed_at_the_third_time(bench: Bench) -> None:
    for tries in (1, 2):
        row = await bench.run(fails(GiveUp("refused")))
        assert row is not None
        assert (row.state, row.tries) == ("pending", tries)
        assert row.due_at >= bench.now + 1_800
        bench.now = row.due_at
    row = await bench.run(fails(GiveUp("refused")))
    assert row is not None
    assert row.state == "dead"
    assert bench.now - NOW >= 3_600


async def test_the_horizon_ends_it(bench: Bench) -> None:
    while bench.now - NOW <= HORIZON_SECONDS + 7 * 3_600:
        row = await bench.run(fails(RetryLater("http_500")))
        assert row is not None
        if row.state == "dead":
            break
        bench.now = max(row.due_at, bench.now + 1)
    assert (await bench.rows())[0].state == "dead"
    assert HORIZON_SECONDS <= bench.now - NOW <= HORIZON_SECONDS + 7 * 3_600


async def test_a_platform_that_fails_is_left_alone(bench: Bench) -> None:
    """Five faults in a row; then nothing is asked of it, and what waits does not count."""
    for number in range(1, 12):
        await bench.put(f"o{number}")
    bench.outcome = fails(RetryLater("http_500"))
    for _ in range(4):
        await bench.runner.work_once()
    assert len(bench.done) <= 8
    waiting = [row for row in await bench.rows() if row.tries == 0]
    assert {row.due_at > NOW for row in waiting if row.code is not None} == {True}
    bench.now += 3_600
    bench.done.clear()
    await bench.run(fails(RetryLater("http_500")))
    assert len(bench.done) == 1  # one goes ahead to see, and the others go on waiting
    bench.now += 3_600
    for _ in range(40):
        bench.now += 60
        await bench.run()
    assert await bench.rows() == []


async def test_a_job_that_was_moved_to_another_tenant_finds_nothing_there(bench: Bench) -> None:
    """S-43: its work is bound to the row's tenant before anything of it is read."""
    elsewhere = await placed(bench.host.database, "south")

    async def look(host: Host, job: Job) -> Verdict:
        await host.database.run(job.tenant_id, directory.context, job.object_id)
        return Done()

    bench.runner.register("test", look)
    await bench.host.database.run_host(
        lambda session: session.execute(
            update(Row).values(tenant_id=elsewhere.tenant_id, object_id=bench.here.context_id)
        )
    )
    assert await bench.runner.work_once() == 1
    (row,) = await bench.host.database.run(elsewhere.tenant_id, jobs.listed)
    assert (row.state, row.code) == ("dead", "context_unknown")


async def test_one_that_takes_long_keeps_no_other_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow LMS has its time; what another tenant wishes meanwhile is done beside it."""
    monkeypatch.setattr("ltihost.flows.jobs.SLOW_SECONDS", 0.02)
    begun: list[str] = []
    started, released, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(host: Host, job: Job) -> Verdict:
        begun.append(job.object_id)
        if job.object_id == "x":
            started.set()
            await released.wait()
        else:
            done.set()
        return Done()

    bench.runner.register("test", work)
    working = asyncio.create_task(bench.runner.work_once())
    await asyncio.wait_for(started.wait(), 5)
    await bench.put("quick")
    await asyncio.wait_for(done.wait(), 5)
    released.set()
    assert await working == 2
    assert begun == ["x", "quick"]
