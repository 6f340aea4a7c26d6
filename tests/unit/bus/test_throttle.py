"""A throttle holds ticks back and nothing else: the latest of each symbol, so often, to whom has asked for it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.unit.bus.test_hub import Client, Room, order, tick

from vnpy_core.events import Event
from vnpy_core.models import Log

LONG = 60_000


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    made = Room()
    yield made
    await made.hub.close(timeout_s=0)
    for client in made.clients:
        await client.close()


def messages(client: Client) -> list[str]:
    return [event["data"]["message"] for event in client.events]


async def settled(client: Client) -> Client:
    """Wait until all that was sent so far has come."""
    count = len(client.answers)
    await client.say({"type": "ping"})
    await client.until(lambda client: len(client.answers) > count)
    return client


async def test_the_latest_of_each_symbol_comes_when_the_time_is_over(room: Room) -> None:
    client = await room.subscribed("tick", throttle_ms=100)
    room.hub.publish([tick("rb2501", 1), tick("ag2506", 2)])
    for number in range(3, 10):
        room.hub.publish([tick("rb2501", number)])
    await client.until(lambda client: len(client.events) == 3)
    assert messages(client) == ["1", "2", "9"]
    assert client.session.status().throttle_ms == 100
    assert client.answers[0]["throttle_ms"] == 100


async def test_facts_bars_and_logs_are_not_held_back(room: Room) -> None:
    client = await room.subscribed("*", throttle_ms=LONG)
    room.hub.publish([tick("rb2501", 1)])
    line = Log(source="feed", level="INFO", message="line", datetime="")
    for number in range(3):
        room.hub.publish([tick("rb2501", number)])
        room.fact(order(number))
        room.hub.publish([Event(line, topic="bar.MINUTE.rb2501.SHFE"), Event(line)])
    await settled(client)
    topics = [event["topic"] for event in client.events]
    assert topics == ["tick.rb2501.SHFE", *(3 * ["order.updated", "bar.MINUTE.rb2501.SHFE", "log"])]


async def test_one_without_a_throttle_gets_every_tick_beside_one_with(room: Room) -> None:
    calm, eager = await room.subscribed("tick", throttle_ms=LONG), await room.subscribed("tick")
    for number in range(5):
        room.hub.publish([tick("rb2501", number)])
    await settled(calm)
    await settled(eager)
    assert messages(calm) == ["0"]
    assert messages(eager) == ["0", "1", "2", "3", "4"]


async def test_those_with_the_same_throttle_share_what_is_encoded(room: Room) -> None:
    clients = [await room.subscribed("tick", throttle_ms=50) for _ in range(3)]
    room.hub.publish([tick("rb2501", 0)])
    room.hub.publish([tick("rb2501", 1)])
    for client in clients:
        await client.until(lambda client: messages(client) == ["0", "1"])


async def test_it_can_be_changed_and_taken_back(room: Room) -> None:
    client = await room.subscribed("tick", throttle_ms=LONG)
    room.hub.publish([tick("rb2501", 1)])
    room.hub.publish([tick("rb2501", 2)])
    await client.say({"type": "subscribe", "topics": ["order"]})  # left out, it stays
    room.hub.publish([tick("rb2501", 3)])
    await client.say({"type": "subscribe", "topics": ["tick"], "throttle_ms": 0})
    room.hub.publish([tick("rb2501", 4)])
    room.hub.publish([tick("rb2501", 5)])
    await settled(client)
    assert messages(client) == ["1", "2", "3", "4", "5"]


async def test_what_is_held_comes_before_a_snapshot_and_not_again_after_it(room: Room) -> None:
    first = await room.subscribed("tick", throttle_ms=100)
    room.hub.publish([tick("rb2501", 1)])
    held = tick("rb2501", 2)
    room.state.tables["ticks"] = {"rb2501.SHFE": held}
    room.hub.publish([held])
    second = await room.subscribed("tick", throttle_ms=100, snapshot=True)
    await first.say({"type": "subscribe", "topics": ["tick"], "snapshot": True})
    await first.until(lambda client: len(client.events) == 3)
    room.hub.publish([tick("ag2506", 3)])
    for client in (first, second):
        await client.until(lambda client: messages(client)[-1] == "3")
    assert messages(first) == ["1", "2", "2", "3"]
    assert messages(second) == ["2", "3"]


async def test_after_unsubscribe_nothing_that_was_held_comes(room: Room) -> None:
    client = await room.subscribed("tick.rb2501", "tick.ag2506", throttle_ms=50)
    room.hub.publish([tick("rb2501", 1), tick("ag2506", 1)])
    room.hub.publish([tick("rb2501", 2), tick("ag2506", 2)])
    await client.say({"type": "unsubscribe", "topics": ["tick.ag2506"]})
    room.hub.publish([tick("rb2501", 3), tick("ag2506", 3)])
    await client.until(lambda client: messages(client)[-1:] == ["3"])
    assert messages(client) == ["1", "1", "2", "2", "3"]
    assert client.events[-1]["topic"] == "tick.rb2501.SHFE"


async def test_one_who_leaves_leaves_nothing_to_be_done(room: Room) -> None:
    client = await room.subscribed("tick", throttle_ms=1)
    room.hub.publish([tick("rb2501", 1)])
    room.hub.publish([tick("rb2501", 2)])
    room.hub.discard(client.session)
    await asyncio.sleep(0.01)
    await room.hub.handle(client.session, '{"type": "ping"}')
    await client.until(lambda client: len(client.answers) == 2)
    assert messages(client) == ["1"]
