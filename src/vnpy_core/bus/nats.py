"""NatsTransport: the bus on NATS. Facts are kept by JetStream; market data and commands are plain messages.

Facts go out many at a time and only the last of them asks for an acknowledgement: each says which one it expects the
stream to end with (``Nats-Expected-Last-Msg-Id``), so if the last one is stored, all are, in order.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import msgspec
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from vnpy_core.bus.nats_link import NatsLink, NatsServer
from vnpy_core.errors import DataRejected, Unavailable
from vnpy_core.events import PUBLIC_FACT_TOPICS
from vnpy_core.ports import BusCommand, BusFact, BusMessage

SIGNATURE_HEADER = "VnPy-Signature"
MESSAGE_ID = "Nats-Msg-Id"
EXPECTED = "Nats-Expected-Last-Msg-Id"

# Between two acknowledgements, and between two turns of the loop.
_ACKNOWLEDGED_FACTS = 500
_ACKNOWLEDGED_BYTES = 4 << 20
_TURN = 50
# Market data that the socket has not taken yet; beyond that the server is too slow for it.
_UNSENT_BYTES = 4 << 20
_QUEUED_COMMANDS = 1_000
_DUPLICATE_WINDOW_S = 120.0
_HEADER_BYTES = 256
_WRONG_LAST_ID = 10070


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Acknowledgement(msgspec.Struct):
    """What JetStream answers to a message."""

    error: _Error | None = None


_acknowledgement = msgspec.json.Decoder(_Acknowledgement)


class NatsTransport:
    """Three connections, so that neither market data nor commands are in the way of facts."""

    kind = "nats"

    def __init__(self, server: NatsServer, prefix: str, *, max_age_s: float, max_len: int) -> None:
        self.address = server.address
        self._server = server
        self._prefix = prefix
        self._max_age_s = max_age_s
        self._max_len = max_len
        self._stream = f"{prefix}_facts"
        self._facts = NatsLink(server, f"{prefix} facts", self._prepare)
        self._market = NatsLink(server, f"{prefix} market")
        self._inbound = NatsLink(server, f"{prefix} commands")

    async def stored(self, source: str) -> str | None:
        async def ask(client: Client) -> str | None:
            manager = client.jsm()
            state = (await manager.stream_info(self._stream)).state
            if state.last_seq == 0:
                return ""
            try:
                last = await manager.get_msg(self._stream, state.last_seq)
            except nats.js.errors.NotFoundError:
                return None
            event_id = (last.headers or {}).get(MESSAGE_ID, "")
            return event_id if event_id.startswith(f"{source}-") else None

        return await self._facts.call(ask)

    async def store(self, source: str, facts: Sequence[BusFact]) -> None:
        most = await self._facts.call(_max_payload) - _HEADER_BYTES
        for fact in facts:
            if len(fact.body) > most:
                raise DataRejected(f"It has {len(fact.body)} bytes, and NATS takes {most}: raise its max_payload.")
        start = size = 0
        for end, fact in enumerate(facts, 1):
            size += len(fact.body)
            if end - start >= _ACKNOWLEDGED_FACTS or size >= _ACKNOWLEDGED_BYTES or end == len(facts):
                await self._store(facts[start:end])
                start, size = end, 0

    async def _store(self, facts: Sequence[BusFact]) -> None:
        error = await self._store_at_once(facts)
        if error is not None and error.err_code == _WRONG_LAST_ID:
            # Somebody else's message came between. One after the other, each acknowledged, they come in order all the
            # same, and those that the stream has are recognised.
            for fact in facts:
                error = await self._store_at_once([fact])
                if error is not None:
                    break
        if error is not None:
            raise Unavailable(f"NATS at {self.address} did not store facts: {error.description}.")

    async def _store_at_once(self, facts: Sequence[BusFact]) -> _Error | None:
        """Send all of them and return what is wrong with the last; if something is, the server may have taken some."""

        async def publish(client: Client) -> _Acknowledgement:
            headers = {MESSAGE_ID: facts[0].id}
            for number, fact in enumerate(facts[:-1]):
                await client.publish(self._subject(fact.topic), fact.body, headers=headers)
                headers = {MESSAGE_ID: facts[number + 1].id, EXPECTED: fact.id}
                if number % _TURN == _TURN - 1:
                    await asyncio.sleep(0)
            final, timeout_s = facts[-1], self._server.timeout_s
            answer = await client.request(self._subject(final.topic), final.body, timeout=timeout_s, headers=headers)
            return _acknowledgement.decode(answer.data)

        return (await self._facts.call(publish)).error

    async def send(self, messages: Sequence[BusMessage]) -> None:
        async def publish(client: Client) -> None:
            for number, message in enumerate(messages):
                self._require_room(client)
                if len(message.body) <= client.max_payload:
                    await client.publish(self._subject(message.topic), message.body)
                if number % _TURN == _TURN - 1:
                    await asyncio.sleep(0)
            if not messages:
                self._require_room(client)

        await self._market.call(publish)

    def _require_room(self, client: Client) -> None:
        if client.pending_data_size > _UNSENT_BYTES:
            raise Unavailable(f"NATS at {self.address} takes market data more slowly than it comes.")

    async def listen(self) -> AsyncGenerator[BusCommand, None]:
        queue: asyncio.Queue[Msg] = asyncio.Queue(_QUEUED_COMMANDS)

        async def take(message: Msg) -> None:
            if not queue.full():  # whoever sent what is passed over gets no answer, and nothing was done
                queue.put_nowait(message)

        async def subscribe(client: Client) -> None:
            await client.subscribe(self._subject("command.>"), queue=self._prefix, cb=take)
            await client.flush()

        await self._inbound.call(subscribe)
        return self._arrivals(queue, self._inbound.lost)

    async def _arrivals(self, queue: asyncio.Queue[Msg], closed: asyncio.Event) -> AsyncGenerator[BusCommand, None]:
        lost = asyncio.create_task(closed.wait())
        try:
            while True:
                arrival = asyncio.create_task(queue.get())
                try:
                    await asyncio.wait({arrival, lost}, return_when=asyncio.FIRST_COMPLETED)
                    if not arrival.done():
                        raise Unavailable(f"NATS at {self.address} has closed the connection for commands.")
                    yield self._command(arrival.result())
                finally:
                    arrival.cancel()
        finally:
            lost.cancel()
            self._inbound.drop()

    async def answer(self, command: BusCommand, body: bytes) -> None:
        # A reply subject is the sender's to choose, and we may publish where the sender may not.
        if command.reply_to.startswith(("_INBOX", self._subject("reply."))):
            await self._inbound.call(lambda client: client.publish(command.reply_to, body))

    async def close(self) -> None:
        await asyncio.gather(self._facts.close(), self._market.close(), self._inbound.close())

    async def _prepare(self, client: Client) -> None:
        """Make the stream, or bring it to what is configured; what else an operator has set there stays."""
        manager = client.jsm()
        wanted = {
            "subjects": sorted(self._subject(topic) for topic in PUBLIC_FACT_TOPICS),
            "max_age": self._max_age_s,
            "max_msgs_per_subject": self._max_len,
            "duplicate_window": min(_DUPLICATE_WINDOW_S, self._max_age_s),
        }
        try:
            info = await manager.stream_info(self._stream)
        except nats.js.errors.NotFoundError:
            config = StreamConfig(name=self._stream, retention=RetentionPolicy.LIMITS, storage=StorageType.FILE)
            info = await manager.add_stream(config.evolve(**wanted))
        else:
            present = {name: getattr(info.config, name) for name in wanted}
            if present | {"subjects": sorted(present["subjects"] or [])} != wanted:
                info = await manager.update_stream(info.config.evolve(**wanted))

    def _subject(self, topic: str) -> str:
        return f"{self._prefix}.{topic}"

    def _command(self, message: Msg) -> BusCommand:
        headers = message.headers or {}
        return BusCommand(
            topic=message.subject.removeprefix(f"{self._prefix}."),
            body=message.data,
            signature=headers.get(SIGNATURE_HEADER, ""),
            reply_to=message.reply,
        )


async def _max_payload(client: Client) -> int:
    return client.max_payload
