"""Runs ASGI applications on loopback in a thread of their own, for demos and tests with real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from ltihost.testing.campus import Lms, build_campus
from ltihost.testing.campus_pages import launch_url
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.profile import Profile


@dataclass(frozen=True, slots=True)
class RunningCampus:
    """A campus that answers at `base_url`; `platforms` are the very objects that it serves, `lms` those that serve them."""

    base_url: str
    platforms: Mapping[str, SimulatedPlatform]
    lms: Mapping[str, Lms]

    def launch_url(self, lms: str, person: str, link: str, **options: str) -> str:
        """Where a browser begins a launch. `options` are further fields of the launch endpoint (fault, storage, tool)."""
        url = launch_url(self.platforms[lms], person, link=link)
        return url + "".join(f"&{name}={value}" for name, value in options.items())


def listen(*hosts: str, port: int = 0) -> list[socket.socket]:
    """Listening sockets on one port of each host (a free one for 0). Connections wait there until somebody serves them."""
    sockets: list[socket.socket] = []
    for host in hosts:
        listener = socket.create_server((host, port))
        port = listener.getsockname()[1]
        sockets.append(listener)
    return sockets


def port_of(sockets: Sequence[socket.socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port


@contextmanager
def serving(app: ASGIApp, sockets: list[socket.socket], *, lifespan: bool = False) -> Iterator[None]:
    """Serve `app` on these sockets; they are closed at the end."""
    config = uvicorn.Config(
        app,
        lifespan="on" if lifespan else "off",
        ws="none",
        log_level="warning",
        log_config=None,  # whoever runs this has configured logs already
        access_log=False,
        timeout_graceful_shutdown=2,  # a browser may keep a connection open for as long as it likes
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def running_campus(
    profiles: Sequence[Profile],
    *,
    port: int = 0,
    clock: Callable[[], float] = time.time,
    second_origin: str | None = None,
) -> Iterator[RunningCampus]:
    """A campus on 127.0.0.1. `second_origin` is another loopback address (127.0.0.2), where an LMS with a storage frame
    then has its sign-in, as a hosted LMS has it on another host than the courses.
    """
    hosts = ("127.0.0.1", *([second_origin] if second_origin else []))
    sockets = listen(*hosts, port=port)
    urls = [f"http://{host}:{port_of(sockets)}" for host in hosts]
    app = build_campus(profiles, base_url=urls[0], auth_base_url=urls[-1] if second_origin else None, clock=clock)
    with serving(app, sockets):
        yield RunningCampus(urls[0], app.state.platforms, app.state.lms)
