"""What a connection may cost before a request is there: a bounded head, in a bounded time; and how it ends.

httptools limits neither, and uvicorn's own limits are for its other parser.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 65_536
HEAD_SECONDS = 10.0
#: A connection that was new when the process was told to stop may bring its request within this time.
NEW_SECONDS = 2.0


class BoundedHttpTools(HttpToolsProtocol):
    """uvicorn's httptools protocol; closes a connection whose request head is too large or too slow."""

    _head = 0
    _in_head = True
    _only_head = True
    _stopping = False
    _too_slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._too_slow = self.loop.call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._only_head = self._in_head
        super().data_received(data)
        if self._only_head:  # it began in the head, and did not reach its end
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.transport.close()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._only_head, self._head = False, False, 0
        self._stop_timer()
        super().on_headers_complete()
        if self._stopping:
            super().shutdown()

    def on_message_complete(self) -> None:
        self._in_head, self._head = True, 0
        super().on_message_complete()

    def shutdown(self) -> None:
        """The process is told to stop: the request that is under way is the last one.

        The first one may be on its way while the connection is new; uvicorn would close it unread.
        """
        if self._too_slow is None:
            super().shutdown()
        else:
            self._stopping = True
            self.loop.call_later(NEW_SECONDS, super().shutdown)

    def _stop_timer(self) -> None:
        if self._too_slow is not None:
            self._too_slow.cancel()
            self._too_slow = None
