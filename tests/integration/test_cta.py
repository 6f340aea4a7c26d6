"""CoreCtaEngine with real engines and threads: each point of vn.py's that it absorbs (the names C1 … in brackets)."""

import json
from collections.abc import Iterator
from logging import ERROR
from pathlib import Path
from typing import Any

import pytest
from vnpy.trader.constant import Direction, Exchange, Offset, Status
from vnpy.trader.object import OrderData, TickData, TradeData
from vnpy_ctastrategy.base import EVENT_CTA_LOG, EVENT_CTA_STOPORDER, EVENT_CTA_STRATEGY

from tests.integration.engine_room import (
    NOON,
    SYMBOL,
    WAIT_S,
    ProbeGateway,
    Room,
    bar,
    engine_room,
    failure,
    limit_order,
)
from vnpy_core.engine import translate
from vnpy_core.engine.cta import CoreCtaApp, CoreCtaEngine
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, Invalid, NotFound, StrategyFailed

RANGED = '''
from typing import Annotated

from pydantic import Field
from vnpy_ctastrategy import CtaTemplate


class Ranged(CtaTemplate):
    lots: Annotated[int, Field(ge=1, le=5, description="Lots")] = 1
    parameters = ["lots"]

    def on_init(self): ...
'''

PROBES = '''
import sys
import threading
from datetime import datetime

from vnpy_ctastrategy import CtaTemplate


class Probe(CtaTemplate):
    """Does what its parameters say."""

    author = "tests"
    size = 1
    price_add = 0.5
    loud = False
    label = "x"
    parameters = ["size", "price_add", "loud", "label"]
    ticks = 0
    bars = 0
    variables = ["ticks", "bars"]

    def on_init(self):
        self.sent = []
        self.stop_events = []
        self.load_bar(1, use_database=True)

    def on_bar(self, bar):
        self.bars += 1

    def on_tick(self, tick):
        self.ticks += 1
        self.put_event()


class Buyer(Probe):
    """Buys at its first tick."""

    def on_tick(self, tick):
        super().on_tick(tick)
        if self.trading and not self.sent:
            self.sent += self.buy(tick.last_price, self.size)


class BadInit(Probe):
    def on_init(self):
        raise ValueError("boom in on_init")


class ExitInit(Probe):
    def on_init(self):
        sys.exit("gone in on_init")


class BadStart(Probe):
    def on_start(self):
        raise ValueError("boom in on_start")


class BadStop(Probe):
    def on_stop(self):
        raise ValueError("boom in on_stop")


class BadTick(Buyer):
    def on_tick(self, tick):
        super().on_tick(tick)
        if self.ticks == 2:
            raise RuntimeError("boom in on_tick")


class ExitTick(Probe):
    def on_tick(self, tick):
        sys.exit(3)


class BadTrade(Buyer):
    def on_trade(self, trade):
        raise RuntimeError("boom in on_trade")


class BadConstructor(Probe):
    def __init__(self, *args):
        raise OSError("boom in the constructor")


class MissingVariable(Probe):
    variables = ["nowhere"]


class UnsaveableVariable(Probe):
    moment = datetime(2026, 1, 5)
    variables = ["moment"]


class LateUnsaveable(Probe):
    moment = None
    variables = ["ticks", "moment"]

    def on_tick(self, tick):
        self.ticks += 1
        self.moment = tick.datetime


class Mailer(Probe):
    def on_tick(self, tick):
        super().on_tick(tick)
        self.send_email("a word")


class Stopper(Probe):
    """Keeps a stop order above the market."""

    def on_start(self):
        self.trading = True
        self.sent += self.buy(3510, 1, stop=True)

    def on_stop_order(self, stop_order):
        self.stop_events.append(stop_order.status.name)


class Slow(Probe):
    entered = threading.Semaphore(0)
    leave = threading.Event()

    def on_init(self):
        super().on_init()
        self.entered.release()
        assert self.leave.wait(10)


class StartSender(Probe):
    """Sends in on_start itself, so that the fill can come before on_start has returned."""

    def on_start(self):
        from vnpy.trader.constant import Direction, Offset
        self.started_on_event_thread = self.cta_engine.event_engine.in_event_thread
        self.cta_engine.send_order(self, Direction.LONG, Offset.OPEN, 3500, 1, False, False, False)


class Timekeeper(Probe):
    def on_init(self):
        super().on_init()
        self.cta_engine.event_engine.register("eTimer", self.on_timer)

    def on_timer(self, event):
        if self.trading:
            raise RuntimeError("boom in on_timer")
'''


