"""A process that claims and settles without sending anything. Some claims it forgets, and some it settles too late."""

from __future__ import annotations

import asyncio
import itertools
import time

from ltihost.settings import load_settings
from ltihost.store.database import Database
from ltihost.store.grades import Claim, Platform, Verdict
from ltihost.store.grades_store import Grades
from tests.flows.grades.forked import Say

#: Of so many claims one is forgotten, one settled too late and one to be tried again.
SHARE = 20


def main(say: Say, tenant_id: str, registration_id: str, name: str, lease: float) -> None:
    """Work until nothing came up for much longer than a lease lasts."""
    asyncio.run(_work(Platform(tenant_id, registration_id), name, lease))
    say("done")


async def _work(platform: Platform, name: str, lease: float) -> None:
    database, numbers = Database(load_settings()), itertools.cycle(range(SHARE))
    await database.open()
    grades = Grades(database, lease=lease)
    late: set[asyncio.Task[None]] = set()
    last = time.monotonic()
    while time.monotonic() - last < 2.5 * lease:
        claims = (await grades.claim(platform, owner=name, most=100_000)).claims
        for claim, number in zip(claims, numbers, strict=False):
            last = time.monotonic()
            if number == 1:
                late.add(asyncio.create_task(_settle(grades, claim, Verdict("confirmed"), after=1.5 * lease)))
            elif number != 0:
                await _settle(grades, claim, Verdict("retry", "again") if number == 2 else Verdict("confirmed"))
        if not claims:
            await asyncio.sleep(0.02)
    await asyncio.gather(*late)
    await database.close()


async def _settle(grades: Grades, claim: Claim, verdict: Verdict, *, after: float = 0.0) -> None:
    await asyncio.sleep(after)
    await grades.settle([(claim, verdict)])
