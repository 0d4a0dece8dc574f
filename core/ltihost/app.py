"""`build_app`: every route of the host. The table of contents."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from ltihost.admin import admin_routes
from ltihost.api import build_api
from ltihost.api.problems import problem
from ltihost.asgi import CLOSING, BodyLimit, RequestFrame, id_of_request
from ltihost.errors import REASONS, Busy, LtihostError
from ltihost.flows import clock as clock_flow
from ltihost.flows import notices
from ltihost.flows.deep_linking import DeepLinkingFlow
from ltihost.flows.key_set import KeySetFlow
from ltihost.flows.launch import LaunchFlow
from ltihost.host import Host
from ltihost.mounted import MountedApplication
from ltihost.pages import STATIC
from ltihost.plugins.loader import Plugins
from ltihost.settings import Settings
from ltihost.store.sqlite import database_path
from ltihost.worker import make_worker

log = structlog.get_logger()
MAX_BODY = 262_144
_API = "/api/v1"
TEND_SECONDS = 5
_FRONT = (
    "This is an ltihost",
    (
        "It connects learning platforms with applications (LTI 1.3) and is up; there is nothing to press here. /readyz says whether it "
        "takes launches. How to use it is in its documentation, which begins at docs/README.md."
    ),
)


def build_app(
    settings: Settings,
    *,
    applications: Mapping[str, ASGIApp] | None = None,
    plugins: Plugins | None = None,
    clock: Callable[[], float] = time.time,
    work: bool = True,
) -> Starlette:
    """The host as an ASGI application. `applications` are mounted below `/apps/<name>/`.

    `work`: over SQLite it also does what `ltihost worker` does elsewhere. `state.stopping` is an event: who knows earlier
    than the lifespan that the process stops sets it, so that work is given back while requests under way end.

    Raises ConfigurationError if the settings do not allow it to start.
    """
    host, stopping = Host.build(settings, plugins=plugins, clock=clock), asyncio.Event()
    launch, key_set = LaunchFlow(host), KeySetFlow(host)
    routes = [
        *launch.routes(),
        *key_set.routes(),
        *DeepLinkingFlow(host).routes(),
        *notices.NoticeFlow(host).routes(),
        *admin_routes(host),
        Mount(_API, build_api(host)),
        *(
            Mount(f"/apps/{name}", MountedApplication(app, host, f"{settings.base_url}/apps/{name}"))
            for name, app in (applications or {}).items()
        ),
        *(Mount(f"/plugins/{key}", routes=list(plugin_routes)) for key, plugin_routes in host.calls.routes()),
        Mount("/static", _ImmutableFiles(directory=STATIC)),
        Route("/", _Front(host).answer),
        Route("/healthz", _alive),
        Route("/readyz", _Readiness(host, stopping).answer),
    ]
    app = _Framed(
        routes=routes,
        middleware=[_body_limit()],
        exception_handlers={Busy: _busy, Exception: _Fault(host).answer},
        lifespan=lambda _: _lifespan(host, stopping, work=work and database_path(settings.database) is not None),
    )
    app.router.redirect_slashes = False  # such a redirect would be built from the Host header
    app.state.host, app.state.stopping = host, stopping
    return app


def _body_limit() -> Middleware:
    too_large = problem(413, "body_too_large", f"A body has at most {MAX_BODY:,} bytes.", CLOSING)
    wider = {notices.PATH: notices.MAX_BODY}
    return Middleware(BodyLimit, limit=MAX_BODY, wider=wider, refusals={f"{_API}/": too_large})


class _Framed(Starlette):
    """Starlette's own answer to an error that nobody handled gets the frame's headers too."""

    def build_middleware_stack(self) -> ASGIApp:
        settings: Settings = self.state.host.settings
        return RequestFrame(super().build_middleware_stack(), https=settings.base_url.startswith("https:"))


@contextlib.asynccontextmanager
async def _lifespan(host: Host, stop: asyncio.Event, *, work: bool) -> AsyncIterator[None]:
    await host.open()
    stop.clear()
    async with contextlib.AsyncExitStack() as ending:  # each of these ends, whatever another one raises
        ending.push_async_callback(host.close)
        background: list[Callable[[asyncio.Event], Coroutine[Any, Any, None]]] = [partial(_tend, host)]
        if work:
            background.append(make_worker(host).run)
        for run in background:
            ending.push_async_callback(asyncio.gather, asyncio.create_task(run(stop)))
        ending.callback(stop.set)
        yield


async def _tend(host: Host, stop: asyncio.Event) -> None:
    """Prune what expired and seal the audit trail until told to stop. A failure is logged and tried again.

    It is not cancelled: a connection that is cut off in the middle of a statement is lost.
    """
    while not stop.is_set():
        try:
            await host.database.tend(host.clock())
            await clock_flow.check(host)
        except LtihostError as error:
            log.warning("tend.failed", code=error.code)
        except Exception as error:
            log.error("tend.failed", exc_info=error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TEND_SECONDS)


async def _busy(_: Request, error: Exception) -> Response:
    """Whatever route met a database that did not answer in time."""
    log.warning("database.busy", error=str(error))
    return PlainTextResponse("The host is busy; try again in a moment.", 503, headers={"Retry-After": "5"})


class _Fault:
    """What nobody foresaw, anywhere but in a launch or the API: a page without a word of it.

    The server writes the exception into its log, with the id that the page shows.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    async def answer(self, _: Request, __: Exception) -> Response:
        return self._host.pages.refusal(REASONS["unexpected"], id_of_request(), None)


async def _alive(_: Request) -> Response:
    return PlainTextResponse("ok")


class _Front:
    """What somebody reads who opens the host's own address."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def answer(self, _: Request) -> Response:
        return self._host.pages.message(None, *_FRONT)


class _Readiness:
    """Whether this process can take launches: its database takes writes, and it is not about to stop. One word, no
    detail."""

    def __init__(self, host: Host, stopping: asyncio.Event) -> None:
        self._host = host
        self._stopping = stopping

    async def answer(self, _: Request) -> Response:
        if self._stopping.is_set():
            return PlainTextResponse("stopping", 503, headers={"Retry-After": "5"})
        try:
            await self._host.database.ping()
        except LtihostError as error:
            log.warning("readyz.failed", code=error.code)
            return PlainTextResponse("database", 503, headers={"Retry-After": "5"})
        return PlainTextResponse("ok")


class _ImmutableFiles(StaticFiles):
    """Files whose URLs carry their content's hash may be kept for ever."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
