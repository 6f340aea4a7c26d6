"""The bus beside a journal made by hand and a transport that fails when told to."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr, ValidationError
from tests import facts

from vnpy_core.bus.facts import FactPublisher
from vnpy_core.bus.inbound import AT_A_TIME, CommandListener
from vnpy_core.bus.market import MarketSender
from vnpy_core.bus.memory import MemoryTransport
from vnpy_core.bus.message_bus import MessageBus
from vnpy_core.bus.transports import make_transport
from vnpy_core.config.bus_settings import BusSettings
from vnpy_core.data.journal_file import JournalRecord
from vnpy_core.errors import ConfigError, DataRejected, Unavailable
from vnpy_core.events import Event, topic_of
from vnpy_core.models import Model
from vnpy_core.ports import BusCommand, BusFact, BusMessage
from vnpy_core.routers.examples import CONTRACT

IDENTITY = 0xFEED


class HandJournal:
    """What the bus needs of a journal."""

    def __init__(self) -> None:
        self.identity = IDENTITY
        self.first_seq = 1
        self.records: list[JournalRecord] = []
        self.cursors: dict[str, int] = {}

    @property
    def last_seq(self) -> int:
        return self.records[-1].seq if self.records else 0

    def add(self, *models: Model) -> list[Event]:
        """Journal ``models`` and return their events."""
        events = []
        for model in models:
            event = Event(model, ts=facts.WHEN)
            event.seq = self.last_seq + 1
            self.records.append(JournalRecord(event.seq, topic_of(model), facts.WHEN, msgspec.json.encode(model)))
            events.append(event)
        return events

    async def read(self, after: int, limit: int) -> list[JournalRecord]:
        return [record for record in self.records if record.seq > after][:limit]

    async def cursor(self, name: str) -> int:
        return self.cursors.setdefault(name, 0)

    async def set_cursor(self, name: str, seq: int) -> None:
        self.cursors[name] = seq

    async def forget_cursor(self, name: str) -> None:
        self.cursors.pop(name, None)


class MoodyTransport:
    """Keeps what it is given; refuses while ``failure`` is set, does not answer while ``frozen`` is."""

    kind = "moody"
    address = "moody://here"

    def __init__(self) -> None:
        self.facts: list[BusFact] = []
        self.messages: list[BusMessage] = []
        self.answers: list[tuple[bytes, bytes]] = []
        self.failure: Exception | None = None
        self.frozen = False
        self.knows = True
        self.largest = 1_000_000
        self.refused = 0
        self.closed = False
        self.arrivals: asyncio.Queue[BusCommand | Exception] = asyncio.Queue()
        self.listeners = 0

    async def _answering(self) -> None:
        if self.frozen:
            await asyncio.Event().wait()
        if self.failure is not None:
            self.refused += 1
            raise self.failure

    async def stored(self, source: str) -> str | None:
        await self._answering()
        return (self.facts[-1].id if self.facts else "") if self.knows else None

    async def store(self, source: str, facts: Sequence[BusFact]) -> None:
        await self._answering()
        if any(len(fact.body) > self.largest for fact in facts):
            raise DataRejected("too large")
        self.facts += facts

    async def send(self, messages: Sequence[BusMessage]) -> None:
        await self._answering()
        self.messages += messages

    async def listen(self) -> AsyncGenerator[BusCommand, None]:
        await self._answering()
        self.listeners += 1
        return self._arrivals()

    async def _arrivals(self) -> AsyncGenerator[BusCommand, None]:
        while True:
            arrival = await self.arrivals.get()
            if isinstance(arrival, Exception):
                raise arrival
            yield arrival

    async def answer(self, command: BusCommand, body: bytes) -> None:
        await self._answering()
        self.answers.append((command.body, body))

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def journal() -> HandJournal:
    return HandJournal()


@pytest.fixture
def transport() -> MoodyTransport:
    return MoodyTransport()


@pytest.fixture
async def bus(journal: HandJournal, transport: MoodyTransport) -> AsyncIterator[MessageBus]:
    made = MessageBus(journal, BusSettings(), transport=transport)
    await made.start()
    yield made
    transport.frozen = False
    transport.failure = None
    await made.stop_serving()
    await made.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  it may be any condition
            await asyncio.sleep(0.001)


def quick(journal: HandJournal, transport: MoodyTransport) -> FactPublisher:
    return FactPublisher(journal, transport, retry_min_s=0.005, retry_max_s=0.01, linger_s=0.0)


async def test_facts_are_the_bytes_of_the_socket_in_order_with_their_ids(
    bus: MessageBus, journal: HandJournal, transport: MoodyTransport
) -> None:
    events = journal.add(facts.order(1), facts.trade(1), facts.account())
    bus.on_events(events)
    await eventually(lambda: len(transport.facts) == 3)
    assert [(fact.seq, fact.topic, fact.body) for fact in transport.facts] == [
        (event.seq, event.topic, event.frame) for event in events
    ]
    assert all(fact.id.startswith(f"feed-{fact.seq}-") for fact in transport.facts)
    assert len({fact.id for fact in transport.facts}) == 3
    await eventually(lambda: bus.sink is not None and bus.sink.lag == 0)
    assert bus.healthy


async def test_internal_facts_are_passed_over(
    bus: MessageBus, journal: HandJournal, transport: MoodyTransport
) -> None:
    bus.on_events(journal.add(facts.intent(1), facts.order(1), facts.intent(1, "SENT")))
    assert bus.sink is not None
    await eventually(lambda: bus.sink is not None and bus.sink.position == 3)
    assert [fact.seq for fact in transport.facts] == [2]


async def test_market_data_goes_out_as_it_comes_and_contracts_do_not(
    bus: MessageBus, transport: MoodyTransport
) -> None:
    tick, line, contract = Event(facts.tick()), Event(facts.log()), Event(CONTRACT)
    bus.on_events([tick, contract, line])
    await eventually(lambda: len(transport.messages) == 2)
    assert transport.messages == [BusMessage(one.topic, one.frame) for one in (tick, line)]


async def test_ticks_can_be_left_off(journal: HandJournal, transport: MoodyTransport) -> None:
    bus = MessageBus(journal, BusSettings(ticks=False), transport=transport)
    await bus.start()
    bus.on_events([Event(facts.tick()), Event(facts.log())])
    await eventually(lambda: bool(transport.messages))
    assert [message.topic for message in transport.messages] == ["log"]
    await bus.stop()


async def test_a_server_that_is_down_is_told_and_caught_up_with(
    journal: HandJournal, transport: MoodyTransport
) -> None:
    transport.failure = Unavailable("gone fishing")
    journal.add(facts.order(1), facts.order(2))
    publisher = quick(journal, transport)
    await publisher.start()
    await eventually(lambda: transport.refused >= 3)
    assert (publisher.healthy, publisher.detail, publisher.lag) == (False, "gone fishing", 2)
    transport.failure = None
    await eventually(lambda: publisher.lag == 0)
    assert [fact.seq for fact in transport.facts] == [1, 2]
    assert (publisher.healthy, publisher.detail) == (True, None)
    await publisher.stop()


async def test_what_the_server_lost_is_sent_again(journal: HandJournal, transport: MoodyTransport) -> None:
    publisher = quick(journal, transport)
    await publisher.start()
    journal.add(*(facts.order(number) for number in range(1, 6)))
    publisher.notify()
    await eventually(lambda: len(transport.facts) == 5)
    # It comes back with less than it had, and says so at the next attempt.
    transport.failure = Unavailable("restarted")
    journal.add(facts.order(6))
    publisher.notify()
    await eventually(lambda: not publisher.healthy)
    del transport.facts[2:]
    transport.failure = None
    await eventually(lambda: len(transport.facts) == 6)
    assert [fact.seq for fact in transport.facts] == [1, 2, 3, 4, 5, 6]
    await publisher.stop()


async def test_what_the_server_has_is_not_sent_again_whatever_the_cursor_says(
    journal: HandJournal, transport: MoodyTransport
) -> None:
    journal.add(*(facts.order(number) for number in range(1, 6)))
    publisher = quick(journal, transport)
    await publisher.start()
    await eventually(lambda: publisher.lag == 0)
    await publisher.stop()
    assert journal.cursors["bus"] == 5
    journal.cursors["bus"] = 1
    successor = quick(journal, transport)
    await successor.start()
    journal.add(facts.order(6))
    successor.notify()
    await eventually(lambda: successor.position == 6)
    assert [fact.seq for fact in transport.facts] == [1, 2, 3, 4, 5, 6]
    await successor.stop()


async def test_a_server_that_cannot_say_is_sent_what_comes_after_the_cursor(
    journal: HandJournal, transport: MoodyTransport
) -> None:
    journal.add(*(facts.order(number) for number in range(1, 6)))
    transport.knows = False
    journal.cursors["bus"] = 3
    publisher = quick(journal, transport)
    await publisher.start()
    await eventually(lambda: publisher.lag == 0)
    assert [fact.seq for fact in transport.facts] == [4, 5]
    await publisher.stop()


async def test_a_journal_that_lost_its_end_gives_new_facts_new_ids(
    journal: HandJournal, transport: MoodyTransport
) -> None:
    journal.add(*(facts.order(number) for number in range(1, 6)))
    publisher = quick(journal, transport)
    await publisher.start()
    await eventually(lambda: publisher.lag == 0)
    await publisher.stop()
    # A power cut takes the last two, and the cursor goes back with them.
    del journal.records[3:]
    journal.cursors["bus"] = 3
    journal.add(facts.order("other"), facts.order("another"), facts.order("third"))
    successor = quick(journal, transport)
    await successor.start()
    await eventually(lambda: successor.lag == 0)
    await successor.stop()
    assert [fact.seq for fact in transport.facts] == [1, 2, 3, 4, 5, 4, 5, 6]
    assert len({fact.id for fact in transport.facts}) == 8
    assert b"another" in transport.facts[-2].body


async def test_a_fact_that_is_too_large_is_passed_over_and_told(
    bus: MessageBus, journal: HandJournal, transport: MoodyTransport
) -> None:
    transport.largest = 2_000
    bus.on_events(
        journal.add(facts.order(1), facts.order(2, rejected_reason="x" * 3_000), facts.order(3), facts.order(4))
    )
    await eventually(lambda: bus.sink is not None and bus.sink.position == 4)
    assert [fact.seq for fact in transport.facts] == [1, 3, 4]
    assert (bus.status().facts_rejected, bus.healthy) == (1, True)


async def test_a_frozen_server_holds_up_neither_publishing_nor_the_stop(
    journal: HandJournal, transport: MoodyTransport
) -> None:
    transport.frozen = True
    bus = MessageBus(journal, BusSettings(tick_buffer=10), transport=transport)
    await bus.start()
    for number in range(50):
        bus.on_events([Event(facts.tick(price=float(number)))])
        bus.on_events(journal.add(facts.order(number)))
        await asyncio.sleep(0)
    assert bus.status().market_dropped > 0
    assert bus.sink is not None
    assert bus.sink.lag == 50
    async with asyncio.timeout(8):
        await bus.stop()
    assert transport.closed


async def test_a_full_buffer_drops_the_oldest_and_counts_them(transport: MoodyTransport) -> None:
    sender = MarketSender(transport, 3)
    sender.put([BusMessage("tick.a.SHFE", b"%d" % number) for number in range(5)])
    assert (sender.dropped, sender.waiting) == (2, 3)
    await sender.start()
    await eventually(lambda: sender.sent == 3)
    assert [message.body for message in transport.messages] == [b"2", b"3", b"4"]
    sender.put([BusMessage("tick.a.SHFE", b"5")])
    await eventually(lambda: sender.sent == 4)
    await sender.stop()


@pytest.mark.parametrize("failure", [Unavailable("down"), RuntimeError("a defect")])
async def test_market_data_that_fails_is_dropped_and_what_comes_later_is_sent(
    transport: MoodyTransport, failure: Exception
) -> None:
    sender = MarketSender(transport, 100, retry_s=0.01)
    await sender.start()
    transport.failure = failure
    sender.put([BusMessage("tick.a.SHFE", b"1")])
    await eventually(lambda: sender.dropped == 1)
    assert str(failure) in str(sender.detail)
    transport.failure = None
    sender.put([BusMessage("tick.a.SHFE", b"2")])
    await eventually(lambda: sender.sent == 1)
    assert sender.detail is None
    await sender.stop()


async def test_that_the_server_is_back_is_noticed_without_market_data(transport: MoodyTransport) -> None:
    sender = MarketSender(transport, 100, retry_s=0.01)
    await sender.start()
    transport.failure = Unavailable("down")
    sender.put([BusMessage("tick.a.SHFE", b"1")])
    await eventually(lambda: transport.refused > 2)
    assert (sender.detail, sender.dropped) == ("down", 1)
    transport.failure = None
    await eventually(lambda: sender.detail is None)
    assert transport.messages == []
    await sender.stop()


async def test_commands_are_handed_over_and_answered(bus: MessageBus, transport: MoodyTransport) -> None:
    async def handle(command: BusCommand) -> bytes:
        return b"done: " + command.body

    await bus.serve(handle)
    transport.arrivals.put_nowait(BusCommand("command.order.submit", b"1", "", ""))
    await eventually(lambda: bool(transport.answers))
    assert transport.answers == [(b"1", b"done: 1")]
    assert bus.status().commands == 1


async def test_a_handler_that_fails_or_an_answer_that_is_lost_stops_nothing(transport: MoodyTransport) -> None:
    async def handle(command: BusCommand) -> bytes:
        if command.body == b"bad":
            raise KeyError("a defect")
        return b"done"

    listener = CommandListener(transport, handle, retry_s=(0.001, 0.01))
    await listener.start()
    for body in (b"bad", b"good"):
        transport.arrivals.put_nowait(BusCommand("command.order.submit", body, "", ""))
    await eventually(lambda: transport.answers == [(b"good", b"done")])
    assert "defect" in str(listener.detail)
    transport.arrivals.put_nowait(Unavailable("the connection is lost"))
    await eventually(lambda: transport.listeners == 2)
    transport.arrivals.put_nowait(BusCommand("command.order.submit", b"again", "", ""))
    await eventually(lambda: len(transport.answers) == 2)
    assert listener.detail is None
    await listener.stop()


async def test_so_many_commands_are_under_way_at_a_time(transport: MoodyTransport) -> None:
    begun, go = 0, asyncio.Event()

    async def handle(command: BusCommand) -> bytes:
        nonlocal begun
        begun += 1
        await go.wait()
        return b"done"

    listener = CommandListener(transport, handle)
    await listener.start()
    for number in range(AT_A_TIME + 10):
        transport.arrivals.put_nowait(BusCommand("command.order.submit", b"%d" % number, "", ""))
    await eventually(lambda: begun == AT_A_TIME)
    await asyncio.sleep(0)
    assert begun == AT_A_TIME
    go.set()
    await eventually(lambda: len(transport.answers) == AT_A_TIME + 10)
    await listener.stop()


async def test_a_stop_waits_for_the_answers_that_are_due(transport: MoodyTransport) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def handle(command: BusCommand) -> bytes:
        begun.set()
        await go.wait()
        return b"done"

    listener = CommandListener(transport, handle)
    await listener.start()
    transport.arrivals.put_nowait(BusCommand("command.order.submit", b"1", "", ""))
    await begun.wait()
    stopping = asyncio.create_task(listener.stop())
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert len(transport.answers) == 1


async def test_a_stop_does_not_wait_for_ever(transport: MoodyTransport) -> None:
    async def handle(command: BusCommand) -> bytes:
        await asyncio.Event().wait()
        return b""

    listener = CommandListener(transport, handle)
    await listener.start()
    transport.arrivals.put_nowait(BusCommand("command.order.submit", b"1", "", ""))
    await eventually(lambda: listener.taken == 1)
    async with asyncio.timeout(5):
        await listener.stop(timeout_s=0.01)


async def test_in_one_process_everything_is_handed_on_at_once(journal: HandJournal) -> None:
    bus = MessageBus(journal, BusSettings())
    journal.cursors["bus"] = 1  # of a server that there was before
    await bus.start()
    assert "bus" not in journal.cursors
    assert isinstance(bus.transport, MemoryTransport)
    events = [*journal.add(facts.order(1)), Event(facts.tick()), Event(CONTRACT)]
    bus.on_events(events)
    with bus.transport.subscribe("order", "tick") as subscription:
        bus.on_events(events)
        got = [await subscription.next() for _ in range(2)]
    assert [(one.topic, one.body) for one in got] == [(event.topic, event.frame) for event in events[:2]]
    assert (got[0].id.startswith("feed-1-"), got[1].id) == (True, "")
    assert (bus.sink, bus.healthy, bus.status().transport) == (None, True, "memory")
    await bus.stop()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://host:9092", "bus.url must begin with"),
        ("nats://user:s3cret@", "bus.url is not a URL"),
        ("nats://user:s3cret@host:port", "bus.url is not a URL"),
        ("redis://:s3cret@host:port", "bus.url is not a URL"),
        ("s3cret", "bus.url must begin with"),
    ],
)
def test_a_url_that_cannot_be_used_is_a_configuration_error_that_keeps_the_secret(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_transport(BusSettings(url=SecretStr(url)))
    assert said in caught.value.detail
    assert "s3cret" not in caught.value.detail


def test_an_address_is_shown_without_its_credentials() -> None:
    several = make_transport(BusSettings(url=SecretStr("nats://user:s3cret@one:4222, tls://token@two")))
    assert several.address == "nats://one:4222,tls://two"


@pytest.mark.parametrize("setting", ["credentials", "ca_file"])
def test_a_file_that_is_missing_is_a_configuration_error(setting: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"bus.{setting}"):
        make_transport(BusSettings(url=SecretStr("nats://host"), **{setting: tmp_path / "none"}))


def test_commands_need_a_secret_unless_the_server_says_who_may() -> None:
    with pytest.raises(ValidationError, match="secret"):
        BusSettings(commands="on")
    with pytest.raises(ValidationError, match="16 characters"):
        BusSettings(commands="on", secret=SecretStr("short"))
    assert BusSettings(commands="on", authorization="server").commands == "on"


_WITHOUT = """
import sys
from importlib.abc import MetaPathFinder


class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("nats", "redis"):
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Missing())
from pydantic import SecretStr
from vnpy_core.bus.message_bus import make_transport
from vnpy_core.config.bus_settings import BusSettings
from vnpy_core.errors import ConfigError

assert make_transport(BusSettings()).kind == "memory"
for url in ("nats://host", "redis://host"):
    try:
        make_transport(BusSettings(url=SecretStr(url)))
    except ConfigError as error:
        print(error.detail)
"""


def test_a_client_library_that_is_missing_is_named_and_not_missed_without_a_server() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, timeout=60, check=True)
    of_nats, of_redis = done.stdout.splitlines()
    assert "nats-py is not installed: make servers-clients" in of_nats
    assert "redis is not installed: make servers-clients" in of_redis
