"""The stream: what happens, each fact once and in order, over as many connections as it takes.

A fact is told by its ``seq``. The stream keeps how far it is (``seq``); when its connection is cut, it comes again and
has what it missed from the service's journal. A ping after each subscription marks the end of what comes before the
live events, and later ones move ``seq`` on while the topics are quiet.
"""

import asyncio
import itertools
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from vnpy_core.client.connection import Connection
from vnpy_core.client.errors import RateLimited, ServerError, StreamEnded, Unreachable
from vnpy_core.client.mode import LoopThread
from vnpy_core.events import kind_of
from vnpy_core.models import Model

logger = logging.getLogger(__name__)

PING_INTERVAL_S = 5.0
ANSWER_TIMEOUT_S = 30.0
BACKOFF_S = (0.1, 5.0)
MAX_FRAME_BYTES = 64 << 20
_AGAIN = (ServerError, RateLimited)
# A session that an operator has ended does not come again by itself.
_ENDED = 4000


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. ``seq`` is ``None`` for market data and log lines.

    ``snapshot``: it is the present state of a fact, shown at the beginning or after a gap, and no news. ``data`` of a
    topic that this client does not know is a ``dict``.
    """

    seq: int | None
    topic: str
    ts: str
    data: Model | dict[str, Any]
    snapshot: bool = False


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """The facts after ``since`` are gone from the journal; the present state as of ``seq`` follows."""

    since: int
    first_seq: int | None
    seq: int


OnGap = Callable[[Gap], None]


class _Raw(msgspec.Struct, frozen=True):
    seq: int | None
    topic: str
    ts: str
    data: msgspec.Raw


class _Answer(msgspec.Struct, frozen=True):
    type: str
    id: int | None = None
    seq: int = 0
    since: int = 0
    first_seq: int | None = None
    code: str = ""
    detail: str = ""


class _Codec:
    def __init__(self, module: Any, arrays: bytes, subprotocol: str) -> None:
        self.subprotocol = Subprotocol(subprotocol)
        self.encode = module.encode
        self._decode = module.decode
        self._arrays = frozenset(arrays)
        self._events = module.Decoder(list[_Raw])
        self._answer = module.Decoder(_Answer)

    def read(self, frame: bytes) -> list[_Raw] | _Answer:
        message: list[_Raw] | _Answer = (self._events if frame[0] in self._arrays else self._answer).decode(frame)
        return message

    def event(self, raw: _Raw) -> StreamEvent:
        data = self._decode(raw.data, type=kind_of(raw.topic) or dict[str, Any])
        return StreamEvent(seq=raw.seq, topic=raw.topic, ts=raw.ts, data=data)


_JSON = _Codec(msgspec.json, b"[", "vnpy-core.json.v1")
_MSGPACK = _Codec(msgspec.msgpack, bytes((*range(0x90, 0xA0), 0xDC, 0xDD)), "vnpy-core.msgpack.v1")


class AsyncStream:
    """An async iterator over ``StreamEvent``, which begins when it is first asked.

    ``since``: go on after this ``seq``, taken from another stream's. ``snapshot``: begin with the present state.
    ``on_gap`` is called when facts are gone that were not seen; the present state follows. It comes again by itself,
    for ever, unless the service refuses it (``StreamEnded``, or an ``ApiError`` for its credentials). One task reads.
    """

    def __init__(
        self,
        connection: Connection,
        topics: tuple[str, ...],
        *,
        since: int | None = None,
        snapshot: bool = False,
        throttle_ms: int | None = None,
        on_gap: OnGap | None = None,
        msgpack: bool = False,
        compression: bool = False,
    ) -> None:
        self.connections = 0
        self._seq = self._handed_out = since
        self._ready: deque[StreamEvent] = deque()
        self._closed = False
        self._connection = connection
        connection.opened.add(self)
        self._subscription: dict[str, Any] = {"type": "subscribe", "id": 0, "topics": topics, "snapshot": snapshot}
        if throttle_ms is not None:
            self._subscription["throttle_ms"] = throttle_ms
        self._on_gap = on_gap
        self._codec = _MSGPACK if msgpack else _JSON
        self._compression = compression
        self._ws: ClientConnection | None = None
        self._pings = itertools.count(1)
        self._pinged_at = 0.0
        self._first_ping = 0
        # What comes before the live events is kept until it is whole: if the connection is cut within it, it is asked
        # for anew, and none of it must have been shown. The second: up to which ``seq`` it is the present state.
        self._opening: list[StreamEvent] | None = None
        self._state_of = 0
        self._gap: Gap | None = None
        self._failures = 0

    async def frame(self) -> list[StreamEvent]:
        """Return the next events, all that came together; never none.

        Raises:
            StreamEnded, ApiError: it will not go on.
        """
        while not self._ready:
            if self._closed:
                raise StreamEnded("closed", "The stream was closed.")
            try:
                if self._ws is None:
                    await self._open()
                self._ready.extend(await self._next())
            except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, Unreachable, *_AGAIN) as error:
                await self._lost(error)
        events = list(self._ready)
        self._ready.clear()
        return events

    async def close(self) -> None:
        """End the stream; whoever iterates comes to the end."""
        self._closed = True
        ws, self._ws = self._ws, None
        if ws is not None:
            await ws.close()

    @property
    def seq(self) -> int | None:
        """How far what has been handed out goes: what another stream goes on from by ``since``."""
        return self._handed_out if self._ready else self._seq

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self

    async def __anext__(self) -> StreamEvent:
        while (event := self.pop()) is None:
            try:
                self._ready.extend(await self.frame())
            except StreamEnded as error:
                if error.code == "closed":
                    raise StopAsyncIteration from error
                raise
        return event

    def pop(self) -> StreamEvent | None:
        """Return the next event if it has come already."""
        if not self._ready:
            return None
        event = self._ready.popleft()
        if event.seq is not None and not event.snapshot:
            self._handed_out = event.seq
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _open(self) -> None:
        query: dict[str, str] = {}
        if self._connection.has_credentials:
            query["ticket"] = await self._connection.ws_ticket()
        if self._compression:
            query["compression"] = "deflate"
        address = self._connection.url.replace("http", "ws", 1) + "/ws"
        self._ws = await connect(
            f"{address}?{urlencode(query)}" if query else address,
            subprotocols=[self._codec.subprotocol],
            compression="deflate" if self._compression else None,
            max_size=MAX_FRAME_BYTES,
            ssl=self._connection.tls,
            open_timeout=ANSWER_TIMEOUT_S,
        )
        self.connections += 1
        since = {} if self._seq is None else {"since": self._seq}
        self._opening = [] if self._seq is None else None
        self._gap = None
        await self._say({**self._subscription, **since})
        self._first_ping = await self._ping()

    async def _next(self) -> list[StreamEvent]:
        """Take in one frame and return what there is of news in it."""
        if self._ws is None:  # closed meanwhile
            return []
        try:
            async with asyncio.timeout(PING_INTERVAL_S):
                received = await self._ws.recv(decode=False)
        except TimeoutError:
            await self._ping()
            return []
        message = self._codec.read(received)
        if isinstance(message, _Answer):
            return self._take_answer(message)
        if time.monotonic() - self._pinged_at > PING_INTERVAL_S:
            await self._ping()
        events = [self._codec.event(raw) for raw in message]
        if self._opening is not None:
            self._opening += events
            return []
        return [event for event in events if self._is_news(event)]

    def _take_answer(self, answer: _Answer) -> list[StreamEvent]:
        match answer.type:
            case "ack":
                self._state_of = answer.seq
            case "gap":
                self._gap = Gap(since=answer.since, first_seq=answer.first_seq, seq=answer.seq)
                self._state_of = answer.seq
                self._opening = []
            case "pong":
                return self._take_pong(answer)
            case "error":
                raise StreamEnded(answer.code, answer.detail)
        return []

    def _take_pong(self, answer: _Answer) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        if answer.id == self._first_ping:
            self._failures = 0
            if self._gap is not None and self._on_gap is not None:
                self._on_gap(self._gap)
            if self._opening is not None:
                events = [
                    msgspec.structs.replace(event, snapshot=event.seq is not None and event.seq <= self._state_of)
                    for event in self._opening
                ]
                self._opening = self._gap = None
                self._seq = answer.seq
        if self._opening is None:
            self._seq = max(self._seq or 0, answer.seq)
        return events

    def _is_news(self, event: StreamEvent) -> bool:
        if event.seq is not None:
            if self._seq is not None and event.seq <= self._seq:
                return False
            self._seq = event.seq
        return True

    async def _lost(self, error: Exception) -> None:
        """Wait until it is time to come again; raise if there is no use in it."""
        ws, self._ws = self._ws, None
        if ws is not None:
            await ws.close()
        if self._closed:
            return
        if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == _ENDED:
            raise StreamEnded(error.rcvd.code, error.rcvd.reason) from error
        if isinstance(error, InvalidStatus) and self._is_refusal(error.response.status_code):
            raise StreamEnded(error.response.status_code, "The service refused the connection.") from error
        first, longest = BACKOFF_S
        delay = min(longest, first * 2 ** min(self._failures, 10))
        self._failures += 1
        logger.info("The stream is cut at seq %s, and comes again: %r", self._seq, error)
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 -- many clients must not come at once

    def _is_refusal(self, status: int) -> bool:
        """Tell whether there is no use in coming again. A ticket may have been lost in a restart; the next will do."""
        again = {408, 429} | ({401} if self._connection.has_credentials else set())
        return 400 <= status < 500 and status not in again

    async def _say(self, message: Any) -> None:
        if self._ws is not None:
            body = self._codec.encode(message)
            await self._ws.send(body, text=self._codec is _JSON)

    async def _ping(self) -> int:
        number = next(self._pings)
        self._pinged_at = time.monotonic()
        await self._say({"type": "ping", "id": number})
        return number


class Stream:
    """The same for threads: an iterator that waits. One thread iterates; ``close`` may be called by another."""

    def __init__(self, stream: AsyncStream, thread: LoopThread) -> None:
        self._stream = stream
        self._thread = thread

    @property
    def seq(self) -> int | None:
        """How far what has been handed out goes: what another stream goes on from by ``since``."""
        return self._stream.seq

    @property
    def connections(self) -> int:
        """How many times it has connected."""
        return self._stream.connections

    def frame(self) -> list[StreamEvent]:
        """Return the next events, all that came together; never none."""
        return self._thread.run(self._stream.frame())

    def close(self) -> None:
        self._thread.run(self._stream.close())

    def __iter__(self) -> Iterator[StreamEvent]:
        return self

    def __next__(self) -> StreamEvent:
        # From thread to thread goes a frame and not an event: that is slow.
        if (event := self._stream.pop()) is None:
            event = self._thread.run(self._wait())
        if event is None:
            raise StopIteration
        return event

    async def _wait(self) -> StreamEvent | None:
        return await anext(self._stream, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
