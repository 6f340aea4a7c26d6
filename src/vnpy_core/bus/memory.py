"""MemoryTransport: the bus of one process, for parts of it that want events or send commands. The default."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self

import msgspec

from vnpy_core.bus.subscription import Subscription
from vnpy_core.errors import Unavailable
from vnpy_core.ports import BusCommand, BusFact, BusMessage

QUEUED_MESSAGES = 10_000
QUEUED_COMMANDS = 1_000


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A message as a subscriber gets it; ``id`` is empty for what is no fact."""

    topic: str
    body: bytes
    id: str = ""


class MemorySubscription:
    """What one subscriber has not taken yet. If it takes too little, it is ended rather than given a part."""

    def __init__(self, transport: "MemoryTransport", topics: frozenset[str], limit: int) -> None:
        self.wanted = Subscription(topics)
        self._transport = transport
        self._limit = limit
        self._queue: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        self._overflowed = False

    def put(self, delivery: Delivery) -> None:
        if len(self._queue) >= self._limit:
            self._overflowed = True
            self._transport.drop(self)
        else:
            self._queue.append(delivery)
        self._wake.set()

    async def next(self) -> Delivery:
        """Return the next message.

        Raises:
            Unavailable: more than the limit waited, and this is the end of it.
        """
        while not self._queue:
            if self._overflowed:
                raise Unavailable(f"More than {self._limit} messages of the bus waited to be taken.", code="too_slow")
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.drop(self)


class MemoryTransport:
    """Hands each message to those who have subscribed by then, and keeps none."""

    kind = "memory"
    address = "this process"

    def __init__(self) -> None:
        self._stored: dict[str, str] = {}
        self._subscriptions: list[MemorySubscription] = []
        self._commands: asyncio.Queue[BusCommand] | None = None

    @property
    def has_subscribers(self) -> bool:
        return bool(self._subscriptions)

    def subscribe(self, *topics: str, limit: int = QUEUED_MESSAGES) -> MemorySubscription:
        """Take part from now on; ``topics`` are matched as those of ``/ws``. To be used as a context manager."""
        subscription = MemorySubscription(self, frozenset(topics), limit)
        self._subscriptions.append(subscription)
        return subscription

    def drop(self, subscription: MemorySubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        for subscription in tuple(self._subscriptions):
            for delivery in deliveries:
                if subscription.wanted.matches(delivery.topic):
                    subscription.put(delivery)

    async def request(self, topic: str, body: bytes, signature: str = "") -> bytes:
        """Send a command and return its answer, however long that takes.

        Raises:
            Unavailable: nobody takes commands, or too many wait.
        """
        if self._commands is None:
            raise Unavailable("Nobody takes commands: bus.commands is off, or the service is being stopped.")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        try:
            self._commands.put_nowait(BusCommand(topic, body, signature, "memory", answer))
        except asyncio.QueueFull as error:
            raise Unavailable(f"{QUEUED_COMMANDS} commands wait already.", code="too_many_commands") from error
        return await answer

    async def stored(self, source: str) -> str | None:
        return self._stored.get(source, "")

    async def store(self, source: str, facts: Sequence[BusFact]) -> None:
        self._stored[source] = facts[-1].id
        self.deliver([Delivery(fact.topic, fact.body, fact.id) for fact in facts])

    async def send(self, messages: Sequence[BusMessage]) -> None:
        self.deliver([Delivery(message.topic, message.body) for message in messages])

    async def listen(self) -> AsyncGenerator[BusCommand, None]:
        self._commands = asyncio.Queue(QUEUED_COMMANDS)
        return self._arrivals(self._commands)

    async def _arrivals(self, queue: asyncio.Queue[BusCommand]) -> AsyncGenerator[BusCommand, None]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._commands = None
            while not queue.empty():
                queue.get_nowait().token.cancel()

    async def answer(self, command: BusCommand, body: bytes) -> None:
        if not command.token.done():
            command.token.set_result(body)

    async def close(self) -> None:
        self._subscriptions.clear()
