"""Strategies that block, raise, cannot be saved or cannot be imported, beside one that is well: it trades on, whole."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue

import pytest
from vnpy_ctastrategy.base import EVENT_CTA_STRATEGY

from tests.integration.engine_room import SYMBOL, WAIT_S, Room, engine_room
from vnpy_core.engine import translate
from vnpy_core.engine.cta import CoreCtaApp, CoreCtaEngine
from vnpy_core.engine.event_watch import EventWatch, SlowCallback
from vnpy_core.enums import StrategyState
from vnpy_core.errors import StrategyFailed
from vnpy_core.events import Event
from vnpy_core.models import Alert, Model, StrategyVariables
from vnpy_core.strategies.alerts import StrategyAlerts

STRATEGIES = '''
import time

from vnpy.trader.constant import Interval
from vnpy_ctastrategy import BarGenerator, CtaTemplate


class Good(CtaTemplate):
    """Buys one at each tick; ``broken`` names the callback that raises."""

    broken = ""
    parameters = ["broken"]
    ticks = 0
    fills = 0
    variables = ["ticks", "fills"]

    def check(self, callback):
        if callback == self.broken:
            raise RuntimeError("boom in " + callback)

    def on_init(self):
        self.bars = BarGenerator(self.on_bar)
        self.check("on_init")

    def on_start(self):
        self.check("on_start")

    def on_stop(self):
        self.check("on_stop")

    def on_bar(self, bar):
        self.check("on_bar")

    def on_tick(self, tick):
        self.ticks += 1
        if self.trading:
            self.buy(tick.last_price, 1)
            if self.ticks == 1:
                self.sell(1, 1, stop=True)
        self.check("on_tick")
        if self.broken == "on_bar":
            self.on_bar(None)

    def on_order(self, order):
        self.check("on_order")

    def on_trade(self, trade):
        self.fills += 1
        self.check("on_trade")

    def on_stop_order(self, stop_order):
        self.check("on_stop_order")


class Blocking(Good):
    def on_tick(self, tick):
        super().on_tick(tick)
        if self.ticks == 2:
            self.compute()

    def compute(self):
        time.sleep(2.0)


class Unsaveable(Good):
    things = 0
    variables = ["ticks", "fills", "things"]

    def on_trade(self, trade):
        super().on_trade(trade)
        self.things = {1, 2}
'''
CALLBACKS = (
    "on_init", "on_start", "on_tick", "on_bar", "on_order", "on_trade", "on_stop_order", "on_stop",
)  # fmt: skip
AT_ONCE = ("on_init", "on_start")


class Told:
    """The pipeline: what is emitted is kept, what the engine says is passed on."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self._callbacks: list[Callable[[Sequence[Event]], None]] = []

    def emit(self, model: Model) -> None:
        assert isinstance(model, Alert)
        self.alerts[model.alert_id] = model

    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None:
        self._callbacks.append(callback)

    def publish(self, *models: Model) -> None:
        for callback in self._callbacks:
            callback([Event(model) for model in models])


@pytest.fixture
def room(tmp_path: Path, runtime_dir: Path) -> Iterator[Room]:
    with engine_room(tmp_path, runtime_dir) as room:
        room.strategy_file("well.py", STRATEGIES)
        room.strategy_file("torn.py", "import nothing_of_that_name\n")
        room.watch(EVENT_CTA_STRATEGY)
        yield room


def test_bad_strategies_hurt_no_other(room: Room) -> None:
    room.start()
    cta = room.add(CoreCtaApp, CoreCtaEngine)
    saved: dict[str, StrategyVariables] = {}
    cta.tell = lambda fact: saved.update({fact.key: fact} if isinstance(fact, StrategyVariables) else {})
    cta.init_engine()
    room.connect()
    room.gateway.on_sent = room.gateway.fill
    told = Told()
    alerts = StrategyAlerts(told)
    assert any("nothing_of_that_name" in shown for shown in cta.broken_files.values())

    def begin(class_name: str, name: str, broken: str = "") -> None:
        cta.add_strategy(class_name, name, SYMBOL, {"broken": broken})
        cta.init_strategy(name).result(WAIT_S)
        cta.start_strategy(name)

    begin("Good", "first")
    for callback in CALLBACKS:
        if callback in AT_ONCE:
            with pytest.raises(StrategyFailed, match=f"boom in {callback}"):
                begin("Good", callback, callback)
        else:
            begin("Good", callback, callback)
    begin("Blocking", "blocking")
    begin("Unsaveable", "unsaveable")
    begin("Good", "last")

    slow: SimpleQueue[SlowCallback] = SimpleQueue()
    watch = EventWatch(room.event_engine, slow.put, slow_s=0.5)
    watch.start()
    try:
        room.gateway.tick(3500)
        room.gateway.tick(3501)
        while_it_blocks = slow.get(timeout=WAIT_S)
        busy_s = room.event_engine.busy_s
        when_it_is_over = slow.get(timeout=WAIT_S)
    finally:
        watch.stop()
    room.tick(3502)
    with pytest.raises(StrategyFailed, match="boom in on_stop"):
        cta.stop_strategy("on_stop")
    room.settle()

    seen = while_it_blocks.occupation
    assert (seen.owner, seen.callback, while_it_blocks.ended) == ("blocking", "on_tick", False)
    assert 0.5 <= seen.busy_s <= busy_s < 2
    assert "self.compute()" in seen.stack
    assert "time.sleep(2.0)" in seen.place
    assert when_it_is_over.ended
    assert 1.8 < when_it_is_over.occupation.busy_s < 4

    told.publish(*(translate.strategy(data) for data in room.events[EVENT_CTA_STRATEGY]))
    for callback in CALLBACKS:
        state = translate.strategy(cta.get_state(callback))
        assert (state.state, state.trading) == (StrategyState.FAILED, False)
        assert f"boom in {callback}" in (state.error or "")
        (error,) = alerts.errors(callback)
        assert (error.kind, error.traceback) == ("FAILED", state.error)
        alert = told.alerts[f"strategy.failed.{callback}"]
        assert (alert.severity, alert.resolved) == ("critical", False)
        assert f"boom in {callback}" in alert.summary
        assert not cta.strategy_orderid_map.get(callback), "its orders and stop orders are cancelled"

    for name in ("first", "last", "blocking", "unsaveable"):
        state = translate.strategy(cta.get_state(name))
        assert (state.state, state.pos) == (StrategyState.TRADING, 3)
        assert f"strategy.failed.{name}" not in told.alerts
        assert saved[name].variables == {"pos": 3, "ticks": 3, "fills": 3}
        assert len(saved[name].fills) == 3
    for slowly in (while_it_blocks, when_it_is_over):
        alerts.on_slow(slowly)
    assert told.alerts["strategy.slow.blocking"].resolved
    assert [(error.kind, error.callback) for error in alerts.errors("blocking")] == [("SLOW", "on_tick")]
    assert (alerts.errors("blocking")[0].took_s or 0) > 1.8
