"""What the manager finds at the start: vn.py's file, orders, strategies that are gone."""

from collections.abc import Iterable

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import Direction, Exchange, Offset, OrderStatus, OrderType, StrategyState
from vnpy_core.events import Event
from vnpy_core.models import Order, Strategy, Trade
from vnpy_core.strategies.recovery import earlier_orders, gone, records_of
from vnpy_core.strategies.setting_files import settings_of

SYMBOL = "rb2505.SHFE"


class Table:
    def __init__(self, *models: Order | Trade | Strategy) -> None:
        self._events = [Event(model) for model in models]

    def values(self) -> Iterable[Event]:
        return self._events


class Known:
    def __init__(self) -> None:
        self.strategies = self.orders = self.trades = Table()


def order(number: int, reference: str, status: OrderStatus) -> Order:
    return Order(
        vt_orderid=f"SIM.{number}", orderid=str(number), gateway_name="SIM", symbol="rb2505", exchange=Exchange.SHFE,
        vt_symbol=SYMBOL, type=OrderType.LIMIT, direction=Direction.LONG, offset=Offset.OPEN, price=1.0, volume=1.0,
        traded=0.0, status=status, datetime=None, reference=reference,
    )  # fmt: skip


def strategy(name: str, engine: str = "CtaStrategy") -> Strategy:
    return Strategy(
        strategy_name=name, class_name="Probe", engine=engine, vt_symbol=SYMBOL, author="",
        state=StrategyState.TRADING, inited=True, trading=True, auto_start=False, pos=0.0, parameters={}, variables={},
    )  # fmt: skip


def record(name: str) -> StrategyRecord:
    return StrategyRecord(
        strategy_name=name, class_name="Probe", engine="CtaStrategy", vt_symbol=SYMBOL, setting={"size": 1}
    )


def test_records_of_a_setting_file() -> None:
    entry = {"class_name": "Probe", "vt_symbol": SYMBOL, "setting": {"size": 1}}
    settings = {"good": entry, "no_setting": {"class_name": "Probe", "vt_symbol": SYMBOL}, "text": "x", "number": 1}
    (found,) = records_of("CtaStrategy", settings)
    assert (found.strategy_name, found.setting, found.desired_state) == ("good", {"size": 1}, StrategyState.ADDED)
    assert settings_of({"good": found}, "CtaStrategy") == {"good": entry}


def test_earlier_orders() -> None:
    known = Known()
    known.orders = Table(
        order(1, "CtaStrategy_a_b", OrderStatus.NOTTRADED),
        order(2, "CtaStrategy_a_b", OrderStatus.ALLTRADED),
        order(3, "", OrderStatus.NOTTRADED),
        order(4, "AlgoTrading_x", OrderStatus.NOTTRADED),
        order(5, "CtaStrategy_c", OrderStatus.UNKNOWN),
    )
    found = earlier_orders(known, "CtaStrategy")
    assert found.owners == {"SIM.1": "a_b", "SIM.2": "a_b", "SIM.5": "c"}
    assert found.working == ["SIM.1", "SIM.5"]
    assert found.fills == []


def test_gone() -> None:
    known = Known()
    known.strategies = Table(strategy("kept"), strategy("lost"), strategy("other", "SpreadTrading"))
    (found,) = gone(known, {"kept": record("kept")}, ["CtaStrategy"])
    assert (found.strategy_name, found.state) == ("lost", StrategyState.REMOVED)
