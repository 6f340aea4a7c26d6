"""EventWatch: who holds the event thread is told while it does, and again with the duration when it is over."""

import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest
from vnpy.event import Event

from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.event_watch import EventWatch, Occupation, SlowCallback, occupation_of

SLOW_S = 0.1
WAIT_S = 10.0


class Strategy:
    """As vn.py's templates: the name is an attribute of the instance."""

    def __init__(self, name: str) -> None:
        self.strategy_name = name
        self.entered = threading.Event()
        self.opened = threading.Event()

    def on_tick(self, event: Event) -> None:
        self.on_bar()

    def on_bar(self) -> None:
        self.entered.set()
        assert self.opened.wait(WAIT_S)

    def quick(self, event: Event) -> None:
        time.sleep(SLOW_S / 4)

    @property
    def algo_name(self) -> str:
        raise AssertionError("the watch runs no code of a strategy's")


class Handler(Strategy):
    """Neither a strategy nor an algo."""

    def __init__(self) -> None:
        super().__init__("none")
        del self.strategy_name


@pytest.fixture
def engine() -> Iterator[CoreEventEngine]:
    made = CoreEventEngine(3600)
    made.start()
    yield made
    made.stop(timeout_s=5)


@pytest.fixture
def told(engine: CoreEventEngine) -> Iterator[SimpleQueue[SlowCallback]]:
    queue: SimpleQueue[SlowCallback] = SimpleQueue()
    watch = EventWatch(engine, queue.put, slow_s=SLOW_S)
    watch.start()
    yield queue
    watch.stop()


def hold_by_event(engine: CoreEventEngine, strategy: Strategy) -> None:
    engine.register("eSlow", strategy.on_tick)
    engine.put(Event("eSlow"))


def hold_by_command(engine: CoreEventEngine, strategy: Strategy) -> None:
    engine.call(strategy.on_tick, Event("eSlow"))


@pytest.mark.parametrize("hold", [hold_by_event, hold_by_command])
def test_a_slow_callback_is_told_while_it_blocks_and_when_it_ends(
    engine: CoreEventEngine,
    told: SimpleQueue[SlowCallback],
    hold: Callable[[CoreEventEngine, Strategy], None],
) -> None:
    strategy = Strategy("slow")
    began = time.monotonic()
    hold(engine, strategy)

    slow = told.get(timeout=WAIT_S)
    assert not slow.ended
    assert engine.busy_s >= SLOW_S
    seen = slow.occupation
    assert (seen.kind, seen.owner, seen.callback) == ("strategy", "slow", "on_tick")
    assert SLOW_S <= seen.busy_s < 5 * SLOW_S
    assert "self.on_bar()" in seen.stack
    assert "assert self.opened.wait(WAIT_S)" in seen.stack
    assert "threading.py" in seen.place

    strategy.opened.set()
    over = told.get(timeout=WAIT_S)
    assert over.ended
    assert over.occupation.owner == "slow"
    assert seen.busy_s <= over.occupation.busy_s <= time.monotonic() - began
    assert engine.drain(WAIT_S)
    assert engine.busy_s == 0


def test_many_quick_callbacks_of_one_event_are_none_that_is_slow(
    engine: CoreEventEngine, told: SimpleQueue[SlowCallback]
) -> None:
    for number in range(20):
        engine.register("eTick", Strategy(f"quick {number}").quick)
    blocker = Strategy("blocker")
    engine.register("eEnd", blocker.on_tick)
    engine.put(Event("eTick"))  # for five times as long as one callback may take
    engine.put(Event("eEnd"))
    assert told.get(timeout=WAIT_S).occupation.owner == "blocker"
    blocker.opened.set()


def test_what_holds_the_thread_can_be_asked_also_if_it_is_nobodys_callback(engine: CoreEventEngine) -> None:
    assert occupation_of(engine) is None
    handler = Handler()
    engine.register("eAny", handler.on_tick)
    engine.put(Event("eAny"))
    assert handler.entered.wait(WAIT_S)
    seen = occupation_of(engine)
    handler.opened.set()
    assert isinstance(seen, Occupation)
    assert (seen.kind, seen.owner) == (None, None)
    assert seen.callback == f"{__name__}.Strategy.on_tick"
    assert "self.entered.set()" not in seen.stack
    assert "on_bar" in seen.stack
