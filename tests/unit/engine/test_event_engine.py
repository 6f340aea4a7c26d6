"""CoreEventEngine: vn.py's API and order, isolation, the command lane, start and stop, readings of itself."""

import asyncio
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from vnpy.event import EVENT_TIMER, Event, EventEngine
from vnpy.trader.engine import MainEngine

from vnpy_core.engine.command_lane import CommandLane
from vnpy_core.engine.event_engine import EVENT_CORE_ALERT, CoreEventEngine
from vnpy_core.errors import Unavailable
from vnpy_core.models import Alert

WAIT_S = 10.0


@pytest.fixture
def engine() -> Iterator[CoreEventEngine]:
    # A timer that never fires, unless a test wants one.
    made = CoreEventEngine(3600)
    yield made
    made.stop(timeout_s=2)
    assert not made._thread.is_alive()
    assert not made._timer.is_alive()


class Gate:
    """A handler that holds the event thread until it is opened."""

    def __init__(self, engine: CoreEventEngine) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        engine.register("eGate", self)

    def __call__(self, event: Event) -> None:
        self.entered.set()
        assert self.opened.wait(WAIT_S)

    def hold(self, engine: CoreEventEngine) -> None:
        engine.put(Event("eGate"))
        assert self.entered.wait(WAIT_S)


def collect(engine: CoreEventEngine, *types: str) -> list[Any]:
    seen: list[Any] = []
    for type_ in types:
        engine.register(type_, lambda event: seen.append(event.data))
    return seen


def exit_code(code: int) -> Callable[[Event], None]:
    return lambda event: sys.exit(code)


def raising(error: BaseException) -> Callable[[Event], None]:
    def handler(event: Event) -> None:
        raise error

    return handler


def test_is_vnpys_engine_with_all_its_methods() -> None:
    assert issubclass(CoreEventEngine, EventEngine)
    own = {name for name in vars(EventEngine) if not name.startswith("_")}
    assert own <= set(dir(CoreEventEngine))


def test_handlers_run_in_order_then_the_general_ones_then_the_taps(engine: CoreEventEngine) -> None:
    calls: list[str] = []
    engine.tap("eA", lambda event: calls.append("tap"))
    engine.register_general(lambda event: calls.append("general"))
    engine.register("eA", lambda event: calls.append("first"))
    engine.register("eA", lambda event: calls.append("second"))
    engine.start()
    engine.put(Event("eA"))
    engine.put(Event("eOther"))
    assert engine.drain(WAIT_S)
    assert calls == ["first", "second", "general", "tap", "general"]


def test_a_handler_is_registered_once_and_unregistered_for_good(engine: CoreEventEngine) -> None:
    seen: list[Any] = []

    def handler(event: Event) -> None:
        seen.append(event.data)

    for _ in range(2):
        engine.register("eA", handler)
        engine.register_general(handler)
    engine.start()
    engine.put(Event("eA", 1))
    assert engine.drain(WAIT_S)
    assert seen == [1, 1]
    engine.unregister("eA", handler)
    engine.unregister_general(handler)
    engine.unregister("eNever", handler)
    engine.unregister_general(handler)
    engine.put(Event("eA", 2))
    assert engine.drain(WAIT_S)
    assert seen == [1, 1]


def test_events_arrive_in_order_from_many_threads(engine: CoreEventEngine) -> None:
    seen = collect(engine, "eA")
    engine.start()
    producers = [
        threading.Thread(target=lambda name=name: [engine.put(Event("eA", (name, number))) for number in range(2000)])
        for name in range(4)
    ]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    assert engine.drain(WAIT_S)
    for name in range(4):
        assert [number for owner, number in seen if owner == name] == list(range(2000))


