"""NatsTransport: the bus on NATS. Facts are kept by JetStream; market data and commands are plain messages.

Facts go out many at a time and only the last of them asks for an acknowledgement: each says which sequence number it
expects the stream to have reached (``Nats-Expected-Last-Sequence``), so if the last one is stored, all are, in order.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

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
EXPECTED = "Nats-Expected-Last-Sequence"

# Between two acknowledgements, and between two turns of the loop.
_ACKNOWLEDGED_FACTS = 500
_ACKNOWLEDGED_BYTES = 4 << 20
_TURN = 50
# Market data that the socket has not taken yet; beyond that the server is too slow for it.
_UNSENT_BYTES = 4 << 20
_QUEUED_COMMANDS = 1_000
_DUPLICATE_WINDOW_S = 120.0
_HEADER_BYTES = 256
_WRONG_LAST_SEQUENCE = 10071


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Acknowledgement(msgspec.Struct):
    """What JetStream answers to a message."""

    seq: int = 0
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
        self._last = 0
        self._facts = NatsLink(server, f"{prefix} facts", self._prepare)
        self._market = NatsLink(server, f"{prefix} market")
        self._inbound = NatsLink(server, f"{prefix} commands")

    async def stored(self, source: str) -> str | None:
        async def ask(client: Client) -> str | None:
            manager = client.jsm()
            state = (await manager.stream_info(self._stream)).state
            self._last = state.last_seq
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
        if await self._store_at_once(facts):
            return
        # The stream is not where we thought: some of them are in it already, or it is not ours alone. One after the
        # other, each acknowledged, they come in order all the same, and those that it has are recognised.
        for fact in facts:
            self._last = self._sequence(await self._facts.call(self._request(fact, {MESSAGE_ID: fact.id})))

    async def _store_at_once(self, facts: Sequence[BusFact]) -> bool:
        """Send all of them, and return whether the stream was where we thought; if not, it may have taken some."""

        async def publish(client: Client) -> _Acknowledgement:
            for number, fact in enumerate(facts[:-1]):
                await client.publish(self._subject(fact.topic), fact.body, headers=self._headers(fact, number))
                if number % _TURN == _TURN - 1:
                    await asyncio.sleep(0)
            return await self._request(facts[-1], self._headers(facts[-1], len(facts) - 1))(client)

        answer = await self._facts.call(publish)
        if answer.error is not None and answer.error.err_code == _WRONG_LAST_SEQUENCE:
            return False
        self._last = self._sequence(answer)
        return True

    def _request(
        self, fact: BusFact, headers: dict[str, str]
    ) -> Callable[[Client], Coroutine[Any, Any, _Acknowledgement]]:
        async def request(client: Client) -> _Acknowledgement:
            answer = await client.request(
                self._subject(fact.topic), fact.body, timeout=self._server.timeout_s, headers=headers
            )
            return _acknowledgement.decode(answer.data)

        return request

    def _sequence(self, answer: _Acknowledgement) -> int:
        if answer.error is not None:
            raise Unavailable(f"NATS at {self.address} did not store facts: {answer.error.description}.")
        return answer.seq

    async def send(self, messages: Sequence[BusMessage]) -> None:
        async def publish(client: Client) -> None:
            for number, message in enumerate(messages):
                if client.pending_data_size > _UNSENT_BYTES:
                    raise Unavailable(f"NATS at {self.address} takes market data more slowly than it comes.")
                if len(message.body) <= client.max_payload:
                    await client.publish(self._subject(message.topic), message.body)
                if number % _TURN == _TURN - 1:
                    await asyncio.sleep(0)

        await self._market.call(publish)

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
        self._last = info.state.last_seq

    def _subject(self, topic: str) -> str:
        return f"{self._prefix}.{topic}"

    def _headers(self, fact: BusFact, number: int) -> dict[str, str]:
        return {MESSAGE_ID: fact.id, EXPECTED: str(self._last + number)}

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
