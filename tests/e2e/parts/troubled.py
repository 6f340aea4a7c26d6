"""A simulated exchange in trouble, while files in vn.py's folder say so; strategies that are."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from vnpy.trader import utility
from vnpy.trader.constant import Direction, Exchange
from vnpy.trader.object import PositionData, TickData

from vnpy_core.engine.sim import SimGateway

STRATEGIES = '''
import time
from pathlib import Path

from vnpy.event import Event
from vnpy.trader import utility
from vnpy.trader.event import EVENT_TICK
from vnpy_ctastrategy import CtaTemplate


def is_asked(name):
    return (Path(utility.TRADER_DIR) / name).exists()


class Troubled(CtaTemplate):
    """``raise``: it raises. ``hold``: it holds the event thread as long as the file is there.
    ``slow``: it takes longer for a tick than the next one takes to come."""

    def on_init(self): ...

    def on_start(self):
        self.send_email("the strategy has begun")

    def on_tick(self, tick):
        if is_asked("raise"):
            raise ValueError("as it was asked to")
        while is_asked("hold"):
            time.sleep(0.02)
        if is_asked("slow"):
            time.sleep(0.03)


class Handling(CtaTemplate):
    """Has a handler of its own, which raises while ``handler`` is there."""

    def on_init(self): ...

    def on_start(self):
        self.cta_engine.event_engine.register(EVENT_TICK, self.on_event)

    def on_event(self, event: Event):
        if is_asked("handler"):
            raise ValueError("as it was asked to")
'''


class TroubledGateway(SimGateway):
    """``cut``: the connection is lost, and none is made. ``silence``: ticks are lost. ``late``: they are dated half a
    minute back. ``gift``: the account holds five lots more than anybody has traded."""

    has_given = False

    def connect(self, setting: dict[str, Any]) -> None:
        if _is_asked("cut"):
            raise ConnectionError("the line is cut")
        super().connect(setting)

    def on_tick(self, tick: TickData) -> None:
        if _is_asked("cut"):
            self.inject(disconnect=True)
            return
        if _is_asked("gift") is not self.has_given:
            self.has_given = not self.has_given
            self.on_position(
                PositionData(
                    symbol="hc2605", exchange=Exchange.SHFE, direction=Direction.LONG, gateway_name=self.gateway_name,
                    volume=5.0 if self.has_given else 0.0,
                )
            )  # fmt: skip
        if _is_asked("late"):
            tick.datetime -= timedelta(seconds=30)
        if not _is_asked("silence"):
            super().on_tick(tick)


def _is_asked(name: str) -> bool:
    return (Path(utility.TRADER_DIR) / name).exists()
