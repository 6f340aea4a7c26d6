"""What the CTA engine keeps over a restart, and whom it pauses: variables, stop orders, policies, with real threads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vnpy.trader.constant import Direction, Offset
from vnpy_ctastrategy.base import EVENT_CTA_LOG, EVENT_CTA_STOPORDER, EVENT_CTA_STRATEGY

from tests.integration.engine_room import SYMBOL, WAIT_S, Room, engine_room
from vnpy_core.engine import translate
from vnpy_core.engine.cta import CoreCtaApp, CoreCtaEngine
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict
from vnpy_core.models import Model, StopOrder, StrategyVariables

PROBES = '''
from vnpy_ctastrategy import CtaTemplate


class Scripted(CtaTemplate):
    """Does nothing by itself, and counts what it gets."""

    size = 1
    parameters = ["size"]
    ticks = 0
    level = 0.0
    variables = ["ticks", "level"]

    def on_init(self):
        self.stops = []

    def on_tick(self, tick):
        self.ticks += 1
        self.put_event()

    def on_stop_order(self, stop_order):
        self.stops.append(stop_order.stop_orderid)


class Failing(Scripted):
    def on_trade(self, trade):
        raise RuntimeError("boom in on_trade")


class Unsaveable(Scripted):
    def on_trade(self, trade):
        self.level = object()
'''


class Run:
    """One run of the engine, and the facts that it tells of its own."""

    def __init__(self, room: Room) -> None:
        self.room = room
        room.start()
        self.cta = room.add(CoreCtaApp, CoreCtaEngine)
        self.told: list[Model] = []
        self.cta.tell = self.told.append
        self.cta.init_engine()

    def trading(self, class_name: str = "Scripted", name: str = "one", **setting: Any) -> Any:
        self.cta.add_strategy(class_name, name, SYMBOL, setting)
        return self.started(name)

    def started(self, name: str = "one") -> Any:
        self.cta.init_strategy(name).result(WAIT_S)
        self.cta.start_strategy(name)
        return self.cta.strategies[name]

    def saved(self, name: str = "one") -> StrategyVariables:
        """Return the last that was told of its variables."""
        return next(
            fact for fact in reversed(self.told) if isinstance(fact, StrategyVariables) and fact.strategy_name == name
        )

    def order(self, strategy: Any, direction: Direction, offset: Offset, volume: float = 1, stop: bool = False) -> Any:
        """Send an order from the strategy, and return its id, or None."""
        sent = self.room.on_events(strategy.send_order, direction, offset, 3500, volume, stop)
        self.room.settle()
        return sent[0] if sent else None

    def filled(self, strategy: Any, direction: Direction, offset: Offset, volume: float = 1) -> str:
        vt_orderid: str = self.order(strategy, direction, offset, volume)
        self.room.gateway.fill(self.room.gateway.orders[vt_orderid.rpartition(".")[2]])
        self.room.settle()
        return vt_orderid

    def stop_orders(self) -> list[StopOrder]:
        return [translate.stop_order(data) for data in self.room.events[EVENT_CTA_STOPORDER]]

    def state(self, name: str = "one") -> Any:
        return translate.strategy(self.cta.get_state(name))


@pytest.fixture
def room(tmp_path: Path, runtime_dir: Path) -> Iterator[Room]:
    with engine_room(tmp_path, runtime_dir) as room:
        room.strategy_file("scripted.py", PROBES)
        room.watch(EVENT_CTA_STRATEGY, EVENT_CTA_LOG, EVENT_CTA_STOPORDER)
        yield room


@pytest.fixture
def run(room: Room) -> Run:
    made = Run(room)
    room.connect()
    return made


BUY, SELL = (Direction.LONG, Offset.OPEN), (Direction.SHORT, Offset.CLOSE)


# -- variables


def test_a_fill_is_told_counted_before_anyone_can_hear_of_it(room: Room, run: Run) -> None:
    strategy = run.trading()
    room.watch("eTrade.")
    seen: list[float] = []
    room.event_engine.tap("eTrade.", lambda event: seen.append(run.saved().variables["pos"]))

    vt_orderid = run.filled(strategy, *BUY, 2)

    assert seen == [2]
    assert run.saved().fills == [f"PROBE.T1@{vt_orderid}"]
    assert run.saved().engine == "CtaStrategy"


def test_what_is_shown_without_a_fill_is_saved_now_and_then(room: Room, run: Run) -> None:
    strategy = run.trading()
    run.cta.save_interval_s = 0.0
    room.tick(3500, 3501)
    assert not [fact for fact in run.told if isinstance(fact, StrategyVariables)]

    room.timer()
    assert run.saved().variables == {"pos": 0, "ticks": 2, "level": 0.0}
    assert room.json("cta_strategy_data.json")["one"]["ticks"] == 2

    count = len(run.told)
    room.on_events(strategy.put_event)
    room.timer()  # nothing has changed
    assert len(run.told) == count


def test_the_told_variables_are_given_back_whatever_the_file_says(room: Room, run: Run) -> None:
    strategy = run.trading()
    strategy.level = 1.5
    vt_orderid = run.filled(strategy, *BUY, 3)
    kept = run.saved()
    room.stop()
    (room.folder / ".vntrader" / "cta_strategy_data.json").write_text(
        '{"one": {"pos": 77, ".fills": ["PROBE.T9@PROBE.9"]}, "other": {"pos": 5}}'
    )

    again = Run(room)
    again.cta.adopt_variables({"one": kept})
    assert again.saved("other").variables == {"pos": 5}  # only the file had it
    again.cta.add_strategy("Scripted", "one", SYMBOL, {}, saved=True)
    again.cta.adopt_orders({vt_orderid: "one"}, [], [])
    room.connect()
    strategy = again.started()
    assert (strategy.pos, strategy.level) == (3, 1.5)
    assert room.json("cta_strategy_data.json")["one"]["pos"] == 3
    assert "PROBE.T9@PROBE.9" not in again.cta.vt_tradeids


def test_a_removed_strategy_leaves_nothing_to_one_of_its_name(room: Room, run: Run) -> None:
    run.filled(run.trading(), *BUY, 3)
    run.cta.stop_strategy("one")
    run.cta.remove_strategy("one")
    assert run.saved().removed
    kept = run.saved()
    room.stop()
    (room.folder / ".vntrader" / "cta_strategy_data.json").write_text('{"one": {"pos": 3}}')

    again = Run(room)
    again.cta.adopt_variables({"one": kept})
    room.connect()
    assert again.trading().pos == 0


def test_what_cannot_be_saved_leaves_the_rest_and_the_others_whole(room: Room, run: Run) -> None:
    bad, good = run.trading("Unsaveable", "bad"), run.trading("Scripted", "good")
    run.filled(bad, *BUY, 2)
    run.filled(good, *BUY, 1)
    assert run.saved("bad").variables == {"pos": 2, "ticks": 0}
    assert run.saved("good").variables == {"pos": 1, "ticks": 0, "level": 0.0}
    assert (bad.trading, good.trading) == (True, True)


def test_a_reset_keeps_the_position_alone(room: Room, run: Run) -> None:
    strategy = run.trading(size=4)
    room.tick(3500)
    run.filled(strategy, *BUY, 2)
    with pytest.raises(Conflict, match="trades"):
        run.cta.reset_strategy("one")
    run.cta.stop_strategy("one")

    run.cta.reset_strategy("one")
    assert run.saved().variables == {"pos": 2}
    assert (run.state().state, run.state().pos, run.state().parameters) == (StrategyState.ADDED, 2, {"size": 4})
    made = run.started()
    assert made is not strategy
    assert (made.pos, made.ticks) == (2, 0)
    room.tick(3500)
    assert (made.ticks, strategy.ticks) == (1, 1)

    run.cta.stop_strategy("one")
    run.cta.reset_strategy("one", zero_pos=True)
    assert run.state().pos == 0


# -- stop orders


def test_a_stop_order_of_the_run_before_triggers_once_its_strategy_trades_again(room: Room, run: Run) -> None:
    strategy = run.trading()
    run.filled(strategy, *BUY, 2)
    stop_orderid = run.order(strategy, *BUY, 2, stop=True)
    (waiting,) = run.stop_orders()
    kept = run.saved()
    room.events[EVENT_CTA_STOPORDER].clear()
    run.cta.strategies.clear()  # as if killed: the engine's end cancels nothing
    run.cta.stop_orders.clear()
    room.stop()

    again = Run(room)
    again.cta.adopt_variables({"one": kept})
    again.cta.hold_stop_orders([waiting])
    again.cta.add_strategy("Scripted", "one", SYMBOL, {}, saved=True)
    room.connect()
    again.cta.init_strategy("one").result(WAIT_S)
    room.tick(4000)
    assert not room.gateway.orders  # it does not trade yet

    again.cta.start_strategy("one")
    strategy = again.cta.strategies["one"]
    assert again.order(strategy, *BUY, 1, stop=True) != stop_orderid
    room.tick(3400)
    assert not room.gateway.orders
    room.tick(3600)
    assert sorted(order.volume for order in room.gateway.orders.values()) == [1, 2]
    assert stop_orderid in strategy.stops
    assert again.cta.end_stop_orders() == {}


def test_stop_orders_of_one_that_does_not_trade_again_are_ended(room: Room, run: Run) -> None:
    strategy = run.trading()
    run.order(strategy, *SELL, 1, stop=True)
    (waiting,) = run.stop_orders()
    run.cta.stop_strategy("one")
    run.cta.hold_stop_orders([waiting, *run.stop_orders()])

    assert run.cta.end_stop_orders() == {"one": 1}
    room.settle()
    assert run.stop_orders()[-1].is_final
    run.cta.start_strategy("one")
    room.tick(3000)
    assert not room.gateway.orders


# -- pause


def test_a_paused_strategy_sends_only_what_reduces(room: Room, run: Run) -> None:
    strategy = run.trading()
    run.filled(strategy, *BUY, 3)
    working = run.order(strategy, *BUY, 1)
    entry = run.order(strategy, *BUY, 1, stop=True)
    protective = run.order(strategy, *SELL, 3, stop=True)

    run.cta.set_paused("one", True)
    room.settle()
    assert run.state().paused
    assert room.gateway.cancelled == [working.rpartition(".")[2]]
    assert list(run.cta.stop_orders) == [protective]
    assert entry in strategy.stops

    assert run.order(strategy, *BUY) is None
    assert run.order(strategy, *BUY, stop=True) is None
    assert run.order(strategy, Direction.SHORT, Offset.OPEN, 1) is None
    assert run.order(strategy, *SELL, 4) is None  # more than there is
    two = run.order(strategy, *SELL, 2)
    assert run.order(strategy, *SELL, 2) is None  # together with the one that works
    room.on_events(strategy.cancel_order, two)
    assert run.order(strategy, *SELL, 3)
    assert strategy.trading

    run.cta.set_paused("one", False)
    assert run.order(strategy, *BUY)


def test_a_stop_order_that_would_open_by_now_is_cancelled_when_it_triggers(room: Room, run: Run) -> None:
    strategy = run.trading()
    run.filled(strategy, *BUY, 1)
    run.order(strategy, *SELL, 1, stop=True)
    run.cta.set_paused("one", True)
    run.filled(strategy, *SELL, 1)
    sent = len(room.gateway.orders)

    room.tick(3000, 2999)
    assert len(room.gateway.orders) == sent
    assert run.cta.stop_orders == {}


# -- failure


@pytest.mark.parametrize("cancels", [True, False])
def test_the_policy_says_what_becomes_of_the_orders_of_one_that_fails(room: Room, run: Run, cancels: bool) -> None:
    strategy = run.trading("Failing")
    run.cta.cancels_on_failure = cancels
    working = run.order(strategy, *BUY, 1)
    stop_orderid = run.order(strategy, *SELL, 1, stop=True)

    run.filled(strategy, *BUY, 1)

    assert run.state().state is StrategyState.FAILED
    assert "boom in on_trade" in run.state().error
    assert run.state().pos == 1
    assert room.gateway.cancelled == ([working.rpartition(".")[2]] if cancels else [])
    assert list(run.cta.stop_orders) == ([] if cancels else [stop_orderid])
