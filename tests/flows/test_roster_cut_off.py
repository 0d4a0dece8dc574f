"""Runs of a roster that ended before their time: the next one need not wait for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Busy, NotFound
from ltihost.plugins.calls import Calls
from ltihost.store import rosters
from ltihost.store.service_tables import RosterRun
from tests.core.support_loopback import hangs
from tests.flows.test_roster import Course, Platform, course, person, platform

__all__ = ["course", "platform"]  # fixtures


async def test_a_run_that_met_a_busy_database_does_not_stay_running(
    course: Course, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when the database is still busy as the run wants to say so."""
    platform.members = [person("s1")]
    stop, met = rosters.stop, list[str]()

    def busy(*_: Any, **__: Any) -> Any:
        met.append("reading")
        raise Busy("busy", "The database did not take the work in time.")

    def busy_once(*arguments: Any, **more: Any) -> None:
        met.append("stopping")
        if met.count("stopping") == 1:
            raise Busy("busy", "The database did not take the work in time.")
        stop(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(rosters, "would_leave", busy)
        patched.setattr(rosters, "stop", busy_once)
        with pytest.raises(Busy):
            await course.sync()
    assert met == ["reading", "stopping", "stopping"]
    assert await runs(course) == [("failed", "busy")]
    assert (await course.sync()).state == "applied"


async def test_a_run_that_was_cut_off_does_not_stay_running(course: Course, platform: Platform) -> None:
    """Its job took too long, or its worker is stopped."""
    platform.members = [person("s1")]
    await course.sync()  # brings a token, for which this would wait too
    answers, platform.server.handler = platform.server.handler, hangs
    platform.server.asked.clear()
    syncing = asyncio.create_task(course.sync())
    await asyncio.wait_for(platform.server.asked.wait(), 5)
    syncing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await syncing
    assert await runs(course) == [("applied", None), ("failed", "cut_off")]
    platform.server.handler = answers
    assert (await course.sync()).state == "applied"


async def test_a_run_that_was_applied_stays_so_when_the_telling_is_cut_off(
    course: Course, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling = asyncio.Event()

    async def never(*_: Any) -> None:
        telling.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Calls, "roster_changed", never)
    platform.members = [person("s1")]
    syncing = asyncio.create_task(course.sync())
    await asyncio.wait_for(telling.wait(), 5)
    syncing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await syncing
    assert await runs(course) == [("applied", None)]
    assert (await course.run(rosters.roster, course.context_id)).stale_since is None


async def test_a_run_that_is_cut_off_in_its_last_transaction_says_what_became_of_it(
    course: Course, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that stores goes on to its commit, whoever waits for it."""
    loop, finish = asyncio.get_running_loop(), rosters.finish

    def cut_off(*arguments: Any, **more: Any) -> Any:
        change = finish(*arguments, **more)
        loop.call_soon_threadsafe(syncing.cancel)
        return change

    monkeypatch.setattr(rosters, "finish", cut_off)
    platform.members = [person("s1")]
    syncing = asyncio.create_task(course.sync())
    with pytest.raises(asyncio.CancelledError):
        await syncing
    stored = "s1" in {user.subject for user in (await course.users()).values()}
    assert await runs(course) == [("applied", None) if stored else ("failed", "cut_off")]


async def test_whoever_cuts_a_run_off_hears_of_that_and_of_nothing_else(
    course: Course, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenant may be gone by then, with its runs."""

    def gone(*_: Any, **__: Any) -> None:
        raise NotFound("run_unknown", "There is no such roster run.")

    monkeypatch.setattr(rosters, "stop", gone)
    platform.server.handler = hangs
    syncing = asyncio.create_task(course.sync())
    await asyncio.wait_for(platform.server.asked.wait(), 5)
    syncing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await syncing


async def runs(course: Course) -> list[tuple[str, str | None]]:
    return await course.rig.host.database.run_host(_runs)


def _runs(session: Session) -> list[tuple[str, str | None]]:
    return [(run.state, run.code) for run in session.scalars(select(RosterRun).order_by(RosterRun.state))]
