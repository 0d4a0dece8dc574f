"""What `ltihost demo` runs: the host, an application and a campus of simulated LMSs, all in one process on loopback."""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session
from starlette.types import ASGIApp

from ltihost.app import build_app
from ltihost.commands import output
from ltihost.commands.demo_check import Step, Story, Watched
from ltihost.commands.guide import tool_urls
from ltihost.commands.operator import migrate, opened
from ltihost.commands.running import running, until_stopped
from ltihost.commands.serve import listen
from ltihost.errors import Conflict, NotFound
from ltihost.plugins.loader import Plugins, load_plugins
from ltihost.records import Application, Attempt, Tenant
from ltihost.settings import Settings, load_settings
from ltihost.store import applications, launches, registrations, tenants
from ltihost.store.database import Database
from ltihost.testing.campus import build_campus
from ltihost.testing.demo_app import Attempts, HostApi, build_demo_app
from ltihost.testing.demo_app.api import SCOPES
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.profile import Profile

#: What can be mounted in the host for the demo; each gets the host's API and a place for what it has to remember.
APPLICATIONS: Mapping[str, Callable[[HostApi, Attempts], ASGIApp]] = {"demo": build_demo_app}
TENANT = "demo"
ACTOR = "demo"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. Port 0 means any two free ones."""

    app: str
    plugin: str | None
    data: Path | None
    port: int


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo under way. The host is on localhost and the campus on 127.0.0.1: two sites, as in life."""

    settings: Settings
    folder: Path
    campus_url: str
    platforms: Mapping[str, SimulatedPlatform]
    watched: Watched
    database: Database

    @property
    def environment(self) -> dict[str, str]:
        """What another terminal needs to work on this demo."""
        return {
            "LTIHOST_BASE_URL": self.settings.base_url,
            "LTIHOST_DATABASE_URL": self.settings.database,
            "LTIHOST_SECRET_KEY_FILE": str(self.settings.secret_key_file),
            "LTIHOST_ALLOW_NETWORKS": "127.0.0.0/8",
        }


@contextlib.asynccontextmanager
async def _started(wish: Wish) -> AsyncIterator[Demo]:
    """Everything runs while inside. Raises NotFound for an unknown application or LMS, Conflict for a taken port."""
    if wish.app not in APPLICATIONS:
        raise NotFound(
            "application_unknown", f"There is no application {wish.app!r}; there is {', '.join(APPLICATIONS)}."
        )
    with _folder(wish.data) as folder, _listeners(wish.port) as (host_socket, campus_socket):
        settings = _settings(folder, _port(host_socket))
        campus_url = f"http://127.0.0.1:{_port(campus_socket)}"
        plugins = load_plugins(settings.plugins)
        campus = build_campus(_profiles(plugins, wish.plugin), base_url=campus_url)
        platforms: Mapping[str, SimulatedPlatform] = campus.state.platforms
        await migrate(settings)
        async with opened(settings) as database:
            api = HostApi(settings.base_url, await database.run_host(_furnish, settings, wish.app, platforms))
            watched = Watched(APPLICATIONS[wish.app](api, Attempts(folder / "quiz.jsonl")))
            host = build_app(settings, applications={wish.app: watched}, plugins=plugins)
            async with contextlib.aclosing(api), running(campus, campus_socket), running(host, host_socket):
                yield Demo(settings, folder, campus_url, platforms, watched, database)


async def run(wish: Wish, *, as_json: bool) -> None:
    """Say what to open, and go on until stopped."""
    async with _started(wish) as running_demo:
        if as_json:
            output.document(_demo_json(running_demo))
        else:
            _print_demo(running_demo, keeps=wish.data is not None)
        await until_stopped()
    output.hint("stopped")


async def play(wish: Wish, *, tell: Callable[[Step], None]) -> list[Step]:
    """Play the story for every LMS; `tell` hears of each step as it happens."""
    steps: list[Step] = []
    async with _started(wish) as running_demo:
        database = running_demo.database

        async def find(code: str) -> Attempt | None:
            return await database.run_host(_attempt, code)

        story = Story(running_demo.watched, find)
        for platform in running_demo.platforms.values():
            async for step in story.play(platform):
                steps.append(step)
                tell(step)
    return steps


def _attempt(session: Session, code: str) -> Attempt | None:
    try:
        return launches.attempt(launches.show(session, code))
    except NotFound:
        return None


