"""An outbox is bounded, keeps every fact in order, and of market data what is still of use."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnpy_core.bus.encoding import Text
from vnpy_core.bus.outbox import BURST_EVENTS, LOG_LINES, Batch, Message, Outbox, Overflow
from vnpy_core.events import Event
from vnpy_core.models import Log


def event(topic: str, number: int, *, fact: bool = False) -> Event:
    made = Event(Log(source="test", level="INFO", message=str(number), datetime=""), topic=topic)
    made.seq = number if fact else None
    return made


def batch(*events: Event) -> Batch:
    return Batch(events, sum(one.seq is not None for one in events))


def contents(outbox: Outbox) -> list[Event]:
    taken: list[Event] = []
    while (item := outbox.take()) is not None:
        assert isinstance(item, Batch)
        taken.extend(item.events)
    return taken


def test_what_fits_comes_out_as_it_went_in() -> None:
    outbox = Outbox(max_facts=10, max_market=10)
    events = [event("tick.a.SHFE", 1), event("order.updated", 2, fact=True), event("tick.a.SHFE", 3)]
    outbox.put(batch(*events))
    assert (outbox.facts, outbox.market) == (1, 2)
    assert contents(outbox) == events
    assert (outbox.facts, outbox.market, outbox.conflated) == (0, 0, 0)


def test_too_many_ticks_become_the_latest_of_each_symbol() -> None:
    outbox = Outbox(max_facts=10, max_market=4)
    outbox.blocked = True
    for number in range(5):
        outbox.put(batch(event("tick.a.SHFE", number), event("order.updated", 100 + number, fact=True)))
        outbox.put(batch(event("tick.b.SHFE", number)))
    left = [(one.topic, one.data.message) for one in contents(outbox) if isinstance(one.data, Log)]
    assert [message for topic, message in left if topic == "order.updated"] == ["100", "101", "102", "103", "104"]
    assert left[-1] == ("tick.b.SHFE", "4")
    assert outbox.conflated > 0


def test_a_burst_is_not_held_against_a_client_that_takes_what_it_is_given() -> None:
    outbox = Outbox(max_facts=10, max_market=4)
    outbox.put(batch(*(event("tick.a.SHFE", number) for number in range(1000))))
    assert (outbox.market, outbox.conflated) == (1000, 0)
    outbox.put(batch(*(event("tick.a.SHFE", number) for number in range(BURST_EVENTS))))
    assert (outbox.market, outbox.conflated) == (1, BURST_EVENTS + 999)


def test_log_lines_are_dropped_from_the_oldest_on() -> None:
    outbox = Outbox(max_facts=1, max_market=LOG_LINES)
    outbox.blocked = True
    outbox.put(batch(*(event("log", number) for number in range(LOG_LINES + 1))))
    left = contents(outbox)
    assert len(left) == LOG_LINES
    assert outbox.dropped == 1
    assert isinstance(left[0].data, Log)
    assert left[0].data.message == "1"


def test_too_many_facts_are_an_overflow() -> None:
    outbox = Outbox(max_facts=2)
    outbox.put(batch(event("order.updated", 1, fact=True), event("order.updated", 2, fact=True)))
    with pytest.raises(Overflow):
        outbox.put(batch(event("order.updated", 3, fact=True)))


TOPICS = st.sampled_from(["tick.a.X", "tick.b.X", "bar.MINUTE.a.X", "order.updated"])


@given(st.lists(st.lists(TOPICS, max_size=6)))
def test_no_fact_is_lost_and_the_latest_of_each_symbol_stays(puts: list[list[str]]) -> None:
    outbox = Outbox(max_facts=10_000, max_market=3)
    outbox.blocked = True
    number = 0
    facts: list[Event] = []
    latest: dict[str, Event] = {}
    for put in puts:
        events = []
        for topic in put:
            number += 1
            events.append(event(topic, number, fact=topic == "order.updated"))
            latest[topic] = events[-1]
        facts += [one for one in events if one.seq is not None]
        outbox.put(batch(*events))
        assert outbox.market <= max(3, 2 * 3 + 6)
    given_out = contents(outbox)
    assert [one for one in given_out if one.seq is not None] == facts
    assert set(latest.values()) <= set(given_out)
    numbers = [int(one.data.message) for one in given_out if isinstance(one.data, Log)]
    assert numbers == sorted(numbers)
    assert len(given_out) + outbox.conflated == number


def test_a_text_knows_its_bytes() -> None:
    body = '{"name":"螺纹钢"}'.encode()
    text = Text.of(body)
    assert text == body.decode()
    assert text.encode() is body
    assert text.encode("utf-16") == body.decode().encode("utf-16")


async def test_a_reader_waits_for_something_and_a_writer_for_room() -> None:
    outbox = Outbox(max_facts=10)
    reader = asyncio.create_task(outbox.ready())
    await asyncio.sleep(0)
    assert not reader.done()
    outbox.put_message(Message(Text.of(b"{}")))
    await reader
    outbox.put_message(Message(Text.of(b"{}")))
    writer = asyncio.create_task(outbox.below(2))
    await asyncio.sleep(0)
    assert not writer.done()
    outbox.take()
    await writer
