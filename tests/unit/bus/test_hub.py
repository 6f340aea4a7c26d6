"""The hub: events to whom they concern, snapshots and resumes without a hole, and no client in another's way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import msgspec
import pytest

from vnpy_core.bus.encoding import JSON, MSGPACK, Encoding, Wire
from vnpy_core.bus.hub import PAGE, WebSocketHub
from vnpy_core.bus.messages import CloseCode
from vnpy_core.bus.session import Session
from vnpy_core.config.bus_settings import WebSocketSettings
from vnpy_core.enums import Direction, Exchange, Offset, OrderStatus, OrderType
from vnpy_core.errors import NotFound
from vnpy_core.events import Event
from vnpy_core.models import Log, Model, Order, OrderIntent, now_timestamp


class Tables:
    """The latest state by table, as the read model has it."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Event]] = {}

    def __getattr__(self, name: str) -> Any:
        events = self.tables.setdefault(name, {})

        class Table:
            def values(self) -> Iterable[Event]:
                return events.values()

        return Table()


class Record(msgspec.Struct):
    seq: int
    topic: str
    ts: str
    payload: bytes


class History:
    """A journal in memory. ``pause`` makes reads wait."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.first_seq = 1
        self.go = asyncio.Event()
        self.go.set()
        self.reading = asyncio.Event()

    @property
    def last_seq(self) -> int:
        return self.records[-1].seq if self.records else 0

    async def read(self, after: int, limit: int) -> Sequence[Record]:
        self.reading.set()
        await self.go.wait()
        return [record for record in self.records if record.seq > after][:limit]

    def append(self, event: Event) -> Event:
        event.seq = self.last_seq + 1
        self.records.append(Record(event.seq, event.topic, event.ts, event.payload))
        return event


def order(number: int) -> Order:
    return Order(
        vt_orderid=f"SIM.{number}", orderid=str(number), gateway_name="SIM", symbol="rb2501", exchange=Exchange.SHFE,
        vt_symbol="rb2501.SHFE", type=OrderType.LIMIT, direction=Direction.LONG, offset=Offset.OPEN, price=3500.0,
        volume=1.0, traded=0.0, status=OrderStatus.NOTTRADED, datetime=None, reference="",
    )  # fmt: skip


def intent() -> OrderIntent:
    return OrderIntent(
        intent_id="x", client_order_id=None, gateway_name="SIM", symbol="rb2501", exchange=Exchange.SHFE,
        direction=Direction.LONG, offset=Offset.OPEN, type=OrderType.LIMIT, price=1.0, volume=1.0, reference="",
        created=now_timestamp(),
    )  # fmt: skip


def tick(symbol: str, number: int) -> Event:
    """Return market data; what it carries does not matter here."""
    data = Log(source="feed", level="INFO", message=str(number), datetime="")
    return Event(data, topic=f"tick.{symbol}.SHFE")


class Client:
    """The other end of a session; takes what is sent unless it is stalled."""

    def __init__(self, hub: WebSocketHub, encoding: Encoding = JSON) -> None:
        session = hub.open("127.0.0.1:1", encoding)
        assert session is not None
        self.session: Session = session
        self.frames: list[Any] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self._arrived = asyncio.Event()
        self._hub = hub
        self._task = asyncio.create_task(session.send_all(self._receive))

    async def _receive(self, wire: Wire) -> None:
        await self.reading.wait()
        decode = msgspec.json.decode if isinstance(wire, str) else msgspec.msgpack.decode
        self.frames.append(decode(wire.encode() if isinstance(wire, str) else wire))
        self._arrived.set()

    async def say(self, message: str | dict[str, Any]) -> None:
        if self.session.encoding is MSGPACK:
            await self._hub.handle(self.session, msgspec.msgpack.encode(message))
        else:
            text = message if isinstance(message, str) else msgspec.json.encode(message).decode()
            await self._hub.handle(self.session, text)

    async def until(self, condition: Callable[["Client"], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition(self):
                self._arrived.clear()
                await self._arrived.wait()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for frame in self.frames if isinstance(frame, list) for event in frame]

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if isinstance(frame, dict)]

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.events]

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Room:
    def __init__(self, **settings: Any) -> None:
        self.state = Tables()
        self.history = History()
        self.hub = WebSocketHub(self.state, WebSocketSettings(**settings), self.history)
        self.clients: list[Client] = []

    def client(self, encoding: Encoding = JSON) -> Client:
        self.clients.append(Client(self.hub, encoding))
        return self.clients[-1]

    async def subscribed(self, *topics: str, encoding: Encoding = JSON, **options: Any) -> Client:
        client = self.client(encoding)
        await client.say({"type": "subscribe", "id": 1, "topics": topics, **options})
        return client

    def fact(self, model: Model, table: str = "orders") -> Event:
        """Journal, apply and publish, as the pipeline does."""
        event = self.history.append(Event(model))
        if not event.is_internal:
            self.state.tables.setdefault(table, {})[model.key] = event
            self.hub.publish([event])
        return event


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    made = Room(batch_interval_ms=1)
    yield made
    for client in made.clients:
        await client.close()


async def test_events_reach_those_who_asked_for_them(room: Room) -> None:
    orders, ticks, everything = (
        await room.subscribed("order"), await room.subscribed("tick.rb2501"), await room.subscribed("*")
    )  # fmt: skip
    room.fact(order(1))
    room.hub.publish([tick("rb2501", 1), tick("ag2506", 2)])
    await everything.until(lambda client: len(client.events) == 3)
    await ticks.until(lambda client: len(client.events) == 1)
    assert [event["topic"] for event in everything.events] == ["order.updated", "tick.rb2501.SHFE", "tick.ag2506.SHFE"]
    assert [event["topic"] for event in orders.events] == ["order.updated"]
    assert orders.events[0]["seq"] == 1
    assert orders.events[0]["data"]["vt_orderid"] == "SIM.1"
    assert [event["data"]["message"] for event in ticks.events] == ["1"]
    assert ticks.events[0]["seq"] is None


async def test_each_message_is_acknowledged_by_its_id(room: Room) -> None:
    client = await room.subscribed("order", "tick.rb2501")
    await client.say({"type": "unsubscribe", "id": "two", "topics": ["order", "trade"]})
    await client.say({"type": "ping", "id": 3})
    await client.until(lambda client: len(client.answers) == 3)
    ack, left, pong = client.answers
    assert ack == {"type": "ack", "id": 1, "topics": ["order", "tick.rb2501"], "seq": 0}
    assert left == {"type": "ack", "id": "two", "topics": ["tick.rb2501"], "seq": 0}
    assert (pong["type"], pong["id"]) == ("pong", 3)


@pytest.mark.parametrize(
    ("message", "id", "code"),
    [
        ("{not json", None, "malformed"),
        ("", None, "malformed"),
        ("[1]", None, "unknown_type"),
        ('{"type": "shout", "id": 7}', 7, "unknown_type"),
        ('{"id": 7}', 7, "unknown_type"),
        ('{"type": 1}', None, "unknown_type"),
        ('{"type": "subscribe", "id": 7}', 7, "invalid"),
        ('{"type": "subscribe", "id": 7, "topics": []}', 7, "invalid"),
        ('{"type": "subscribe", "id": 7, "topics": "order"}', 7, "invalid"),
        ('{"type": "subscribe", "id": 7, "topics": ["order"], "snapshoot": true}', 7, "invalid"),
        ('{"type": "subscribe", "id": 7, "topics": ["order"], "since": -1}', 7, "invalid"),
        ('{"type": "subscribe", "id": 7, "topics": ["orders"]}', 7, "unknown_topic"),
        ('{"type": "subscribe", "id": {}, "topics": ["order"]}', None, "unknown_type"),
    ],
)
async def test_a_bad_message_is_answered_and_the_session_goes_on(
    room: Room, message: str, id: int | None, code: str
) -> None:
    client = await room.subscribed("order")
    await client.say(message)
    room.fact(order(1))
    await client.until(lambda client: len(client.events) == 1)
    _, failure = client.answers
    assert (failure["type"], failure["id"], failure["code"]) == ("error", id, code)
    assert failure["detail"]


async def test_a_snapshot_and_what_follows_meet_exactly(room: Room) -> None:
    for number in range(PAGE + 2):
        room.fact(order(number))
    room.hub.publish([tick("rb2501", 0)])
    client = await room.subscribed("order", snapshot=True)
    room.fact(order(9999))
    await client.until(lambda client: len(client.events) == PAGE + 3)
    assert client.answers[0]["type"] == "ack"
    assert isinstance(client.frames[0], dict)
    assert client.seqs == list(range(1, PAGE + 4))


async def test_market_data_published_before_a_snapshot_is_not_repeated_after_it(room: Room) -> None:
    room.hub._groups._flushed_at = time.perf_counter() + 3600  # whatever comes now is held back
    first = await room.subscribed("tick")
    before = tick("rb2501", 1)
    room.state.tables["ticks"] = {"rb2501.SHFE": before}
    room.hub.publish([before])
    second = await room.subscribed("tick", snapshot=True)
    room.hub._groups.flush()
    room.hub.publish([tick("rb2501", 2)])
    room.hub._groups.flush()
    for client in (first, second):
        await client.until(lambda client: len(client.events) == 2)
        assert [event["data"]["message"] for event in client.events] == ["1", "2"]


async def test_after_unsubscribe_nothing_more_comes(room: Room) -> None:
    client = await room.subscribed("order")
    room.fact(order(1))
    await client.say({"type": "unsubscribe", "id": 2, "topics": ["order"]})
    room.fact(order(2))
    await client.say({"type": "ping"})
    await client.until(lambda client: len(client.answers) == 3)
    assert client.seqs == [1]


async def test_resume_replays_the_facts_and_goes_on_live(room: Room) -> None:
    for number in range(2 * PAGE):
        room.fact(order(number))
    room.fact(intent())
    client = await room.subscribed("order", since=3)
    room.fact(order(9999))
    last = 2 * PAGE + 2
    await client.until(lambda client: bool(client.seqs) and client.seqs[-1] == last)
    assert client.seqs == [*range(4, 2 * PAGE + 1), last]


async def test_resume_with_a_snapshot_shows_the_present_market_data(room: Room) -> None:
    """It is not in the journal, and of what trades seldom the next tick may be hours away."""
    for number in range(3):
        room.fact(order(number))
    room.state.tables["ticks"] = {name: tick(name, 1) for name in ("rb2501", "ag2506")}
    client = await room.subscribed("order", "tick.rb2501", since=1, snapshot=True)
    await client.until(lambda client: len(client.events) == 3)
    assert [(event["seq"], event["topic"]) for event in client.events] == [
        (2, "order.updated"), (3, "order.updated"), (None, "tick.rb2501.SHFE"),
    ]  # fmt: skip


async def test_what_is_published_during_a_replay_comes_once(room: Room) -> None:
    for number in range(10):
        room.fact(order(number))
    room.history.go.clear()
    client = room.client()
    asking = asyncio.create_task(client.say({"type": "subscribe", "id": 1, "topics": ["*"], "since": 0}))
    await room.history.reading.wait()
    room.fact(order(10))
    unpublished = room.history.append(Event(order(11)))
    room.history.go.set()
    await asking
    room.hub.publish([unpublished])
    room.fact(order(12))
    await client.until(lambda client: 13 in client.seqs)
    assert client.seqs == list(range(1, 14))


async def test_facts_from_before_the_start_can_be_resumed_from() -> None:
    history = History()
    for number in range(3):
        history.append(Event(order(number)))
    hub = WebSocketHub(Tables(), WebSocketSettings(), history)
    client = Client(hub)
    await client.say({"type": "subscribe", "id": 1, "topics": ["order"], "since": 1})
    await client.until(lambda client: client.seqs == [2, 3])
    await client.close()


@pytest.mark.parametrize("since", [0, 5000])
async def test_facts_that_are_gone_are_a_gap_and_a_snapshot(room: Room, since: int) -> None:
    for number in range(3):
        room.fact(order(number))
    room.history.first_seq = 3
    client = await room.subscribed("order", since=since)
    await client.until(lambda client: len(client.events) == 3)
    assert client.answers[1] == {"type": "gap", "id": 1, "since": since, "first_seq": 3, "seq": 3}
    assert client.seqs == [1, 2, 3]


async def test_facts_that_are_removed_while_they_are_replayed_are_a_gap(room: Room) -> None:
    for number in range(PAGE + 10):
        room.fact(order(number))
    client = room.client()
    room.history.go.clear()
    asking = asyncio.create_task(client.say({"type": "subscribe", "id": 1, "topics": ["order"], "since": 2}))
    await room.history.reading.wait()
    room.history.first_seq = 6
    room.history.records = room.history.records[5:]
    room.history.go.set()
    await asking
    await client.until(lambda client: len(client.events) == PAGE + 10)
    assert client.answers[1] == {"type": "gap", "id": 1, "since": 2, "first_seq": 6, "seq": PAGE + 10}
    assert client.seqs == list(range(1, PAGE + 11))


async def test_an_answer_tells_how_far_the_session_is(room: Room) -> None:
    """So that a client knows from where to resume before it has seen any fact."""
    for number in range(3):
        room.fact(order(number))
    client = await room.subscribed("trade")
    room.fact(order(4))
    await client.say({"type": "ping", "id": 2})
    await client.until(lambda client: len(client.answers) == 2)
    assert [answer["seq"] for answer in client.answers] == [3, 4]


async def test_in_messagepack_everything_is_as_in_json(room: Room) -> None:
    for number in range(PAGE + 1):
        room.fact(order(number))
    nan = msgspec.structs.replace(order(7000), price=float("nan"))
    plain, packed = [
        await room.subscribed("order", "tick", encoding=encoding, since=1) for encoding in (JSON, MSGPACK)
    ]
    room.fact(nan)
    room.hub.publish([tick("rb2501", number) for number in range(20)])
    for client in (plain, packed):
        await client.say({"type": "ping", "id": 2})
        await client.until(lambda client: len(client.answers) == 2)
        client.answers[1].pop("ts")
    assert packed.frames == plain.frames
    assert len(packed.events) == PAGE + 21
    assert (packed.session.status().encoding, plain.session.status().encoding) == ("msgpack", "json")


async def test_in_messagepack_a_bad_message_is_answered_too(room: Room) -> None:
    client = await room.subscribed("order", encoding=MSGPACK)
    for bad in ("text", b"\xc1", msgspec.msgpack.encode({"type": "shout", "id": 7})):
        await room.hub.handle(client.session, bad)
    await client.until(lambda client: len(client.answers) == 4)
    assert [(answer["code"], answer["id"]) for answer in client.answers[1:]] == [
        ("text", None), ("malformed", None), ("unknown_type", 7),
    ]  # fmt: skip


async def test_an_operator_ends_a_session(room: Room) -> None:
    client = await room.subscribed("order")
    room.hub.end(client.session.session_id)
    assert client.session.ended.result()[0] == CloseCode.ENDED
    assert room.hub.statuses() == []
    with pytest.raises(NotFound):
        room.hub.end(client.session.session_id)


async def test_what_waits_for_a_client_is_told_with_its_age(room: Room) -> None:
    client = await room.subscribed("order")
    await client.until(lambda client: bool(client.answers))
    assert (client.session.status().lag_ms, client.session.status().queued_bytes) == (0, 0)
    client.reading.clear()
    room.fact(order(1))
    room.fact(order(2))
    status = client.session.status()
    assert status.queued_facts == 1  # the other is in hand
    assert status.queued_bytes > 2 * 200
    assert status.lag_ms > 0


async def test_without_a_journal_since_is_refused() -> None:
    hub = WebSocketHub(Tables(), WebSocketSettings())
    client = Client(hub)
    await client.say({"type": "subscribe", "id": 1, "topics": ["order"], "since": 1})
    await client.until(lambda client: len(client.answers) == 1)
    assert client.answers[0]["code"] == "resume_unavailable"
    assert client.session.topics == {}
    await client.close()


async def test_intents_are_shown_to_nobody(room: Room) -> None:
    client = await room.subscribed("*")
    room.hub.publish([room.history.append(Event(intent()))])
    room.fact(order(1))
    await client.until(lambda client: len(client.events) == 1)
    assert client.seqs == [2]


async def test_a_stalled_client_changes_nothing_for_the_others() -> None:
    room = Room(batch_interval_ms=0, queue_facts=50)
    stalled, awake = await room.subscribed("order", "tick"), await room.subscribed("order", "tick")
    await stalled.until(lambda client: bool(client.answers))
    stalled.reading.clear()
    for number in range(60):
        room.fact(order(number))
        room.hub.publish([tick("rb2501", number)])
        await asyncio.sleep(0)
    await awake.until(lambda client: len(client.events) == 120)
    assert stalled.session.ended.result()[0] == CloseCode.TOO_SLOW
    assert [status.session_id for status in room.hub.statuses()] == [awake.session.session_id]
    assert awake.session.status().conflated == 0
    for client in room.clients:
        await client.close()


async def test_a_client_with_much_to_read_is_still_listened_to(room: Room) -> None:
    client = await room.subscribed("order")
    await client.until(lambda client: bool(client.answers))
    client.reading.clear()
    for number in range(200):
        room.fact(order(number))
    await client.say({"type": "unsubscribe", "id": 2, "topics": ["order"]})
    room.fact(order(200))
    client.reading.set()
    await client.until(lambda client: len(client.answers) == 2)
    assert client.seqs == list(range(1, 201))


async def test_a_client_that_does_not_take_its_answers_is_not_read_from(room: Room) -> None:
    client = room.client()
    client.reading.clear()
    asking = asyncio.create_task(_ping(client, 200))
    for _ in range(500):
        await asyncio.sleep(0)
    assert not asking.done()
    assert client.session.outbox.messages <= 65
    client.reading.set()
    await asking
    await client.until(lambda client: len(client.answers) == 200)


async def _ping(client: Client, count: int) -> None:
    for number in range(count):
        await client.say({"type": "ping", "id": number})


async def test_a_slow_client_gets_the_latest_of_each_symbol_and_is_told_how_many_it_missed(room: Room) -> None:
    client = await room.subscribed("tick")
    await client.until(lambda client: bool(client.answers))
    client.reading.clear()
    for number in range(120):
        room.hub.publish([tick(symbol, number) for symbol in ("rb2501", "ag2506") for _ in range(50)])
        room.hub._groups.flush()
        await asyncio.sleep(0)
    status = client.session.status()
    assert status.conflated > 0
    assert room.hub.totals().conflated == status.conflated
    assert status.queued_market <= 5_000
    client.reading.set()
    await client.until(lambda client: len(client.events) + status.conflated == 12_000)
    assert client.events[-1]["data"]["message"] == "119"


async def test_sessions_are_counted_and_bounded() -> None:
    room = Room(max_sessions=2)
    first, second = await room.subscribed("order"), room.client()
    assert room.hub.open("127.0.0.1:3") is None
    room.hub.discard(second.session)
    third = room.client()
    room.fact(order(1))
    await first.until(lambda client: len(client.events) == 1)
    assert [status.session_id for status in room.hub.statuses()] == [first.session.session_id, third.session.session_id]
    status = first.session.status()
    assert (status.topics, status.sent_events, status.sent_frames) == (["order"], 1, 2)
    assert status.sent_bytes > 100
    for client in room.clients:
        await client.close()
    # What was sent to those that have gone is not forgotten, and counted once.
    room.hub.discard(first.session)
    assert (room.hub.totals().events, room.hub.totals().frames) == (1, 2)
    assert room.hub.send_seconds.read().count == 2


async def test_closing_ends_every_session_and_waits_for_it(room: Room) -> None:
    client = await room.subscribed("order")
    closing = asyncio.create_task(room.hub.close())
    code, _ = await client.session.ended
    assert code == CloseCode.GOING_AWAY
    assert not closing.done()
    room.hub.discard(client.session)
    await closing