def _furnish(session: Session, settings: Settings, app: str, platforms: Mapping[str, SimulatedPlatform]) -> str:
    """A tenant, its application, and one approved registration per LMS. Doing it again mends what changed.

    Answers a new key of the application.
    """
    tenant = next((item for item in tenants.listed(session) if item.slug == TENANT), None)
    tenant = tenant or tenants.create(session, TENANT, name="Demo", actor=ACTOR)
    application = _application(session, tenant, f"{settings.base_url}/apps/{app}/launch", app)
    known = {item.plugin: item for item in registrations.listed(session, tenant.id)}
    for key, platform in platforms.items():
        tenants.enable_plugin(session, tenant.id, key, actor=ACTOR)
        registration = known.get(key) or registrations.create(
            session, tenant.id, plugin=key, name=platform.profile.name, application=application, actor=ACTOR
        )
        urls = tool_urls(settings, registration, application.name)
        tool = platform.register(login_url=urls.login, launch_url=urls.launch, jwks_url=urls.key_set, name=urls.name)
        endpoints = platform.endpoints(tool.client_id)
        values = [(name.replace("_", "-"), value) for name, value in endpoints.items()]
        values += [("client-id", tool.client_id), ("deployment-id", tool.deployment_id)]
        values += [("sync-roles", "yes"), ("remove-on-unenrol", "yes")]
        registrations.update(session, registration.id, values, actor=ACTOR)
        registrations.approve(session, registration.id, actor=ACTOR)
    return _key(session, tenant, application)


def _key(session: Session, tenant: Tenant, application: Application) -> str:
    """A new key; those of earlier runs are known to nobody any more."""
    for old in applications.keys(session, application.id):
        applications.revoke_key(session, old.id, actor=ACTOR)
    return applications.create_key(session, application, tenant.id, scopes=SCOPES, actor=ACTOR).text


def _application(session: Session, tenant: Tenant, launch_url: str, slug: str) -> Application:
    """Raises Conflict when the data were made at another port: the application's URL holds it."""
    found = next((item for item in applications.listed(session, tenant.id) if item.slug == slug), None)
    if found is None:
        return applications.create(
            session, tenant.id, slug, name="Demo application", launch_url=launch_url, picker_url=launch_url,
            release=applications.RELEASES, actor=ACTOR,
        )  # fmt: skip
    if found.launch_url != launch_url:
        said = f"These data belong to a demo at {found.launch_url}; use its --port or another --data."
        raise Conflict("demo_elsewhere", said)
    return found


def _profiles(plugins: Plugins, only: str | None) -> list[Profile]:
    """The simulated LMSs that the loaded plugins bring. Raises NotFound."""
    makers = {key: item.manifest.profile for key, item in plugins.loaded.items() if item.manifest.profile}
    if only is not None and only not in makers:
        raise NotFound("lms_unknown", f"No plugin {only!r} brings a simulated LMS; there is {', '.join(makers)}.")
    if not makers:
        raise NotFound("lms_unknown", "No loaded plugin brings a simulated LMS. Install one, for example with pip.")
    return [make() for key, make in makers.items() if only in (None, key)]


@contextlib.contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        yield data.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="ltihost-demo-") as name:
        yield Path(name)


@contextlib.contextmanager
def _listeners(port: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets on loopback: `port` and the next, or any for 0."""
    with listen("127.0.0.1", port) as first, listen("127.0.0.1", port and port + 1) as second:
        yield first, second


def _settings(folder: Path, port: int) -> Settings:
    """The demo's own; of the environment only LTIHOST_PLUGINS counts. The secret key is made on the first run."""
    key_file = folder / "secret.key"
    if not key_file.exists():
        key_file.touch(mode=0o600)
        key_file.write_text(secrets.token_urlsafe(48) + "\n")
    return load_settings(
        base_url=f"http://localhost:{port}", database_url=f"sqlite:///{folder / 'demo.db'}", migrate_url=None,
        secret_key="", secret_key_file=key_file, allow_networks="127.0.0.0/8",
    )  # fmt: skip


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def _demo_json(running_demo: Demo) -> dict[str, object]:
    lms = [
        {"key": key, "name": platform.profile.name, "url": platform.base_url + "/"}
        for key, platform in running_demo.platforms.items()
    ]
    return {
        "campus_url": running_demo.campus_url + "/",
        "base_url": running_demo.settings.base_url,
        "data": str(running_demo.folder),
        "environment": running_demo.environment,
        "lms": lms,
    }


def _print_demo(running_demo: Demo, *, keeps: bool) -> None:
    output.say("Open the campus, choose a learning platform and a person, and open a link:")
    output.say()
    output.say("  ", (running_demo.campus_url + "/", "bold"))
    output.say()
    pairs = [(f"  {item.profile.name}", item.base_url + "/") for item in running_demo.platforms.values()]
    output.facts(pairs)
    output.say()
    output.say("To look behind the curtain, in another terminal:")
    output.say()
    for name, value in running_demo.environment.items():
        output.verbatim(f"  export {name}={value}")
    output.verbatim(f"  {output.own_command()} launch list")
    output.say()
    where = f"stay in {running_demo.folder}" if keeps else "are gone then"
    output.say(f"The host is {running_demo.settings.base_url}. Ctrl-C stops everything; the data {where}.")
