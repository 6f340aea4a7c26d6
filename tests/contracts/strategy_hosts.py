"""The strategy engines that the contract of a host is held to, each with strategies that do the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from tests.integration.engine_room import SYMBOL, Room
from vnpy.trader.app import BaseApp
from vnpy_ctastrategy.base import EVENT_CTA_STRATEGY
from vnpy_portfoliostrategy.base import EVENT_PORTFOLIO_STRATEGY

from vnpy_core.engine.cta import CoreCtaApp, CoreCtaEngine
from vnpy_core.engine.portfolio import CorePortfolioApp, CorePortfolioEngine
from vnpy_core.engine.strategy_commands import StrategyCommands
from vnpy_core.models import StrategyVariables

SECOND = "hc2505.SHFE"

_BODY = '''
class Buyer(Base):
    """Buys at its first tick."""

    author = "tests"
    size = 1
    label = "x"
    parameters = ["size", "label"]
    ticks = 0
    variables = ["ticks"]

    def on_init(self):
        self.raise_in("on_init")
        self.sent = []

    def on_start(self):
        self.raise_in("on_start")

    def on_stop(self):
        self.raise_in("on_stop")

    def on_tick(self, tick):
        self.ticks += 1
        self.raise_in("on_tick")
        if self.trading and not self.sent:
            self.sent += self.open(tick.vt_symbol, tick.last_price, self.size)
        self.put_event()

    def raise_in(self, callback):
        if self.label == callback:
            raise ValueError(f"boom in {callback}")
        if self.label == "exit " + callback:
            sys.exit(3)


class Slow(Buyer):
    entered = threading.Semaphore(0)
    leave = threading.Event()

    def on_init(self):
        super().on_init()
        self.entered.release()
        assert self.leave.wait(10)


class Unsaveable(Buyer):
    moment = datetime(2026, 1, 5)
    variables = ["moment"]


class BadConstructor(Buyer):
    def __init__(self, *args):
        raise OSError("boom in the constructor")
'''

CTA = '''
import sys
import threading
from datetime import datetime

from vnpy_ctastrategy import CtaTemplate


class Base(CtaTemplate):
    def open(self, vt_symbol, price, volume):
        return self.buy(price, volume)

    def on_trade(self, trade):
        self.raise_in("on_trade")

    def on_order(self, order):
        self.raise_in("on_order")

''' + _BODY

PORTFOLIO = '''
import sys
import threading
from datetime import datetime

from vnpy_portfoliostrategy import StrategyTemplate


class Base(StrategyTemplate):
    def open(self, vt_symbol, price, volume):
        return self.buy(vt_symbol, price, volume)

    def on_bars(self, bars): ...

    def update_trade(self, trade):
        self.raise_in("on_trade")
        super().update_trade(trade)

    def update_order(self, order):
        self.raise_in("on_order")
        super().update_order(order)

''' + _BODY


class HostKind(msgspec.Struct, frozen=True):
    """``symbols`` are what its strategies trade, the first of them ``SYMBOL``."""

    name: str
    app: type[BaseApp]
    engine: type[StrategyCommands]
    event: str
    source: str
    symbols: Sequence[str]
    setting_file: str
    data_file: str
    symbol_entry: Mapping[str, Any]


KINDS = (
    HostKind(
        "CtaStrategy", CoreCtaApp, CoreCtaEngine, EVENT_CTA_STRATEGY, CTA, [SYMBOL],
        "cta_strategy_setting.json", "cta_strategy_data.json", {"vt_symbol": SYMBOL},
    ),
    HostKind(
        "PortfolioStrategy", CorePortfolioApp, CorePortfolioEngine, EVENT_PORTFOLIO_STRATEGY, PORTFOLIO,
        [SYMBOL, SECOND], "portfolio_strategy_setting.json", "portfolio_strategy_data.json",
        {"vt_symbols": [SYMBOL, SECOND]},
    ),
)  # fmt: skip


class Living:
    """A host in a room. ``begin`` again is what a restarted process finds."""

    def __init__(self, room: Room, kind: HostKind) -> None:
        self.room = room
        self.kind = kind
        self.told: list[StrategyVariables] = []

    def begin(self, *, saved: Mapping[str, StrategyVariables] | None = None) -> StrategyCommands:
        self.room.start()
        self.host: StrategyCommands = self.room.add(self.kind.app, self.kind.engine)
        self.host.tell = lambda fact: self.told.append(fact) if isinstance(fact, StrategyVariables) else None
        self.host.init_engine()
        if saved is not None:
            self.host.adopt_variables(saved)
        return self.host

    def connect(self) -> None:
        self.room.connect()
        for vt_symbol in self.kind.symbols:
            self.room.gateway.contract(vt_symbol.partition(".")[0])
        self.room.settle()

    def add(self, name: str = "one", class_name: str = "Buyer", *, saved: bool = False, **setting: Any) -> None:
        self.host.add_strategy(class_name, name, self.kind.symbols, setting, saved=saved)

    def trading(self, name: str = "one", class_name: str = "Buyer", **setting: Any) -> None:
        self.add(name, class_name, **setting)
        self.host.init_strategy(name).result(10)
        self.host.start_strategy(name)

    def position(self, name: str = "one") -> float | None:
        state = self.host.get_state(name)
        held = state.get("positions", {SYMBOL: state["variables"].get("pos")})[SYMBOL]
        return None if held is None else float(held)

    def latest(self) -> dict[str, StrategyVariables]:
        return {each.strategy_name: each for each in self.told}
