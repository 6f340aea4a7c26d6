"""``on_event_thread``: what makes a method of an engine run where that engine's state is written, whoever calls it."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from vnpy_core.engine.event_engine import CoreEventEngine


class HasEventEngine(Protocol):
    event_engine: CoreEventEngine


S = TypeVar("S", bound=HasEventEngine)
P = ParamSpec("P")
T = TypeVar("T")


def on_event_thread(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Run the method on the event thread and wait for it; at once when called there, or when that thread has ended.

    Raises what the method raises.
    """

    @functools.wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        engine = self.event_engine
        if engine.in_event_thread or not engine.is_alive():
            return method(self, *args, **kwargs)
        return engine.call(method, self, *args, **kwargs).result()

    return run
