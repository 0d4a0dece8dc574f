"""Drives launches against one tool: what it must refuse, how fast it is, what it costs.

The driver is a process of its own: only the tool and the database beside it are measured. One launch is a login
request, its redirect, an id_token signed while the clock stands still, and a post.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

import meter
from actors import DEPLOYMENT_ID, LTI, Answer, Browser, Platform, segment
from cryptography.hazmat.primitives.asymmetric import rsa
from servers import BrokenError

BATCH = 250
#: Work that a tool puts off until after its answer is its cost too: so long it is still measured. (The host chains the
#: audit rows of launches every five seconds.)
SETTLE_SECONDS = 6.0
T = TypeVar("T")


class Target(Protocol):
    """A tool that runs: where its LTI routes are, its process, and the process of its store if it has one."""

    @property
    def login_url(self) -> str: ...
    @property
    def launch_url(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def store_pid(self) -> int | None: ...


@dataclass(slots=True)
class Flow:
    """One launch on its way: what the login's redirect said, and what the browser keeps."""

    launch_url: str
    state: str
    nonce: str
    cookies: str
    claims: dict[str, Any]
    token: str = ""
    seconds: float = 0.0

    @property
    def form(self) -> dict[str, str]:
        return {"id_token": self.token, "state": self.state}


@dataclass(frozen=True, slots=True)
class Round:
    """One round against one tool. CPU is milliseconds per launch, latency milliseconds of login and post together."""

    cpu: float
    store: float
    rate: float
    p50: float
    p95: float
    p99: float
    pss: float
    key_set_fetches: int

    @property
    def total(self) -> float:
        return self.cpu + self.store


# One launch, step by step


async def login(
    platform: Platform, browser: Browser, tool: Target, number: int, deployment: str = DEPLOYMENT_ID
) -> Flow:
    begun = time.perf_counter()
    answer = await browser.get(tool.login_url, platform.login_hint(tool.launch_url, deployment))
    seconds = time.perf_counter() - begun
    if answer.status not in (302, 303):
        raise BrokenError(f"login answered {answer.status}: {answer.body[:300]!r}")
    sent = parse_qs(urlsplit(answer.location).query)
    nonce, state = sent["nonce"][0], sent["state"][0]
    claims = platform.claims(tool.launch_url, nonce, number)
    return Flow(tool.launch_url, state, nonce, answer.cookies, claims, seconds=seconds)


async def post(platform: Platform, browser: Browser, flow: Flow) -> Answer:
    begun = time.perf_counter()
    answer = await browser.post(flow.launch_url, flow.form, flow.cookies, platform.issuer)
    flow.seconds += time.perf_counter() - begun
    return answer


async def honest_post(platform: Platform, browser: Browser, flow: Flow) -> None:
    answer = await post(platform, browser, flow)
    if not answer.accepted:
        raise BrokenError(f"an honest launch was answered {answer.status}: {answer.body[:300]!r}")


# What a tool must refuse: each changes one thing of an honest launch


def _tampered(platform: Platform, flow: Flow) -> None:
    head, _, signature = platform.sign(flow.claims).split(".")
    flow.token = f"{head}.{segment({**flow.claims, 'name': 'Somebody Else'})}.{signature}"


def _alg_none(platform: Platform, flow: Flow) -> None:
    flow.token = f"{segment({'alg': 'none', 'typ': 'JWT', 'kid': platform.kid})}.{segment(flow.claims)}."


def _foreign_key(platform: Platform, flow: Flow) -> None:
    flow.token = platform.sign(flow.claims, key=rsa.generate_private_key(65537, 2048))


def _no_cookies(platform: Platform, flow: Flow) -> None:
    flow.token, flow.cookies = platform.sign(flow.claims), ""


def _claim(change: Callable[[], dict[str, Any]]) -> Callable[[Platform, Flow], None]:
    def make(platform: Platform, flow: Flow) -> None:
        flow.token = platform.sign({**flow.claims, **change()})

    return make


def _long_ago() -> dict[str, Any]:
    now = int(time.time())
    return {"iat": now - 400, "exp": now - 360}


_ELSEWHERE = "a-deployment-nobody-approved"
_FORGERIES: dict[str, Callable[[Platform, Flow], None]] = {
    "tampered": _tampered,
    "another key": _foreign_key,
    "alg none": _alg_none,
    "expired": _claim(_long_ago),
    "other audience": _claim(lambda: {"aud": "another-client", "azp": "another-client"}),
    "no cookies": _no_cookies,
    "nonce never issued": _claim(lambda: {"nonce": secrets.token_urlsafe(24)}),
    "other deployment": _claim(lambda: {LTI + "deployment_id": _ELSEWHERE}),
}
ATTEMPTS = (*_FORGERIES, "same token twice")


