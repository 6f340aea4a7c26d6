"""FeedWatch: finds gateways that are connected and mute, by the ticks that do not come of what is subscribed."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.enums import Exchange, GatewayState
from vnpy_core.events import Event
from vnpy_core.models import GatewayStatus, Tick

logger = logging.getLogger(__name__)

LOOK_S = 1.0
_ONLINE = frozenset({GatewayState.CONNECTED, GatewayState.STALE})


class Feeds(Protocol):
    """The gateways, as far as their market data is watched."""

    def statuses(self) -> Sequence[GatewayStatus]: ...
    def replays(self, name: str) -> bool: ...
    def mute(self, name: str, detail: str | None) -> None: ...
    def hold_stale(self, name: str, reason: str | None) -> None: ...


class Published(Protocol):
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class FeedWatch:
    """Loop only. What is watched: symbols that have ticked since the gateway is connected, while they trade.

    The gateway is STALE when all of them are silent for ``mute_after_s``: one alone may be a contract that nobody
    trades. A silence counts from the opening of the session at the earliest, and a market of the past is not watched.
    """

    def __init__(
        self,
        settings: Mapping[str, GatewaySettings],
        feeds: Feeds,
        pipeline: Published,
        is_open: Callable[[str, str, Exchange, datetime], bool | None],
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._feeds = feeds
        self._is_open = is_open
        self._clock = clock
        self._now = now
        self._heard: dict[str, dict[str, tuple[float, Tick]]] = {name: {} for name in settings}
        self._closed_at: dict[tuple[str, str], float] = {}
        self._mute: set[str] = set()
        self._refusing: set[str] = set()
        pipeline.subscribe(self._on_events)

    async def run(self) -> None:
        """Look once a second; never returns."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def age_s(self, name: str) -> float | None:
        """Return how long ago the gateway's last tick came; ``None``: none has since it is connected."""
        heard = self._heard.get(name)
        return self._clock() - max(at for at, _ in heard.values()) if heard else None

    def look(self) -> None:
        for status in self._feeds.statuses():
            settings = self._settings.get(status.gateway_name)
            if settings is None:
                continue
            self._look_at(status, settings)
            self._hold(status, settings)

    def _look_at(self, status: GatewayStatus, settings: GatewaySettings) -> None:
        name = status.gateway_name
        if status.state not in _ONLINE:
            self._heard[name].clear()
            self._mute.discard(name)
            return
        if not settings.mute_after_s or self._feeds.replays(name):
            return
        silences = self._silences(name)
        mute = bool(silences) and min(silences) > settings.mute_after_s
        if mute and name not in self._mute:
            self._mute.add(name)
            detail = f"nothing has come of {len(silences)} subscribed symbols for {settings.mute_after_s:g} s"
            logger.warning("Gateway %s is connected and mute: %s", name, detail)
            self._feeds.mute(name, detail)
        elif not mute and name in self._mute:
            self._mute.discard(name)
            self._feeds.mute(name, None)

    def _silences(self, name: str) -> list[float]:
        """Return for each symbol that trades now how long it has been silent meanwhile."""
        clock, now = self._clock(), self._now()
        silences = []
        for vt_symbol, (at, tick) in self._heard[name].items():
            if self._is_open(name, tick.symbol, tick.exchange, now) is False:
                self._closed_at[name, vt_symbol] = clock
            else:
                silences.append(clock - max(at, self._closed_at.get((name, vt_symbol), at)))
        return silences

    def _hold(self, status: GatewayStatus, settings: GatewaySettings) -> None:
        name = status.gateway_name
        refuse = status.state is GatewayState.STALE and settings.stale_orders == "refuse"
        if refuse and name not in self._refusing:
            self._refusing.add(name)
            self._feeds.hold_stale(name, f"its market data does not come: {status.detail}")
        elif not refuse and name in self._refusing:
            self._refusing.discard(name)
            self._feeds.hold_stale(name, None)

    def _on_events(self, events: Sequence[Event]) -> None:
        at = self._clock()
        for event in events:
            tick = event.data
            if type(tick) is Tick and (heard := self._heard.get(tick.gateway_name)) is not None:
                heard[tick.vt_symbol] = at, tick
