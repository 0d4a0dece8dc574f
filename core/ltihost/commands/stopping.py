"""How `serve` stops: who connected before is answered, who comes later is refused at once, and work is given back.

uvicorn stops listening, lets requests under way end, and tells the application only then.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from uvicorn.supervisors import Multiprocess


class Server(uvicorn.Server):
    """uvicorn's, in the only process."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve also those who wait in a listener's queue: closing the listener would cut them off."""
        waiting = [connection for listener in sockets or () for connection in _waiting(listener)]
        for closing in (*self.servers, *(sockets or ())):
            closing.close()
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        yield connection


class Processes(Multiprocess):
    """uvicorn's, with several processes."""

    def terminate_all(self) -> None:
        """Stop listening here, too: else who comes later waits for processes that accept nobody any more."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def when_told_to_stop(tell: Callable[[], None]) -> None:
    """Call `tell` at SIGTERM and Ctrl-C, before whoever handles them so far."""
    for number in (signal.SIGINT, signal.SIGTERM):
        _chain(number, tell)


def _chain(number: signal.Signals, tell: Callable[[], None]) -> None:
    former = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        tell()
        if callable(former):
            former(received, frame)

    signal.signal(number, handle)
