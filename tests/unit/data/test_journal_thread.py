"""JournalThread: one thing after the other, whoever asks; what one raises is its own asker's."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from vnpy_core.data.journal_thread import JournalThread


@pytest.fixture
def thread() -> Iterator[JournalThread]:
    thread = JournalThread("of the test")
    yield thread
    thread.stop()


async def test_things_are_done_in_their_order_on_one_thread(thread: JournalThread) -> None:
    done: list[int] = []
    asked = [thread.run(done.append, number) for number in range(100)]
    names = {await thread.run(lambda: threading.current_thread().name) for _ in range(3)}
    await asyncio.gather(*asked)
    assert (done, names) == (list(range(100)), {"of the test"})


async def test_what_one_raises_is_told_and_the_next_is_done(thread: JournalThread) -> None:
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    thread.post(lambda: [][0])
    assert await thread.run(lambda: 7) == 7


async def test_what_nobody_waits_for_any_more_is_not_begun(thread: JournalThread) -> None:
    go, done = threading.Event(), []
    first = thread.run(go.wait, 10)
    second = thread.run(done.append, 2)
    second.cancel()
    go.set()
    await first
    await thread.run(done.append, 3)
    assert done == [3]


def test_each_loop_gets_its_own_answers(thread: JournalThread) -> None:
    async def ask(number: int) -> int:
        return await thread.run(lambda: number)

    async def cut_short() -> None:
        thread.run(lambda: 0)

    assert asyncio.run(ask(1)) == 1
    asyncio.run(cut_short())
    assert asyncio.run(ask(2)) == 2
