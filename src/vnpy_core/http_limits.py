"""BoundedHttp: uvicorn's HTTP, with the limits it has none of: how long a request may take to come in, how large its
head may be, and how many connections there may be. A body is bounded by the application, which reads it no further
than it likes. An answer is one write.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vnpy_core.http_writes import JoinedWrites

MAX_HEAD_BYTES = 64 << 10
_LOOK_INTERVAL_S = 0.5


class BoundedHttp(HttpToolsProtocol):
    """A connection only notes since when it waits for the rest of a request; ``end_the_slow`` looks at all of them,
    so that no request pays for a timer."""

    max_connections = 1 << 30
    # Since when a part of a request is missing; a new connection owes its first one.
    waits_since: float | None = None
    _in_head = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", JoinedWrites(transport, self.loop)))
        self.waits_since = time.monotonic()
        if len(self.connections) > self.max_connections:
            transport.abort()

    def handle_websocket_upgrade(self) -> None:
        self.transport = cast("JoinedWrites", self.transport).released()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        if self.waits_since is None:
            self.waits_since = time.monotonic()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.waits_since = None
        super().on_message_complete()


def bounded_http(max_connections: int) -> type[BoundedHttp]:
    """Return the protocol with a limit of its own; uvicorn makes its instances, and hands none on."""
    return type("BoundedHttp", (BoundedHttp,), {"max_connections": max_connections})


async def end_the_slow(connections: Iterable[Any], timeout_s: float) -> None:
    """Close the connections whose request does not come in whole; never returns."""
    while True:
        await asyncio.sleep(_LOOK_INTERVAL_S)
        late = time.monotonic() - timeout_s
        for connection in list(connections):
            since = getattr(connection, "waits_since", None)
            if since is not None and since < late:
                connection.transport.abort()
