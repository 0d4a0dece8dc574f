"""The long tests of the launch: floods, many processes, rubbish. `make torture` runs them, `make test` a twentieth."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ltihost.app import build_app
from ltihost.lti.state import new_secret
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings
from ltihost.store import tables
from ltihost.testing.serving import listen, port_of, serving
from tests.flows.rig import Clock, Rig

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    made = Rig(settings)
    await made.start()
    yield made
    await made.stop()


def test_a_hundred_thousand_secrets_never_repeat() -> None:
    values = {new_secret() for _ in range(100_000)}
    assert len(values) == 100_000
    assert min(map(len, values)) >= 43


async def test_ten_thousand_logins_store_nothing(rig: Rig) -> None:
    before = await rig.dump()
    for _ in range(10_000):
        rig.browser.cookies.clear()
        assert (await rig.login()).response.status_code == 302
    assert await rig.dump() == before


async def test_ten_thousand_strangers_store_a_bounded_number(rig: Rig) -> None:
    for number in range(10_000):
        rig.browser.cookies.clear()
        await rig.login(iss=f"https://stranger-{number}.example")
    minutes = 1 + int(10_000 * 0.001 // 60)
    assert len(await rig.attempts()) <= 60 * (minutes + 1)


async def test_a_thousand_unknown_keys_cost_the_platform_two_requests(rig: Rig) -> None:
    for number in range(1_000):
        flow = await rig.login()
        answer = await rig.post(flow, rig.token(flow, header={"kid": f"random-{number}"}))
        assert answer.status_code == 401
        if number % 100 == 0:
            assert (await rig.launch()).status_code == 303
    assert len(rig.keys.paths) <= 2


@given(form=st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=8))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=2_000, deadline=None)
async def test_any_form_is_answered(rig: Rig, form: dict[str, str]) -> None:
    fields = {
        name.encode("utf-8", "replace").decode(): text.encode("utf-8", "replace").decode()
        for name, text in form.items()
    }
    for path in ("/lti/login", "/lti/launch"):
        assert (await rig.http.post(path, data=fields)).status_code < 500


@given(body=st.binary(max_size=2_000))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=2_000, deadline=None)
async def test_any_bytes_are_answered(rig: Rig, body: bytes) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for path in ("/lti/login", "/lti/launch", "/lti/launch/confirm"):
        assert (await rig.http.post(path, content=body, headers=form)).status_code < 500


async def test_of_twenty_posts_over_two_processes_one_is_admitted(rig: Rig, settings: Settings) -> None:
    """The same form, many times at once, to two host processes over one database."""
    for _ in range(20):
        flow = await rig.login()
        form = {"state": flow.state, "id_token": rig.token(flow)}
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            work = [(settings, rig.clock.now, form, rig.browser.header)] * 2
            answers = [status for part in await asyncio.to_thread(pool.starmap, _post_ten, work) for status in part]
        assert sorted(answers) == [303] + [401] * 19
    assert await rig.count(tables.User) == 1


def _post_ten(settings: Settings, now: float, form: dict[str, str], headers: dict[str, str]) -> list[int]:
    async def run(base_url: str) -> list[int]:
        async with httpx2.AsyncClient(base_url=base_url) as http:
            posts = (http.post("/lti/launch", data=form, headers=headers) for _ in range(10))
            return [answer.status_code for answer in await asyncio.gather(*posts)]

    sockets = listen("127.0.0.1")
    app: Any = build_app(settings, plugins=load_plugins(["lti"]), clock=Clock(now))
    with serving(app, sockets, lifespan=True):
        return asyncio.run(run(f"http://127.0.0.1:{port_of(sockets)}"))
