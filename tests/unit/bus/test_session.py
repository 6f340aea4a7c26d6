"""A session sends at once what it can, and leaves the rest to its connection's task, in order and without loss."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from vnpy_core.bus.encoding import JSON
from vnpy_core.bus.outbox import Batch, Overflow
from vnpy_core.bus.session import Session
from vnpy_core.events import Event
from vnpy_core.models import Log


class Wire:
    """What the client's end of a connection has got. ``writable`` is cleared when it takes no more."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.arrived = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.broken = False

    async def send(self, text: str) -> None:
        await self.writable.wait()
        if self.broken:
            raise OSError("gone")
        self.texts.append(text)
        self.arrived.set()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def session(wire: Wire) -> AsyncIterator[Session]:
    """A session whose task waits for something to send."""
    made = Session("ws-1", None, max_facts=100)
    task = asyncio.create_task(made.send_all(wire.send))
    await asyncio.sleep(0)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def batch(number: int, facts: int = 0) -> Batch:
    data = Log(source="feed", level="INFO", message=str(number), datetime="")
    return Batch([Event(data, topic="tick.rb2501.SHFE")], facts)


def numbers(wire: Wire) -> list[int]:
    return [int(event["data"]["message"]) for text in wire.texts for event in msgspec.json.decode(text.encode())]


async def until(wire: Wire, count: int) -> None:
    async with asyncio.timeout(5):
        while len(wire.texts) < count:
            wire.arrived.clear()
            await wire.arrived.wait()


async def test_what_can_be_sent_is_sent_before_deliver_returns(session: Session, wire: Wire) -> None:
    session.deliver(batch(1))
    session.deliver(batch(2))
    assert numbers(wire) == [1, 2]
    assert (session.status().sent_frames, session.status().sent_events) == (2, 2)


async def test_what_has_to_wait_goes_out_first_once_the_client_reads(session: Session, wire: Wire) -> None:
    session.deliver(batch(1))
    wire.writable.clear()
    for number in range(2, 6):
        session.deliver(batch(number))
    assert numbers(wire) == [1]
    assert session.status().queued_market == 3  # one is in hand
    wire.writable.set()
    await until(wire, 5)
    session.deliver(batch(6))
    assert numbers(wire) == [1, 2, 3, 4, 5, 6]
    assert session.status().sent_frames == 6


async def test_nothing_overtakes_an_answer_that_waits(session: Session, wire: Wire) -> None:
    session.show(JSON.array([]), 0)
    session.deliver(batch(1))
    await until(wire, 2)
    assert wire.texts[0] == "[]"
    assert numbers(wire) == [1]


async def test_facts_that_wait_behind_a_stalled_client_are_bounded(session: Session, wire: Wire) -> None:
    wire.writable.clear()
    session.deliver(batch(1, facts=1))
    for number in range(100):
        session.deliver(batch(number, facts=1))
    with pytest.raises(Overflow):
        session.deliver(batch(101, facts=1))


async def test_a_send_that_fails_at_once_ends_the_task_and_not_the_caller(wire: Wire) -> None:
    session = Session("ws-1", None, max_facts=100)
    task = asyncio.create_task(session.send_all(wire.send))
    await asyncio.sleep(0)
    wire.broken = True
    session.deliver(batch(1))
    session.deliver(batch(2))
    with pytest.raises(OSError, match="gone"):
        await asyncio.wait_for(task, 5)


async def test_a_send_that_fails_later_ends_the_task(wire: Wire) -> None:
    session = Session("ws-1", None, max_facts=100)
    task = asyncio.create_task(session.send_all(wire.send))
    await asyncio.sleep(0)
    wire.writable.clear()
    session.deliver(batch(1))
    await asyncio.sleep(0)
    wire.broken = True
    wire.writable.set()
    with pytest.raises(OSError, match="gone"):
        await asyncio.wait_for(task, 5)


async def test_a_cancel_reaches_the_send_that_waits(wire: Wire) -> None:
    ended = []

    async def send(text: str) -> None:
        try:
            await wire.send(text)
        finally:
            ended.append(text)

    session = Session("ws-1", None, max_facts=100)
    task = asyncio.create_task(session.send_all(send))
    await asyncio.sleep(0)
    wire.writable.clear()
    session.deliver(batch(1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(ended) == 1
    assert wire.texts == []


async def test_a_send_begun_and_never_awaited_is_closed(wire: Wire) -> None:
    session = Session("ws-1", None, max_facts=100)
    task = asyncio.create_task(session.send_all(wire.send))
    await asyncio.sleep(0)
    wire.writable.clear()
    session.deliver(batch(1))
    task.cancel()  # before the task has had its turn
    with pytest.raises(asyncio.CancelledError):
        await task
    session.deliver(batch(2))
    assert session.status().queued_market == 1
