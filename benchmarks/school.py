"""A host that knows a context of many people, beside an LMS that answers for its services."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import meter
from actors import Browser, Platform
from driver import login, post
from servers import HERE, BrokenError, free_port, process, wait_for
from tools import Bench, host_environment, ltihost, postgres_database, register, run

LANES = 8
_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Lms:
    """The services of an LMS (`lms.py`), which this process starts and asks what it took."""

    base: str
    browser: Browser

    @property
    def scores_url(self) -> str:
        return f"{self.base}/api/lti/courses/4711/line_items/17/scores"

    @property
    def urls(self) -> dict[str, str]:
        """As peers and floors are told them."""
        members_url = f"{self.base}/api/lti/courses/4711/members"
        return {"token_url": f"{self.base}/token", "scores_url": self.scores_url, "members_url": members_url}

    async def control(self, *, latency: float, members: int = 0, page: int = 500) -> None:
        """Begin a new ledger; `latency` in seconds."""
        await self.browser.call("POST", f"{self.base}/control", {"latency": latency, "members": members, "page": page})

    async def ledger(self) -> dict[str, Any]:
        answer = await self.browser.call("GET", f"{self.base}/ledger")
        found: dict[str, Any] = json.loads(answer.body)
        return found


@contextlib.contextmanager
def lms(folder: Path) -> Iterator[Lms]:
    port = free_port()
    base, log = f"http://127.0.0.1:{port}", folder / "lms.log"
    with process([sys.executable, str(HERE / "lms.py"), str(port)], {}, log):
        wait_for(f"{base}/ledger", log)
        yield Lms(base, Browser())


@dataclass(slots=True)
class School:
    """A host with its database, set up but not running. `people` are the ids of the roster's members, by subject."""

    name: str
    environment: dict[str, str]
    store_pid: int | None
    login_url: str
    launch_url: str
    folder: Path
    key: str = ""
    launch: dict[str, Any] = field(default_factory=dict)
    line_item: str = ""
    people: dict[str, str] = field(default_factory=dict)
    pid: int = 0

    @property
    def base(self) -> str:
        return self.environment["LTIHOST_BASE_URL"]

    @property
    def context(self) -> str:
        return str(self.launch["context"]["id"])

    @contextlib.contextmanager
    def accepting(self) -> Iterator[int]:
        """Run the host without its worker. Yields the process id."""
        port, log = self.base.rpartition(":")[2], self.folder / f"{self.name}-accepting.log"
        options = f"--app-dir {HERE} --port {port} --no-access-log --log-level warning --factory"
        command = f"{sys.executable} -m uvicorn {options} parts.accepting:build".split()
        with process(command, self.environment, log) as pid:
            wait_for(f"{self.base}/healthz", log)
            yield pid

    @contextlib.contextmanager
    def serving(self) -> Iterator[int]:
        """Run it with its own command; with SQLite that delivers too."""
        port, log = self.base.rpartition(":")[2], self.folder / f"{self.name}-serving.log"
        with process([ltihost(), "serve", "--port", port], self.environment, log) as pid:
            wait_for(f"{self.base}/healthz", log)
            yield pid

    @contextlib.contextmanager
    def delivering(self) -> Iterator[int]:
        """Run what delivers scores, on a port that nobody asks: `ltihost worker`, or `ltihost serve` with SQLite."""
        log = self.folder / f"{self.name}-delivering.log"
        if self.store_pid is not None:
            with process([ltihost(), "worker"], self.environment, log) as pid:
                _wait_for_text(log, "working")
                yield pid
            return
        port = free_port()
        with process([ltihost(), "serve", "--port", str(port)], self.environment, log) as pid:
            wait_for(f"http://127.0.0.1:{port}/healthz", log)
            yield pid

    async def call(self, browser: Browser, method: str, path: str, document: Any = None, *headers: str) -> Any:
        """Ask its API as the application. Raises BrokenError unless that went well."""
        url = f"{self.base}/api/v1{path}"
        answer = await browser.call(method, url, document, [f"Authorization: Bearer {self.key}", *headers])
        if answer.status >= 300:
            raise BrokenError(f"{method} {path} was answered {answer.status}: {answer.body[:300]!r}")
        return json.loads(answer.body)

    async def state(self, browser: Browser, subject: str, number: int, given: float) -> float:
        """State a score for a person; the seconds until it was accepted."""
        user = self.people[subject]
        score = {"user_id": user, "given": given, "maximum": 100, "attempt": number}
        begun = time.perf_counter()
        path = f"/line-items/{self.line_item}/scores"
        await self.call(browser, "POST", path, score, f"Idempotency-Key: {user}-{number}")
        return time.perf_counter() - begun


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Nothing runs in the process until the block ends; it is as if it had just started."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def open_school(bench: Bench, services: Lms, *, postgres: bool, members: int) -> School:
    """Set a host up by its own commands, launch into its context once, and have its roster read if it has members."""
    name = "host (PostgreSQL)" if postgres else "host"
    school = await asyncio.to_thread(_set_up, bench, name, postgres)
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, school.accepting())
        await _launch(bench.platform, school)
        if members:
            await services.control(latency=0, members=members)
            await asyncio.to_thread(run, f"roster sync {school.context}", school.environment)
            school.people = await _people(school)
    return school


