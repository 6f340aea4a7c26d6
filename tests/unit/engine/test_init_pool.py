"""InitPool: side by side up to its size, and no waiting at the end."""

import threading
from concurrent.futures import CancelledError

import pytest

from vnpy_core.engine.init_pool import InitPool

WAIT_S = 10.0


def test_side_by_side_up_to_the_size() -> None:
    pool = InitPool(2)
    both, leave = threading.Barrier(3), threading.Event()

    def work() -> str:
        both.wait(WAIT_S)
        assert leave.wait(WAIT_S)
        return threading.current_thread().name

    first, second = pool.submit(work), pool.submit(work)
    third = pool.submit(threading.current_thread)
    both.wait(WAIT_S)
    assert not third.running()
    leave.set()

    names = {first.result(WAIT_S), second.result(WAIT_S)}
    assert len(names) == 2
    assert third.result(WAIT_S).name in names
    assert third.result(WAIT_S).daemon
    pool.shutdown()


def test_error_goes_to_the_future() -> None:
    pool = InitPool(1)

    def leave() -> None:
        raise SystemExit(3)

    future = pool.submit(leave)
    with pytest.raises(SystemExit):
        future.result(WAIT_S)
    assert pool.submit(lambda: 5).result(WAIT_S) == 5
    pool.shutdown()


def test_shutdown_cancels_what_waits_and_waits_for_nothing() -> None:
    pool = InitPool(1)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert leave.wait(WAIT_S)

    running = pool.submit(hold)
    waiting = pool.submit(lambda: None)
    assert entered.wait(WAIT_S)

    pool.shutdown()
    pool.shutdown()
    late = pool.submit(lambda: None)
    leave.set()

    running.result(WAIT_S)
    assert late.cancelled()
    with pytest.raises(CancelledError):
        waiting.result(WAIT_S)
