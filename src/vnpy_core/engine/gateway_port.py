"""GatewayPort: the event engine as one gateway sees it."""

from collections.abc import Callable
from typing import Any

from vnpy.event import Event, EventEngine

from vnpy_core.engine.event_engine import CoreEventEngine


class GatewayPort(EventEngine):
    """Takes a gateway's events and remembers what it registers, so that a closed one hears no more."""

    def __init__(self, engine: CoreEventEngine) -> None:
        # Not super().__init__(): it has no queue and no threads of its own.
        self._engine = engine
        self._registered: list[tuple[str, Callable[[Event], Any]]] = []
        self._general: list[Callable[[Event], Any]] = []
        self.put = engine.put  # type: ignore[method-assign]  # no detour for the ticks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def register(self, type: str, handler: Callable[[Event], Any]) -> None:
        self._engine.register(type, handler)
        self._registered.append((type, handler))

    def unregister(self, type: str, handler: Callable[[Event], Any]) -> None:
        self._engine.unregister(type, handler)

    def register_general(self, handler: Callable[[Event], Any]) -> None:
        self._engine.register_general(handler)
        self._general.append(handler)

    def unregister_general(self, handler: Callable[[Event], Any]) -> None:
        self._engine.unregister_general(handler)

    def start(self) -> None:
        """Do nothing: the engine is not the gateway's."""

    def stop(self) -> None:
        """Do nothing: the engine is not the gateway's."""

    def release(self) -> None:
        """Undo every registration that is left."""
        while self._registered:
            self._engine.unregister(*self._registered.pop())
        while self._general:
            self._engine.unregister_general(self._general.pop())
