"""R-02: hosts are killed while they take scores in. What was answered is stored, and everything is stored once."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections import deque

from ltihost.settings import Settings
from tests.core.grades.support import GradeEvent
from tests.flows.grades.gradebook import gradebook
from tests.flows.grades.oracle import BROKEN, Client, Oracle, connected
from tests.flows.grades.processes import HALT_STORED, HALT_WRITTEN, HostProcess, start_all, until
from tests.flows.grades.rig import Rig, make_rig

LEARNERS = 10
#: So many requests are under way together.
TOGETHER = 8
#: Between INSERT and COMMIT, between COMMIT and answer, anywhere.
MOMENTS = (HALT_WRITTEN, HALT_STORED, None)


async def test_killed_hosts_have_each_score_once_or_not_at_all(settings: Settings) -> None:
    """Small counts; `make torture` has the large ones."""
    await kill_hosts(settings, kills=9)


async def kill_hosts(settings: Settings, *, kills: int) -> None:
    """Kill one host after the other, at these moments in turn; in the end send again what was never answered."""
    dice, unanswered = random.Random(3), 0
    async with gradebook() as lms:
        rig = await make_rig(settings, lms, learners=LEARNERS)
        async with connected(Oracle(rig)) as client:
            poster, stored = Poster(client), dict[int, str]()
            for kill in range(kills):
                moment = MOMENTS[kill % len(MOMENTS)]
                cut_off = await kill_one(settings, poster, moment, dice)
                before, stored = stored.keys(), await facts(rig)
                assert poster.taken.items() <= stored.items()
                if moment is HALT_WRITTEN:
                    assert not (cut_off - before) & stored.keys()
                if moment is HALT_STORED:
                    assert cut_off <= stored.keys() - poster.taken.keys()
                    unanswered += len(cut_off)
            assert unanswered >= kills / len(MOMENTS)
            await post_the_rest(settings, poster)
        stored = await facts(rig)
        assert poster.taken == stored
        assert sorted(stored) == list(range(1, len(stored) + 1))
        await rig.host.close()


async def kill_one(settings: Settings, poster: Poster, moment: signal.Signals | None, dice: random.Random) -> set[int]:
    """Kill a host that many post to; answers whose transaction was cut off, where a gate says so."""
    host, cut_off = HostProcess(settings), set[int]()
    try:
        await start_all([host])
        posting = asyncio.gather(*(poster.post(host.url) for _ in range(TOGETHER)))
        if dice.random() < 0.5:
            await asyncio.sleep(0.05 * dice.random())
        else:
            answered = len(poster.taken) + dice.randrange(1, 20)
            await until(lambda: len(poster.taken) >= answered or posting.done())
        if moment is not None:
            host.tell(moment)
            word, *attempts = await host.says()
            cut_off.update(attempts)
            assert (word, bool(cut_off)) == ("written" if moment is HALT_WRITTEN else "stored", True)
    finally:
        await host.end()
    await posting
    return cut_off


async def post_the_rest(settings: Settings, poster: Poster) -> None:
    """Those who got no answer repeat, with the same key."""
    host = HostProcess(settings)
    try:
        await start_all([host])
        await asyncio.gather(*(poster.post(host.url, only_again=True) for _ in range(TOGETHER)))
    finally:
        await host.end()


async def facts(rig: Rig) -> dict[int, str]:
    """The delivery of each attempt that is stored; none is stored twice."""
    rows = await rig.book.rows(GradeEvent)
    found = {fact.attempt: fact.slot_id for fact in rows}
    assert len(found) == len(rows)
    return found


class Poster:
    """Posts one attempt after the other, first those that got no answer. `taken` has the deliveries of the others."""

    def __init__(self, client: Client) -> None:
        self.taken: dict[int, str] = {}
        self._client = client
        self._numbers = itertools.count(1)
        self._again: deque[int] = deque()

    async def post(self, url: str, *, only_again: bool = False) -> None:
        """Post until the host does not answer any more, or until nothing is left to be repeated."""
        while self._again or not only_again:
            number = self._again.popleft() if self._again else next(self._numbers)
            try:
                delivery = await self._client.post(url, number % LEARNERS, number, number)
            except BROKEN:
                delivery = None
            if delivery is None:
                self._again.append(number)
                return
            self.taken[number] = delivery
