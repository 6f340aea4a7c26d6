"""The other side of the bus: consumers and senders of commands as another service would be, one for each transport."""

import asyncio
import contextlib
import itertools
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import FetchTimeoutError, NotFoundError
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.servers import Server
from vnpy_core.bus.background import end
from vnpy_core.bus.memory import Delivery, MemoryTransport
from vnpy_core.bus.transports import make_transport
from vnpy_core.config.bus_settings import BusSettings
from vnpy_core.events import PUBLIC_FACT_TOPICS
from vnpy_core.ports import BusTransport

ANSWER_TIMEOUT_S = 20.0


class Inbox:
    """What has been delivered to one consumer so far."""

    def __init__(self) -> None:
        self.seen: list[Delivery] = []
        self._arrived = asyncio.Condition()

    async def put(self, delivery: Delivery) -> None:
        self.seen.append(delivery)
        async with self._arrived:
            self._arrived.notify_all()

    async def until(self, condition: Callable[[list[Delivery]], bool], timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: condition(self.seen))

    async def count(self, number: int, timeout_s: float = ANSWER_TIMEOUT_S) -> list[Delivery]:
        """Wait for that many messages and return them."""
        await self.until(lambda seen: len(seen) >= number, timeout_s)
        return self.seen


def once(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Pass over ids that were seen before, as a consumer does."""
    return list({delivery.id: delivery for delivery in reversed(deliveries)}.values())[::-1]


class Outside(ABC):
    """``transport`` makes what the service has; the rest is what others do with the same server."""

    kind: str
    lasting = True

    def __init__(self, server: Server | None = None) -> None:
        self.server = server
        self.prefix = f"t{uuid.uuid4().hex[:12]}"

    def settings(self, **changes: Any) -> BusSettings:
        url = None if self.server is None else SecretStr(self.server.url)
        return BusSettings(**{"url": url, "prefix": self.prefix, "timeout_s": 5.0} | changes)

    def transport(self, **changes: Any) -> BusTransport:
        return make_transport(self.settings(**changes))

    @abstractmethod
    def live(self, *topics: str) -> Any:
        """Return a context manager that gives an ``Inbox`` of what is published under ``topics`` from now on."""

    @abstractmethod
    def follow(self) -> Any:
        """Return a context manager that gives an ``Inbox`` of all facts, from the first one on, whatever happens to the
        server: a consumer that connects again, and may get some of them twice.
        """

    @abstractmethod
    async def kept(self) -> list[Delivery]:
        """Return all facts that the server has."""

    @abstractmethod
    async def request(self, topic: str, body: bytes, signature: str = "", reply_to: str | None = None) -> bytes | None:
        """Send a command; return its answer, or ``None`` at once if it was to go to a place of our own choice."""


class MemoryOutside(Outside):
    kind = "memory"
    lasting = False

    def __init__(self) -> None:
        super().__init__()
        self._transport = MemoryTransport()

    def transport(self, **changes: Any) -> BusTransport:
        return self._transport

    @asynccontextmanager
    async def live(self, *topics: str) -> AsyncIterator[Inbox]:
        inbox = Inbox()
        with self._transport.subscribe(*topics) as subscription:
            async with _pumping(lambda: subscription.next(), inbox):
                yield inbox

    def follow(self) -> Any:
        return self.live(*PUBLIC_FACT_TOPICS)

    async def kept(self) -> list[Delivery]:
        return []

    async def request(self, topic: str, body: bytes, signature: str = "", reply_to: str | None = None) -> bytes | None:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await self._transport.request(topic, body, signature)


class NatsOutside(Outside):
    kind = "nats"

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        assert self.server is not None
        client = Client()
        try:
            await client.connect(
                self.server.url, allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0,
                connect_timeout=1, ping_interval=1, error_cb=_quiet,
            )  # fmt: skip
            yield client
        finally:
            with contextlib.suppress(TimeoutError, OSError, nats.errors.Error):
                await asyncio.wait_for(client.close(), 1)

    @asynccontextmanager
    async def live(self, *topics: str) -> AsyncIterator[Inbox]:
        inbox = Inbox()

        async def take(message: Msg) -> None:
            await inbox.put(self._delivery(message))

        async with self.client() as client:
            for topic in topics:
                await client.subscribe(f"{self.prefix}.{topic}", cb=take)
                await client.subscribe(f"{self.prefix}.{topic}.>", cb=take)
            await client.flush()
            yield inbox

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[Inbox]:
        inbox = Inbox()
        last = 0

        async def following() -> None:
            # Not a consumer that acknowledges: what was on its way when the server went would come behind what follows.
            nonlocal last
            config = ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=last + 1, ack_policy=AckPolicy.NONE
            )
            async with self.client() as client:
                consumer = await client.jetstream(timeout=1).pull_subscribe(
                    f"{self.prefix}.>", stream=f"{self.prefix}_facts", config=config
                )
                while client.is_connected:
                    with contextlib.suppress(FetchTimeoutError):
                        for message in await consumer.fetch(100, timeout=0.5):
                            number = message.metadata.sequence.stream
                            if number != last + 1:
                                return  # some were lost on their way: again from there
                            last = number
                            await inbox.put(self._delivery(message))

        async with _trying(following, (nats.errors.Error, OSError)):
            yield inbox

    async def kept(self) -> list[Delivery]:
        async with self.client() as client:
            try:
                state = (await client.jsm().stream_info(f"{self.prefix}_facts")).state
            except NotFoundError:
                return []
            found: list[Delivery] = []
            if state.messages:
                # Of its own making: an ordered consumer would need heartbeats, and starts anew when one is missing.
                config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE)
                consumer = await client.jetstream().pull_subscribe(
                    f"{self.prefix}.>", stream=f"{self.prefix}_facts", config=config
                )
                while len(found) < state.messages:
                    found += map(self._delivery, await consumer.fetch(1000, timeout=ANSWER_TIMEOUT_S))
            return found

    async def request(self, topic: str, body: bytes, signature: str = "", reply_to: str | None = None) -> bytes | None:
        async with self.client() as client:
            subject, headers = f"{self.prefix}.{topic}", {"VnPy-Signature": signature}
            if reply_to is not None:
                await client.publish(subject, body, reply=reply_to, headers=headers)
                await client.flush()
                return None
            return (await client.request(subject, body, timeout=ANSWER_TIMEOUT_S, headers=headers)).data

    def _delivery(self, message: Msg) -> Delivery:
        event_id = (message.headers or {}).get("Nats-Msg-Id", "")
        return Delivery(message.subject.removeprefix(f"{self.prefix}."), message.data, event_id)


class RedisOutside(Outside):
    kind = "redis"

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator["Redis[bytes]"]:
        assert self.server is not None
        client = Redis.from_url(self.server.url, protocol=2, **options)
        try:
            yield client
        finally:
            await client.aclose()

    @asynccontextmanager
    async def live(self, *topics: str) -> AsyncIterator[Inbox]:
        """``topics`` are whole ones here, or families of facts."""
        families = [[fact for fact in PUBLIC_FACT_TOPICS if _under(fact, topic)] or [topic] for topic in topics]
        wanted = list(itertools.chain(*families))
        inbox = Inbox()
        async with self.client() as client:
            places: dict[Any, Any] = {f"{self.prefix}.{topic}".encode(): b"0" for topic in wanted}
            for key in places:
                if last := await client.xrevrange(key, count=1):
                    places[key] = last[0][0]

            async def read() -> list[Delivery]:
                found = []
                for key, entries in await client.xread(places, block=100) or []:
                    places[key] = entries[-1][0]
                    found += [self._delivery(key, fields) for _, fields in entries]
                # One stream a topic: across topics the sequence number says what came first.
                return sorted(found, key=_seq)

            waiting: list[Delivery] = []

            async def following() -> Delivery:
                while not waiting:
                    waiting.extend(await read())
                return waiting.pop(0)

            async with _pumping(following, inbox):
                yield inbox

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[Inbox]:
        inbox = Inbox()
        places: dict[Any, Any] = {f"{self.prefix}.{topic}".encode(): b"0" for topic in PUBLIC_FACT_TOPICS}

        async def following() -> None:
            async with self.client(socket_timeout=1.0) as client:
                while True:
                    for key, entries in await client.xread(places, block=200) or []:
                        for entry_id, fields in entries:
                            await inbox.put(self._delivery(key, fields))
                            places[key] = entry_id

        async with _trying(following, (RedisError, OSError)):
            yield inbox

    async def kept(self) -> list[Delivery]:
        found = []
        async with self.client() as client:
            for topic in PUBLIC_FACT_TOPICS:
                key = f"{self.prefix}.{topic}".encode()
                found.append([self._delivery(key, fields) for _, fields in await client.xrange(key)])
        return sorted(itertools.chain(*found), key=_seq)

    async def request(self, topic: str, body: bytes, signature: str = "", reply_to: str | None = None) -> bytes | None:
        async with self.client() as client:
            answers = f"{self.prefix}.reply.{uuid.uuid4().hex}" if reply_to is None else reply_to
            command: dict[Any, Any] = {"body": body, "signature": signature, "reply_to": answers}
            await client.xadd(f"{self.prefix}.{topic}", command)
            if reply_to is not None:
                return None
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while True:
                    if found := await client.xread({answers: "0"}, block=1000):
                        return bytes(found[0][1][0][1][b"answer"])

    def _delivery(self, key: bytes, fields: dict[bytes, bytes]) -> Delivery:
        topic = key.decode().removeprefix(f"{self.prefix}.")
        return Delivery(topic, fields[b"event"], fields.get(b"id", b"").decode())


def _under(topic: str, family: str) -> bool:
    return topic == family or topic.startswith(f"{family}.")


def _seq(delivery: Delivery) -> int:
    return msgspec.json.decode(delivery.body).get("seq") or 0


async def _quiet(error: Exception) -> None:
    """It is what the tests are about."""


@asynccontextmanager
async def _trying(
    following: Callable[[], Awaitable[None]], failures: tuple[type[Exception], ...]
) -> AsyncIterator[None]:
    """Run ``following`` in the background, again whenever it fails."""

    async def keep_on() -> None:
        while True:
            with contextlib.suppress(*failures):
                await following()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(keep_on())
    try:
        yield
        assert not task.done(), task
    finally:
        await end(task)


@asynccontextmanager
async def _pumping(following: Callable[[], Any], inbox: Inbox) -> AsyncIterator[None]:
    async def pump() -> None:
        while True:
            await inbox.put(await following())

    task = asyncio.create_task(pump())
    try:
        yield
    finally:
        await end(task)
