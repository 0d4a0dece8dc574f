"""The cache of look-ups: five seconds at most, bounded, one question for all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from ltihost.errors import Busy
from ltihost.store import registrations, routing
from ltihost.store.hot import ApiKey, Deployment, HotPath, Route
from ltihost.store.routing import RoutingCache
from tests.core.store.support import ACTOR, DEPLOYMENT, World


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Slow:
    """Answers when told to, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.heard = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.answer: Any = "found"
        self.error: Exception | None = None

    async def route(self, registration_id: str) -> Route | None:
        return cast("Route | None", await self._ask(registration_id))

    async def routes(self, issuer: str, client_id: str | None) -> Sequence[Route]:
        return cast("Sequence[Route]", await self._ask(issuer, client_id))

    async def deployment(self, registration_id: str, deployment_id: str) -> Deployment | None:
        return cast("Deployment | None", await self._ask(registration_id, deployment_id))

    async def api_key(self, key_id: str) -> ApiKey | None:
        return cast("ApiKey | None", await self._ask(key_id))

    async def _ask(self, *key: Any) -> Any:
        self.asked.append(key)
        answer = self.answer
        self.heard.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def cache(slow: Slow, clock: Clock) -> Any:
    """A cache over `slow`; its answers are no records here."""
    return RoutingCache(cast("HotPath", slow), clock=clock)


async def test_the_truth_is_known_within_five_seconds(world: World, clock: Clock) -> None:
    """R-32."""
    cache = RoutingCache(world.db.hot, clock=clock)
    issuer, client_id = world.registration.issuer or "", world.registration.client_id

    async def seen() -> list[str]:
        route, (found,) = await cache.route(world.registration.id), await cache.routes(issuer, client_id)
        assert route is not None
        return [route.registration.state, found.registration.state]

    assert await seen() == ["active", "active"]
    await world.db.run_host(registrations.disable, world.registration.id, actor=ACTOR)
    clock.now += 4.9
    assert await seen() == ["active", "active"]
    clock.now += 0.2
    assert await seen() == ["disabled", "disabled"]
    await world.db.run_host(registrations.approve, world.registration.id, actor=ACTOR)
    cache.forget()
    assert await seen() == ["active", "active"]
    deployment = await cache.deployment(world.registration.id, DEPLOYMENT)
    assert deployment is not None
    assert deployment.tenant == world.tenant


@pytest.mark.parametrize("answer", ["found", None, []])
async def test_each_question_is_asked_once(cache: Any, slow: Slow, clock: Clock, answer: Any) -> None:
    slow.answer = answer
    for _ in range(3):
        assert await cache.route("a") == answer
        assert await cache.routes("a", None) == answer
        assert await cache.routes("a", "b") == answer
        assert await cache.deployment("a", "b") == answer
    assert slow.asked == [("a",), ("a", None), ("a", "b"), ("a", "b")]
    clock.now += 5.1
    await cache.route("a")
    assert len(slow.asked) == 5


async def test_all_who_wait_share_one_question(cache: Any, slow: Slow) -> None:
    slow.go.clear()
    waiting = [asyncio.create_task(cache.route("a")) for _ in range(10)]
    await slow.heard.wait()
    waiting[0].cancel()  # the one who asked gives up; the others still get their answer
    slow.go.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError)
    assert ended[1:] == ["found"] * 9
    assert slow.asked == [("a",)]


async def test_a_failure_is_told_to_all_and_not_kept(cache: Any, slow: Slow) -> None:
    slow.error = Busy("busy", "not now")
    ended = await asyncio.gather(*(cache.route("a") for _ in range(3)), return_exceptions=True)
    assert {type(end) for end in ended} == {Busy}
    slow.error = None
    assert await cache.route("a") == "found"


@pytest.mark.parametrize("how", ["all", "this one"])
async def test_what_was_under_way_when_told_to_forget_is_not_kept(cache: Any, slow: Slow, how: str) -> None:
    await cache.deployment("r", "other")
    slow.heard.clear()
    slow.go.clear()
    old = asyncio.create_task(cache.deployment("r", "d"))
    await slow.heard.wait()
    if how == "all":
        cache.forget()
    else:
        cache.forget_deployment("r", "d")
    slow.answer = "new"
    new = asyncio.create_task(cache.deployment("r", "d"))
    slow.go.set()
    assert (await old, await new) == ("found", "new")
    assert await cache.deployment("r", "d") == "new"
    assert await cache.deployment("r", "other") == ("new" if how == "all" else "found")


async def test_one_deployment_is_forgotten_alone(cache: Any, slow: Slow) -> None:
    for deployment in ("d", "other"):
        await cache.deployment("r", deployment)
    slow.answer = None
    cache.forget_deployment("r", "d")
    assert await cache.deployment("r", "d") is None
    cache.forget_deployment("r", "d")
    slow.answer = "new"
    assert [await cache.deployment("r", deployment) for deployment in ("d", "other")] == ["new", "found"]


async def test_strangers_cannot_push_out_what_exists(cache: Any, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "MAX_FOUND", 3)
    monkeypatch.setattr(routing, "MAX_MISSING", 2)
    await cache.route("known")
    slow.answer = None
    for number in range(50):
        await cache.route(f"unknown {number}")
    asked = len(slow.asked)
    await cache.route("known")
    await cache.route("unknown 49")
    assert len(slow.asked) == asked
    await cache.route("unknown 1")
    assert len(slow.asked) == asked + 1
    slow.answer = "found"
    for number in range(3):
        await cache.route(f"another {number}")
    await cache.route("known")
    assert slow.asked[-1] == ("known",)


async def test_a_key_is_remembered_for_two_seconds(cache: Any, slow: Slow, clock: Clock) -> None:
    """R-32: what was revoked is refused everywhere within five."""
    for _ in range(3):
        assert await cache.api_key("k") == "found"
    clock.now += 1.9
    await cache.api_key("k")
    assert len(slow.asked) == 1
    clock.now += 0.1
    slow.answer = "revoked"
    assert await cache.api_key("k") == "revoked"
