"""R-35: a whole year opens its exam at the same time. Every launch is let in, each once."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ltihost.settings import Settings
from ltihost.store import tables
from tests.core.cli.conftest import LTIHOST, Cli, environment_of
from tests.flows.grades.processes import answers
from tests.flows.platform import CLIENT, DEPLOYMENT, ISSUER, claims, put
from tests.flows.rig import BASE, KEY, Browser, Rig


async def test_many_launches_at_once_are_all_let_in(sqlite_settings: Settings) -> None:
    """Small counts, one process and no bound; `make torture` has two thousand launches at two."""
    await exam(sqlite_settings, launches=100, seconds=1.0, workers=1)


async def exam(settings: Settings, *, launches: int, seconds: float, workers: int) -> list[float]:
    """So many people launch in so many seconds at so many processes; answers how long each took, in order."""
    rig = Rig(settings)
    await rig.start()
    try:
        async with hosted(settings, workers) as url, httpx2.AsyncClient(base_url=url, timeout=30) as http:
            begun = time.monotonic()

            async def one(number: int) -> float:
                await asyncio.sleep(begun + number * seconds / launches - time.monotonic())
                return await launch(http, f"person-{number}")

            times = await asyncio.gather(*(one(number) for number in range(launches)))
        assert await rig.host.database.run_host(_stored) == {"accepted": launches}
        assert await rig.count(tables.User) == launches
    finally:
        await rig.stop()
    return sorted(times)


async def launch(http: httpx2.AsyncClient, person: str) -> float:
    """One launch in a browser of its own; answers the seconds that the host took for login and launch."""
    query = {
        "iss": ISSUER, "login_hint": person, "target_link_uri": f"{BASE}/lti/launch", "client_id": CLIENT,
        "lti_deployment_id": DEPLOYMENT,
    }  # fmt: skip
    started, browser = time.monotonic(), Browser()
    login = await http.get("/lti/login", params=query)
    took = time.monotonic() - started
    assert login.status_code == 302, login.text
    browser.keep(login)
    form = id_token_for(person, parse_qs(urlsplit(login.headers["location"]).query))
    started = time.monotonic()
    answer = await http.post("/lti/launch", data=form, headers=browser.header)
    took += time.monotonic() - started
    assert answer.status_code == 303, answer.text
    http.cookies.clear()  # the next one is another person's browser
    return took


def id_token_for(person: str, asked: Mapping[str, list[str]]) -> dict[str, str]:
    """What the platform has the browser post."""
    payload = claims(time.time(), asked["nonce"][0], f"{BASE}/lti/launch")
    put(sub=person, lti_roles=["Learner"])(payload)
    return {"state": asked["state"][0], "id_token": KEY.sign(KEY.header(), payload)}


@asynccontextmanager
async def hosted(settings: Settings, workers: int) -> AsyncIterator[str]:
    """`ltihost serve` with so many processes; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = Cli(environment_of(settings)).process_environment
    process = await asyncio.create_subprocess_exec(
        LTIHOST, "serve", "--port", str(port), "--workers", str(workers),
        env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await answers(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def _stored(session: Session) -> dict[str, int]:
    """How many launches were stored, by outcome."""
    counted = select(tables.Launch.outcome, func.count()).group_by(tables.Launch.outcome)
    return {row[0]: row[1] for row in session.execute(counted)}