@pytest.fixture
def room(tmp_path: Path, runtime_dir: Path) -> Iterator[Room]:
    with engine_room(tmp_path, runtime_dir) as room:
        room.strategy_file("probes.py", PROBES)
        room.watch(EVENT_CTA_STRATEGY, EVENT_CTA_LOG, EVENT_CTA_STOPORDER)
        yield room


@pytest.fixture
def cta(room: Room) -> CoreCtaEngine:
    return start(room)


def start(room: Room) -> CoreCtaEngine:
    room.start()
    cta = room.add(CoreCtaApp, CoreCtaEngine)
    cta.init_engine()
    return cta


def add(cta: CoreCtaEngine, class_name: str, name: str | None = None, symbol: str = SYMBOL, **setting: Any) -> str:
    name = class_name if name is None else name
    cta.add_strategy(class_name, name, symbol, setting)
    return name


def init(cta: CoreCtaEngine, name: str) -> None:
    cta.init_strategy(name).result(WAIT_S)


def run(cta: CoreCtaEngine, class_name: str, name: str | None = None, **setting: Any) -> str:
    name = add(cta, class_name, name, **setting)
    init(cta, name)
    cta.start_strategy(name)
    return name


def state(cta: CoreCtaEngine, name: str) -> Any:
    return translate.strategy(cta.get_state(name))


# -- false successes (C1)


@pytest.mark.parametrize(("class_name", "words"), [("BadInit", "boom in on_init"), ("ExitInit", "gone in on_init")])
def test_failed_on_init_is_a_failure(cta: CoreCtaEngine, class_name: str, words: str) -> None:
    name = add(cta, class_name)

    error = failure(cta.init_strategy(name))

    assert isinstance(error, StrategyFailed)
    assert words in error.extra["traceback"]
    found = state(cta, name)
    assert (found.state, found.inited, found.trading) == (StrategyState.FAILED, False, False)
    assert words in (found.error or "")
    with pytest.raises(Conflict, match="init it first"):
        cta.start_strategy(name)


def test_failed_on_start_is_a_failure(room: Room, cta: CoreCtaEngine) -> None:
    name = add(cta, "BadStart")
    init(cta, name)

    with pytest.raises(StrategyFailed, match="boom in on_start") as caught:
        cta.start_strategy(name)

    assert "Traceback" in caught.value.extra["traceback"]
    found = state(cta, name)
    assert (found.state, found.inited, found.trading) == (StrategyState.FAILED, False, False)
    room.settle()
    assert room.events[EVENT_CTA_STRATEGY][-1]["state"] is StrategyState.FAILED


