"""`ltihost serve`: the host as a process, or several."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
import uvicorn
from starlette.types import ASGIApp

from ltihost.commands import operator, output
from ltihost.commands.http_limits import BoundedHttpTools
from ltihost.commands.stopping import Processes, Server, when_told_to_stop
from ltihost.errors import Conflict
from ltihost.logs import configure_logs
from ltihost.settings import Settings, load_settings

DEFAULT_PORT = 8_000
#: Connections per process. Further ones are answered 503 at once, so that those inside are served in time.
MAX_CONNECTIONS = 2_000
GRACE_SECONDS = 25
_BACKLOG = 2_048


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65_535, help="The port to listen on. Default: that of a base URL on this machine, else 8000."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")] = 1,
    forwarded_allow_ips: Annotated[
        str | None,
        typer.Option(metavar="ADDRESSES", help="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."),
    ] = None,
) -> None:
    """Answer launches and the API until stopped. Ctrl-C or SIGTERM lets requests under way end."""
    settings = load_settings()
    asyncio.run(operator.make_ready(settings))
    port = port or _own_port(settings.base_url) or DEFAULT_PORT
    listener = listen(host, port)
    allow_open_files(MAX_CONNECTIONS + 200)
    output.hint(f"{settings.base_url} is served on http://{host}:{port}, {workers} process(es); Ctrl-C stops")
    options = server_options(forwarded_allow_ips)
    config = uvicorn.Config("ltihost.commands.serve:build", factory=True, workers=workers, **options)
    if workers > 1:
        with _faults_file(settings):
            Processes(config, sockets=[listener]).run()
        return
    server = Server(config)
    server.run(sockets=[listener])
    if not server.started:
        raise typer.Exit(1)


def _own_port(base_url: str) -> int | None:
    """The port at which browsers look for the host, if no proxy stands before it."""
    parts = urlsplit(base_url)
    return parts.port if parts.scheme == "http" else None


def build() -> ASGIApp:
    """The application of one process; its settings come from the environment."""
    from ltihost.app import build_app  # only a process that serves needs it

    configure_logs()
    app = build_app(load_settings())
    when_told_to_stop(app.state.stopping.set)
    operator.keep_what_is_loaded()
    return app


@contextlib.contextmanager
def _faults_file(settings: Settings) -> Iterator[None]:
    """Where the processes of this run tell each other of plugins that block. They take it from the environment."""
    if settings.plugin_faults_file is not None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="ltihost-") as folder:
        os.environ["LTIHOST_PLUGIN_FAULTS_FILE"] = str(Path(folder, "plugins-at-fault"))
        yield


def server_options(forwarded_allow_ips: str | None = None) -> dict[str, Any]:
    """How every server of ours runs: no access log, no Server header, no web sockets, bounded and graceful.

    Forwarded headers count only from the proxies that are named (a stranger could send them too).
    """
    return {
        "access_log": False,
        "server_header": False,
        "date_header": True,
        "http": BoundedHttpTools,
        "ws": "none",
        "log_config": None,
        "lifespan": "on",
        "limit_concurrency": MAX_CONNECTIONS,
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "proxy_headers": forwarded_allow_ips is not None,
        "forwarded_allow_ips": forwarded_allow_ips or "",
    }


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Conflict when the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        said = (error.strerror or str(error)).lower()
        raise Conflict(
            "cannot_listen", f"Cannot listen on {host}:{port}: {said}. Choose another with --port."
        ) from None
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener


def allow_open_files(wanted: int) -> None:
    """Raise this process's limit of open files as far as it may; many systems start with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < possible:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
