"""R-29: PostgreSQL is stopped and started, politely and not, while scores come in and go out."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from contextlib import suppress

import httpcore2
import httpx2
import pytest

from ltihost.store import applications
from tests.core.grades.support import GradeEvent
from tests.core.store.support import ACTOR
from tests.flows.grades.gradebook import gradebook
from tests.flows.grades.own_server import OwnServer, own_server
from tests.flows.grades.processes import Oracle, WorkerProcess, start_all
from tests.flows.grades.rig import Rig, make_rig
from tests.flows.grades.test_processes import LTIHOST, answers

__all__ = ["own_server"]  # fixture
pytestmark = pytest.mark.postgres


async def test_a_database_that_is_restarted_loses_nothing(own_server: OwnServer) -> None:
    """Small counts; `make torture` has the large ones."""
    await restart_database(own_server, restarts=2, posts=80)


async def restart_database(server: OwnServer, *, restarts: int, posts: int) -> None:
    """A client posts, repeating until it is answered; a host takes in, two workers deliver; and the oracle compares."""
    dice = random.Random(4)
    async with gradebook(latency=0.01) as lms:
        rig = await make_rig(server.settings, lms, learners=10)
        crew = [WorkerProcess(server.settings) for _ in range(2)]
        await start_all(crew)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        crew.append(WorkerProcess(server.settings, LTIHOST, "serve", "--port", str(port)))
        await crew[-1].start()
        client = Client(rig, await _key(rig), f"http://127.0.0.1:{port}")
        try:
            posting = asyncio.create_task(client.post_all(posts))
            for number in range(restarts):
                await client.reached(posts * (number + 1) // (restarts + 1))
                await asyncio.to_thread(server.stop, ("fast", "immediate")[number % 2])
                await asyncio.sleep(dice.random())
                await asyncio.to_thread(server.start)
            await posting
            await client.oracle.settled()
            assert all(process.running for process in crew)
        finally:
            for process in crew:
                await process.end(signal.SIGTERM)
        assert client.oracle.wrong() == []
        facts = await rig.book.rows(GradeEvent)
        assert sorted(fact.attempt for fact in facts) == list(range(1, posts + 1))
        assert client.refused > 0
        await rig.host.close()


async def _key(rig: Rig) -> str:
    made = await rig.book.db.run_host(
        applications.create_key, rig.book.world.application, scopes=("grades:write",), actor=ACTOR
    )
    return made.text


class Client:
    """An application that posts scores one after the other, each until it is answered. `refused` counts the others."""

    def __init__(self, rig: Rig, key: str, url: str) -> None:
        self.oracle = Oracle(rig)
        self.refused = 0
        self._book = rig.book
        self._key = key
        self._url = url
        self._taken = 0

    async def post_all(self, posts: int) -> None:
        async with httpx2.AsyncClient(base_url=self._url) as http:
            await answers(http)
            for number in range(posts):
                learner, given = number % 10, (number * 7) % 100
                while not await self._post(http, number, learner, given):
                    self.refused += 1
                    await asyncio.sleep(0.1)
                self._taken += 1
                self.oracle.best[learner] = max(given, self.oracle.best.get(learner, 0))

    async def reached(self, number: int) -> None:
        """Wait until so many were answered."""
        async with asyncio.timeout(60):
            while True:
                if self._taken >= number:
                    return
                await asyncio.sleep(0.01)

    async def _post(self, http: httpx2.AsyncClient, number: int, learner: int, given: int) -> bool:
        body = {"user_id": self._book.learners[learner], "given": given, "maximum": 100, "attempt": number + 1}
        headers = {"authorization": f"Bearer {self._key}", "idempotency-key": f"key-{number}"}
        with suppress(httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.HTTPError):
            path = f"/api/v1/line-items/{self._book.line_item_id}/scores"
            answer = await http.post(path, json=body, headers=headers, timeout=15)
            assert answer.status_code in (202, 503), answer.text
            return answer.status_code == 202
        return False
