"""R-26: hosts and workers are told to stop while scores come in and go out. Whoever asked is answered, and what was not
sent is another's at once."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import httpx2

from ltihost.settings import Settings
from ltihost.store.sqlite import database_path
from tests.core.cli.test_cli_serve import free_port
from tests.core.grades.support import DeliveryTry, GradeSlot
from tests.flows.grades.gradebook import gradebook
from tests.flows.grades.oracle import BROKEN, Client, Oracle, connected
from tests.flows.grades.processes import Command, answers, until, until_true
from tests.flows.grades.rig import Rig, make_rig

LEARNERS = 12
#: So many requests are under way together.
TOGETHER = 8
#: So many of a worker's scores are under way to one platform; what it has claimed beyond them waits.
WIDTH = 4
FORM = b"content-type: application/x-www-form-urlencoded\r\n"


async def test_hosts_that_are_told_to_stop_under_load_leave_nothing_behind(settings: Settings) -> None:
    """Small counts, and a bound for a machine with much else to do; `make torture` has the others."""
    await stop_hosts(settings, rounds=1, claimed_within=20.0)


async def stop_hosts(settings: Settings, *, rounds: int, claimed_within: float) -> None:
    """Of two hosts one is told to stop and another one takes its place, again and again."""
    async with gradebook(latency=0.3) as lms:
        rig = await make_rig(settings, lms, learners=LEARNERS)
        async with connected(Oracle(rig)) as client:
            door = Door(client)
            posting = asyncio.gather(*(door.post() for _ in range(TOGETHER)))
            try:
                await door.open(Site(settings))
                for _ in range(rounds):
                    await door.open(Site(settings))
                    await door.leave()
                door.closed = True
                await posting
                await client.oracle.settled(40)  # long before a lease ends by itself
            finally:
                posting.cancel()
                for site in door.sites:
                    await site.stop()
        assert door.failed == []
        assert client.oracle.wrong() == []
        assert sum((await client.oracle.stored()).values()) == client.oracle.accepted
        tries = await rig.book.rows(DeliveryTry)
        assert {one.outcome for one in tries} <= {"confirmed", "unsent"}
        waits = waited(tries)
        assert len(waits) >= rounds // 2
        assert max(waits, default=0.0) < claimed_within
        await rig.host.close()


async def test_a_request_that_takes_long_keeps_no_score_back(sqlite_settings: Settings) -> None:
    """The worker inside gives back at once what it did not send; who connected before is answered."""
    async with gradebook(latency=0.5) as lms:
        rig, site = await make_rig(sqlite_settings, lms, learners=LEARNERS), Site(sqlite_settings)
        try:
            await site.start()
            async with raw(site.port) as slow, raw(site.port) as new:
                slow.send(b"POST /lti/launch HTTP/1.1\r\nhost: x\r\n" + FORM + b"content-length: 3\r\n\r\n")
                for number, learner in enumerate(rig.book.learners):
                    await rig.book.take(number, 100, user_id=learner)
                await until(lambda: len(lms.posts) >= WIDTH)
                site.tell_to_stop()
                await refuses(site.port)
                new.send(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
                assert (await new.heard()).endswith(b"\r\n\r\nstopping")
                await until_true(lambda: nothing_is_leased(rig))
                assert "pending" in {row.state for row in await rig.book.rows(GradeSlot)}
                slow.send(b"a=b")
                assert (await slow.heard()).startswith(b"HTTP/1.1 400 ")
        finally:
            statuses = await site.stop()
        assert statuses in ([0], [-signal.SIGTERM])
        await rig.host.close()


class Raw:
    """A connection whose requests come as slowly as the test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def heard(self) -> bytes:
        """All that is said until the other side closes the connection."""
        return await asyncio.wait_for(self._reader.read(), 30)


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Raw(reader, writer)
    writer.close()
    await writer.wait_closed()


async def refuses(port: int) -> None:
    """Wait until nobody is let in any more."""
    async with asyncio.timeout(30):
        with suppress(ConnectionRefusedError):
            while True:
                async with raw(port):
                    await asyncio.sleep(0.01)


