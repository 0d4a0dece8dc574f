"""aiohttp's pool of connections, as strict as the host needs it about which one is taken up and what is heard on it.

aiohttp has no public way to any of this, so three of its own methods are extended here. The tests of
`test_outbound_connections.py` fail should aiohttp change below.
"""

from __future__ import annotations

import select
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_END_OF_HEAD = b"\r\n\r\n"


class Connections(aiohttp.TCPConnector):
    """Keeps at most `max_idle` connections that wait, and takes up none on which something came meanwhile."""

    def __init__(self, *, max_idle: int, **options: Any) -> None:
        super().__init__(**options)
        self._max_idle = max_idle
        protocol: type[ResponseHandler] = _Protocol
        self._factory = partial(protocol, loop=self._loop)

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if _is_quiet(connection):
                _mark(connection.protocol, idle=False)
                return connection
            connection.close()
        return None

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        _mark(protocol, idle=True)
        if sum(map(len, self._conns.values())) > self._max_idle:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        key, idle = min(self._conns.items(), key=lambda item: item[1][0][1])
        oldest, _ = idle.popleft()
        oldest.close()
        if not idle:
            del self._conns[key]


def _mark(protocol: ResponseHandler | None, *, idle: bool) -> None:
    if isinstance(protocol, _Protocol):  # as every protocol of this pool is
        protocol.idle = idle


def _is_quiet(connection: Connection) -> bool:
    """Whether the server said nothing since its last answer. It may have closed, or what it said is no answer to us.

    The socket is asked too: the event loop may not have come to read it.
    """
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or protocol.should_close:
        return False
    waiting = select.poll()
    waiting.register(transport.get_extra_info("socket"), select.POLLIN)
    return not waiting.poll(0)


class _Protocol(ResponseHandler):
    """Hears an answer whose rest is broken: its status says whether the server took what it was sent.

    By itself aiohttp forgets a head when something unreadable comes in the same piece, and goes on waiting for a body
    that became unreadable. On an idle connection, which no request has, it would parse and keep whatever comes, without
    end; here the first byte there breaks the connection.
    """

    idle = False

    def data_received(self, data: bytes) -> None:
        if self.idle:
            if data:  # none: a reader of the last body has made room for more
                self.abort()
            return
        if self._payload is None or self._payload.is_eof():
            head, end, rest = data.partition(_END_OF_HEAD)
            if rest:
                super().data_received(head + end)
                data = rest
        super().data_received(data)
        if self._exception is not None and self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientPayloadError("unreadable"), self._exception)
