"""SimGateway: the simulated exchange as a vn.py gateway."""

import threading
import time
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import Any

import msgspec
from vnpy.event import EventEngine
from vnpy.trader import database, utility
from vnpy.trader.constant import Exchange, Status
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import (
    AccountData,
    BarData,
    CancelRequest,
    HistoryRequest,
    LogData,
    OrderData,
    OrderRequest,
    PositionData,
    SubscribeRequest,
    TradeData,
)

from vnpy_core.engine.gateway_events import (
    EVENT_CONNECTION_LOST,
    EVENT_VENUE_REPORTED,
    ConnectionLost,
    VenueReported,
)
from vnpy_core.engine.sim.checks import Refusal
from vnpy_core.engine.sim.contracts import CATALOGUE
from vnpy_core.engine.sim.driver import Driver, Gate
from vnpy_core.engine.sim.exchange import Effect
from vnpy_core.engine.sim.faults import Faults, Wire, parse_faults
from vnpy_core.engine.sim.replay import ReplayFeed, ReplayProgress
from vnpy_core.engine.sim.settings import DEFAULT_SETTING, parse_setting
from vnpy_core.engine.sim.venue import Venue
from vnpy_core.engine.vn_enums import to_vn

_NEVER = float("inf")
_HOW_TO_REPEAT = "disconnect and connect to begin anew"


