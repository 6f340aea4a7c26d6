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
    trades. That one is asked for again, each time after twice as long a silence, if ``ask_again`` still wants it. A
    silence counts from the opening of the session at the earliest, and a market of the past is not watched.
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
        ask_again: Callable[[str, str], bool] = lambda gateway_name, vt_symbol: False,
    ) -> None:
        self._settings = settings
        self._feeds = feeds
        self._is_open = is_open
        self._clock = clock
        self._now = now
        self._ask_again = ask_again
        # By gateway and symbol: how long a silence is, from its first tick on, before it is asked for again.
        self._patience: dict[tuple[str, str], float] = {}
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
        for step in (self._look_at, self._hold):  # what the first finds is in the statuses that the second reads
            for status in self._feeds.statuses():
                if (settings := self._settings.get(status.gateway_name)) is not None:
                    step(status, settings)

    def _look_at(self, status: GatewayStatus, settings: GatewaySettings) -> None:
        name = status.gateway_name
        if status.state not in _ONLINE:
            self._heard[name].clear()
            self._mute.discard(name)
            self._patience = {key: each for key, each in self._patience.items() if key[0] != name}
            return
        if not settings.mute_after_s or self._feeds.replays(name):
            return
        silences = self._silences(name)
        mute = bool(silences) and min(silences.values()) > settings.mute_after_s
        if not mute:
            self._revive(name, silences, settings.mute_after_s)
        if mute and name not in self._mute:
            self._mute.add(name)
            detail = f"nothing has come of {len(silences)} subscribed symbols for {settings.mute_after_s:g} s"
            logger.warning("Gateway %s is connected and mute: %s", name, detail)
            self._feeds.mute(name, detail)
        elif not mute and name in self._mute:
            self._mute.discard(name)
            self._feeds.mute(name, None)

    def _revive(self, name: str, silences: Mapping[str, float], mute_after_s: float) -> None:
        for vt_symbol, silent_s in silences.items():
            key = name, vt_symbol
            if silent_s <= mute_after_s:
                self._patience.pop(key, None)
            elif silent_s > self._patience.get(key, mute_after_s):
                self._patience[key] = 2 * silent_s
                if self._ask_again(name, vt_symbol):
                    logger.warning(
                        "Gateway %s: nothing has come of %s for %.0f s, while others tick: it is subscribed again",
                        name, vt_symbol, silent_s,
                    )  # fmt: skip

    def _silences(self, name: str) -> dict[str, float]:
        """Return for each symbol that trades now how long it has been silent meanwhile."""
        clock, now = self._clock(), self._now()
        silences = {}
        for vt_symbol, (at, tick) in self._heard[name].items():
            if self._is_open(name, tick.symbol, tick.exchange, now) is False:
                self._closed_at[name, vt_symbol] = clock
            else:
                silences[vt_symbol] = clock - max(at, self._closed_at.get((name, vt_symbol), at))
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
