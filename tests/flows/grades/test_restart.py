"""R-29: PostgreSQL is stopped and started, politely and not, while scores come in and go out; around each time a worker
or the host is killed as well."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Coroutine

import pytest

from ltihost.settings import Settings
from tests.core.cli.test_cli_serve import free_port
from tests.flows.grades.gradebook import gradebook
from tests.flows.grades.oracle import Oracle, connected, producing
from tests.flows.grades.own_server import OwnServer, own_server
from tests.flows.grades.processes import Command, WorkerProcess, answers, until
from tests.flows.grades.rig import make_rig

__all__ = ["own_server"]  # fixture
pytestmark = pytest.mark.postgres


async def test_a_database_that_is_restarted_loses_nothing(own_server: OwnServer) -> None:
    """Small counts; `make torture` has the large ones."""
    await restart_database(own_server, restarts=2, posts=20)


async def restart_database(server: OwnServer, *, restarts: int, posts: int) -> None:
    """A client posts, repeating until it is answered, so many between two restarts; a host takes in, two workers
    deliver; and the oracle compares."""
    dice = random.Random(4)
    async with gradebook(latency=0.01) as lms:
        rig, crew = await make_rig(server.settings, lms, learners=10), Crew(server.settings)
        oracle = Oracle(rig)
        try:
            await crew.start()
            async with connected(oracle) as client, producing(oracle, [client.at(crew.url)], dice):
                for number in range(restarts):
                    await accepts(oracle, posts)
                    await restart(server, ("fast", "immediate")[number % 2], crew, dice)
                await accepts(oracle, posts)
            await oracle.settled()
            assert crew.running
        finally:
            await crew.end()
        assert oracle.wrong() == []
        assert await oracle.faults() == []
        assert sum((await oracle.stored()).values()) == oracle.accepted >= posts * (restarts + 1)
        assert client.refused > 0
        await rig.host.close()


async def accepts(oracle: Oracle, posts: int) -> None:
    """Wait until so many more were accepted."""
    before = oracle.accepted
    await until(lambda: oracle.accepted >= before + posts)


async def restart(server: OwnServer, mode: str, crew: Crew, dice: random.Random) -> None:
    """Restart the database, and kill somebody before, meanwhile or afterwards."""
    steps: list[Coroutine[None, None, None]]
    steps = [asyncio.to_thread(server.stop, mode), asyncio.sleep(dice.random()), asyncio.to_thread(server.start)]
    steps.insert(dice.randrange(4), crew.kill_one())
    for step in steps:
        await step
    await crew.replace()


class Crew:
    """Two workers and a host, which has the same address for ever. They are killed in turn."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._members: list[Command | WorkerProcess] = [self._host(), self._worker(), self._worker()]

    def _host(self) -> Command:
        return Command(self._settings, "serve", "--port", str(self._port))

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self._settings)

    async def start(self) -> None:
        for member in self._members:
            await self._start(member)

    async def _start(self, member: Command | WorkerProcess) -> None:
        await member.start()
        if isinstance(member, WorkerProcess):
            await member.ready()
        else:
            await answers(self.url)

    async def kill_one(self) -> None:
        await self._members[0].end()

    async def replace(self) -> None:
        """Somebody like the one who was killed; the next one is the next to be killed."""
        killed = self._members.pop(0)
        self._members.append(self._worker() if isinstance(killed, WorkerProcess) else self._host())
        await self._start(self._members[-1])

    @property
    def running(self) -> bool:
        return all(member.running for member in self._members)

    async def end(self) -> None:
        for member in self._members:
            await member.end(signal.SIGTERM)
