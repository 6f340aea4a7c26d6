"""Who is called for an event: the handlers of its type, then the general ones, then the taps."""

import inspect
import threading
from collections.abc import Callable
from typing import Any

from vnpy.event import Event

Handler = Callable[[Event], Any]


class HandlerTable:
    """Registrations, and the tuples that are dispatched from; changed from any thread, also by a handler.

    ``by_type`` and ``default`` (for a type that is not in it) hold whole tuples, replaced with each change: dispatch
    reads them without a lock or a copy, and whoever is unregistered while an event is dispatched still gets that one.
    """

    def __init__(self) -> None:
        self.by_type: dict[str, tuple[Handler, ...]] = {}
        self.default: tuple[Handler, ...] = ()
        self._lock = threading.Lock()
        self._handlers: dict[str, list[Handler]] = {}
        self._taps: dict[str, list[Handler]] = {}
        self._general: list[Handler] = []

    def get(self, event_type: str) -> tuple[Handler, ...]:
        return self.by_type.get(event_type, self.default)

    def add(self, event_type: str, handler: Handler) -> None:
        self._add(self._handlers, event_type, handler)

    def remove(self, event_type: str, handler: Handler) -> None:
        self._remove(self._handlers, event_type, handler)

    def add_tap(self, event_type: str, handler: Handler) -> None:
        self._add(self._taps, event_type, handler)

    def remove_tap(self, event_type: str, handler: Handler) -> None:
        self._remove(self._taps, event_type, handler)

    def add_general(self, handler: Handler) -> None:
        _refuse_coroutine(handler)
        with self._lock:
            if handler not in self._general:
                self._general.append(handler)
                self._rebuild(*self._handlers, *self._taps)

    def remove_general(self, handler: Handler) -> None:
        with self._lock:
            if handler in self._general:
                self._general.remove(handler)
                self._rebuild(*self._handlers, *self._taps)

    def remove_owner(self, owner: object) -> None:
        """Remove every handler that is a method of ``owner``."""
        with self._lock:
            event_types = {*self._handlers, *self._taps}
            for registry in (self._handlers, self._taps):
                for event_type, registered in list(registry.items()):
                    registered[:] = [handler for handler in registered if not _is_of(handler, owner)]
                    if not registered:
                        del registry[event_type]
            self._general = [handler for handler in self._general if not _is_of(handler, owner)]
            self._rebuild(*event_types)

    def _add(self, registry: dict[str, list[Handler]], event_type: str, handler: Handler) -> None:
        _refuse_coroutine(handler)
        with self._lock:
            registered = registry.setdefault(event_type, [])
            if handler not in registered:
                registered.append(handler)
                self._rebuild(event_type)

    def _remove(self, registry: dict[str, list[Handler]], event_type: str, handler: Handler) -> None:
        with self._lock:
            registered = registry.get(event_type, [])
            if handler in registered:
                registered.remove(handler)
                if not registered:
                    del registry[event_type]
                self._rebuild(event_type)

    def _rebuild(self, *event_types: str) -> None:
        general = self.default = tuple(self._general)
        for event_type in event_types:
            handlers, taps = self._handlers.get(event_type, ()), self._taps.get(event_type, ())
            if handlers or taps:
                self.by_type[event_type] = (*handlers, *general, *taps)
            else:
                self.by_type.pop(event_type, None)


def _is_of(handler: Handler, owner: object) -> bool:
    return getattr(getattr(handler, "func", handler), "__self__", None) is owner


def name_of(handler: Callable[..., Any]) -> str:
    """Return ``module.qualified_name`` of a handler, or what comes nearest to it."""
    inner = getattr(handler, "func", handler)  # functools.partial
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    return f"{getattr(inner, '__module__', None) or type(inner).__module__}.{name}"


def _refuse_coroutine(handler: Handler) -> None:
    called = handler if inspect.isroutine(handler) else (handler, type(handler).__call__)
    candidates = called if isinstance(called, tuple) else (called,)
    if any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in candidates):
        raise TypeError(f"{name_of(handler)} is a coroutine function: nobody would await it on the event thread")
