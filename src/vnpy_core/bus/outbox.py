"""Outbox: what waits to be sent to one client; bounded, facts kept in order, market data conflated."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from vnpy_core.bus.encoding import Encoding, Wire, size_of
from vnpy_core.events import Event

# Market events that may wait for a client that does not take them, before those of a symbol are reduced to the latest:
# half a second of 10,000 ticks/s. One that takes all it is given is not slow, however much comes at once.
MARKET_EVENTS = 5_000
BURST_EVENTS = 100_000
LOG_LINES = 500


class Message:
    """A message that is sent as it is: an answer, or part of a snapshot or a replay."""

    __slots__ = ("events", "since", "wire")

    def __init__(self, wire: Wire, events: int = 0) -> None:
        self.wire = wire
        self.events = events
        self.since = time.monotonic()

    @property
    def size(self) -> int:
        return size_of(self.wire)


class Batch:
    """Events that go out as one frame. Sessions with the same topics share it, and so its frame is made once."""

    __slots__ = ("_wires", "events", "facts", "since")

    def __init__(self, events: Sequence[Event], facts: int, since: float | None = None) -> None:
        self.events = events
        self.facts = facts
        self.since = time.monotonic() if since is None else since
        self._wires: dict[Encoding, Wire] = {}

    @property
    def market(self) -> int:
        return len(self.events) - self.facts

    @property
    def size(self) -> int:
        """About so many bytes, in JSON."""
        return sum(len(event.payload) for event in self.events)

    def wire(self, encoding: Encoding) -> Wire:
        wire = self._wires.get(encoding)
        if wire is None:
            wire = self._wires[encoding] = encoding.batch(self.events)
        return wire


class Overflow(Exception):
    """More facts wait than may: the client is too slow to be served without loss."""


class Outbox:
    """A queue with one reader. Loop only; nothing here waits except ``ready`` and ``below``.

    ``blocked``: the reader has something in hand that the client does not take. It is the reader's to say.
    """

    def __init__(self, max_facts: int, max_market: int = MARKET_EVENTS) -> None:
        self._items: deque[Batch | Message] = deque()
        self._max_facts = max_facts
        self._least_market = max_market
        self._max_market = max_market
        self._ready: asyncio.Future[None] | None = None
        self._below: tuple[int, asyncio.Future[None]] | None = None
        self.blocked = False
        self.messages = 0
        self.facts = 0
        self.market = 0
        self.conflated = 0
        self.dropped = 0

    def put(self, batch: Batch) -> None:
        """Queue live events.

        Raises:
            Overflow: the facts have become too many.
        """
        self._items.append(batch)
        self.facts += batch.facts
        self.market += len(batch.events) - batch.facts
        if self.facts > self._max_facts:
            raise Overflow
        if self.market > (self._max_market if self.blocked else BURST_EVENTS):
            self._conflate()
        self.wake()

    def put_message(self, message: Message) -> None:
        self._items.append(message)
        self.messages += 1
        self.wake()

    def wake(self) -> None:
        """Have ``ready`` return, though nothing was queued."""
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    @property
    def is_empty(self) -> bool:
        return not self._items

    @property
    def size(self) -> int:
        """About so many bytes wait."""
        return sum(item.size for item in self._items)

    @property
    def oldest(self) -> "Batch | Message | None":
        return self._items[0] if self._items else None

    def take(self) -> "Batch | Message | None":
        """Return the next thing to send, or ``None``."""
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, Batch):
            self.facts -= item.facts
            self.market -= len(item.events) - item.facts
            if not self.market:
                self._max_market = self._least_market
        else:
            self.messages -= 1
            if self._below is not None and self.messages < self._below[0] and not self._below[1].done():
                self._below[1].set_result(None)
        return item

    def clear(self) -> None:
        self._items.clear()
        self.messages = self.facts = self.market = 0

    async def ready(self) -> None:
        """Wait until there is something to take. One waiter."""
        if not self._items:
            self._ready = asyncio.get_running_loop().create_future()
            try:
                await self._ready
            finally:
                self._ready = None

    async def below(self, count: int) -> None:
        """Wait until fewer than ``count`` messages wait; live events do not count. One waiter."""
        while self.messages >= count:
            self._below = (count, asyncio.get_running_loop().create_future())
            try:
                await self._below[1]
            finally:
                self._below = None

    def _conflate(self) -> None:
        """Keep all facts, of each tick and bar topic the latest, and the last log lines; order is kept."""
        latest: set[str] = set()
        lines = 0
        kept: deque[Batch | Message] = deque()
        for item in reversed(self._items):
            if isinstance(item, Message):
                kept.appendleft(item)
                continue
            events: list[Event] = []
            for event in reversed(item.events):
                if event.seq is None:
                    if event.topic.startswith(("tick.", "bar.")):
                        if event.topic in latest:
                            self.conflated += 1
                            continue
                        latest.add(event.topic)
                    else:
                        lines += 1
                        if lines > LOG_LINES:
                            self.dropped += 1
                            continue
                events.append(event)
            if len(events) == len(item.events):
                kept.appendleft(item)
            elif events:
                events.reverse()
                kept.appendleft(Batch(events, item.facts, item.since))
        self._items = kept
        self.market = sum(item.market for item in kept if isinstance(item, Batch))
        # With more topics than fit, every put would come here; leave room for as much again.
        self._max_market = max(self._least_market, 2 * self.market)
