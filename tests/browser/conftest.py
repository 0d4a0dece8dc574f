"""A host on localhost, a campus on 127.0.0.1 (two sites to a browser), and a real Chromium that shows one inside the other."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright
from sqlalchemy.orm import Session

from ltihost.app import build_app
from ltihost.pages import STATIC
from ltihost.plugins.loader import load_plugins
from ltihost.records import Attempt
from ltihost.settings import Settings
from ltihost.store import applications, launches, registrations, tenants
from ltihost.store.database import Database
from ltihost.testing.demo_app import HostApi, build_demo_app
from ltihost.testing.demo_app.api import SCOPES
from ltihost.testing.profile import Profile
from ltihost.testing.serving import RunningCampus, listen, port_of, running_campus, serving
from tests.find_browser import find_browser

T = TypeVar("T")
ACTOR = "test"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread of its own: playwright's loop holds this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass
class World:
    """A running host and campus that know each other. `base_url` is the host's."""

    base_url: str
    campus: RunningCampus
    settings: Settings

    def attempts(self) -> list[Attempt]:
        """Newest first, read from the database by a process of its own, so to speak."""

        async def read() -> list[Attempt]:
            database = Database(self.settings)
            await database.open()
            found = await database.run_host(_attempts)
            await database.close()
            return found

        return run_apart(read())

    def link_url(self, lms: str, link: str = "cell-quiz", context: str = "biology", **choices: str) -> str:
        """The LMS's page that shows this link with the tool in a frame."""
        query = "&".join(f"{name}={value}" for name, value in choices.items())
        return f"{self.campus.base_url}/{lms}/c/{context}/l/{link}" + (f"?{query}" if query else "")


def _attempts(session: Session) -> list[Attempt]:
    return [launches.attempt(row) for row in launches.page(session, limit=100).rows]


def profiles() -> list[Profile]:
    """Every LMS that a loaded plugin brings."""
    manifests = [plugin.manifest for plugin in load_plugins().loaded.values()]
    return [manifest.profile() for manifest in manifests if manifest.profile is not None]


@pytest.fixture(scope="module")
def world(module_settings: Settings) -> Iterator[World]:
    with ExitStack() as stack:
        sockets = listen("127.0.0.1")
        base_url = f"http://localhost:{port_of(sockets)}"
        settings = module_settings.model_copy(update={"base_url": base_url})
        campus = stack.enter_context(running_campus(profiles()))
        api = HostApi(base_url, run_apart(_introduce(settings, campus)))
        app = build_app(settings, applications={"demo": build_demo_app(api)})
        stack.enter_context(serving(app, sockets, lifespan=True))
        yield World(base_url, campus, settings)


async def _introduce(settings: Settings, campus: RunningCampus) -> str:
    """One tenant, the demo application, and one registration per LMS, told to both sides. Answers the application's key."""
    database = Database(settings)
    await database.open()
    run = database.run_host
    tenant = await run(tenants.create, "demo", name="Demo", actor=ACTOR)
    application = await run(
        applications.create, tenant.id, "demo", name="Demo", launch_url=f"{settings.base_url}/apps/demo/launch",
        picker_url=f"{settings.base_url}/apps/demo/launch", release=("names", "email"), actor=ACTOR,
    )  # fmt: skip
    for key, platform in campus.platforms.items():
        if key != "lti":
            await run(tenants.enable_plugin, tenant.id, key, actor=ACTOR)
        draft = await run(
            registrations.create,
            tenant.id,
            plugin=key,
            name=platform.profile.name,
            application=application,
            actor=ACTOR,
        )
        base = f"{settings.base_url}/r/{draft.id}/lti"
        tool = platform.register(
            login_url=f"{base}/login", launch_url=f"{base}/launch", jwks_url=f"{base}/jwks", name="Demo"
        )
        told = platform.endpoints(tool.client_id) | {"client_id": tool.client_id, "deployment_id": tool.deployment_id}
        values = [(name.replace("_", "-"), value) for name, value in told.items()]
        await run(registrations.update, draft.id, values, actor=ACTOR)
        await run(registrations.approve, draft.id, actor=ACTOR)
    made = await run(applications.create_key, application, tenant.id, scopes=SCOPES, actor=ACTOR)
    await database.close()
    return made.text


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture
def chromium(playwright: Playwright, world: World) -> Iterator[Callable[..., BrowserContext]]:
    """Start a browser of one's own; `blocked` keeps the host's cookies out of the campus's pages, and only out of those.

    (The general switch against third-party cookies would leave partitioned cookies working.)
    """
    with ExitStack() as stack:

        def start(*, blocked: bool = False) -> BrowserContext:
            profile = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            if blocked:
                _block_cookies(profile, world)
            browser = playwright.chromium.launch_persistent_context(
                str(profile), executable_path=find_browser(), headless=True, args=FLAGS
            )
            stack.callback(browser.close)
            return browser

        yield start


def _block_cookies(profile: Path, world: World) -> None:
    pair = f"{world.base_url},{world.campus.base_url}"
    cookies: dict[str, Any] = {pair: {"setting": 2, "last_modified": "13400000000000000"}}
    (profile / "Default").mkdir()
    preferences = {"profile": {"content_settings": {"exceptions": {"cookies": cookies}}}}
    (profile / "Default" / "Preferences").write_text(json.dumps(preferences))


def impatient(*waits: str, by: int) -> str:
    """The script that talks to platform storage, with a part of these waits for answers that do not come."""
    pattern = rf"({'|'.join(waits)})_MS = (\d+);"
    text, times = re.subn(pattern, rf"\1_MS = \2 / {by};", (STATIC / "messages.js").read_text())
    assert times == len(waits)
    return text


def sign_in(page: Page, world: World, lms: str, person: str) -> None:
    """Be this person in the LMS."""
    page.request.post(f"{world.campus.base_url}/{lms}/_person", form={"person": person, "next": f"/{lms}/"})
