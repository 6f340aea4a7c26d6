"""How the engines end: named stages, each with a time limit, none of which another's failure can skip."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import msgspec
from vnpy.event import Event
from vnpy.trader.engine import MainEngine, OmsEngine
from vnpy.trader.event import EVENT_ORDER
from vnpy.trader.object import CancelRequest, OrderData

from vnpy_core.engine.event_engine import CoreEventEngine

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Engines hold their running things under these names, and stop one by the method beside it.
_STOPPABLES = (("strategies", "stop_strategy"), ("algos", "stop_algo"))
_PARTS = ("strategy_engine", "algo_engine")
_OWNER_MAPS = ("orderid_strategy_map", "orderid_algo_map", "order_algo_map")
# What depends on the event thread is not waited for longer than this once that thread has been found held.
_HELD_S = 1.0


class ShutdownLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long each stage may take, in seconds; for engines and gateways, each single one."""

    queue_s: float = 5.0
    strategies_s: float = 10.0
    orders_s: float = 5.0
    events_s: float = 5.0
    engine_s: float = 5.0
    gateway_s: float = 5.0


class StageResult(msgspec.Struct, frozen=True):
    """What became of one stage; ``problem`` is None if all went well."""

    stage: str
    took_s: float
    problem: str | None


class Shutdown:
    """One orderly end of a main engine. Runs on a thread that may block, never on the event thread."""

    def __init__(self, main_engine: MainEngine, limits: ShutdownLimits) -> None:
        self._main = main_engine
        self._limits = limits
        self._results: list[StageResult] = []
        event_engine = main_engine.event_engine
        if not isinstance(event_engine, CoreEventEngine):
            raise TypeError("the event engine must be a CoreEventEngine")
        self._events = event_engine
        self._asked: set[str] = set()
        self._is_held = False

    def run(self) -> Sequence[StageResult]:
        limits = self._limits
        self._stage("executors", self._cancel_initialisations)
        # What is queued first: an order that the OMS has not seen yet could not be cancelled.
        self._stage("queue", partial(self._drain, limits.queue_s))
        with self._noting_cancels():
            self._stage("strategies", self._stop_strategies)
            self._stage("orders", self._await_orders)
        self._stage("events", partial(self._events.stop, self._at_most(limits.events_s)))
        for name, engine in list(self._main.engines.items()):
            self._stage(f"engine {name}", partial(bounded, engine.close, self._at_most(limits.engine_s)))
        for name, gateway in list(self._main.gateways.items()):
            self._stage(f"gateway {name}", partial(bounded, gateway.close, limits.gateway_s))
        self._stage("rest", self._dispatch_rest)
        return tuple(self._results)

    def _stage(self, name: str, work: Callable[[], object]) -> None:
        began = time.monotonic()
        problem = None
        try:
            work()
        except BaseException as error:  # the edge to engines, gateways and strategies of all kinds
            problem = f"{type(error).__name__}: {error}"
            logger.error("Closing %s: %s", name, problem, exc_info=error)
        took_s = time.monotonic() - began
        if problem is None:
            logger.log(logging.INFO if took_s > 1 else logging.DEBUG, "Closed %s in %.3f s", name, took_s)
        self._results.append(StageResult(name, took_s, problem))

    def _at_most(self, timeout_s: float) -> float:
        return min(timeout_s, _HELD_S) if self._is_held else timeout_s

    def _drain(self, timeout_s: float) -> None:
        before = self._events.stats().processed
        if not self._events.drain(timeout_s):
            self._is_held = self._events.stats().processed == before
            raise TimeoutError(f"{self._events.queue_depth} events wait after {timeout_s:g} s")

    @contextmanager
    def _noting_cancels(self) -> Iterator[None]:
        """Note which orders somebody asks the main engine to cancel."""
        main: Any = self._main
        own = vars(main)
        before, cancel_order = own.get("cancel_order"), main.cancel_order

        def noting(req: CancelRequest, gateway_name: str) -> None:
            self._asked.add(f"{gateway_name}.{req.orderid}")
            cancel_order(req, gateway_name)

        own["cancel_order"] = noting
        try:
            yield
        finally:
            if before is None:
                del own["cancel_order"]
            else:
                own["cancel_order"] = before

    def _cancel_initialisations(self) -> None:
        for part in self._parts():
            executor = getattr(part, "init_executor", None)
            if isinstance(executor, Executor):
                executor.shutdown(wait=False, cancel_futures=True)

    def _stop_strategies(self) -> None:
        limits = self._limits
        timeout_s = min(limits.strategies_s, limits.queue_s) if self._is_held else limits.strategies_s
        try:
            problems = self._ask(self._stop_each, timeout_s)
        except TimeoutError:
            self._is_held = True
            raise
        self._is_held = False
        if problems:
            raise RuntimeError("; ".join(problems))

    def _stop_each(self) -> list[str]:
        """On the event thread."""
        problems = []
        for part in self._parts():
            for held, stop in _STOPPABLES:
                if not hasattr(part, stop):
                    continue
                for name in list(getattr(part, held, ())):
                    try:
                        getattr(part, stop)(name)
                    except BaseException as error:  # one strategy must not keep the others running
                        logger.error("Stopping %s", name, exc_info=error)
                        problems.append(f"{name}: {error!r}")
        return problems

    def _await_orders(self) -> None:
        """Wait until no order of a strategy or algo is active, having cancelled those that no stop has cancelled: sent
        too late for it, left by one that had failed, or of a strategy that could not be loaded."""
        if not self._events.is_alive():
            return
        if self._is_held:
            self._cancel_past_event_thread()
            return
        waiting: set[str] = set()
        none_left = threading.Event()

        def on_order(event: Event) -> None:
            order: OrderData = event.data
            if not order.is_active():
                waiting.discard(order.vt_orderid)
                if not waiting:
                    none_left.set()

        def begin() -> None:
            orders = self._owned_orders()
            waiting.update(orders)
            self._events.tap(EVENT_ORDER, on_order)
            for vt_orderid, order in orders.items():
                if vt_orderid not in self._asked:
                    self._cancel(order)
            if not waiting:
                none_left.set()

        self._drain(self._limits.orders_s)
        try:
            self._ask(begin, self._limits.orders_s)
            if not none_left.wait(self._limits.orders_s):
                raise TimeoutError(f"still active at the exchange: {', '.join(sorted(waiting))}")
        finally:
            self._events.untap(EVENT_ORDER, on_order)

    def _cancel_past_event_thread(self) -> None:
        """Cancel what is active from here. The thread that alone should is held, and nobody will see the answers; but
        an order that nobody watches must not stay at the exchange."""
        oms = self._main.engines.get("oms")
        if isinstance(oms, OmsEngine):
            for event in self._events.waiting():  # an order may have been sent just before the thread was held
                if event.type == EVENT_ORDER:
                    oms.process_order_event(event)
        orders = self._owned_orders()

        def cancel() -> None:
            for order in orders.values():
                self._cancel(order)

        bounded(cancel, self._limits.orders_s)
        if orders:
            listed = ", ".join(sorted(orders))
            raise TimeoutError(f"the event thread is held: the cancels of {listed} were sent, and not waited for")

    def _cancel(self, order: OrderData) -> None:
        try:
            self._main.cancel_order(order.create_cancel_request(), order.gateway_name)
        except BaseException as error:  # the edge to the gateway
            logger.error("Cancelling %s", order.vt_orderid, exc_info=error)

    def _ask(self, work: Callable[[], T], timeout_s: float) -> T:
        future = self._events.call(work)
        try:
            return future.result(timeout_s)
        except TimeoutError as error:
            future.cancel()
            raise TimeoutError(f"the event thread has not answered in {timeout_s:g} s") from error

    def _owned_orders(self) -> dict[str, OrderData]:
        """Return the active orders that strategies and algos have sent. On the event thread."""
        oms = self._main.engines.get("oms")
        if not isinstance(oms, OmsEngine):
            return {}
        owned: set[str] = set()
        for part in self._parts():
            for name in _OWNER_MAPS:
                owned.update(getattr(part, name, ()))
        senders = tuple(f"{name}_" for name in self._main.engines)
        return {
            vt_orderid: order
            for vt_orderid, order in list(oms.active_orders.items())
            if vt_orderid in owned or order.reference.startswith(senders)
        }

    def _dispatch_rest(self) -> None:
        """Dispatch what gateways have told until they were closed, such as a fill of a client's order that stays."""
        events = self._events
        if events.queue_depth and not self._is_held:
            events.start()
            events.stop(self._limits.events_s)
        if events.queue_depth:
            raise RuntimeError(f"{events.queue_depth} events were not dispatched")

    def _parts(self) -> Iterator[Any]:
        engines: Iterable[Any] = list(self._main.engines.values())
        for engine in engines:
            yield engine
            for name in _PARTS:
                part = getattr(engine, name, None)
                if part is not None:
                    yield part


def bounded(work: Callable[[], object], timeout_s: float) -> None:
    """Run ``work`` on a daemon thread and raise what it raises.

    Raises:
        TimeoutError: it has not come back in time; it is left to itself.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="bounded", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    if thread.is_alive():
        raise TimeoutError(f"not done after {timeout_s:g} s")
