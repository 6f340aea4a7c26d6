"""Events through CoreEventEngine and through vn.py's own engine: put by one thread, dispatched by the other."""

import gc
import statistics
import sys
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

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


def main() -> dict[str, Any]:
    """Measure in alternating rounds; print and return the medians and the ratios.

    ``ready``: the events are there, so that only put and dispatch are measured. ``new``: the producer also makes them,
    as gateways do. ``vnpy`` and ``core``: events a second. Isolation of handlers is on in ``core``, as ever.
    """
    results: dict[str, Any] = {}
    for handlers in HANDLERS:
        lanes = {"vnpy": _Lane(EventEngine(), handlers), "core": _Lane(CoreEventEngine(high_water=EVENTS * 2), handlers)}
        for shape, produce in (("ready", _put_ready), ("new", _put_new)):
            rates: dict[str, list[float]] = {name: [] for name in lanes}
            for _ in range(ROUNDS):
                for name, lane in lanes.items():
                    rates[name].append(lane.events_per_s(produce))
            medians = {name: statistics.median(taken) for name, taken in rates.items()}
            ratio = medians["core"] / medians["vnpy"]
            row = {name: round(median) for name, median in medians.items()}
            results[f"{shape}, {handlers} handlers"] = {**row, "ratio": round(ratio, 2)}
        for lane in lanes.values():
            lane.engine.stop()
    for name, row in results.items():
        sys.stdout.write(f"{name:>20}  vn.py {row['vnpy']:>9,}/s  core {row['core']:>9,}/s  {row['ratio']:.1f}x\n")
    return results


if __name__ == "__main__":
    main()