def test_failed_strategy_is_itself_again_after_init(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    name = add(cta, "BadStart")
    init(cta, name)
    with pytest.raises(StrategyFailed):
        cta.start_strategy(name)

    init(cta, name)

    assert state(cta, name).state is StrategyState.INITED
    assert state(cta, name).error is None


def test_failed_on_stop_stops_nevertheless(cta: CoreCtaEngine) -> None:
    name = run(cta, "BadStop")

    with pytest.raises(StrategyFailed, match="boom in on_stop"):
        cta.stop_strategy(name)

    assert state(cta, name).state is StrategyState.FAILED


# -- refusals (C2)


def test_refusals_of_add(cta: CoreCtaEngine) -> None:
    add(cta, "Probe", "taken")
    with pytest.raises(Conflict, match="already"):
        add(cta, "Probe", "taken")
    with pytest.raises(NotFound, match="did you mean 'Probe'"):
        add(cta, "Prob", "a")
    for symbol in ("rb2505", "rb2505.", ".SHFE", "rb2505.NOWHERE"):
        with pytest.raises(Invalid) as caught:
            add(cta, "Probe", "b", symbol)
        assert caught.value.extra["errors"][0]["field"] == "vt_symbol"
    with pytest.raises(StrategyFailed, match="boom in the constructor"):
        add(cta, "BadConstructor", "c")
    for name in ("", " ", "a/b", "a\n", "x" * 65):
        with pytest.raises(Invalid):
            add(cta, "Probe", name)
    assert list(cta.strategies) == ["taken"]


def test_symbol_with_dots(room: Room, cta: CoreCtaEngine) -> None:
    name = add(cta, "Probe", symbol="BRK.B.SHFE")
    init(cta, name)
    room.gateway.contract("BRK.B")
    room.settle()

    room.gateway.tick(10, "BRK.B")
    room.settle()

    assert state(cta, name).variables["ticks"] == 1


def test_exchange_whose_value_is_not_its_name(cta: CoreCtaEngine) -> None:
    assert state(cta, add(cta, "Probe", "by_name", "FDAX.EUREX")).vt_symbol == "FDAX.EUX"
    assert state(cta, add(cta, "Probe", "by_value", "FDAX.EUX")).vt_symbol == "FDAX.EUX"


def test_commands_on_unknown_strategies(cta: CoreCtaEngine) -> None:
    assert isinstance(failure(cta.init_strategy("nobody")), NotFound)
    for command in (cta.start_strategy, cta.stop_strategy, cta.remove_strategy, cta.get_state):
        with pytest.raises(NotFound):
            command("nobody")


def test_order_of_commands(cta: CoreCtaEngine) -> None:
    name = add(cta, "Probe")
    with pytest.raises(Conflict, match="init it first"):
        cta.start_strategy(name)
    init(cta, name)
    assert isinstance(failure(cta.init_strategy(name)), Conflict)
    cta.start_strategy(name)
    with pytest.raises(Conflict, match="trades already"):
        cta.start_strategy(name)
    with pytest.raises(Conflict, match="stop it first"):
        cta.remove_strategy(name)
    cta.stop_strategy(name)
    cta.stop_strategy(name)
    assert cta.remove_strategy(name)
    assert name not in cta.strategies


# -- classes that cannot be run, and what is saved (C3, S5)


def test_unusable_class_is_refused_before_it_is_registered(room: Room, cta: CoreCtaEngine) -> None:
    for class_name, words in (("MissingVariable", "nowhere"), ("UnsaveableVariable", "moment")):
        with pytest.raises(Conflict, match=words):
            add(cta, class_name)
    assert cta.strategies == {}
    assert room.json("cta_strategy_setting.json") == {}


def test_events_are_registered_whatever_the_setting_file_holds(room: Room) -> None:
    (room.folder / ".vntrader" / "cta_strategy_setting.json").write_text(
        json.dumps({"bad": {"class_name": "MissingVariable", "vt_symbol": SYMBOL, "setting": {}}})
    )
    cta = start(room)
    room.connect()

    name = run(cta, "Probe")
    room.tick(3500)

    assert state(cta, name).variables["ticks"] == 1


def test_variable_that_cannot_be_saved_costs_nobody_else_anything(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    good, bad = run(cta, "Probe"), run(cta, "LateUnsaveable")
    room.tick(3500, 3501)
    cta.stop_strategy(good)

    cta.stop_strategy(bad)

    saved = room.json("cta_strategy_data.json")
    assert saved[good]["ticks"] == 2
    assert saved[bad]["ticks"] == 2
    assert "moment" not in saved[bad]


def test_variables_survive_a_restart(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    name = run(cta, "Probe")
    room.tick(3500, 3501, 3502)
    room.stop()

    cta = start(room)
    add(cta, "Probe")
    assert state(cta, name).variables["ticks"] == 3
    assert cta.strategies[name].ticks == 0
    init(cta, name)

    assert state(cta, name).variables["ticks"] == 3
    assert cta.strategies[name].ticks == 3


def test_variables_that_could_not_be_written_are_written_later(room: Room, cta: CoreCtaEngine) -> None:
    """On a full disk, say: after it the journal has the fill, and would not let it count again after a crash."""
    room.connect()
    name = run(cta, "Buyer")
    room.tick(3500)
    (order,) = room.gateway.orders.values()
    obstacle = room.folder / ".vntrader" / "cta_strategy_data.json.tmp"
    obstacle.mkdir()
    room.gateway.fill(order)
    room.settle()
    room.timer()
    assert room.json("cta_strategy_data.json").get(name, {}).get("pos", 0) == 0
    assert cta.strategies[name].trading

    obstacle.rmdir()
    room.timer()

    assert room.json("cta_strategy_data.json")[name]["pos"] == 1


def test_vnpy_setting_file_is_written(room: Room, cta: CoreCtaEngine) -> None:
    add(cta, "Probe", size=3)
    assert room.json("cta_strategy_setting.json") == {
        "Probe": {"class_name": "Probe", "vt_symbol": SYMBOL, "setting": {"size": 3}}
    }
    cta.remove_strategy("Probe")
    assert room.json("cta_strategy_setting.json") == {}


# -- send_email (C4)


def test_send_email_does_not_stop_the_strategy(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    name = run(cta, "Mailer")

    room.tick(3500, 3501)

    assert state(cta, name).state is StrategyState.TRADING


# -- parameters (C5)


def test_edit_merges(room: Room, cta: CoreCtaEngine) -> None:
    name = add(cta, "Probe", size=3, label="mine")

    cta.edit_strategy(name, {"size": 5.0, "price_add": 2})

    assert state(cta, name).parameters == {"size": 5, "price_add": 2.0, "loud": False, "label": "mine"}
    kept = {"size": 5, "price_add": 2.0, "label": "mine"}
    assert cta.merged_setting(name, {}) == kept
    assert room.json("cta_strategy_setting.json")[name]["setting"] == kept


def test_edit_refuses_by_field_and_changes_nothing(cta: CoreCtaEngine) -> None:
    name = add(cta, "Probe")
    before = state(cta, name).parameters

    with pytest.raises(Invalid) as caught:
        cta.edit_strategy(name, {"sise": 1, "size": 1.5, "price_add": "2", "loud": 1, "label": "fine"})

    assert {error["field"] for error in caught.value.extra["errors"]} == {"sise", "size", "price_add", "loud"}
    assert "did you mean 'size'" in caught.value.detail
    assert state(cta, name).parameters == before


# -- cancels that come before the order is known (C6)


def test_stop_right_after_a_send_cancels_the_order(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    name = run(cta, "Buyer")
    strategy = cta.strategies[name]

    def send_and_stop() -> None:
        strategy.on_tick(TickData("PROBE", "rb2505", Exchange.SHFE, NOON, last_price=3500))
        assert room.main_engine.get_order(strategy.sent[0]) is None
        cta.stop_strategy(name)

    room.on_events(send_and_stop)
    room.settle()

    (order,) = room.gateway.orders.values()
    assert order.status is Status.CANCELLED
    assert room.main_engine.get_all_active_orders() == []


# -- one writer (E3)


def test_no_fill_is_lost_at_start(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()

    def fill_at_once(order: OrderData) -> None:
        # As a gateway does whose answer arrives while it is still in send_order.
        room.gateway.fill(order)
        room.event_engine.drain(WAIT_S)  # does not wait on the event thread itself

    room.gateway.on_sent = fill_at_once
    names = [add(cta, "StartSender", f"s{number}") for number in range(100)]
    for name in names:
        init(cta, name)

    for name in names:
        cta.start_strategy(name)  # from this thread, as a request handler would
    room.settle()

    assert all(cta.strategies[name].started_on_event_thread for name in names)
    assert [cta.strategies[name].pos for name in names] == [1] * 100
    assert {room.json("cta_strategy_data.json")[name]["pos"] for name in names} == {1}


def test_both_sides_of_a_self_trade_count(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    names = [run(cta, "Buyer", f"b{number}") for number in range(2)]
    room.tick(3500)
    first, second = room.gateway.orders.values()

    room.gateway.fill(first, tradeid="same")
    room.gateway.fill(second, tradeid="same")
    room.gateway.fill(second, tradeid="same")
    room.settle()

    assert [cta.strategies[name].pos for name in names] == [1, 1]


def test_fills_of_fractions_add_up(room: Room, cta: CoreCtaEngine) -> None:
    """Strategies ask ``if not self.pos``, and send the order that closes it with ``abs(self.pos)``."""
    room.connect()
    name = run(cta, "Buyer")
    room.tick(3500)
    (order,) = room.gateway.orders.values()

    for number, (direction, volume) in enumerate(
        ((Direction.LONG, 0.1), (Direction.LONG, 0.2), (Direction.SHORT, 0.3))
    ):
        order.direction, order.volume = direction, volume
        room.gateway.fill(order, tradeid=str(number))
    room.settle()

    assert cta.strategies[name].pos == 0
    assert room.json("cta_strategy_data.json")[name]["pos"] == 0


# -- initialisation (E12)


def test_strategies_are_initialised_side_by_side(room: Room, cta: CoreCtaEngine) -> None:
    slow = [add(cta, "Slow", f"slow{number}") for number in range(3)]
    quick = add(cta, "Probe")
    kind = cta.classes["Slow"]
    futures = [cta.init_strategy(name) for name in slow]
    for _ in slow:
        assert kind.entered.acquire(timeout=WAIT_S)

    init(cta, quick)

    assert state(cta, quick).state is StrategyState.INITED
    assert [state(cta, name).state for name in slow] == [StrategyState.INITING] * 3
    assert isinstance(failure(cta.init_strategy(slow[0])), Conflict)
    with pytest.raises(Conflict, match="being initialised"):
        cta.remove_strategy(slow[0])
    kind.leave.set()
    for future in futures:
        future.result(WAIT_S)
    assert [state(cta, name).state for name in slow] == [StrategyState.INITED] * 3


def test_close_does_not_wait_for_on_init(room: Room, cta: CoreCtaEngine) -> None:
    cta.set_init_workers(1)
    running, waiting = add(cta, "Slow", "running"), add(cta, "Probe", "waiting")
    kind = cta.classes["Slow"]
    futures = [cta.init_strategy(name) for name in (running, waiting)]
    assert kind.entered.acquire(timeout=WAIT_S)

    room.stop()
    kind.leave.set()

    assert isinstance(failure(futures[1]), Conflict)
    assert failure(futures[0]) is not None


def test_on_init_loads_bars(room: Room, cta: CoreCtaEngine) -> None:
    room.database.bars = [bar(minute) for minute in range(5)]
    name = add(cta, "Probe")
    init(cta, name)
    assert state(cta, name).variables["bars"] == 5


def test_early_strategy_is_subscribed_when_its_contract_comes(room: Room, cta: CoreCtaEngine) -> None:
    name = run(cta, "Probe")
    assert room.gateway.subscribed == []

    room.connect()
    room.tick(3500)

    assert room.gateway.subscribed == [SYMBOL]
    assert state(cta, name).variables["ticks"] == 1


def test_strategy_whose_contract_nobody_knows_says_so_until_it_comes(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    name = add(cta, "Probe", symbol="zz99.SHFE")
    assert "zz99.SHFE" in state(cta, name).error
    init(cta, name)
    cta.start_strategy(name)
    found = state(cta, name)
    assert found.state is StrategyState.TRADING
    assert found.error == "No gateway has told of the contract zz99.SHFE: no ticks arrive."
    other = run(cta, "Probe", "other")
    assert state(cta, other).error is None

    room.gateway.contract("zz99")
    room.settle()

    assert state(cta, name).error is None
    told = [each for each in room.events[EVENT_CTA_STRATEGY] if each["strategy_name"] == name]
    assert (told[-1]["state"], told[-1]["error"]) == (StrategyState.TRADING, None)


def test_strategy_of_an_earlier_run_is_told_of_once_it_is_initialised(room: Room, cta: CoreCtaEngine) -> None:
    cta.add_strategy("Probe", "saved", SYMBOL, {}, saved=True)
    assert state(cta, "saved").error is None
    init(cta, "saved")
    assert SYMBOL in state(cta, "saved").error
    room.connect()
    room.settle()
    assert state(cta, "saved").error is None


def test_reconnected_gateway_is_subscribed_again_and_no_other(room: Room, cta: CoreCtaEngine) -> None:
    second = room.main_engine.add_gateway(ProbeGateway, "SECOND")
    room.connect()
    run(cta, "Probe")
    add(cta, "Probe", "not_inited", "cu2505.SHFE")

    second.connect({})
    room.connect()
    room.gateway.contract("cu2505")
    room.settle()

    assert room.gateway.subscribed == [SYMBOL, SYMBOL]
    assert second.subscribed == []


# -- callbacks that raise


def test_raise_in_on_tick_stops_that_strategy_alone(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    bad, exits, good = run(cta, "BadTick"), run(cta, "ExitTick"), run(cta, "Probe")

    room.tick(3500, 3501, 3502)

    found = state(cta, bad)
    assert (found.state, found.inited, found.trading) == (StrategyState.FAILED, False, False)
    assert "boom in on_tick" in (found.error or "")
    assert state(cta, exits).state is StrategyState.FAILED
    assert "SystemExit" in cta.failures[exits]
    assert state(cta, good).variables["ticks"] == 3
    (order,) = room.gateway.orders.values()
    assert order.status is Status.CANCELLED
    told = [data for data in room.events[EVENT_CTA_STRATEGY] if data["strategy_name"] == bad]
    assert told[-1]["state"] is StrategyState.FAILED
    assert room.event_engine.stats().errors == 0


def test_raise_in_on_trade_keeps_the_position(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    name = run(cta, "BadTrade")
    room.tick(3500)
    (order,) = room.gateway.orders.values()

    room.gateway.fill(order)
    room.settle()

    assert state(cta, name).state is StrategyState.FAILED
    assert state(cta, name).pos == 1
    assert room.json("cta_strategy_data.json")[name]["pos"] == 1


def test_gateway_that_raises_in_send_order_stops_the_sender_alone(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    sender, bystander = run(cta, "Buyer"), run(cta, "Probe")
    room.gateway.raises = OSError("the line broke")

    room.tick(3500, 3501)

    assert state(cta, sender).state is StrategyState.FAILED
    assert "the line broke" in (state(cta, sender).error or "")
    assert state(cta, bystander).variables["ticks"] == 2


def test_handler_that_a_strategy_registered_itself(room: Room, cta: CoreCtaEngine) -> None:
    room.event_engine.on_error = cta.fail_owner
    name = run(cta, "Timekeeper")

    room.timer()

    assert state(cta, name).state is StrategyState.FAILED
    assert "boom in on_timer" in (state(cta, name).error or "")


# -- stop orders kept by the engine


def test_stop_order_is_triggered(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    name = run(cta, "Stopper")

    room.tick(3500, 3510)

    (order,) = room.gateway.orders.values()
    assert (order.direction, order.offset) == (Direction.LONG, Offset.OPEN)
    assert order.price == 3511  # the best ask there is: this market shows neither limits nor five levels
    assert cta.strategies[name].stop_events == ["WAITING", "TRIGGERED"]
    assert room.events[EVENT_CTA_STOPORDER][-1].vt_orderids == [order.vt_orderid]
    assert cta.stop_orders == {}


def test_stop_order_that_cannot_be_sent_stops_its_strategy_alone(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    sender, bystander = run(cta, "Stopper"), run(cta, "Probe")
    room.gateway.raises = OSError("the line broke")

    room.tick(3510, 3511)

    assert state(cta, sender).state is StrategyState.FAILED
    assert cta.stop_orders == {}
    assert state(cta, bystander).variables["ticks"] == 2


def test_stop_cancels_stop_orders(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    name = run(cta, "Stopper")
    cta.stop_strategy(name)
    room.tick(3510)
    assert room.gateway.orders == {}
    assert cta.strategies[name].stop_events == ["WAITING", "CANCELLED"]


# -- orders of an earlier run


def test_fill_that_comes_between_restart_and_init_counts_once(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    name = run(cta, "Buyer", size=2)
    room.tick(3500)
    (order,) = room.gateway.orders.values()
    room.gateway.on_trade(_partial(order))
    room.settle()
    room.stop()
    order.status = Status.PARTTRADED  # the exchange still has it

    cta = start(room)
    add(cta, "Buyer", size=2)
    room.connect()
    room.gateway.orders[order.orderid] = order
    # As a gateway does at connect: it tells the order (with its reference) and its fills again, and then goes on.
    room.gateway.on_order(order)
    room.gateway.on_trade(_partial(order))
    room.gateway.on_trade(_partial(order, tradeid="T2"))
    room.settle()
    assert room.json("cta_strategy_data.json")[name]["pos"] == 2
    init(cta, name)

    assert state(cta, name).pos == 2
    assert state(cta, name).variables["ticks"] == 1
    room.gateway.report(order, Status.CANCELLED)


def test_orders_without_a_reference_are_adopted_from_the_journal(room: Room, cta: CoreCtaEngine) -> None:
    add(cta, "Probe")
    init(cta, "Probe")
    order = _own_order(room)

    cta.adopt_orders({order.vt_orderid: "Probe", "PROBE.9": "nobody"}, [order.vt_orderid], ["PROBE.old@PROBE.7"])
    room.gateway.on_trade(_partial(order, tradeid="old"))
    room.settle()
    assert cta.strategies["Probe"].pos == 0
    room.gateway.on_trade(_partial(order, tradeid="new"))
    room.settle()
    assert cta.strategies["Probe"].pos == 1


def _own_order(room: Room) -> OrderData:
    order = room.gateway.orders["7"] = limit_order().create_order_data("7", "PROBE")
    return order


def _partial(order: OrderData, tradeid: str = "T1") -> TradeData:
    return TradeData(
        "PROBE", order.symbol, order.exchange, order.orderid, tradeid, order.direction, order.offset, 3500, 1
    )


# -- classes (S12, S13)


def test_broken_file_stops_nothing_and_is_reported(room: Room) -> None:
    room.strategy_file("exits.py", "raise SystemExit('gone')")
    room.strategy_file("syntax.py", "def broken(:")
    room.strategy_file("__init__.py", "raise RuntimeError('never imported as a module')")
    room.watch(EVENT_CTA_LOG)

    cta = start(room)
    room.settle()

    assert {"Probe", "DoubleMaStrategy", "AtrRsiStrategy"} <= set(cta.classes)
    folder = room.folder / "strategies"
    assert set(cta.broken_files) == {str(folder / "exits.py"), str(folder / "syntax.py")}
    assert "gone" in cta.broken_files[str(folder / "exits.py")]
    assert "SyntaxError" in cta.broken_files[str(folder / "syntax.py")]
    assert [log.level for log in room.events[EVENT_CTA_LOG]] == [ERROR, ERROR]


def test_loading_again_forgets_what_is_gone(room: Room, cta: CoreCtaEngine) -> None:
    add(cta, "Probe")
    room.strategy_file("probes.py", "raise ValueError('now broken')")
    room.strategy_file("other.py", PROBES.replace("class Probe(", "class Another(").partition("class Buyer")[0])

    cta.load_strategy_class()

    assert "Probe" not in cta.classes
    assert "Another" in cta.classes
    assert list(cta.broken_files) == [str(room.folder / "strategies" / "probes.py")]
    init(cta, "Probe")  # what runs keeps its code
    assert state(cta, "Probe").state is StrategyState.INITED


def test_host_package_named_strategies_does_not_hide_the_folder(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "elsewhere"
    (other / "strategies").mkdir(parents=True)
    (other / "strategies" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(other))

    cta = start(room)

    assert "Probe" in cta.classes


def test_class_is_described(room: Room, cta: CoreCtaEngine) -> None:
    found = cta.describe_class("Probe")

    assert found == {
        "class_name": "Probe",
        "engine": "CtaStrategy",
        "module": "strategies.probes",
        "origin": "user",
        "package": None,
        "file": str(room.folder / "strategies" / "probes.py"),
        "doc": "Does what its parameters say.",
        "author": "tests",
        "parameters": [
            {"name": "size", "type": "int", "default": 1},
            {"name": "price_add", "type": "float", "default": 0.5},
            {"name": "loud", "type": "bool", "default": False},
            {"name": "label", "type": "str", "default": "x"},
        ],
        "variables": ["ticks", "bars"],
    }
    assert [kind["class_name"] for kind in cta.describe_classes()] == sorted(cta.classes)
    official = cta.describe_class("DoubleMaStrategy")
    assert (official["origin"], str(official["package"]).split()[0]) == ("official", "vnpy_ctastrategy")


def test_a_setting_is_held_to_the_ranges_of_its_class(room: Room) -> None:
    room.strategy_file("ranged.py", RANGED)
    cta = start(room)
    lots = cta.describe_class("Ranged")["parameters"][0]
    assert lots == {"name": "lots", "type": "int", "default": 1, "minimum": 1, "maximum": 5, "description": "Lots"}
    with pytest.raises(Invalid) as refused:
        cta.add_strategy("Ranged", "r", SYMBOL, {"lots": 6})
    assert [error["field"] for error in refused.value.extra["errors"]] == ["lots"]
    cta.add_strategy("Ranged", "r", SYMBOL, {"lots": 5})
    with pytest.raises(Invalid):
        cta.edit_strategy("r", {"lots": 0})
    assert cta.get_state("r")["parameters"] == {"lots": 5}


# -- what is told


def test_events_share_nothing_and_grow_in_revision(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    run(cta, "Probe")
    told = room.events[EVENT_CTA_STRATEGY]
    assert [data["state"] for data in told] == [
        StrategyState.ADDED, StrategyState.INITING, StrategyState.INITED, StrategyState.TRADING,
    ]  # fmt: skip
    revisions = [translate.strategy(data).revision for data in told]
    assert revisions == sorted(set(revisions))

    cta.set_plan("Probe", True, StrategyState.TRADING)
    cta.set_plan("Probe", True, StrategyState.TRADING)
    room.settle()

    assert len(told) == 5
    last = translate.strategy(told[-1])
    assert (last.auto_start, last.desired_state) == (True, StrategyState.TRADING)


def test_variables_are_told_at_most_ten_times_a_second(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    run(cta, "Probe")
    before = len(room.events[EVENT_CTA_STRATEGY])

    room.tick(*range(3500, 3700))
    room.timer()

    told = room.events[EVENT_CTA_STRATEGY][before:]
    assert told[-1]["variables"]["ticks"] == 200
    assert len(told) < 100


def test_removal_is_told(room: Room, cta: CoreCtaEngine) -> None:
    add(cta, "Probe")
    cta.remove_strategy("Probe")
    room.settle()
    assert translate.strategy(room.events[EVENT_CTA_STRATEGY][-1]).state is StrategyState.REMOVED


def test_strategies_are_stopped_at_close(room: Room, cta: CoreCtaEngine) -> None:
    room.connect()
    names = [run(cta, "BadStop"), run(cta, "Buyer")]
    room.tick(3500)

    room.stop()

    assert not any(cta.strategies[name].trading for name in names)
    (order,) = room.gateway.orders.values()
    assert order.status is Status.CANCELLED
    assert room.json("cta_strategy_data.json")["Buyer"]["ticks"] == 1
