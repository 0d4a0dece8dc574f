"""R-24: this machine's clock is wrong. What platforms answer anyway tells, and the operator hears of it once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
import time_machine
from structlog.testing import capture_logs

from ltihost.flows import clock
from ltihost.host import Host
from ltihost.plugins.loader import load_plugins
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import audit
from ltihost.store.grades_store import Grades
from ltihost.worker import make_worker
from tests.core.grades.support import Book, GradeSlot
from tests.core.support_loopback import Server, answers, loopback
from tests.flows.grades.gradebook import gradebook
from tests.flows.grades.rig import make_rig

#: This machine is ahead of the others by so much.
AHEAD = 600.0


@pytest.fixture
async def host(settings: Settings) -> AsyncIterator[Host]:
    async with made_host(settings, AHEAD) as made:
        yield made


@asynccontextmanager
async def made_host(settings: Settings, ahead: float) -> AsyncIterator[Host]:
    made = Host.build(settings, plugins=load_plugins(["lti"]), clock=lambda: time.time() + ahead)
    await made.open()
    yield made
    await made.close()


@asynccontextmanager
async def server(off: float = 0.0, **headers: str) -> AsyncIterator[Server]:
    """A server whose clock is off by so many seconds. Any loopback address leads to it, each as if to another server."""
    date = formatdate(time.time() + off, usegmt=True)
    async with loopback(answers({}, 200, date=date, **headers), host="0.0.0.0") as made:
        yield made


async def ask(host: Host, at: Server, name: str = "127.0.0.1") -> None:
    await host.outbound.get(at.url(host=name), limit=100)


async def alerts(host: Host) -> list[dict[str, object]]:
    rows = await host.database.run(HOST, audit.page, HOST, limit=500)
    return [row.details for row in rows if row.action == clock.ACTION]


async def test_a_clock_that_is_wrong_is_told_once(host: Host) -> None:
    async with server() as lms:
        await ask(host, lms)
    with capture_logs() as logs:
        for _ in range(3):
            await clock.check(host)
    (told,) = await alerts(host)
    assert told["server"] == "127.0.0.1"
    assert abs(int(str(told["seconds"])) - AHEAD) <= 2
    (line,) = [line for line in logs if line["event"] == clock.ACTION]
    assert (line["log_level"], line["seconds"], line["server"]) == ("warning", told["seconds"], "127.0.0.1")


async def test_other_processes_of_this_machine_do_not_repeat_it(host: Host, settings: Settings) -> None:
    async with made_host(settings, AHEAD) as other, server() as lms:
        for one in (host, other):
            await ask(one, lms)
        await asyncio.gather(clock.check(host), clock.check(other))
    assert len(await alerts(host)) == 1


async def test_after_an_hour_it_is_told_again(host: Host) -> None:
    async with server() as lms:
        await ask(host, lms)
    await clock.check(host)
    with time_machine.travel(time.time() + 3_700):
        await clock.check(host)
    assert len(await alerts(host)) == 2


async def test_a_clock_that_is_right_is_not_worth_a_word(settings: Settings) -> None:
    for ahead in (0.0, 25.0, -25.0):
        async with made_host(settings, ahead) as host, server() as lms:
            await ask(host, lms)
            await clock.check(host)
            assert await alerts(host) == []


async def test_a_server_whose_clock_is_wrong_is_outvoted(settings: Settings) -> None:
    async with made_host(settings, 0.0) as host, server() as right, server(off=-AHEAD) as wrong:
        await ask(host, right)
        await ask(host, wrong, "127.0.0.2")
        await clock.check(host)
        assert await alerts(host) == []
        assert host.clock_check.found() is None


async def test_two_that_agree_outvote_a_third(host: Host) -> None:
    async with server() as right, server(off=AHEAD) as wrong:
        await ask(host, right)
        await ask(host, wrong, "127.0.0.2")
        assert host.clock_check.found() is None
        await ask(host, right, "127.0.0.3")
        await clock.check(host)
    assert len(await alerts(host)) == 1


async def test_what_a_cache_answers_says_nothing_about_the_time(host: Host) -> None:
    async with server(age="600") as cache:
        await ask(host, cache)
    async with loopback(answers({}, date="yesterday")) as odd:
        await ask(host, odd)
    await clock.check(host)
    assert await alerts(host) == []


async def test_a_worker_says_it_by_itself(settings: Settings) -> None:
    """From the answers to its own requests, soon after its start."""
    async with gradebook(headers={"date": formatdate(time.time() - AHEAD, usegmt=True)}) as lms:
        rig = await make_rig(settings, lms)
        await rig.book.take(8)
        await rig.deliver()
        stop = asyncio.Event()
        working = asyncio.create_task(make_worker(rig.host).run(stop))
        async with asyncio.timeout(10):
            while True:
                if await alerts(rig.host):
                    break
                await asyncio.sleep(0.02)
        stop.set()
        await working
        await rig.host.close()


@pytest.mark.postgres
@pytest.mark.parametrize("off", [AHEAD, -AHEAD])
async def test_a_worker_with_a_wrong_clock_takes_no_lease_early_and_loses_none(
    postgres_settings: Settings, off: float
) -> None:
    """Leases are by the database's clock. Here everything else in the process believes the wrong one."""
    async with gradebook() as lms:
        rig = await make_rig(postgres_settings, lms)
        await rig.book.take(8)
        (claim,) = await rig.book.claim(owner="of another machine")
        with time_machine.travel(time.time() + off):
            await rig.book.take(7, user_id=rig.book.learners[1])
            assert await rig.deliver() == 1  # what nobody holds; the other's lease has a minute
            assert rig.standing(0) is None
            assert await lease_lasts(rig.book)
        assert not (await rig.book.settle(claim)).lost
        assert rig.standing(1) == (7, 10)
        await rig.host.close()


async def lease_lasts(book: Book) -> bool:
    (leased,) = [row for row in await book.rows(GradeSlot) if row.state == "leased"]
    return (await Grades(book.db).claim(book.platform, owner="w", most=8)).claims == () and leased.lease_no == 1
