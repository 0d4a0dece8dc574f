"""The application's beginning and end: whatever fails there, the host is closed."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ltihost import app
from ltihost import host as host_module
from ltihost.app import build_app
from ltihost.host import Host
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Host]:
    """Hosts that were closed."""
    hosts, close = list[Host](), Host.close

    async def closing(host: Host) -> None:
        await close(host)
        hosts.append(host)

    monkeypatch.setattr(Host, "close", closing)
    return hosts


class Broken:
    """A worker that fails as it is told to stop."""

    def __init__(self, _: Host) -> None:
        pass

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()
        raise RuntimeError("the worker broke")


def _unmade(_: Host) -> Broken:
    raise RuntimeError("no worker could be made")


async def test_a_worker_that_fails_at_the_end_leaves_nothing_open(
    sqlite_settings: Settings, closed: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "make_worker", Broken)
    made = build_app(sqlite_settings, plugins=load_plugins(["lti"]))
    with pytest.raises(RuntimeError, match="the worker broke"):
        async with made.router.lifespan_context(made):
            assert closed == []
    assert closed == [made.state.host]


async def test_a_worker_that_cannot_be_made_leaves_nothing_open(
    sqlite_settings: Settings, closed: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "make_worker", _unmade)
    made = build_app(sqlite_settings, plugins=load_plugins(["lti"]))
    with pytest.raises(RuntimeError, match="no worker"):
        async with made.router.lifespan_context(made):
            pytest.fail("It started.")
    assert closed == [made.state.host]


async def test_a_host_that_cannot_make_its_first_key_leaves_nothing_open(
    sqlite_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmade(*_: object) -> None:
        raise RuntimeError("no key could be made")

    monkeypatch.setattr(host_module.keys, "create", unmade)
    made = Host.build(sqlite_settings, plugins=load_plugins(["lti"]))
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="no key"):
        await made.open()
    left = set(threading.enumerate()) - before
    assert [thread.name for thread in left if thread.name.startswith("ltihost")] == []


async def test_tending_that_is_cut_off_leaves_nothing_open(
    settings: Settings, closed: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Host, stop: asyncio.Event) -> None:
        await stop.wait()
        raise asyncio.CancelledError

    monkeypatch.setattr(app, "_tend", broken)
    made = build_app(settings, plugins=load_plugins(["lti"]), work=False)
    with pytest.raises(asyncio.CancelledError):
        async with made.router.lifespan_context(made):
            pass
    assert closed == [made.state.host]
