"""CoreEventEngine: vn.py's event engine with isolated handlers, a lane for commands, and readings of itself."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import ParamSpec, TypeVar

from vnpy.event import EVENT_TIMER, Event, EventEngine

from vnpy_core.engine.command_lane import CommandLane, fulfil
from vnpy_core.engine.handlers import Handler, HandlerTable, name_of
from vnpy_core.engine.measurements import EngineStats, ErrorLedger, Window
from vnpy_core.instruments import Histogram, Reading
from vnpy_core.models import Alert, now_timestamp

__all__ = ["EVENT_CORE_ALERT", "QUEUE_ALERT_ID", "CoreEventEngine", "EngineStats"]

EVENT_CORE_ALERT = "eCoreAlert"
QUEUE_ALERT_ID = "event_queue_depth"

# Marks in the queue: not events, and seen by no handler but the engine's own.
_WAKE, _PROBE, _MARK, _STOP = "eCore:wake", "eCore:probe", "eCore:mark", "eCore:stop"
_SAMPLE_MASK = 15
_SLOW_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_STOP_ROUNDS = 3

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)


class _Run:
    """The threads between one ``start`` and the next ``stop``."""

    def __init__(self, previous: threading.Thread) -> None:
        self.active = True
        self.stopping = threading.Event()
        self.rounds = _STOP_ROUNDS
        self.previous = previous
        self.progress_at = time.monotonic()


class CoreEventEngine(EventEngine):
    """Takes the place of vn.py's engine, for every app and gateway. All methods may be called from any thread.

    Handlers of a type run in the order in which they were registered, then the general ones, then the taps. Whatever
    one of them raises (SystemExit too) is logged, counted, and given to ``on_error`` as ``(event_type, handler,
    error)``; the others run all the same.

    The queue is unbounded, as vn.py's gateways have no way to wait. When it holds ``high_water`` events, an
    ``EVENT_CORE_ALERT`` with a ``models.Alert`` is dispatched ahead of it, and another one when it is below half.
    """

    def __init__(self, interval: float = 1, *, high_water: int = 50_000) -> None:
        # Not super().__init__(): it would make a queue and two threads that are never used.
        self.on_error: Callable[[str, object, BaseException], None] | None = None
        self._timer_interval_s = interval
        self._high_water = high_water
        self._high = False
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._enqueue = self._events.put
        self._registry = HandlerTable()
        self._registry.by_type.update(
            {_WAKE: (self._on_wake,), _PROBE: (self._on_probe,), _MARK: (self._on_mark,), _STOP: (self._on_stop,)}
        )
        self._lane = CommandLane(wake=lambda: self._enqueue(Event(_WAKE)))
        self._state_lock = threading.Lock()
        self._current: _Run | None = None
        self._thread = threading.Thread()
        self._timer = threading.Thread()
        self._local = threading.local()
        self._probe_due = True
        self._processed = 0
        self._busy_since = 0.0
        self._marks = 0
        self._busy_s = 0.0
        self._busy_max_s = 0.0
        self._lags = Window()
        self._durations = Window()
        self._lag_histogram = Histogram()
        self._slow = Histogram(_SLOW_S)
        self._slow_over_s = 0.0
        self._errors = ErrorLedger()

    def put(self, event: Event) -> None:
        if self._probe_due:
            self._probe_due = False
            self._enqueue(Event(_PROBE, perf_counter()))
        self._enqueue(event)

    def register(self, type: str, handler: Handler) -> None:
        """Call ``handler`` with each event of ``type``; once, however often it is registered.

        Raises:
            TypeError: the handler is a coroutine function: nobody would await it.
        """
        self._registry.add(type, handler)

    def unregister(self, type: str, handler: Handler) -> None:
        self._registry.remove(type, handler)

    def register_general(self, handler: Handler) -> None:
        self._registry.add_general(handler)

    def unregister_general(self, handler: Handler) -> None:
        self._registry.remove_general(handler)

    def unregister_owner(self, owner: object) -> None:
        """Unregister every handler that is a method of ``owner``."""
        self._registry.remove_owner(owner)

    def tap(self, type: str, handler: Handler) -> None:
        """Call ``handler`` with each event of ``type``, after all other handlers of it."""
        self._registry.add_tap(type, handler)

    def untap(self, type: str, handler: Handler) -> None:
        self._registry.remove_tap(type, handler)

    def start(self) -> None:
        """Start the threads; nothing happens if they run. Events put before are dispatched now."""
        with self._state_lock:
            if self._current is not None and not self._current.stopping.is_set():
                return
            run = self._current = _Run(self._thread)
            self._thread = threading.Thread(target=self._consume, args=(run,), name="event-engine", daemon=True)
            self._timer = threading.Thread(target=self._tick, args=(run,), name="event-timer", daemon=True)
            self._lane.open()
            self._thread.start()
            self._timer.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Dispatch what is queued, for at most ``timeout_s``, and end the threads; nothing happens if they ended.

        Commands are refused from now on. Called on the event thread it returns at once, and the rest is dispatched
        after it.
        """
        with self._state_lock:
            run, thread, timer = self._current, self._thread, self._timer
            if run is None:
                return
            if not run.stopping.is_set():
                run.stopping.set()
                self._lane.close()
                self._enqueue(Event(_STOP, run))
        if self.in_event_thread:
            return
        thread.join(timeout_s)
        if thread.is_alive():
            run.active = False
            self._enqueue(Event(_WAKE))
            thread.join(1.0)
        if thread.is_alive():
            logger.error("A handler holds the event thread, which cannot end; %d events wait", self.queue_depth)
        elif self.queue_depth:
            logger.warning("The event engine has stopped with %d events not dispatched", self.queue_depth)
        timer.join(timeout_s)
        with self._state_lock:
            if self._current is run:
                self._current = None
                self._lane.refuse()

    def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` on the event thread, ahead of all queued events and in the order of the calls.

        On the event thread itself it runs at once. While the engine does not run, the future holds ``Unavailable``. A
        future that is cancelled before its turn is not run.
        """
        if not self.in_event_thread:
            return self._lane.submit(fn, *args, **kwargs)
        future: Future[T] = Future()
        fulfil(future, lambda: fn(*args, **kwargs))
        return future

    def dispatch(self, event: Event) -> None:
        """Handle ``event`` now, ahead of all that are queued. On the event thread."""
        for handler in self._registry.get(event.type):
            try:
                handler(event)
            except BaseException as error:  # noqa: BLE001 - as in _dispatch_queued
                self._failed(event.type, handler, error)

    def drain(self, timeout_s: float) -> bool:
        """Wait until all that is queued now has been dispatched, and tell whether it was.

        On the event thread, and while the engine does not run, it does not wait.
        """
        if self.in_event_thread or not self.is_alive():
            return self.queue_depth == 0
        reached = threading.Event()
        self._enqueue(Event(_MARK, reached))
        return reached.wait(timeout_s)

    def waiting(self) -> list[Event]:
        """Return the events that wait, and leave them there. Only while a handler holds the event thread: what is put
        meanwhile may overtake them."""
        found: list[Event] = []
        try:
            while True:
                found.append(self._events.get_nowait())
        except Empty:
            for event in found:
                self._enqueue(event)
        return found

    def is_alive(self) -> bool:
        run = self._current
        return run is not None and not run.stopping.is_set() and self._thread.is_alive() and self._timer.is_alive()

    @property
    def in_event_thread(self) -> bool:
        return getattr(self._local, "inside", False)

    @property
    def queue_depth(self) -> int:
        return self._events.qsize()

    @property
    def busy_s(self) -> float:
        """For how long the event thread has been at one event, or one round of commands; 0: it waits for the next."""
        since = self._busy_since
        return perf_counter() - since if since else 0.0

    @property
    def stalled_s(self) -> float:
        """For how long it has made no progress: the timer gives it something to do each second; 0: it does."""
        run = self._current
        silent_s = time.monotonic() - run.progress_at if run is not None else 0.0
        longest_s = max(self.busy_s, silent_s)
        return longest_s if longest_s > 2 * self._timer_interval_s else 0.0

    @property
    def thread_id(self) -> int | None:
        return self._thread.ident

    def lag_seconds(self) -> Reading:
        """Return how late events were dispatched, in the sample that ``stats`` is of too."""
        return self._lag_histogram.read()

    def handler_seconds(self) -> Reading:
        """Return what the handlers of each event took; one without handlers took no time."""
        slow = self._slow.read()
        quick = max(0, self._processed + self._marks - slow.count)
        return Reading(slow.bounds, tuple(quick + count for count in slow.cumulative), self._busy_s)

    def stats(self) -> EngineStats:
        lags, durations = self._lags.percentiles_ms(), self._durations.percentiles_ms()
        return EngineStats(
            running=self.is_alive(),
            queue_depth=self.queue_depth,
            processed=self._processed,
            commands=self._lane.done,
            lag_p50_ms=lags[0],
            lag_p99_ms=lags[1],
            lag_max_ms=lags[2],
            handler_ms=self._busy_s * 1000,
            handler_p50_ms=durations[0],
            handler_p99_ms=durations[1],
            handler_max_ms=self._busy_max_s * 1000,
            errors=self._errors.total,
            errors_by_handler=dict(self._errors.by_handler),
            high_water_reached=self._high,
            stalled_s=self.stalled_s,
        )

    def _consume(self, run: _Run) -> None:
        if run.previous.is_alive():
            run.previous.join()  # a stop that did not wait, or gave up: there is one event thread at a time
        self._local.inside = True
        while run.active:
            try:
                self._dispatch_queued(run)
            except BaseException as error:  # noqa: BLE001 - what was put is not an event
                self._failed("?", self.put, error)
        if self._current is run:
            self._lane.run()

    def _dispatch_queued(self, run: _Run) -> None:
        get, waiting, by_type = self._events.get, self._lane.waiting, self._registry.by_type
        while run.active:
            event = get()
            if waiting:
                self._busy_since = perf_counter()
                self._lane.run()
                self._busy_since = 0.0
            count = self._processed = self._processed + 1
            if not count & _SAMPLE_MASK:
                self._probe_due = True
                self._check_depth()
            handlers = by_type.get(event.type, self._registry.default)
            if not handlers:
                continue
            began = self._busy_since = perf_counter()
            for handler in handlers:
                try:
                    handler(event)
                except BaseException as error:  # noqa: BLE001 - the edge between the engine and everyone's handlers
                    self._failed(event.type, handler, error)
            ended = perf_counter()
            self._busy_since = 0.0
            took = ended - began
            self._busy_s += took
            if took > self._slow_over_s:
                self._took_long(took)
            if not count & _SAMPLE_MASK:
                self._durations.add(ended, took)

    def _took_long(self, took: float) -> None:
        """Take note of the longest time, and of each over a millisecond: so few that all others pay one comparison."""
        if took > self._busy_max_s:
            self._busy_max_s = took
        self._slow_over_s = min(self._busy_max_s, _SLOW_S[0])
        if took > _SLOW_S[0]:
            self._slow.observe(took)

    def _not_counted(self) -> None:
        """What is dispatched is a mark and no event."""
        self._processed -= 1
        self._marks += 1

    def _on_wake(self, event: Event) -> None:
        self._not_counted()
        self._lane.awake()
        self._lane.run()

    def _on_probe(self, event: Event) -> None:
        self._not_counted()
        now = perf_counter()
        self._lags.add(now, now - event.data)
        self._lag_histogram.observe(now - event.data)

    def _on_mark(self, event: Event) -> None:
        self._not_counted()
        event.data.set()

    def _on_stop(self, event: Event) -> None:
        self._not_counted()
        run: _Run = event.data
        if self.queue_depth and run.rounds:
            run.rounds -= 1  # once more, for what the last handlers have put, such as their log lines
            self._enqueue(event)
        else:
            run.active = False

    def _check_depth(self) -> None:
        depth = self.queue_depth
        changed = depth * 2 < self._high_water if self._high else depth >= self._high_water
        if not changed:
            return
        self._high = not self._high
        summary = f"{depth} events wait for the event thread; the limit is {self._high_water}"
        logger.log(logging.ERROR if self._high else logging.INFO, summary)
        alert = Alert(
            alert_id=QUEUE_ALERT_ID,
            severity="critical",
            summary=summary,
            datetime=now_timestamp(),
            resolved=not self._high,
        )
        self.dispatch(Event(EVENT_CORE_ALERT, alert))

    def _failed(self, event_type: str, handler: Callable[..., object], error: BaseException) -> None:
        name = name_of(handler)
        try:
            if self._errors.count(name):
                number = self._errors.by_handler[name]
                logger.error("%s raised on %s (error %d of it)", name, event_type, number, exc_info=error)
            if self.on_error is not None:
                self.on_error(event_type, handler, error)
        except BaseException:  # noqa: BLE001 - neither the log nor on_error may end the event thread
            self._errors.count(name_of(self._failed))

    def _tick(self, run: _Run) -> None:
        processed = -1
        while not run.stopping.wait(self._timer_interval_s):
            self._probe_due = True
            if self._processed != processed:
                processed, run.progress_at = self._processed, time.monotonic()
            self.put(Event(EVENT_TIMER))
            if self._high or self.queue_depth >= self._high_water:
                self.call(self._check_depth)
