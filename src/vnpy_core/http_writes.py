"""JoinedWrites: a connection's transport that sends what is written in one turn of the loop in one piece.

uvicorn writes the head of an answer and its body one after the other, which is two system calls and, to most clients,
two wake-ups: of a short answer they were a fifth of what it cost.
"""

import asyncio
from typing import Any

_LARGE_BYTES = 64 << 10


class JoinedWrites:
    """Does what ``transport`` does, as far as uvicorn's HTTP asks for it."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _LARGE_BYTES:  # the transport must see how much waits, to say when it is too much
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._parts.clear()
        self._transport.abort()

    def released(self) -> asyncio.Transport:
        """Return the transport, to which everything has been written."""
        self._flush()
        return self._transport

    def _flush(self) -> None:
        if self._parts:
            data: Any = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            self._transport.write(data)
