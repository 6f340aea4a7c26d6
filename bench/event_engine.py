"""Events through CoreEventEngine and through vn.py's own engine: put by one thread, dispatched by the other."""

import gc
import statistics
import sys
import threading
from collections.abc import Callable
from time import perf_counter

from vnpy.event import Event, EventEngine

from vnpy_core.engine.event_engine import CoreEventEngine

EVENTS = 200_000
ROUNDS = 7
HANDLERS = (1, 3)
_BATCH = 1000


class _Lane:
    """One engine with its handlers, used again in every round."""

    def __init__(self, engine: EventEngine, handlers: int) -> None:
        self.engine = engine
        for _ in range(handlers):
            engine.register("eTick.", _handler())
        self._done = threading.Event()
        engine.register("eDone", lambda event: self._done.set())
        engine.start()

    def events_per_s(self, produce: Callable[[Callable[[Event], None]], None]) -> float:
        """Return how many events a second went from the first put to the end of the last handler."""
        self._done.clear()
        producer = threading.Thread(target=produce, args=(self.engine.put,))
        gc.collect()
        began = perf_counter()
        producer.start()
        producer.join()
        self.engine.put(Event("eDone"))
        self._done.wait()
        return EVENTS / (perf_counter() - began)


def _handler() -> Callable[[Event], None]:
    def handle(event: Event) -> None:
        return None

    return handle


# As a gateway pushes a tick: one event that is listened to, and one for its symbol, mostly with no listener.
_READY = [Event(type_) for _ in range(_BATCH // 2) for type_ in ("eTick.", "eTick.rb2505.SHFE")]


def _put_ready(put: Callable[[Event], None]) -> None:
    for _ in range(EVENTS // _BATCH):
        for event in _READY:
            put(event)


def _put_new(put: Callable[[Event], None]) -> None:
    for _ in range(EVENTS // 2):
        put(Event("eTick.", None))
        put(Event("eTick.rb2505.SHFE", None))


def measure(rounds: int = ROUNDS) -> dict[str, dict[str, list[float]]]:
    """Return, of each shape, the events a second of either engine in alternating rounds.

    ``ready``: the events are there, so that only put and dispatch are measured. ``new``: the producer also makes them,
    as gateways do. Isolation of handlers is on in ``product``, as ever.
    """
    results: dict[str, dict[str, list[float]]] = {}
    for handlers in HANDLERS:
        lanes = {
            "peer": _Lane(EventEngine(), handlers),
            "product": _Lane(CoreEventEngine(high_water=EVENTS * 2), handlers),
        }
        for shape, produce in (("ready", _put_ready), ("new", _put_new)):
            rates = results.setdefault(f"{shape} events, {handlers} handlers", {name: [] for name in lanes})
            for _ in range(rounds):
                for name, lane in lanes.items():
                    rates[name].append(lane.events_per_s(produce))
        for lane in lanes.values():
            lane.engine.stop()
    return results


def main() -> None:
    """Print the medians and their ratio."""
    for what, rates in measure().items():
        ours, theirs = statistics.median(rates["product"]), statistics.median(rates["peer"])
        sys.stdout.write(f"{what:>28}  vn.py {theirs:>9,.0f}/s  core {ours:>9,.0f}/s  {ours / theirs:.1f}x\n")


if __name__ == "__main__":
    main()
