"""A sink on a thread of its own, beside a journal made by hand: nothing here touches a disk."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from vnpy_core.data.journal import JournalRecord
from vnpy_core.data.sink import JournalSink
from vnpy_core.data.sink_thread import SinkThread
from vnpy_core.errors import Unavailable


class HandJournal:
    """What a sink needs of a journal, from any thread."""

    identity = 1
    first_seq = 1

    def __init__(self) -> None:
        self.records: list[JournalRecord] = []
        self.cursors: dict[str, int] = {}
        self.reads = 0
        self.failure: Exception | None = None

    @property
    def last_seq(self) -> int:
        return len(self.records)

    def add(self, count: int = 1) -> None:
        for _ in range(count):
            self.records.append(JournalRecord(len(self.records) + 1, "order.updated", "", b""))

    async def read(self, after: int, limit: int) -> list[JournalRecord]:
        self.reads += 1
        return self.records[after : after + limit]

    async def cursor(self, name: str) -> int:
        if self.failure is not None:
            raise self.failure
        return self.cursors.get(name, 0)

    async def set_cursor(self, name: str, seq: int) -> None:
        self.cursors[name] = seq


class Notebook(JournalSink):
    """Notes the numbers and the thread. Holds its loop in ``write`` unless ``open`` is set."""

    def __init__(self, journal: Any) -> None:
        super().__init__("notebook", journal, linger_s=0.001, retry_min_s=0.005, retry_max_s=0.02)
        self.written: list[int] = []
        self.threads: set[str] = set()
        self.open = threading.Event()
        self.open.set()
        self.failure: Exception | None = None
        self.hangs = False
        self.released = False

    async def write(self, records: Sequence[JournalRecord]) -> None:
        self.threads.add(threading.current_thread().name)
        if self.hangs:
            await asyncio.Event().wait()
        assert self.open.wait(10)
        if self.failure is not None:
            raise self.failure
        self.written += [record.seq for record in records]

    async def bury(self, record: JournalRecord, reason: str) -> None:
        raise AssertionError

    async def release(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.released = True


@pytest.fixture
def journal() -> HandJournal:
    return HandJournal()


@pytest.fixture
def sink(journal: HandJournal) -> Notebook:
    return Notebook(journal)


@pytest.fixture
async def thread(sink: Notebook) -> AsyncIterator[SinkThread]:
    made = SinkThread(sink, sink.release)
    yield made
    sink.open.set()
    await made.stop()
    assert "sink-notebook" not in {each.name for each in threading.enumerate()}


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  it may be any condition
            await asyncio.sleep(0.001)


async def test_all_that_the_sink_does_is_done_on_its_thread(
    thread: SinkThread, sink: Notebook, journal: HandJournal
) -> None:
    journal.add(2)
    await thread.start()
    await eventually(lambda: thread.position == 2)
    await thread.stop()
    assert sink.written == [1, 2]
    assert sink.released
    assert sink.threads == {"sink-notebook"}
    assert journal.cursors == {"notebook": 2}


async def test_a_sink_that_holds_its_loop_does_not_hold_this_one(
    thread: SinkThread, sink: Notebook, journal: HandJournal
) -> None:
    sink.open.clear()
    journal.add()
    await thread.start()
    await eventually(lambda: bool(sink.threads))
    for _ in range(100):
        thread.notify()
        await asyncio.sleep(0)
    assert (thread.position, thread.lag) == (0, 1)
    sink.open.set()
    await eventually(lambda: thread.lag == 0)


async def test_each_fact_is_seen_when_it_is_told(thread: SinkThread, sink: Notebook, journal: HandJournal) -> None:
    await thread.start()
    for number in range(1, 101):
        journal.add()
        thread.notify()
        await eventually(lambda number=number: thread.position == number)  # type: ignore[misc]
    assert sink.written == list(range(1, 101))


async def test_no_fact_of_a_burst_is_forgotten(thread: SinkThread, sink: Notebook, journal: HandJournal) -> None:
    await thread.start()
    for _ in range(2000):
        journal.add()
        thread.notify()
        await asyncio.sleep(0)
    await eventually(lambda: thread.position == 2000)
    assert sink.written == list(range(1, 2001))


async def test_what_is_no_fact_wakes_nobody(thread: SinkThread, journal: HandJournal) -> None:
    journal.add()
    await thread.start()
    await eventually(lambda: thread.lag == 0)
    await eventually(lambda: journal.reads == 1)
    for _ in range(1000):
        thread.notify()
        await asyncio.sleep(0)
    assert journal.reads == 1


async def test_what_is_wrong_is_seen_from_here(thread: SinkThread, sink: Notebook, journal: HandJournal) -> None:
    await thread.start()
    sink.failure = Unavailable("gone fishing")
    journal.add()
    thread.notify()
    await eventually(lambda: not thread.healthy)
    assert (thread.detail, thread.lag, thread.dead_letters) == ("gone fishing", 1, 0)
    down = thread.since
    sink.failure = None
    await eventually(lambda: thread.healthy)
    assert thread.since > down
    assert sink.written == [1]


async def test_stop_writes_what_is_left(thread: SinkThread, sink: Notebook, journal: HandJournal) -> None:
    await thread.start()
    journal.add(2500)
    await thread.stop(timeout_s=60)
    assert sink.written == list(range(1, 2501))


async def test_stop_does_not_wait_longer_than_it_was_told(
    thread: SinkThread, sink: Notebook, journal: HandJournal
) -> None:
    sink.hangs = True
    journal.add()
    await thread.start()
    await eventually(lambda: bool(sink.threads))
    async with asyncio.timeout(5):
        await thread.stop(timeout_s=0.05)
    assert (thread.lag, sink.released) == (1, True)
    await thread.stop()


async def test_a_stop_that_is_given_up_leaves_nothing_behind_that_fails(
    thread: SinkThread, sink: Notebook, journal: HandJournal
) -> None:
    sink.open.clear()
    journal.add()
    await thread.start()
    await eventually(lambda: bool(sink.threads))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await thread.stop()
    sink.open.set()
    await eventually(lambda: sink.released)


async def test_it_can_be_started_again(thread: SinkThread, sink: Notebook, journal: HandJournal) -> None:
    for number in (1, 2, 3):
        journal.add()
        await thread.start()
        await thread.stop()
        assert thread.position == number
    thread.notify()
    assert sink.written == [1, 2, 3]


async def test_a_start_that_fails_says_so(thread: SinkThread, journal: HandJournal) -> None:
    journal.failure = Unavailable("no journal")
    with pytest.raises(Unavailable, match="no journal"):
        await thread.start()
    await thread.stop()
    journal.failure = None
    await thread.start()