class Site:
    """A machine: a host, which over SQLite works itself, or a host and a worker. `owner` is whose its leases are."""

    owner = ""

    def __init__(self, settings: Settings, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._processes = [Command(settings, "serve", "--port", str(self.port), *options)]
        if database_path(settings.database) is None:
            self._processes.append(Command(settings, "worker"))

    async def start(self) -> None:
        for process in self._processes:
            await process.start()
        await answers(self.url)

    def tell_to_stop(self) -> None:
        for process in self._processes:
            process.tell(signal.SIGTERM)

    async def stop(self) -> list[int]:
        """Tell all to stop; answers their statuses."""
        return await asyncio.gather(*(process.end(signal.SIGTERM) for process in self._processes))


async def owners(rig: Rig) -> Counter[str]:
    """How many scores each worker holds."""
    return Counter(row.lease_owner for row in await rig.book.rows(GradeSlot) if row.state == "leased")


async def nothing_is_leased(rig: Rig) -> bool:
    return not await owners(rig)


class Door:
    """What stands before the hosts: it sends each request to one of them, and to the other when that refuses the
    connection. `failed` has what was sent and not accepted."""

    def __init__(self, client: Client) -> None:
        self.sites: list[Site] = []
        self.under_way: Counter[Site] = Counter()
        self.failed: list[str] = []
        self.closed = False
        self._client = client
        self._dice = random.Random(6)

    async def open(self, site: Site) -> None:
        """Let it have requests as well, and see whose leases are its own."""
        await site.start()
        self.sites.append(site)
        known = {other.owner for other in self.sites}
        (site.owner,) = await until_true(lambda: self._owners_but(known))

    async def _owners_but(self, known: set[str]) -> set[str]:
        return (await owners(self._client.oracle.rig)).keys() - known

    async def leave(self) -> None:
        """The host that is there longest is told to stop, while it is asked and while its worker sends and holds more."""
        rig, site = self._client.oracle.rig, self.sites[0]
        await until_true(lambda: self._is_busy(site))
        started = time.monotonic()
        statuses = await site.stop()
        assert time.monotonic() - started < 30
        assert all(status in (0, -signal.SIGTERM) for status in statuses)
        assert site.owner not in await owners(rig)
        self.sites.remove(site)

    async def _is_busy(self, site: Site) -> bool:
        return (await owners(self._client.oracle.rig))[site.owner] > WIDTH and self.under_way[site] > 0

    async def post(self) -> None:
        """Post one score after the other until the door is closed."""
        while not self.closed:
            oracle, learner = self._client.oracle, self._dice.randrange(LEARNERS)
            await self._send(learner, 10 * oracle.accepted + self._dice.randrange(300), oracle.next_attempt(learner))
            await asyncio.sleep(0.1 * self._dice.random())

    async def _send(self, learner: int, given: int, attempt: int) -> None:
        for site in self._dice.sample(self.sites, len(self.sites)):
            self.under_way[site] += 1
            try:
                if await self._client.post(site.url, learner, given, attempt) is None:
                    self.failed.append("503")
                else:
                    self._client.oracle.accept(learner, given)
                return
            except httpx2.ConnectError:
                continue
            except BROKEN as error:
                self.failed.append(repr(error))
                return
            finally:
                self.under_way[site] -= 1
        await asyncio.sleep(0.01)  # none is there yet; nothing was sent


def waited(tries: Sequence[DeliveryTry]) -> list[float]:
    """How long each score waited that was given back unsent, until somebody claimed it."""
    of_slot: defaultdict[str, list[DeliveryTry]] = defaultdict(list)
    for one in sorted(tries, key=lambda one: one.lease_no):
        of_slot[one.slot_id].append(one)
    return [
        later.started_at - (earlier.ended_at or 0)
        for row in of_slot.values()
        for earlier, later in pairwise(row)
        if earlier.outcome == "unsent"
    ]
