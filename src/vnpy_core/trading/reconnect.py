"""Reconnector: connects again what has lost its connection and does not come back by itself, ever more rarely."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from vnpy_core.enums import GatewayState
from vnpy_core.errors import CoreError
from vnpy_core.events import Event
from vnpy_core.models import GatewayStatus

logger = logging.getLogger(__name__)

FIRST_S = 1.0
_IDLE = frozenset({GatewayState.DISCONNECTED, GatewayState.FAILED})


class Backoff:
    """Doubling pauses from ``first_s`` to ``longest_s``, each shortened by up to half so that many do not coincide.

    A connection that has held for ``longest_s`` begins them anew; one that is lost at once does not.
    """

    def __init__(
        self, longest_s: float, *, first_s: float = FIRST_S, chance: Callable[[], float] = random.random
    ) -> None:
        self._longest_s = longest_s
        self._first_s = min(first_s, longest_s)
        self._chance = chance
        self._next_s = self._first_s

    def pause_s(self) -> float:
        """Return the next pause."""
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return pause_s * (0.5 + 0.5 * self._chance())

    def held(self, connected_s: float) -> None:
        """Take note that a connection has lasted so long."""
        if connected_s >= self._longest_s:
            self._next_s = self._first_s


class Connects(Protocol):
    async def connect(self, name: str) -> GatewayStatus: ...


class Published(Protocol):
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class Reconnector:
    """Loop only. It looks at the status alone: ``recovery`` SERVICE asks for it."""

    def __init__(
        self,
        longest_s: Mapping[str, float],
        gateways: Connects,
        pipeline: Published,
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._backoffs = {name: Backoff(each) for name, each in longest_s.items()}
        self._gateways = gateways
        self._clock = clock or asyncio.get_running_loop().time
        self._sleep = sleep
        self._connected_at: dict[str, float] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}
        pipeline.subscribe(self._on_events)

    async def close(self) -> None:
        waiting = list(self._waiting.values())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event.data, GatewayStatus) and event.data.gateway_name in self._backoffs:
                self._on_status(event.data)

    def _on_status(self, status: GatewayStatus) -> None:
        name = status.gateway_name
        if status.state is GatewayState.CONNECTED:
            self._connected_at.setdefault(name, self._clock())
        elif status.state is not GatewayState.STALE and name in self._connected_at:
            self._backoffs[name].held(self._clock() - self._connected_at.pop(name))
        wanted = status.recovery == "SERVICE" and status.state in _IDLE
        waiting = self._waiting.get(name)
        if not wanted and waiting is not None and status.state is not GatewayState.CONNECTING:
            waiting.cancel()
        elif wanted and (waiting is None or waiting.done()):
            pause_s = self._backoffs[name].pause_s()
            logger.warning("Gateway %s is %s and will be connected in %.1f s", name, status.state, pause_s)
            self._waiting[name] = asyncio.get_running_loop().create_task(
                self._again(name, pause_s), name=f"reconnect {name}"
            )

    async def _again(self, name: str, pause_s: float) -> None:
        await self._sleep(pause_s)
        try:
            await self._gateways.connect(name)
        except CoreError as error:  # it has come back meanwhile, or the service stops
            logger.info("Gateway %s was not connected again: %s", name, error.detail)
