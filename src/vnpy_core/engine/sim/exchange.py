"""The simulated exchange itself: takes orders, matches them with the market, books fills, settles days.

Plain and deterministic: no threads, no clock of its own, no I/O. Every method that changes something appends what the
client is to be told to ``effects`` and what a store has to write to ``changes``; the caller takes both.

How orders are matched: the market is the displayed quote, and own orders never meet each other. A marketable order
takes the displayed volume level by level at the levels' prices. What is left of a LIMIT order rests, and is filled,
best price and then oldest first, when a later quote shows an acceptable price: again at that price, so never worse than
its limit. What is left of a MARKET or FAK order is cancelled; a FOK order is filled as a whole or cancelled. A STOP
order waits for the last price to reach its own, then takes any price until it is filled. Volume that one quote has
shown is never given out twice.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from datetime import date, datetime
from typing import TypeVar

import msgspec
from vnpy.trader.constant import Direction, Offset, OrderType, Status
from vnpy.trader.object import AccountData, LogData, OrderData, OrderRequest, PositionData, TickData, TradeData

from vnpy_core.engine.sim.account import Exposure, Holding, Ledger, closes_of
from vnpy_core.engine.sim.book import IMMEDIATE, Book, SimOrder
from vnpy_core.engine.sim.checks import Refusal, is_number, refuse_form, refuse_now
from vnpy_core.engine.sim.contracts import Instrument
from vnpy_core.engine.sim.session import Session, trading_day, trading_day_bounds

Effect = OrderData | TradeData | PositionData | AccountData | LogData

# Finished orders of earlier days that are still told to a client that connects: it may have died before it heard.
KEPT_FINISHED = 1000
_WARNING = 30
_DATE_DIGITS = 6
_T = TypeVar("_T")
_D = TypeVar("_D")


def sequence_of(orderid: str) -> int:
    """Return the running number in an order id, which is the order of arrival."""
    return int(orderid[_DATE_DIGITS:])


class Changes(msgspec.Struct):
    """What a store has to write so that nothing is forgotten. Orders come with whether they are triggered stops."""

    orders: dict[str, tuple[OrderData, bool]] = msgspec.field(default_factory=dict)
    trades: list[TradeData] = msgspec.field(default_factory=list)
    holdings: dict[tuple[str, Direction], tuple[Exposure, Holding]] = msgspec.field(default_factory=dict)
    dropped: list[str] = msgspec.field(default_factory=list)
    account: bool = False

    def __bool__(self) -> bool:
        return self.account or bool(self.orders or self.holdings or self.trades or self.dropped)


class Exchange:
    """One client's exchange. ``day`` is the trading day it last settled into; ``clock`` the latest moment it saw."""

    def __init__(
        self,
        name: str,
        instruments: Mapping[str, Instrument],
        ledger: Ledger,
        session: Session,
        *,
        day: date | None = None,
        order_count: int = 0,
        trade_count: int = 0,
    ) -> None:
        self.name = name
        self.instruments = instruments
        self.ledger = ledger
        self.session = session
        self.day = day
        self.order_count = order_count
        self.trade_count = trade_count
        self.clock: datetime | None = None
        self.working: dict[str, SimOrder] = {}
        self.orders: dict[str, OrderData] = {}
        self.trades: dict[str, TradeData] = {}
        self.books = {vt_symbol: Book(instrument) for vt_symbol, instrument in instruments.items()}
        self.effects: list[Effect] = []
        self.changes = Changes()
        self._touched: dict[tuple[str, Direction], tuple[Exposure, Holding]] = {}
        self._filled = False
        self._account_told = True
        self._day_start: datetime | None = None
        self._day_end: datetime | None = None

    def take_effects(self) -> list[Effect]:
        effects, self.effects = self.effects, []
        return effects

    def take_changes(self) -> Changes:
        changes, self.changes = self.changes, Changes()
        return changes

    # Orders

    def submit(self, request: OrderRequest, now: datetime, refusal: Refusal | None = None) -> str:
        """Take an order and return its vt_orderid; ``refusal``: refuse it for this reason from outside."""
        self.advance(now)
        self.order_count += 1
        data = request.create_order_data(f"{self._prefix(now)}{self.order_count:06d}", self.name)
        data.datetime = now
        _make_presentable(data)
        self.orders[data.orderid] = data
        self.changes.account = True  # the counter
        self.effects.append(copy(data))
        refusal = refusal or self._refuse_form(request)
        if refusal is not None:
            self._reject(data, refusal)
            return data.vt_orderid
        order = self._admit(data, self.instruments[request.vt_symbol])
        book = self.books[request.vt_symbol]
        refusal = refuse_now(order, book, self.ledger, self.session.is_open(now), now)
        if refusal is not None:
            self._reject(data, refusal)
            return data.vt_orderid
        self._work(order, book)
        self._tell_changes()
        return data.vt_orderid

    def cancel(self, orderid: str, now: datetime) -> None:
        """Withdraw a working order; for any other id only a log line says why not."""
        self.advance(now)
        order = self.working.get(orderid)
        if order is not None:
            self._withdraw(order, None)
            self._tell_changes()
            return
        known = self.orders.get(orderid)
        why = "there is no such order" if known is None else f"it is {known.status.name}"
        self._log(f"order {orderid} cannot be cancelled: {why}")

    def _prefix(self, now: datetime) -> str:
        return f"{self.day or trading_day(now):%y%m%d}"

    def _refuse_form(self, request: OrderRequest) -> Refusal | None:
        instrument = self.instruments.get(request.vt_symbol)
        if instrument is None:
            return Refusal("unknown_contract", f"there is no contract {request.vt_symbol}")
        return refuse_form(request, instrument)

    def _admit(self, data: OrderData, instrument: Instrument) -> SimOrder:
        buy = data.direction is Direction.LONG
        if data.type is not OrderType.MARKET:
            data.price = instrument.price_at(instrument.index_of(data.price))
        lots = instrument.whole_lots(data.volume)
        data.volume = instrument.volume_of(lots)
        exposure, tick = self.ledger.exposure(instrument), self.books[instrument.vt_symbol].tick
        if exposure.last_price is None and tick is not None and tick.last_price > 0:
            self.ledger.mark(exposure, tick.last_price)
        return SimOrder(
            data=data, instrument=instrument, exposure=exposure, lots=lots, buy=buy,
            closes=closes_of(instrument, data.offset, buy),
        )  # fmt: skip

    def _reject(self, data: OrderData, refusal: Refusal) -> None:
        data.status = Status.REJECTED
        data.extra = {"reason": refusal.reason, "code": refusal.code}
        self.changes.orders[data.orderid] = (data, False)
        self.effects.append(copy(data))
        self._log(f"order {data.orderid} refused: {refusal.reason}")

    def _work(self, order: SimOrder, book: Book) -> None:
        """Acknowledge a sound order, match it, and rest or cancel what is left."""
        order.data.status = Status.NOTTRADED
        self._tell(order)
        self.working[order.data.orderid] = order
        if order.data.type is OrderType.FOK and book.within(order) < order.left:
            self._finish(order, Refusal("unfilled", "the displayed volume cannot fill the whole order"))
            return
        stop = order.data.type is OrderType.STOP
        if stop and not self._is_reached(order, book.tick):
            self._rest(order, book)
            return
        order.triggered = stop
        self._match(order, book)
        if not order.left:
            return
        if order.data.type in IMMEDIATE:
            shown = order.instrument.volume_of(order.left)
            self._finish(order, Refusal("unfilled", f"nothing acceptable is displayed for the remaining {shown:g}"))
        else:
            self._rest(order, book)

    def _is_reached(self, order: SimOrder, tick: TickData | None) -> bool:
        if tick is None or not tick.last_price > 0:
            return False
        return tick.last_price >= order.data.price if order.buy else tick.last_price <= order.data.price

    def _rest(self, order: SimOrder, book: Book) -> None:
        book.add(order)
        self._hold(order, order.left)

    def _hold(self, order: SimOrder, lots: int) -> None:
        if lots == order.held:
            return
        self.ledger.hold(order.exposure, order.buy, order.closes, order.data.price, order.held, lots)
        order.held = lots
        self._account_told = False
        if order.closes is not None:
            self._touch(order.exposure, order.exposure.holding_of(order.buy, order.closes))

    def _withdraw(self, order: SimOrder, refusal: Refusal | None) -> None:
        self.books[order.instrument.vt_symbol].remove(order)
        self._hold(order, 0)
        self._finish(order, refusal)

    def _finish(self, order: SimOrder, refusal: Refusal | None) -> None:
        order.data.status = Status.CANCELLED
        if refusal is not None:
            order.data.extra = {"reason": refusal.reason, "code": refusal.code}
        del self.working[order.data.orderid]
        self._tell(order)

    # The market

    def on_tick(self, tick: TickData) -> None:
        """Take a new quote: it triggers stops, fills resting orders, values positions, and may start a new day."""
        now = tick.datetime
        if self._day_end is None or not self._is_this_day(now):
            self.advance(now)
        self.clock = now
        book = self.books[tick.vt_symbol]
        book.quote(tick)
        exposure = self.ledger.exposures.get(tick.vt_symbol)
        if exposure is None:
            return
        if tick.last_price > 0:
            self.ledger.mark(exposure, tick.last_price)
        if book.is_idle or not self.session.is_open(now):
            return
        if tick.last_price > 0:
            for order in book.triggered(tick.last_price):
                order.triggered = True
                self.changes.orders[order.data.orderid] = (order.data, True)
                book.add(order)
        for order in book.crossed():
            self._match(order, book)
        self._tell_changes()

    def _match(self, order: SimOrder, book: Book) -> None:
        """Fill the order as far as the displayed volume goes; a resting one leaves the book once it is filled."""
        resting = order.held > 0
        fills = book.take(order)
        if resting and sum(lots for _, lots in fills) == order.left:
            book.remove(order)
        for price, lots in fills:
            self._fill(order, price, lots)

    def _fill(self, order: SimOrder, price: float, lots: int) -> None:
        data, instrument = order.data, order.instrument
        if order.held:
            self._hold(order, order.held - lots)
        holding = self.ledger.fill(order.exposure, order.buy, order.closes, price, lots)
        self._touch(order.exposure, holding)
        self.changes.account = self._filled = True
        order.traded += lots
        data.traded = instrument.volume_of(order.traded)
        data.status = Status.PARTTRADED if order.left else Status.ALLTRADED
        if not order.left:
            del self.working[data.orderid]
        self._tell(order)
        self.trade_count += 1
        moment = self.clock or data.datetime
        trade = TradeData(
            gateway_name=self.name,
            symbol=data.symbol,
            exchange=data.exchange,
            orderid=data.orderid,
            tradeid=f"T{data.orderid[:_DATE_DIGITS]}{self.trade_count:06d}",
            direction=data.direction,
            offset=data.offset,
            price=price,
            volume=instrument.volume_of(lots),
            datetime=moment,
        )
        self.trades[trade.tradeid] = trade
        self.changes.trades.append(trade)
        self.effects.append(copy(trade))

    # Days

    def advance(self, now: datetime) -> None:
        """Note the time, and settle if it belongs to another trading day than the last."""
        if self.clock is None or now > self.clock or not self._is_this_day(now):
            self.clock = now
        if self._day_end is not None and self._is_this_day(now):
            return
        self._day_start, self._day_end = trading_day_bounds(now)
        day = trading_day(now)
        if day != self.day:
            if self.day is not None:
                self.settle()
            self.day = day
            self.changes.account = True

    def _is_this_day(self, now: datetime) -> bool:
        return self._day_start is not None and self._day_end is not None and self._day_start <= now < self._day_end

    def settle(self) -> None:
        """End the day: day orders expire, today's positions become yesterday's, old finished orders are dropped."""
        for order in list(self.working.values()):
            if not order.instrument.good_till_cancelled:
                self._withdraw(order, Refusal("expired", "the trading day has ended"))
        for exposure, holding in self.ledger.settle():
            self._touch(exposure, holding)
        self._tell_changes()
        finished = [orderid for orderid in self.orders if orderid not in self.working]
        for orderid in finished[:-KEPT_FINISHED]:
            del self.orders[orderid]
            self.changes.dropped.append(orderid)
        if self.changes.dropped:
            self.trades = {key: trade for key, trade in self.trades.items() if trade.orderid in self.orders}

    # Telling

    def _tell(self, order: SimOrder) -> None:
        self.changes.orders[order.data.orderid] = (order.data, order.triggered)
        self.effects.append(copy(order.data))

    def _touch(self, exposure: Exposure, holding: Holding) -> None:
        key = (exposure.instrument.vt_symbol, holding.direction)
        self._touched[key] = self.changes.holdings[key] = (exposure, holding)

    def _tell_changes(self) -> None:
        """After the orders and trades: the positions that changed, and the account if money has moved."""
        if self._touched:
            self.effects += (self.ledger.position_data(*changed) for changed in self._touched.values())
            self._touched.clear()
        if self._filled:
            self._filled = False
            self._tell_account()

    def _tell_account(self) -> None:
        self._account_told = True
        self.effects.append(self.ledger.account_data())

    def _log(self, text: str) -> None:
        self.effects.append(LogData(self.name, text, _WARNING))

    def pulse(self) -> None:
        """Tell what has drifted since it was last told: the profit of open positions, the account. Once a second."""
        for exposure in self.ledger.exposures.values():
            for holding in exposure.holdings.values():
                if holding.floating != holding.shown_floating:
                    self.effects.append(self.ledger.position_data(exposure, holding))
                    self._account_told = False
        if not self._account_told:
            self._tell_account()

    def positions(self) -> Iterable[PositionData]:
        """Return every position that is open or ever was."""
        for exposure in self.ledger.exposures.values():
            for holding in exposure.holdings.values():
                if holding.used:
                    yield self.ledger.position_data(exposure, holding)

    # After a restart

    def restore_order(self, data: OrderData, triggered: bool) -> None:
        """Put back an order as it was stored. Positions come first; orders in the order in which they were sent."""
        self.orders[data.orderid] = data
        if not data.is_active():
            return
        order = self._admit(data, self.instruments[data.vt_symbol])
        order.traded = order.instrument.whole_lots(data.traded)
        order.triggered = triggered
        self.working[data.orderid] = order
        self._rest(order, self.books[data.vt_symbol])


def _make_presentable(data: OrderData) -> None:
    """Leave out of a malformed order what no order can have: it is refused, and shown all the same."""
    data.direction = _member(data.direction, Direction, None)
    data.offset = _member(data.offset, Offset, Offset.NONE)
    data.type = _member(data.type, OrderType, OrderType.LIMIT)
    data.price = float(data.price) if is_number(data.price) else 0.0
    data.volume = float(data.volume) if is_number(data.volume) else 0.0


def _member(value: object, kind: type[_T], otherwise: _D) -> _T | _D:
    return value if isinstance(value, kind) else otherwise
