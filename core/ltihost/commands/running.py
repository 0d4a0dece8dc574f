"""Several ASGI applications in one process and one event loop, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from ltihost.commands.serve import server_options
from ltihost.errors import LtihostError


class _Server(uvicorn.Server):
    """A server that leaves the signals to whoever runs several."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def running(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve `app` on a listening socket while inside. Raises LtihostError when the application does not start."""
    server = _Server(uvicorn.Config(app, **server_options()))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                raise LtihostError("not_started", "The server did not start; the log above says why.")
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task


async def until_stopped() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
