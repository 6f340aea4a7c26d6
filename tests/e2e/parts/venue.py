"""A gateway whose venue goes through the script, whatever happens to the service; loaded by dotted path.

A step is written to the venue's own file before anything of it is told. A new process is told again how all orders
stand and what was filled, as by a real venue that is queried after a connect, and then the venue goes on. Ticks that
were told are not told again.
"""

import os
import threading
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from vnpy.trader.constant import Direction, Exchange, Offset, OrderType, Product, Status
from vnpy.trader.gateway import BaseGateway
from vnpy.trader.object import (
    AccountData,
    CancelRequest,
    ContractData,
    OrderData,
    OrderRequest,
    PositionData,
    SubscribeRequest,
    TickData,
    TradeData,
)

from tests.e2e.parts import script

ZONE = ZoneInfo("Asia/Shanghai")


def steps_told(path: Path) -> list[int]:
    """Return the moment (of the monotonic clock, in ns) at which each step so far happened."""
    return [int(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


class ScriptedGateway(BaseGateway):
    default_name = "VENUE"
    default_setting: dict = {"file": "", "steps_per_second": 200}  # noqa: RUF012
    exchanges = [Exchange.SHFE]  # noqa: RUF012

    def connect(self, setting: dict) -> None:
        path = Path(setting["file"])
        for symbol in script.SYMBOLS:
            self.on_contract(ContractData(self.gateway_name, symbol, Exchange.SHFE, symbol, Product.FUTURES, 10, 1))
        told = len(steps_told(path))
        for number in range(min(told, script.ORDERS)):
            lived = [state for state in script.states(number) if state.step < told]
            self._tell(lived[-1])
            for state in lived[:-1]:
                self._tell_trade(state)
        self._tell_holding(told - 1)
        self._ended = threading.Event()
        threading.Thread(
            target=self._go_on, args=(path, told, setting["steps_per_second"]), name="venue", daemon=True
        ).start()

    def close(self) -> None:
        self._ended.set()

    def _go_on(self, path: Path, first: int, steps_per_second: float) -> None:
        file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        began = time.monotonic()
        for step in range(first, script.STEPS):
            while (wait_s := began + (step - first) / steps_per_second - time.monotonic()) > 0:
                if self._ended.wait(wait_s):
                    break
            if self._ended.is_set():
                break
            os.write(file, b"%d\n" % time.monotonic_ns())
            for state in script.at(step):
                self._tell(state)
            for number in script.ticks_at(step):
                self._tell_tick(number)
            if step % 10 == 9 or step == script.STEPS - 1:
                self._tell_holding(step)
        os.close(file)

    def _tell(self, state: script.State) -> None:
        number = state.number
        self.on_order(
            OrderData(
                self.gateway_name, script.symbol(number), Exchange.SHFE, str(number), OrderType.LIMIT, Direction.LONG,
                Offset.OPEN, script.price(number), script.volume(number), state.traded, Status[state.status],
                _local(script.moment(number)), f"script-{number}",
            )
        )  # fmt: skip
        self._tell_trade(state)

    def _tell_trade(self, state: script.State) -> None:
        if state.fill:
            self.on_trade(
                TradeData(
                    self.gateway_name, script.symbol(state.number), Exchange.SHFE, str(state.number), state.tradeid,
                    Direction.LONG, Offset.OPEN, script.price(state.number), state.fill,
                    _local(script.moment(state.step)),
                )
            )  # fmt: skip

    def _tell_holding(self, step: int) -> None:
        held = script.holding(step)
        self.on_account(AccountData(self.gateway_name, "A", 1e9 - held, 0.0))
        self.on_position(PositionData(self.gateway_name, script.SYMBOLS[0], Exchange.SHFE, Direction.LONG, held))

    def _tell_tick(self, number: int) -> None:
        price = script.price(number)
        levels = [*(price - level for level in range(1, 6)), *(price + level for level in range(1, 6))]
        self.on_tick(
            TickData(
                self.gateway_name, script.symbol(number), Exchange.SHFE, _local(script.tick_moment(number)), "rebar",
                float(number), 0, 1_500_000, price, 3, 3900, 3100, 3480, 3620, 3470, 3490,
                *levels, *(float(1 + number % 9 + level) for level in range(10)),
            )
        )  # fmt: skip

    def subscribe(self, req: SubscribeRequest) -> None: ...

    def send_order(self, req: OrderRequest) -> str:
        self.write_log("The venue of the script takes no orders")
        return ""

    def cancel_order(self, req: CancelRequest) -> None: ...

    def query_account(self) -> None: ...

    def query_position(self) -> None: ...


def _local(moment: datetime) -> datetime:
    return moment.astimezone(ZONE)
