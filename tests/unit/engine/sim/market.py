"""An exchange without threads or clock: tests move its time, its quotes and its orders themselves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from vnpy.trader.constant import Direction, Exchange, Offset, OrderType, Status
from vnpy.trader.object import AccountData, OrderData, OrderRequest, PositionData, TickData, TradeData

from vnpy_core.engine.sim.account import Holding, Ledger
from vnpy_core.engine.sim.contracts import MONEY, list_contracts
from vnpy_core.engine.sim.exchange import Effect
from vnpy_core.engine.sim.exchange import Exchange as SimExchange
from vnpy_core.engine.sim.session import parse_session

ZONE = ZoneInfo("Asia/Shanghai")
MORNING = datetime(2026, 1, 6, 9, 30, tzinfo=ZONE)  # a Tuesday
LONG, SHORT, NET = Direction.LONG, Direction.SHORT, Direction.NET
OPEN, CLOSE = Offset.OPEN, Offset.CLOSE
LIMIT, MARKET, FAK, FOK, STOP = OrderType.LIMIT, OrderType.MARKET, OrderType.FAK, OrderType.FOK, OrderType.STOP

T = TypeVar("T")
Levels = Sequence[tuple[float, float]]


class Market:
    """One exchange and all it has said. The default contract is rebar: 10 tons a lot, 10 % margin, tick 1."""

    def __init__(self, *, balance: float = 1_000_000, session: str = "always", contracts: Sequence[dict] = ()) -> None:
        self.exchange = SimExchange(
            "SIM", list_contracts(contracts), Ledger("SIM", round(balance * MONEY)), parse_session(session)
        )
        self.now = MORNING
        self.told: list[Effect] = []

    def quote(
        self,
        bids: Levels,
        asks: Levels,
        *,
        last: float | None = None,
        vt_symbol: str = "rb2605.SHFE",
        limits: tuple[float, float] = (0, 0),
        after: timedelta = timedelta(seconds=1),
    ) -> list[Effect]:
        self.now += after
        symbol, exchange = vt_symbol.split(".")
        tick = TickData("SIM", symbol, Exchange(exchange), self.now, limit_down=limits[0], limit_up=limits[1])
        for side, levels in (("bid", bids), ("ask", asks)):
            for number, (price, volume) in enumerate(levels, 1):
                setattr(tick, f"{side}_price_{number}", price)
                setattr(tick, f"{side}_volume_{number}", volume)
        tick.last_price = last if last is not None else (bids or asks)[0][0]
        self.exchange.on_tick(tick)
        return self._collect()

    def send(
        self,
        direction: Direction,
        volume: float,
        price: float = 0,
        *,
        offset: Offset = OPEN,
        type: OrderType = LIMIT,
        vt_symbol: str = "rb2605.SHFE",
    ) -> OrderData:
        """Send an order and return it as it stands afterwards."""
        symbol, exchange = vt_symbol.split(".")
        request = OrderRequest(symbol, Exchange(exchange), direction, type, volume, price, offset)
        vt_orderid = self.exchange.submit(request, self.now)
        self._collect()
        return self.order(vt_orderid)

    def cancel(self, order: OrderData) -> None:
        self.exchange.cancel(order.orderid, self.now)
        self._collect()

    def next_day(self) -> None:
        self.now += timedelta(days=1)
        self.exchange.advance(self.now)
        self._collect()

    def order(self, order: OrderData | str) -> OrderData:
        """Return the order as it was last told."""
        vt_orderid = order if isinstance(order, str) else order.vt_orderid
        return [told for told in self.of(OrderData) if told.vt_orderid == vt_orderid][-1]

    def statuses(self, order: OrderData) -> list[Status]:
        return [told.status for told in self.of(OrderData) if told.vt_orderid == order.vt_orderid]

    def of(self, kind: type[T]) -> list[T]:
        return [effect for effect in self.told if isinstance(effect, kind)]

    def fills(self, order: OrderData) -> list[tuple[float, float]]:
        return [(trade.price, trade.volume) for trade in self.of(TradeData) if trade.vt_orderid == order.vt_orderid]

    def holding(self, direction: Direction = LONG, vt_symbol: str = "rb2605.SHFE") -> Holding:
        return self.exchange.ledger.exposures[vt_symbol].holdings[direction]

    def position(self, direction: Direction = LONG, vt_symbol: str = "rb2605.SHFE") -> PositionData:
        """Return the position as it was last told."""
        return [
            told for told in self.of(PositionData) if told.vt_symbol == vt_symbol and told.direction is direction
        ][-1]

    @property
    def account(self) -> AccountData:
        return self.exchange.ledger.account_data()

    def _collect(self) -> list[Effect]:
        effects = self.exchange.take_effects()
        self.told += effects
        return effects


def reason(order: OrderData) -> str:
    assert order.status in (Status.REJECTED, Status.CANCELLED)
    assert order.extra is not None
    assert order.extra["reason"]
    return str(order.extra["code"])