@pytest.mark.parametrize("error", [ValueError("bug"), SystemExit(1), queue.Empty(), KeyboardInterrupt(), MemoryError()])
def test_e1_a_raising_handler_is_isolated(
    engine: CoreEventEngine, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """E1: the stock engine's thread dies of any exception; queue.Empty it swallows; SystemExit leaves no trace."""
    told: list[tuple[str, BaseException]] = []
    engine.on_error = lambda event_type, handler, raised: told.append((event_type, raised))
    engine.register("eA", raising(error))
    later = collect(engine, "eA")
    engine.start()
    with caplog.at_level(logging.ERROR):
        engine.put(Event("eA", 1))
        engine.put(Event("eA", 2))
        assert engine.drain(WAIT_S)
    assert later == [1, 2]
    assert engine.is_alive()
    assert told == [("eA", error), ("eA", error)]
    stats = engine.stats()
    assert stats.errors == 2
    assert list(stats.errors_by_handler.values()) == [2]
    assert "raising" in next(iter(stats.errors_by_handler))
    assert all(record.exc_info for record in caplog.records)
    assert len(caplog.records) == 2


def test_a_broken_on_error_is_isolated_too(engine: CoreEventEngine) -> None:
    def broken(event_type: str, handler: object, error: BaseException) -> None:
        raise RuntimeError("in on_error")

    engine.on_error = broken
    engine.register("eA", exit_code(3))
    later = collect(engine, "eA")
    engine.start()
    engine.put(Event("eA", 1))
    assert engine.drain(WAIT_S)
    assert later == [1]


def test_errors_of_a_handler_do_not_flood_the_log(engine: CoreEventEngine, caplog: pytest.LogCaptureFixture) -> None:
    engine.register("eA", raising(ValueError("bug")))
    engine.start()
    with caplog.at_level(logging.ERROR):
        for _ in range(500):
            engine.put(Event("eA"))
        assert engine.drain(WAIT_S)
    assert engine.stats().errors == 500
    assert len(caplog.records) < 100


def test_what_is_not_an_event_does_not_end_the_thread(engine: CoreEventEngine) -> None:
    seen = collect(engine, "eA")
    engine.start()
    for thing in (None, "text", Event([], 1)):  # type: ignore[arg-type]
        engine.put(thing)  # type: ignore[arg-type]
    engine.put(Event("eA", 1))
    assert engine.drain(WAIT_S)
    assert seen == [1]
    assert engine.stats().errors == 3


class _AsyncCallable:
    async def __call__(self, event: Event) -> None: ...


async def _coroutine(event: Event) -> None: ...


async def _generator(event: Event) -> Any:
    yield event


@pytest.mark.parametrize("handler", [_coroutine, _generator, _AsyncCallable(), _AsyncCallable().__call__])
def test_e4_a_coroutine_function_is_refused(engine: CoreEventEngine, handler: Any) -> None:
    """E4: the stock engine calls it and nobody awaits the result."""
    for register in (engine.register_general, lambda h: engine.register("eA", h), lambda h: engine.tap("eA", h)):
        with pytest.raises(TypeError, match="coroutine"):
            register(handler)


def test_e6_unregistering_in_a_handler_skips_no_neighbour(engine: CoreEventEngine) -> None:
    """E6: in the stock engine the list shifts under the loop."""
    calls: list[str] = []

    def once(event: Event) -> None:
        calls.append("once")
        engine.unregister("eA", once)

    engine.register("eA", once)
    engine.register("eA", lambda event: calls.append("neighbour"))
    engine.start()
    engine.put(Event("eA"))
    engine.put(Event("eA"))
    assert engine.drain(WAIT_S)
    assert calls == ["once", "neighbour", "neighbour"]


def test_registering_in_a_handler_counts_from_the_next_event(engine: CoreEventEngine) -> None:
    seen: list[Any] = []
    engine.register("eA", lambda event: engine.register("eA", late))

    def late(event: Event) -> None:
        seen.append(event.data)

    engine.start()
    engine.put(Event("eA", 1))
    engine.put(Event("eA", 2))
    assert engine.drain(WAIT_S)
    assert seen == [2]


def test_commands_overtake_events_and_keep_their_order(engine: CoreEventEngine) -> None:
    calls: list[Any] = []
    engine.register("eA", lambda event: calls.append(event.data))
    gate = Gate(engine)
    engine.start()
    gate.hold(engine)
    for number in range(50):
        engine.put(Event("eA", number))
    futures = [engine.call(calls.append, f"command {number}") for number in range(5)]
    gate.opened.set()
    for future in futures:
        future.result(WAIT_S)
    assert engine.drain(WAIT_S)
    assert calls == [*(f"command {number}" for number in range(5)), *range(50)]
    assert engine.stats().commands == 5


def test_a_flood_of_commands_lets_events_through() -> None:
    """Each round runs what waits at its start; an event follows, and then the commands that came meanwhile."""
    lane = CommandLane(wake=lambda: None)
    lane.open()
    ran: list[int] = []

    def command(number: int) -> None:
        ran.append(number)
        lane.submit(command, number + 1)

    lane.submit(command, 0)
    lane.run()
    assert ran == [0]
    lane.run()
    assert ran == [0, 1]


def test_call_runs_on_the_event_thread_and_returns_the_result(engine: CoreEventEngine) -> None:
    engine.start()
    assert engine.call(lambda a, *, b: (threading.current_thread().name, a + b), 1, b=2).result(WAIT_S) == (
        "event-engine",
        3,
    )
    with pytest.raises(KeyError):
        engine.call({}.__getitem__, "missing").result(WAIT_S)
    assert not engine.in_event_thread
    assert engine.call(lambda: engine.in_event_thread).result(WAIT_S)


def test_call_wakes_an_idle_engine_every_time(engine: CoreEventEngine) -> None:
    engine.start()
    for number in range(1000):
        assert engine.call(lambda value: value, number).result(WAIT_S) == number


def test_call_from_the_event_thread_runs_at_once(engine: CoreEventEngine) -> None:
    outcome: list[Any] = []

    def handler(event: Event) -> None:
        future = engine.call(lambda: "inner")
        outcome.append((future.done(), future.result(0)))

    engine.register("eA", handler)
    engine.start()
    engine.put(Event("eA"))
    assert engine.drain(WAIT_S)
    assert outcome == [(True, "inner")]
    assert engine.call(lambda: engine.call(lambda: "nested").result(0)).result(WAIT_S) == "nested"


def test_a_cancelled_command_is_not_run(engine: CoreEventEngine) -> None:
    ran: list[int] = []
    gate = Gate(engine)
    engine.start()
    gate.hold(engine)
    first, second = engine.call(ran.append, 1), engine.call(ran.append, 2)
    assert first.cancel()
    gate.opened.set()
    second.result(WAIT_S)
    assert ran == [2]


@pytest.mark.parametrize("error", [SystemExit(1), StopIteration(), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_what_asyncio_cannot_carry_arrives_as_a_runtime_error(
    engine: CoreEventEngine, error: BaseException
) -> None:
    engine.start()

    def command() -> None:
        raise error

    with pytest.raises(RuntimeError) as caught:
        await asyncio.wait_for(asyncio.wrap_future(engine.call(command)), WAIT_S)
    assert caught.value.__cause__ is error
    assert engine.is_alive()


def test_call_before_start_and_after_stop_answers_unavailable(engine: CoreEventEngine) -> None:
    for prepare in (lambda: None, engine.start):
        prepare()
        engine.stop()
        future: Future[None] = engine.call(lambda: None)
        with pytest.raises(Unavailable):
            future.result(0)


def test_commands_accepted_before_a_stop_are_answered(engine: CoreEventEngine) -> None:
    gate = Gate(engine)
    engine.start()
    gate.hold(engine)
    future = engine.call(lambda: "done")
    stopper = threading.Thread(target=engine.stop)
    stopper.start()
    gate.opened.set()
    stopper.join(WAIT_S)
    assert future.result(WAIT_S) == "done"


def test_a_stop_that_a_handler_blocks_gives_up_and_refuses_the_commands(engine: CoreEventEngine) -> None:
    gate = Gate(engine)
    engine.start()
    gate.hold(engine)
    future = engine.call(lambda: "never")
    engine.put(Event("eLeft"))
    engine.stop(timeout_s=0.05)
    with pytest.raises(Unavailable):
        future.result(0)
    # It starts again all the same: the new thread takes over when the old one is free.
    seen = collect(engine, "eA")
    engine.start()
    engine.put(Event("eA", 1))
    gate.opened.set()
    assert engine.drain(WAIT_S)
    assert seen == [1]
    assert engine.call(lambda: "again").result(WAIT_S) == "again"


def test_e8_every_order_of_start_and_stop(engine: CoreEventEngine) -> None:
    """E8: all of these raise RuntimeError with the stock engine."""
    engine.stop()
    engine.start()
    engine.start()
    assert engine.is_alive()
    engine.stop()
    engine.stop()
    assert not engine.is_alive()
    seen = collect(engine, "eA")
    engine.put(Event("eA", "put while stopped"))
    engine.start()
    engine.put(Event("eA", "put after restart"))
    assert engine.drain(WAIT_S)
    assert seen == ["put while stopped", "put after restart"]


def test_e8_a_main_engine_takes_an_engine_that_runs() -> None:
    """E8: the stock MainEngine starts its engine a second time."""
    engine = CoreEventEngine(3600)
    engine.start()
    main = MainEngine(engine)
    assert main.event_engine is engine
    main.close()
    assert not engine.is_alive()


def test_e8_stop_from_a_handler(engine: CoreEventEngine) -> None:
    """E8: the stock engine joins its own thread."""
    seen = collect(engine, "eA")
    engine.register("eStop", lambda event: engine.stop())
    engine.start()
    thread = engine._thread
    engine.put(Event("eStop"))
    engine.put(Event("eA", "after"))
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert seen == ["after"]
    engine.start()
    assert engine.call(lambda: 1).result(WAIT_S) == 1


def test_restart_from_a_handler_never_makes_two_event_threads(engine: CoreEventEngine) -> None:
    overlaps: list[bool] = []
    restarted, busy = threading.Event(), threading.Lock()

    def restart(event: Event) -> None:
        engine.stop()
        engine.start()
        restarted.set()

    def handle(event: Event) -> None:
        overlaps.append(not busy.acquire(blocking=False))
        if not overlaps[-1]:
            busy.release()

    engine.register("eRestart", restart)
    engine.register("eA", handle)
    engine.start()
    engine.put(Event("eRestart"))
    for _ in range(2000):
        engine.put(Event("eA"))
    assert restarted.wait(WAIT_S)
    assert engine.drain(WAIT_S)
    assert overlaps == [False] * 2000
    assert engine.call(lambda: engine.in_event_thread).result(WAIT_S)


def test_e9_stop_dispatches_what_was_queued(engine: CoreEventEngine) -> None:
    """E9: the stock engine drops it."""
    seen = collect(engine, "eA", "eFollow")
    engine.register("eA", lambda event: engine.put(Event("eFollow", "follow")) if event.data == 4999 else None)
    gate = Gate(engine)
    engine.start()
    gate.hold(engine)
    for number in range(5000):
        engine.put(Event("eA", number))
    stopper = threading.Thread(target=engine.stop)
    stopper.start()
    gate.opened.set()
    stopper.join(WAIT_S)
    assert seen == [*range(5000), "follow"]


def test_e11_its_threads_are_daemons_and_the_timer_stops_at_once(engine: CoreEventEngine) -> None:
    """E11: the stock engine's threads keep the process alive; its timer sleeps a whole interval (an hour here)."""
    engine.start()
    assert engine._thread.daemon
    assert engine._timer.daemon
    engine.stop(timeout_s=5)
    assert not engine._timer.is_alive()


def test_the_timer_puts_its_event() -> None:
    engine = CoreEventEngine(0.01)
    ticked = threading.Event()
    engine.register(EVENT_TIMER, lambda event: ticked.set())
    engine.start()
    assert ticked.wait(WAIT_S)
    engine.stop()


def test_drain_says_whether_it_did(engine: CoreEventEngine) -> None:
    assert engine.drain(0)
    engine.put(Event("eA"))
    assert not engine.drain(0)
    gate = Gate(engine)
    engine.start()
    gate.hold(engine)
    assert not engine.drain(0.01)
    gate.opened.set()
    assert engine.drain(WAIT_S)


def test_e5_high_water_alert_overtakes_the_queue_and_is_resolved() -> None:
    """E5: the queue has no bound, and nobody is told that it grows."""
    engine = CoreEventEngine(3600, high_water=100)
    calls: list[Any] = []
    engine.register("eA", lambda event: calls.append(event.data))
    engine.tap(EVENT_CORE_ALERT, lambda event: calls.append(event.data))
    gate = Gate(engine)
    engine.start()
    gate.hold(engine)
    for number in range(400):
        engine.put(Event("eA", number))
    gate.opened.set()
    assert engine.drain(WAIT_S)
    alerts = [each for each in calls if isinstance(each, Alert)]
    assert [alert.resolved for alert in alerts] == [False, True]
    assert alerts[0].alert_id == alerts[1].alert_id == "event_queue_depth"
    assert calls.index(alerts[0]) <= 16  # one event in sixteen looks at the depth
    assert not engine.stats().high_water_reached
    engine.stop()


def test_stats_tell_depth_lag_and_handler_time(engine: CoreEventEngine) -> None:
    assert engine.stats().lag_p50_ms is None
    assert not engine.stats().running
    gate = Gate(engine)
    seen = collect(engine, "eA")
    engine.start()
    gate.hold(engine)
    for number in range(200):
        engine.put(Event("eA", number))
    assert engine.stats().queue_depth >= 200
    gate.opened.set()
    assert engine.drain(WAIT_S)
    for number in range(200):
        engine.put(Event("eA", number))
    assert engine.drain(WAIT_S)
    stats = engine.stats()
    assert len(seen) == 400
    assert stats.processed == 401
    assert stats.queue_depth == 0
    assert stats.running
    assert stats.lag_p50_ms is not None
    assert stats.lag_p99_ms is not None
    assert stats.lag_max_ms is not None
    assert 0 <= stats.lag_p50_ms <= stats.lag_p99_ms <= stats.lag_max_ms
    assert 0 < stats.handler_max_ms <= stats.handler_ms
    assert stats.handler_p50_ms is not None
    assert stats.stalled_s == 0


def test_what_handlers_take_is_counted_by_bucket_and_never_less_than_before(engine: CoreEventEngine) -> None:
    engine.register("slow", lambda event: time.sleep(0.02))
    engine.start()
    for number in range(200):
        engine.put(Event("slow" if number % 100 == 0 else "quick"))
    assert engine.drain(10)
    reading = engine.handler_seconds()
    at_most = dict(zip(reading.bounds, reading.cumulative, strict=False))
    assert reading.count - at_most[0.01] == 2
    assert at_most[0.001] >= 198
    assert reading.sum == pytest.approx(engine.stats().handler_ms / 1000)
    assert engine.lag_seconds().count >= 1
    engine.call(lambda: time.sleep(0.02)).result(10)  # a command is no event
    assert engine.drain(10)
    later = engine.handler_seconds()
    assert all(now >= before for now, before in zip(later.cumulative, reading.cumulative, strict=True))
    assert later.count - later.cumulative[2] == 2


def test_a_blocked_event_thread_shows_as_stalled() -> None:
    engine = CoreEventEngine(0.01)
    gate = Gate(engine)
    engine.start()
    gate.hold(engine)
    deadline = threading.Event()
    while engine.stats().stalled_s == 0:
        assert not deadline.wait(0.005)
    gate.opened.set()
    assert engine.drain(WAIT_S)
    engine.stop()


def test_general_handlers_do_not_see_the_engines_own_marks(engine: CoreEventEngine) -> None:
    seen: list[str] = []
    engine.register_general(lambda event: seen.append(event.type))
    engine.start()
    engine.put(Event("eA"))
    engine.call(lambda: None).result(WAIT_S)
    assert engine.drain(WAIT_S)
    assert seen == ["eA"]
    assert engine.stats().processed == 1
