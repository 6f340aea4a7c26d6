"""GatewayHost: the gateways of the configuration, loaded, connected and disconnected, each apart from the others."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from vnpy.event import Event
from vnpy.trader.constant import Direction
from vnpy.trader.event import EVENT_ACCOUNT, EVENT_CONTRACT, EVENT_LOG, EVENT_POSITION
from vnpy.trader.object import LogData, PositionData

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.gateway_events import EVENT_CONNECTION_LOST
from vnpy_core.engine.gateway_session import GatewaySession
from vnpy_core.engine.main_engine import CoreMainEngine
from vnpy_core.engine.venue_reports import VenueReports
from vnpy_core.engine.vn_enums import to_vn
from vnpy_core.errors import Conflict, NotFound
from vnpy_core.models import GatewayStatus, Position

logger = logging.getLogger(__name__)


class GatewayHost:
    """Every method may be called from any thread. ``on_status`` is called with each change, in any thread."""

    def __init__(
        self, main_engine: CoreMainEngine, event_engine: CoreEventEngine, settings: Mapping[str, GatewaySettings]
    ) -> None:
        self.on_status: Callable[[GatewayStatus], None] | None = None
        self.reports = VenueReports(event_engine)
        self._main = main_engine
        self._reported: frozenset[str] = frozenset()
        self._held: frozenset[str] = frozenset()
        self._events = event_engine
        self._closed = False
        self._sessions = {
            name: GatewaySession(name, each, main_engine, event_engine, self._notify, self._begin_connection)
            for name, each in settings.items()
        }
        event_engine.register(EVENT_CONTRACT, self._on_sign_of_life)
        event_engine.register(EVENT_ACCOUNT, self._on_sign_of_life)
        event_engine.register(EVENT_LOG, self._on_log)
        event_engine.register(EVENT_CONNECTION_LOST, self._on_connection_lost)

    def load(self) -> None:
        """Load every gateway; one that cannot be loaded has the status FAILED with the reason, and stops nothing."""
        for session in self._sessions.values():
            session.load()

    def statuses(self) -> list[GatewayStatus]:
        """Return the status of each, in the order of the configuration."""
        return [session.status() for session in self._sessions.values()]

    def status(self, name: str) -> GatewayStatus:
        """Raises:
        NotFound: no such gateway.
        """
        return self._session(name).status()

    def replays(self, name: str) -> bool:
        """Tell whether a gateway shows a market of the past, made of the history store's data."""
        session = self._sessions.get(name)
        return session is not None and session.replays()

    def market_is_open(self, name: str) -> bool | None:
        """Tell whether a gateway that is a market itself trades now; ``None`` for all others."""
        session = self._sessions.get(name)
        return session.market_is_open() if session is not None else None

    def plan(self, name: str, detail: str | None) -> None:
        """Have the status of a gateway that is disconnected on purpose say for how long."""
        self._session(name).plan(detail)

    def connect(self, name: str, setting: Mapping[str, Any] | None = None) -> Future[GatewayStatus]:
        """Begin to connect and return at once; the future holds the status in which the attempt ends.

        It ends CONNECTED with the first contract or account; FAILED when the gateway raises or says nothing for
        ``connect_timeout_s``; DISCONNECTED by ``disconnect``. ``setting`` goes over the configured one, and is kept for
        the next time. A gateway that could not be loaded is tried again.

        Raises:
            NotFound: no such gateway.
            Conflict: it is connected or connecting (``gateway_connected``, ``gateway_connecting``), or the host closes.
        """
        session = self._session(name)
        if self._closed:
            raise Conflict("the service is stopping", code="closing")
        return session.connect(setting)

    def disconnect(self, name: str) -> Future[GatewayStatus]:
        """Begin to close and return at once; the future holds the status when it is closed.

        Raises:
            NotFound: no such gateway.
        """
        return self._session(name).disconnect()

    def gate(self, reported: Collection[str], held: Collection[str]) -> None:
        """From now on, keep a report of what these gateways tell from the beginning of a connection until ``release``,
        and hold the orders to those that are ``held`` meanwhile. Before any is connected."""
        self._reported, self._held = frozenset(reported), frozenset(held)

    def release(self, name: str, began: str, gone: Sequence[Position] = ()) -> None:
        """Let orders to the gateway through, and end the report that began then; nothing happens if a new connection
        has begun since. Positions that are ``gone``, of which the venue tells no more, are zero for everybody from now
        on. On the event thread."""
        if not self.reports.is_latest(name, began):
            return
        for position in gone:
            # What the venue may have told of it meanwhile is handled after this, or was handled already.
            if not self.reports.has_position(name, position.key):
                self._empty(position)
        self.reports.end(name, began)
        self._main.hold_gateway(name, "reconciling", None)

    def _empty(self, position: Position) -> None:
        data = PositionData(
            position.gateway_name, position.symbol, to_vn(position.exchange), Direction[position.direction.name]
        )
        for event_type in (EVENT_POSITION, EVENT_POSITION + data.vt_positionid):
            self._events.dispatch(Event(event_type, data))

    def hold_stale(self, name: str, reason: str | None) -> None:
        """Refuse orders to a gateway whose market data does not come, or (None) take them again."""
        self._main.hold_gateway(name, "gateway_stale", reason)

    def mute(self, name: str, detail: str | None) -> None:
        """Have a connected gateway STALE, as nothing comes of what is subscribed, or (None) no longer."""
        self._session(name).on_mute(detail)

    def forget_setting(self, name: str) -> None:
        """Connect the gateway as it is configured, from the next time on."""
        if (session := self._sessions.get(name)) is not None:
            session.forget_setting()

    def default_setting(self, name: str) -> dict[str, Any]:
        """Return the gateway's settings with vn.py's defaults, a copy; empty if its class could not be loaded.

        Raises:
            NotFound: no such gateway.
        """
        return self._session(name).default_setting()

    def close(self) -> None:
        """Connect nothing any more. The gateways themselves are closed by the main engine, after the strategies."""
        self._closed = True
        for session in self._sessions.values():
            session.abandon()

    def _session(self, name: str) -> GatewaySession:
        session = self._sessions.get(name)
        if session is None:
            known = ", ".join(self._sessions) or "none"
            raise NotFound(f"no gateway {name}; there are: {known}", code="unknown_gateway")
        return session

    def _notify(self, status: GatewayStatus) -> None:
        if self.on_status is None:
            return
        try:
            self.on_status(status)
        except Exception:
            logger.exception("on_status raised")

    def _on_sign_of_life(self, event: Event) -> None:
        session = self._sessions.get(event.data.gateway_name)
        if session is not None:
            session.on_sign_of_life()

    def _begin_connection(self, name: str) -> None:
        if name in self._reported:
            self.reports.begin_threadsafe(name)
        if name in self._held:
            self._main.hold_gateway(name, "reconciling", "what the venue has is being compared with what is known")

    def _on_connection_lost(self, event: Event) -> None:
        session = self._sessions.get(event.data.gateway_name)
        if session is not None:
            session.on_connection_lost(event.data.reason)

    def _on_log(self, event: Event) -> None:
        if isinstance(event.data, LogData):
            session = self._sessions.get(event.data.gateway_name)
            if session is not None:
                session.on_log_line(event.data.msg)