class SimGateway(BaseGateway):
    """A complete simulated exchange behind vn.py's gateway interface.

    The venue lives as long as its memory: with ``persist`` in a file that survives a killed process, else as long as
    this object. ``connect`` tells the client all that the venue knows: contracts, the day's orders and trades,
    positions, the account. See settings.py for the settings, exchange.py for the matching, account.py for the money.

    Commands may come from any thread; they answer before they return, by events put in the order in which things
    happened. ``connect`` and ``close`` may block.
    """

    default_name = "SIM"
    reconnects_in_place = True  # the instance is the venue: a new one would be another exchange
    default_setting: dict[str, str | int | float | bool] = dict(DEFAULT_SETTING)  # noqa: RUF012 - as in BaseGateway
    exchanges: list[Exchange] = [*dict.fromkeys(to_vn(spec.exchange) for spec in CATALOGUE)]  # noqa: RUF012

    def __init__(self, event_engine: EventEngine, gateway_name: str = default_name) -> None:
        super().__init__(event_engine, gateway_name)
        self._lifecycle = threading.RLock()  # one connect or close at a time
        self._lock = threading.RLock()  # the venue and the wire
        self._venue: Venue | None = None
        self._driver: Driver | None = None
        self._gate: Gate | None = None
        self._wire = Wire(Faults())
        self._subscribed: set[str] = set()
        self._reconnect_at = _NEVER
        self._is_dropped = False
        self._end_told = False
        self._feed_failed = False
        self._push = {
            OrderData: self.on_order,
            TradeData: self.on_trade,
            PositionData: self.on_position,
            AccountData: self.on_account,
            LogData: self.on_log,
        }

    # vn.py's interface

    def connect(self, setting: Mapping[str, Any]) -> None:
        """Open the venue, or come back to it, and tell the client its state.

        Raises:
            ConfigError: the setting is wrong, or asks for data that nobody has recorded.
            Unavailable: the venue's file cannot be used.
        """
        settings = parse_setting(setting)
        with self._lifecycle:
            venue = self._venue
            if venue is None or venue.settings != settings or self._feed_failed or self._replays_again(venue):
                anew = self._end_told and not self._is_dropped
                self._stop_feed()
                self._leave()
                venue = Venue(self.gateway_name, settings, self._default_path(), database.DB_TZ, anew=anew)
                self._wire = Wire(settings.parsed_faults())
                self._end_told = self._feed_failed = False
                self._venue = venue
                for note in venue.notes:
                    self.write_log(note)
                now = time.monotonic()
                for vt_symbol in sorted(self._subscribed & venue.instruments.keys()):
                    venue.subscribe(vt_symbol, now)
            with self._lock:
                self._come_up(venue)
            if self._driver is None or not self._driver.is_alive:
                self._gate = Gate(self.event_engine)
                self._driver = Driver(self, venue.feed, self._lock, self._gate, self.gateway_name)
                self._driver.start()

    def close(self) -> None:
        """Disconnect and stop the market. The venue remembers everything; ``connect`` comes back to it."""
        with self._lifecycle:
            self._stop_feed()
            with self._lock:
                self._wire.cut()
                self._reconnect_at = _NEVER
                self._is_dropped = False
            if self._venue is not None and self._venue.is_durable:
                self._leave()

    def subscribe(self, req: SubscribeRequest) -> None:
        with self._lock:
            venue = self._venue
            if venue is not None and req.vt_symbol not in venue.instruments:
                self.write_log(f"{req.vt_symbol} cannot be subscribed: there is no such contract")
                return
            self._subscribed.add(req.vt_symbol)
            if venue is None:
                return
            venue.subscribe(req.vt_symbol, time.monotonic())
            if not venue.has_market(req.vt_symbol):
                self.write_log(f"{req.vt_symbol} will not tick: it is not replayed")
            self._tell_quote(venue, req.vt_symbol)
        self._wake_feed()

    def unsubscribe(self, req: SubscribeRequest) -> None:
        """Send no more ticks of this contract."""
        with self._lock:
            self._subscribed.discard(req.vt_symbol)
            if self._venue is not None:
                self._venue.feed.unsubscribe(req.vt_symbol, time.monotonic())

    def send_order(self, req: OrderRequest) -> str:
        """Send an order and return its vt_orderid, also when it is refused.

        Raises:
            ConnectionError: the connection is down, and the faults ask for an exception then.
        """
        with self._lock:
            venue, wire = self._venue, self._wire
            refusal = None
            if venue is None or not wire.is_up:
                refusal = Refusal("disconnected", f"{self.gateway_name} is not connected")
                if wire.faults.disconnected == "raise":
                    raise ConnectionError(refusal.reason)
                if venue is None:
                    return self._refuse_alone(req, refusal)
            elif wire.takes_reject():
                refusal = Refusal("injected", wire.faults.reject_reason)
            exchange, moment, now = venue.exchange, venue.now(), time.monotonic()
            exchange.advance(moment)
            if exchange.effects:
                self._tell(wire.news(exchange.take_effects(), now))
            vt_orderid = exchange.submit(req, moment, refusal)
            venue.save()
            submitting, *answer = exchange.take_effects()
            # That it was sent is known on this side of the wire; so is that it could not be.
            self._tell([submitting])
            self._tell(wire.answer(answer, now) if wire.is_up else answer)
        return vt_orderid

    def cancel_order(self, req: CancelRequest) -> None:
        with self._lock:
            venue = self._venue
            if venue is None or not self._wire.is_up:
                self.write_log(f"order {req.orderid} cannot be cancelled: {self.gateway_name} is not connected")
                return
            venue.exchange.cancel(req.orderid, venue.now())
            venue.save()
            self._tell(self._wire.answer(venue.exchange.take_effects(), time.monotonic()))

    def query_account(self) -> None:
        with self._lock:
            if self._venue is not None:
                self._tell(self._wire.news([self._venue.exchange.ledger.account_data()], time.monotonic()))

    def query_position(self) -> None:
        with self._lock:
            if self._venue is not None:
                self._tell(self._wire.news(list(self._venue.exchange.positions()), time.monotonic()))

    def query_history(self, req: HistoryRequest) -> list[BarData]:
        """Return the finished bars of the range; times without a zone are the trading zone's."""
        with self._lock:
            venue = self._venue
            if venue is None or req.vt_symbol not in venue.instruments:
                self.write_log(f"no history of {req.vt_symbol}: there is no such contract, or no connection")
                return []
            recorded = venue.recorded_minutes(req)
        return venue.history(req, recorded)

    def get_default_setting(self) -> dict[str, str | int | float | bool]:
        return dict(self.default_setting)

    # Beyond vn.py's interface

    def inject(self, *, disconnect: bool = False, **faults: Any) -> None:
        """Change what goes wrong from now on, fault by fault (see ``Faults``); ``disconnect`` cuts the connection.

        Raises:
            ConfigError: there is no such fault.
        """
        with self._lock:
            self._wire.inject(parse_faults(msgspec.structs.asdict(self._wire.faults) | faults))
            if disconnect:
                self._wire.cut()
                self._is_dropped = True
                pause = self._wire.faults.reconnect_after_ms
                self._reconnect_at = time.monotonic() + pause / 1000 if pause else _NEVER
                self.write_log("the connection is lost")
                self.on_event(EVENT_CONNECTION_LOST, ConnectionLost(self.gateway_name, "the connection is lost"))
        self._wake_feed()

    @property
    def replay_progress(self) -> ReplayProgress | None:
        """How far the replay has come; None: the market is not a replay."""
        venue = self._venue
        return venue.feed.progress if venue is not None and isinstance(venue.feed, ReplayFeed) else None

    @property
    def market_is_open(self) -> bool | None:
        """Whether it is in the session of its setting; None: not connected."""
        venue = self._venue
        return None if venue is None else venue.session.is_open(venue.now())

    @property
    def status_note(self) -> str | None:
        """How far the replay has come, in tenths: shown beside the state of the gateway."""
        progress = self.replay_progress
        if progress is None:
            return None
        if progress.state == "FINISHED" and not progress.ticks:
            return f"replay finished before; {_HOW_TO_REPEAT}"
        if progress.state == "FINISHED":
            return f"replay finished after {progress.ticks:,} ticks"
        return f"replay {progress.state.lower()}, {int(progress.fraction * 10) * 10} %"

    def pause_replay(self) -> None:
        self._replay().pause()

    def resume_replay(self, speed: float | None = None) -> None:
        """Begin or go on with the replay; with ``speed`` at another one."""
        with self._lock:
            self._replay().resume(speed)
        self._wake_feed()

    def _replay(self) -> ReplayFeed:
        if self._venue is None or not isinstance(self._venue.feed, ReplayFeed):
            raise RuntimeError(f"{self.gateway_name} does not replay")
        return self._venue.feed

    # What the feed thread calls, with the lock held

    def deliver_due(self, now: float) -> float:
        wire, venue = self._wire, self._venue
        if venue is None:
            return _NEVER
        if now >= self._reconnect_at:
            self._come_up(venue)
        self._tell(wire.arrived(now))
        if isinstance(venue.feed, ReplayFeed) and venue.feed.is_finished and not self._end_told:
            self._end_told = True
            venue.save_feed()
            progress = venue.feed.progress
            if progress.ticks:
                self.write_log(f"the replay has finished at {progress.clock.isoformat()} after {progress.ticks} ticks")
            else:
                self.write_log(f"the replay has finished before, at {progress.clock.isoformat()}: {_HOW_TO_REPEAT}")
        return min(wire.due(), self._reconnect_at)

    def on_feed_tick(self, now: float) -> bool:
        venue, wire = self._venue, self._wire
        tick = venue.feed.pop(now) if venue is not None else None
        if venue is None or tick is None:
            return False
        venue.on_tick(tick)
        effects = venue.exchange.effects
        if effects:
            venue.save()
        sent = wire.is_up and tick.vt_symbol in self._subscribed
        if sent:
            self.on_tick(tick)
        if effects:
            self._tell(wire.news(venue.exchange.take_effects(), now))
        return sent

    def on_pulse(self, now: float) -> None:
        venue = self._venue
        if venue is None:
            return
        venue.exchange.advance(venue.now())
        venue.exchange.pulse()
        venue.save()
        venue.save_feed()
        self._tell(self._wire.news(venue.exchange.take_effects(), now))

    def on_feed_failed(self, error: Exception) -> None:
        self._feed_failed = True
        self.write_log(f"the market has stopped: {error}")

    # Inside

    def _default_path(self) -> Path:
        return Path(utility.TRADER_DIR) / f"sim_{self.gateway_name}.db"

    def _replays_again(self, venue: Venue) -> bool:
        """Tell whether a new connection starts a finished replay over; one that comes back after a fault does not."""
        return self._end_told and not self._is_dropped and isinstance(venue.feed, ReplayFeed)

    def _come_up(self, venue: Venue) -> None:
        self._wire.is_up = True
        self._is_dropped = False
        self._reconnect_at = _NEVER
        exchange = venue.exchange
        exchange.take_effects()  # all of it is in the state that follows
        for instrument in venue.instruments.values():
            self.on_contract(instrument.contract_data(self.gateway_name))
        # Positions after trades: vn.py's converter adds each trade to them.
        for order in exchange.orders.values():
            self.on_order(copy(order))
        for trade in exchange.trades.values():
            self.on_trade(copy(trade))
        self._tell(exchange.positions())
        self._tell([exchange.ledger.account_data()])
        for vt_symbol in sorted(self._subscribed):
            self._tell_quote(venue, vt_symbol)
        self.write_log(f"connected to the simulated exchange, {venue.describe()}")
        self.on_event(EVENT_VENUE_REPORTED, VenueReported(self.gateway_name, venue.forgets_nothing_since()))

    def _tell_quote(self, venue: Venue, vt_symbol: str) -> None:
        book = venue.exchange.books.get(vt_symbol)
        if book is not None and book.tick is not None and self._wire.is_up:
            self.on_tick(copy(book.tick))

    def _tell(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._push[type(effect)](effect)  # type: ignore[operator]

    def _refuse_alone(self, req: OrderRequest, refusal: Refusal) -> str:
        """Refuse an order that no venue has heard of. Its id cannot be one of the venue's: they begin with a date."""
        order = req.create_order_data(f"0{time.time_ns()}", self.gateway_name)
        self.on_order(copy(order))
        order.status = Status.REJECTED
        order.extra = {"reason": refusal.reason, "code": refusal.code}
        self.on_order(order)
        self.write_log(f"order {order.orderid} refused: {refusal.reason}")
        return order.vt_orderid

    def _wake_feed(self) -> None:
        driver = self._driver
        if driver is not None:
            driver.wake_threadsafe()

    def _stop_feed(self) -> None:
        if self._driver is not None:
            self._driver.stop()
            self._driver = None
        if self._gate is not None:
            self._gate.close()
            self._gate = None

    def _leave(self) -> None:
        with self._lock:
            venue, self._venue = self._venue, None
            if venue is not None:
                venue.close()