def _set_up(bench: Bench, name: str, postgres: bool) -> School:
    port, store_pid = free_port(), None
    if postgres:
        assert bench.postgres is not None
        database, store_pid = postgres_database(bench.postgres, f"school_{port}"), bench.postgres.pid
    else:
        database = {"LTIHOST_DATABASE_URL": f"sqlite:///{bench.folder}/school-{port}.db"}
    environment = host_environment(port) | database
    # One key posts everything here, more than one application's key may by default.
    environment |= {"PYTHONPATH": f"{HERE / 'plugin'}:{HERE}", "LTIHOST_API_RATE_PER_MINUTE": "1000000"}
    registration = register(bench.platform, environment, plugin="benchmark")
    urls = registration["login_url"], registration["launch_url"]
    school = School(name, environment, store_pid, *urls, bench.folder)
    school.key = _python("parts/make_key.py", environment).strip()
    return school


def _python(part: str, environment: Mapping[str, str]) -> str:
    command = [sys.executable, str(HERE / part)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokenError(f"{part}: {done.stderr}")
    return done.stdout


async def _launch(platform: Platform, school: School) -> None:
    browser = Browser()
    flow = await login(platform, browser, school, 0)
    flow.token = platform.sign(flow.claims)
    answer = await post(platform, browser, flow)
    if not answer.accepted:
        raise BrokenError(f"the launch was answered {answer.status}: {answer.body[:300]!r}")
    code = parse_qs(urlsplit(answer.location).query)["code"][0]
    school.launch = await school.call(browser, "POST", "/launches/exchange", {"code": code})
    link = school.launch["resource_link"]["id"]
    listed = await school.call(browser, "GET", f"/resource-links/{link}/line-items")
    school.line_item = listed["data"][0]["id"]
    browser.close()


async def _people(school: School) -> dict[str, str]:
    browser, cursor = Browser(), ""
    found: dict[str, str] = {}
    while True:
        listed = await school.call(browser, "GET", f"/contexts/{school.context}/members?limit=500{cursor}")
        found |= {member["subject"]: member["user_id"] for member in listed["data"]}
        if listed["next_cursor"] is None:
            browser.close()
            return found
        cursor = f"&cursor={listed['next_cursor']}"


def store_cpu(school: School) -> float:
    return meter.cpu_ms(school.store_pid) if school.store_pid else 0.0


def _wait_for_text(log: Path, text: str) -> None:
    until = time.monotonic() + _READY_SECONDS
    while text not in log.read_text():
        if time.monotonic() > until:
            raise BrokenError(f"not ready: {log.read_text()[-2000:]}")
        time.sleep(0.05)


class Script:
    """A process that does what it is told (`steps.obey`)."""

    def __init__(self, child: asyncio.subprocess.Process, log: Path) -> None:
        self.pid = child.pid
        self._child = child
        self._log = log

    async def order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        answer: dict[str, Any] = await self.read()
        return answer

    async def read(self) -> Any:
        assert self._child.stdout is not None
        line = await self._child.stdout.readline()
        if not line:
            raise BrokenError(f"ended before it answered: {self._log.read_text()[-2000:]}")
        return json.loads(line)


@contextlib.asynccontextmanager
async def script(command: list[str], environment: Mapping[str, str], log: Path) -> AsyncIterator[Script]:
    """Run a command that obeys, until the block ends."""
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(HERE), **environment}
    with log.open("wb") as errors:
        child = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=errors, env=environment, limit=2**24
        )
    found = Script(child, log)
    try:
        await found.read()
        yield found
    finally:
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()
