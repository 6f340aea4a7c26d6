"""What every bus transport promises, over memory, NATS and Redis."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import psutil
import pytest
from tests import facts
from tests.bus_outside import MemoryOutside, NatsOutside, Outside, RedisOutside, once
from tests.servers import Nats, Redis, Server

from vnpy_core.bus.background import end
from vnpy_core.bus.memory import Delivery
from vnpy_core.errors import Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Model
from vnpy_core.ports import BusCommand, BusFact, BusMessage, BusTransport

SOURCE = "5eed"
TOPIC = "command.order.submit"
SERVERS = ("nats", "redis")


@pytest.fixture(params=["memory", *SERVERS])
def outside(request: pytest.FixtureRequest) -> Outside:
    if request.param == "memory":
        return MemoryOutside()
    kind = {"nats": NatsOutside, "redis": RedisOutside}[request.param]
    return kind(request.getfixturevalue(request.param))


@pytest.fixture
async def transport(outside: Outside) -> AsyncIterator[BusTransport]:
    made = outside.transport()
    yield made
    await made.close()


def fact(seq: int, model: Model | None = None, *, mark: str = "0") -> BusFact:
    event = Event(model or facts.order(seq), ts=facts.WHEN)
    event.seq = seq
    return BusFact(f"{SOURCE}-{seq}-{mark}", seq, event.topic, event.frame)


def delivered(*published: BusFact) -> list[Delivery]:
    return [Delivery(one.topic, one.body, one.id) for one in published]


async def test_facts_come_with_their_ids_as_they_are_and_in_order(outside: Outside, transport: BusTransport) -> None:
    published = [fact(1), fact(2, facts.trade(1)), fact(3, facts.account()), fact(7)]
    async with outside.live("order", "trade", "account") as inbox:
        assert await transport.stored(SOURCE) == ""
        await transport.store(SOURCE, published[:2])
        await transport.store(SOURCE, published[2:])
        assert await inbox.count(4) == delivered(*published)
    assert await transport.stored(SOURCE) == published[-1].id


async def test_many_facts_at_once_come_in_order(outside: Outside, transport: BusTransport) -> None:
    published = [fact(seq, None if seq % 3 else facts.trade(seq)) for seq in range(1, 1201)]
    async with outside.live("order", "trade") as inbox:
        await transport.stored(SOURCE)
        await transport.store(SOURCE, published)
        await inbox.count(1200)
    by_topic = {one.topic for one in published}
    for topic in by_topic:
        assert [one for one in inbox.seen if one.topic == topic] == delivered(
            *(one for one in published if one.topic == topic)
        )


async def test_facts_that_are_stored_again_have_the_ids_they_had(outside: Outside, transport: BusTransport) -> None:
    published = [fact(seq) for seq in range(1, 7)]
    async with outside.live("order") as inbox:
        await transport.stored(SOURCE)
        await transport.store(SOURCE, published[:3])
        await transport.stored(SOURCE)
        await transport.store(SOURCE, published[1:5])
        await transport.store(SOURCE, published[5:])
        await inbox.until(lambda seen: seen[-1:] == delivered(published[5]))
    assert once(inbox.seen) == delivered(*published)


async def test_numbers_that_other_facts_had_are_no_obstacle(outside: Outside, transport: BusTransport) -> None:
    """A journal that has lost its end gives the same numbers to other facts; see ``FactPublisher.align``."""
    first, second = [fact(1), fact(2), fact(3)], [fact(2, mark="1"), fact(3, mark="1")]
    async with outside.live("order") as inbox:
        await transport.stored(SOURCE)
        await transport.store(SOURCE, first)
        assert await transport.stored(SOURCE) == first[-1].id
        await transport.store(SOURCE, second)
        assert await inbox.count(5) == delivered(*first, *second)
    assert await transport.stored(SOURCE) == second[-1].id


async def test_sources_are_told_apart(transport: BusTransport) -> None:
    await transport.stored(SOURCE)
    await transport.store(SOURCE, [fact(1), fact(2)])
    assert not await transport.stored("0ther")


async def test_what_a_server_has_stays_when_the_service_goes(outside: Outside) -> None:
    if not outside.lasting:
        pytest.skip("the bus of one process keeps nothing")
    published = [fact(seq) for seq in range(1, 6)]
    for some in (published[:2], published[2:]):
        transport = outside.transport()
        last = await transport.stored(SOURCE)
        assert last == ("" if some[0].seq == 1 else published[1].id)
        await transport.store(SOURCE, some)
        await transport.close()
    assert await outside.kept() == delivered(*published)


async def test_market_data_comes_to_whoever_listens_and_is_no_fact(
    outside: Outside, transport: BusTransport
) -> None:
    ticks = [Event(facts.tick(price=float(number))) for number in range(300)]
    messages = [BusMessage(tick.topic, tick.frame) for tick in ticks]
    async with outside.live("tick.rb2501.SHFE") as inbox:
        for start in range(0, 300, 100):
            await transport.send(messages[start : start + 100])
        assert await inbox.count(300) == [Delivery(one.topic, one.body) for one in messages]
    assert not await transport.stored(SOURCE)
    assert await outside.kept() == []


@contextlib.asynccontextmanager
async def serving(transport: BusTransport, answer: Callable[[BusCommand], bytes]) -> AsyncIterator[list[BusCommand]]:
    """Answer commands in the background."""
    taken: list[BusCommand] = []
    commands = await transport.listen()

    async def serve() -> None:
        async with contextlib.aclosing(commands):
            async for command in commands:
                taken.append(command)
                await transport.answer(command, answer(command))

    task = asyncio.create_task(serve())
    try:
        yield taken
    finally:
        await end(task)


async def test_a_command_comes_as_it_was_sent_and_is_answered(outside: Outside, transport: BusTransport) -> None:
    async with serving(transport, lambda command: b"done: " + command.body) as taken:
        assert await outside.request(TOPIC, b'{"a": 1}', "5ign") == b'done: {"a": 1}'
        assert await outside.request("command.strategy.stop", b"\x00\xff") == b"done: \x00\xff"
    assert [(one.topic, one.body, one.signature) for one in taken] == [
        (TOPIC, b'{"a": 1}', "5ign"),
        ("command.strategy.stop", b"\x00\xff", ""),
    ]


async def test_many_commands_at_once_get_each_its_answer(outside: Outside, transport: BusTransport) -> None:
    async with serving(transport, lambda command: b"done: " + command.body):
        answers = await asyncio.gather(*(outside.request(TOPIC, b"%d" % number) for number in range(40)))
    assert answers == [b"done: %d" % number for number in range(40)]


async def test_each_command_goes_to_one_of_several_processes(outside: Outside) -> None:
    if not outside.lasting:
        pytest.skip("the bus of one process has no other")
    first, second = outside.transport(), outside.transport()
    async with serving(first, lambda _: b"1") as by_first, serving(second, lambda _: b"2") as by_second:
        for number in range(10):
            assert await outside.request(TOPIC, b"%d" % number) in (b"1", b"2")
    assert sorted(int(one.body) for one in (*by_first, *by_second)) == list(range(10))
    await first.close()
    await second.close()


async def test_a_command_is_not_echoed(outside: Outside, transport: BusTransport) -> None:
    async with outside.live("order", "command") as inbox, serving(transport, lambda _: b"done"):
        await outside.request(TOPIC, b"{}")
        await transport.stored(SOURCE)
        await transport.store(SOURCE, [fact(1)])
        await inbox.until(lambda seen: any(one.id for one in seen))
    # A consumer of commands sees the one that was sent, and nothing of ours.
    assert [one for one in inbox.seen if not one.topic.startswith("command")] == delivered(fact(1))
    assert len(inbox.seen) <= 2


@pytest.mark.parametrize("place", ["order.updated", "progress", "command.order.cancel", "tick.rb2501.SHFE"])
async def test_an_answer_does_not_go_where_events_travel(
    outside: Outside, transport: BusTransport, place: str
) -> None:
    if not outside.lasting:
        pytest.skip("an answer in one process needs no place")
    async with outside.live(place) as inbox, serving(transport, lambda _: b'{"forged": true}') as taken:
        await outside.request(TOPIC, b"{}", reply_to=f"{outside.prefix}.{place}")
        # The next answer shows that the one before was dealt with.
        await outside.request(TOPIC, b"{}")
        assert len(taken) == 2
    assert inbox.seen == []
    assert await outside.kept() == []


@pytest.fixture(params=SERVERS)
def own(request: pytest.FixtureRequest) -> Outside:
    server: Nats | Redis = request.getfixturevalue(f"own_{request.param}")
    return {"nats": NatsOutside, "redis": RedisOutside}[request.param](server)


async def each_fails_in_time(transport: BusTransport, limit_s: float) -> None:
    for attempt in (
        lambda: transport.stored(SOURCE),
        lambda: transport.store(SOURCE, [fact(1)]),
        lambda: transport.send([BusMessage("tick.a.SHFE", b"{}")]),
        transport.listen,
    ):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await attempt()
        assert time.monotonic() - began < limit_s


def running(outside: Outside) -> Server:
    assert outside.server is not None
    return outside.server


async def test_a_server_that_is_gone_is_unavailable_and_used_again_when_it_is_back(own: Outside) -> None:
    server = running(own)
    transport = own.transport(timeout_s=2.0)
    await transport.stored(SOURCE)
    await transport.store(SOURCE, [fact(1)])
    await asyncio.to_thread(server.kill)
    await each_fails_in_time(transport, 4.0)
    with pytest.raises(Unavailable):
        await transport.send([])
    await asyncio.to_thread(server.start)
    await transport.send([])
    assert await transport.stored(SOURCE) == fact(1).id
    await transport.store(SOURCE, [fact(2)])
    await transport.send([BusMessage("tick.a.SHFE", b"{}")])
    async with serving(transport, lambda _: b"done"):
        assert await own.request(TOPIC, b"{}") == b"done"
    assert await own.kept() == delivered(fact(1), fact(2))
    await transport.close()


async def test_a_frozen_server_holds_nothing_up(own: Outside) -> None:
    server = running(own)
    transport = own.transport(timeout_s=0.5)
    await transport.stored(SOURCE)
    await transport.store(SOURCE, [fact(1)])
    await transport.send([BusMessage("tick.a.SHFE", b"{}")])
    server.freeze()
    flood = [BusMessage("tick.a.SHFE", b'{"x": "%b"}' % (b"x" * 20_000))] * 500
    for _ in range(3):
        with contextlib.suppress(Unavailable):
            await transport.send(flood)
    began = time.monotonic()
    for attempt in (lambda: transport.stored(SOURCE), lambda: transport.store(SOURCE, [fact(2)]), transport.listen):
        with pytest.raises(Unavailable):
            await attempt()
    assert time.monotonic() - began < 4
    server.thaw()
    deadline = time.monotonic() + 10
    last = ""
    while not last:
        assert time.monotonic() < deadline
        with contextlib.suppress(Unavailable):
            last = await transport.stored(SOURCE) or ""
    # What was on its way when it froze may have come through.
    assert last in (fact(1).id, fact(2).id)
    await transport.store(SOURCE, [one for one in (fact(2), fact(3)) if one.id > last])
    assert once(await own.kept()) == delivered(fact(1), fact(2), fact(3))
    server.freeze()
    began = time.monotonic()
    await transport.close()
    assert time.monotonic() - began < 4
    # Sockets on which something was left to be sent are closed when the server is gone.
    await asyncio.to_thread(server.kill)
    while any(one.raddr and one.raddr.port == server.port for one in psutil.Process().net_connections("tcp")):  # noqa: ASYNC110 -- nothing tells when they are closed
        await asyncio.sleep(0.01)


async def test_the_end_of_the_connection_ends_the_commands(own: Outside) -> None:
    server = running(own)
    transport = own.transport(timeout_s=2.0)
    commands = await transport.listen()
    waiting = asyncio.create_task(anext(commands))
    await asyncio.sleep(0)
    await asyncio.to_thread(server.kill)
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await waiting
    await commands.aclose()
    await transport.close()


async def test_a_subscriber_in_the_process_that_takes_too_little_is_ended() -> None:
    outside = MemoryOutside()
    transport = outside.transport()
    with outside._transport.subscribe("tick", limit=2) as subscription:
        await transport.send([BusMessage("tick.a.SHFE", b"1"), BusMessage("tick.a.SHFE", b"2")])
        assert (await subscription.next()).body == b"1"
        await transport.send([BusMessage("tick.a.SHFE", b"3"), BusMessage("tick.a.SHFE", b"4")])
        assert [(await subscription.next()).body for _ in range(2)] == [b"2", b"3"]
        with pytest.raises(Unavailable):
            await subscription.next()
    assert not outside._transport.has_subscribers


async def test_commands_in_the_process_that_nobody_takes_are_refused() -> None:
    outside = MemoryOutside()
    with pytest.raises(Unavailable):
        await outside.request(TOPIC, b"{}")
    commands = await outside.transport().listen()
    lost = asyncio.create_task(outside.request(TOPIC, b"{}"))
    await anext(commands)
    waiting = asyncio.create_task(outside.request(TOPIC, b"{}"))
    await asyncio.sleep(0)
    await commands.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    lost.cancel()
    await asyncio.wait({lost})