async def check(platform: Platform, tool: Target) -> dict[str, Answer]:
    """Make the nine attempts, an honest launch before each. How each was answered."""
    browser, answers = Browser(), {}
    for name, forge in _FORGERIES.items():
        await _honest_launch(platform, browser, tool)
        flow = await login(platform, browser, tool, 0, _ELSEWHERE if name == "other deployment" else DEPLOYMENT_ID)
        forge(platform, flow)
        answers[name] = await post(platform, browser, flow)
    flow = await _honest_launch(platform, browser, tool)
    answers["same token twice"] = await post(platform, browser, flow)
    browser.close()
    return answers


async def _honest_launch(platform: Platform, browser: Browser, tool: Target) -> Flow:
    flow = await login(platform, browser, tool, 0)
    flow.token = platform.sign(flow.claims)
    await honest_post(platform, browser, flow)
    return flow


# Speed and cost


async def run_round(platform: Platform, tool: Target, launches: int, browsers: int) -> Round:
    """So many launches by so many browsers at once, in batches: all logins, then the signing, then all posts."""
    crew = [Browser() for _ in range(browsers)]
    before, fetches = _spent(tool), platform.key_set_fetches
    flows: list[Flow] = []
    elapsed = 0.0
    for first in range(0, launches, BATCH):
        batch, seconds = await _run_batch(platform, tool, crew, range(first, min(first + BATCH, launches)))
        flows += batch
        elapsed += seconds
    for browser in crew:
        browser.close()
    await asyncio.sleep(SETTLE_SECONDS)
    cpu, store = ((after - then) / launches for after, then in zip(_spent(tool), before, strict=True))
    latency = quantiles([flow.seconds for flow in flows])
    pss, fetched = meter.pss_mib(tool.pid), platform.key_set_fetches - fetches
    return Round(cpu, store, launches / elapsed, *latency, pss, fetched)


async def _run_batch(
    platform: Platform, tool: Target, crew: Sequence[Browser], numbers: range
) -> tuple[list[Flow], float]:
    flows: list[Flow] = []

    async def one_login(browser: Browser, number: int) -> None:
        flows.append(await login(platform, browser, tool, number))

    async def one_post(browser: Browser, flow: Flow) -> None:
        await honest_post(platform, browser, flow)

    seconds = await share_out(crew, numbers, one_login)
    for flow in flows:
        flow.token = platform.sign(flow.claims)
    return flows, seconds + await share_out(crew, flows, one_post)


async def share_out(crew: Sequence[Browser], work: Iterable[T], do: Callable[[Browser, T], Awaitable[None]]) -> float:
    """Each browser takes the next piece as soon as it is free. The seconds until all is done."""
    waiting = iter(list(work))

    async def run(browser: Browser) -> None:
        for piece in waiting:
            await do(browser, piece)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for browser in crew:
            group.create_task(run(browser))
    return time.perf_counter() - begun


@dataclass(frozen=True, slots=True)
class Exam:
    """R-35: a whole year opens its exam in the same minute. Latency in milliseconds, login and post together."""

    launches: int
    errors: tuple[str, ...]
    seconds: float
    p50: float
    p95: float
    p99: float


async def run_exam(platform: Platform, tool: Target, launches: int, seconds: float) -> Exam:
    """Start a launch at every tick of a steady clock, each in a new browser, whether or not earlier ones are done."""
    latencies: list[float] = []
    errors: list[str] = []

    async def one(number: int) -> None:
        await asyncio.sleep(begun + number * seconds / launches - time.perf_counter())
        browser = Browser()
        try:
            flow = await login(platform, browser, tool, number)
            flow.token = platform.sign(flow.claims)
            await honest_post(platform, browser, flow)
            latencies.append(flow.seconds)
        except (BrokenError, OSError) as error:
            errors.append(f"{type(error).__name__}: {error}")
        finally:
            browser.close()

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(launches):
            group.create_task(one(number))
    return Exam(launches, tuple(errors), time.perf_counter() - begun, *quantiles(latencies or [0.0]))


def quantiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """p50, p95 and p99 in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else [*seconds] * 99
    return cuts[49] * 1000, cuts[94] * 1000, cuts[98] * 1000


def _spent(tool: Target) -> tuple[float, float]:
    """CPU milliseconds so far: of the tool, of its store."""
    return meter.cpu_ms(tool.pid), meter.cpu_ms(tool.store_pid) if tool.store_pid else 0.0
