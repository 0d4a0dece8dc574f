"""What would wait for each other is stored together; what fails is the failing one's alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ltihost.errors import Busy, Conflict
from ltihost.store import groups as groups_module
from ltihost.store.groups import GROUP, Groups
from ltihost.store.hot import AcceptOutcome


class Store:
    """Remembers what it was asked together. Takes nothing until `opened`; values that begin with "bad" cannot be stored."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.opened = asyncio.Event()
        self.busy = False

    async def __call__(self, launches: Sequence[str]) -> list[AcceptOutcome]:
        self.calls.append(list(launches))
        await self.opened.wait()
        if self.busy:
            raise Busy("busy", "no")
        if any(launch.startswith("bad") for launch in launches):
            raise Conflict("conflict", "no")
        return [AcceptOutcome(None, user_id=launch) for launch in launches]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def groups() -> Groups:
    return Groups()


async def asked(store: Store, groups: Groups, *values: str, place: str = "here") -> list[asyncio.Task[AcceptOutcome]]:
    """They are under way together, or wait when others are."""
    return await asked_of(store, groups, *values, place=place)


async def asked_of(
    store: groups_module.Store[str, AcceptOutcome], groups: Groups, *values: str, place: str = "here"
) -> list[asyncio.Task[AcceptOutcome]]:
    tasks = [asyncio.create_task(groups.join(place, value, store)) for value in values]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_who_waits_goes_together(store: Store, groups: Groups) -> None:
    first = await asked(store, groups, "1")
    rest = await asked(store, groups, "2", "3", "4")
    store.opened.set()
    outcomes = await asyncio.gather(*first, *rest)
    assert [outcome.user_id for outcome in outcomes] == ["1", "2", "3", "4"]
    assert store.calls == [["1"], ["2", "3", "4"]]


async def test_other_places_do_not_wait(store: Store, groups: Groups) -> None:
    here, there = await asked(store, groups, "1"), await asked(store, groups, "2", place="there")
    assert store.calls == [["1"], ["2"]]
    store.opened.set()
    await asyncio.gather(*here, *there)


async def test_a_group_has_a_limit(store: Store, groups: Groups) -> None:
    first = await asked(store, groups, "first")
    rest = await asked(store, groups, *map(str, range(GROUP + 1)))
    store.opened.set()
    await asyncio.gather(*first, *rest)
    assert [len(call) for call in store.calls] == [1, GROUP, 1]


async def test_one_that_cannot_be_stored_fails_alone(store: Store, groups: Groups) -> None:
    first = await asked(store, groups, "1")
    rest = await asked(store, groups, "2", "bad", "3")
    store.opened.set()
    ended = await asyncio.gather(*first, *rest, return_exceptions=True)
    assert [type(end) for end in ended] == [AcceptOutcome, AcceptOutcome, Conflict, AcceptOutcome]
    assert store.calls[1:] == [["2", "bad", "3"], ["2"], ["bad"], ["3"]]


async def test_a_busy_database_is_asked_once(store: Store, groups: Groups) -> None:
    store.busy = True
    first = await asked(store, groups, "1")
    rest = await asked(store, groups, "2", "3")
    store.opened.set()
    ended = await asyncio.gather(*first, *rest, return_exceptions=True)
    assert {type(end) for end in ended} == {Busy}
    assert store.calls == [["1"], ["2", "3"]]


async def test_each_is_told_its_own_outcome(groups: Groups) -> None:
    async def store(items: Sequence[int]) -> list[int | Exception]:
        return [Conflict("conflict", "odd") if item % 2 else item * 10 for item in items]

    ended = await asyncio.gather(*(groups.join("here", item, store) for item in (2, 3, 4)), return_exceptions=True)
    assert (ended[0], type(ended[1]), ended[2]) == (20, Conflict, 40)


async def test_whose_turn_comes_too_late_is_refused(
    store: Store, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await asked(store, groups, "1")
    monkeypatch.setattr(groups_module, "WAIT_SECONDS", -1.0)
    late = await asked(store, groups, "2")
    monkeypatch.undo()
    patient = await asked(store, groups, "3")
    store.opened.set()
    ended = await asyncio.gather(*first, *late, *patient, return_exceptions=True)
    assert [type(end) for end in ended] == [AcceptOutcome, Busy, AcceptOutcome]
    assert store.calls == [["1"], ["3"]]


async def test_a_caller_who_gives_up_stops_nobody(store: Store, groups: Groups) -> None:
    (gone,) = await asked(store, groups, "1")
    rest = await asked(store, groups, "2")
    gone.cancel()
    store.opened.set()
    assert (await rest[0]).user_id == "2"
    assert store.calls == [["1"], ["2"]]


async def test_each_of_a_group_that_a_busy_database_refuses_gets_an_error_of_its_own(
    store: Store, groups: Groups
) -> None:
    """The traces of all who raise the same one would gather in it."""
    store.busy = True
    tasks = await asked(store, groups, "1", "2")
    store.opened.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert store.calls == [["1", "2"]]
    assert errors[0] is not errors[1]


async def test_each_whose_turn_comes_too_late_gets_an_error_of_its_own(
    store: Store, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups_module, "WAIT_SECONDS", -1.0)
    errors = await asyncio.gather(*await asked(store, groups, "1", "2"), return_exceptions=True)
    assert [type(error) for error in errors] == [Busy, Busy]
    assert errors[0] is not errors[1]


async def test_a_store_that_answers_for_too_few_stops_nobody(groups: Groups) -> None:
    async def store(items: Sequence[int]) -> list[int]:
        return [item * 10 for item in items][:1]

    async with asyncio.timeout(5):
        ended = await asyncio.gather(*(groups.join("here", item, store) for item in (2, 3)))
    assert ended == [20, 30]


async def test_a_store_that_is_cancelled_leaves_nobody_waiting(store: Store, groups: Groups) -> None:
    """Neither those in its hands, nor those behind them, nor those who come later."""

    async def cancelled(_: Sequence[str]) -> list[AcceptOutcome]:
        await store.opened.wait()
        raise asyncio.CancelledError

    first = await asked_of(cancelled, groups, "1")
    rest = await asked_of(cancelled, groups, "2")
    store.opened.set()
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*first, *rest, return_exceptions=True)
        assert [type(end) for end in ended] == [Busy, Busy]
        assert (await groups.join("here", "3", store)).user_id == "3"


async def test_closing_that_is_cut_short_leaves_nobody_waiting(store: Store, groups: Groups) -> None:
    first = await asked(store, groups, "1")
    rest = await asked(store, groups, "2")
    closing = asyncio.create_task(groups.close())
    await asyncio.sleep(0)
    closing.cancel()
    async with asyncio.timeout(5):
        ended = await asyncio.gather(closing, *first, *rest, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError, Busy, Busy]


async def test_closing_finishes_what_waits(store: Store, groups: Groups) -> None:
    tasks = await asked(store, groups, "1", "2")
    store.opened.set()
    await groups.close()
    assert [task.done() or (await task).user_id for task in tasks] == [True, True]
