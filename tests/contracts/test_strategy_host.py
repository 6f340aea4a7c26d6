"""What every strategy engine does: the contract of ``StrategyHost``, held to over each with real engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.strategy_hosts import KINDS, HostKind, Living
from tests.integration.engine_room import SYMBOL, WAIT_S, engine_room, failure
from vnpy.trader.constant import Status

from vnpy_core.engine import translate
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, Invalid, NotFound, StrategyFailed


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def living(request: pytest.FixtureRequest, tmp_path: Path, runtime_dir: Path) -> Iterator[Living]:
    kind: HostKind = request.param
    with engine_room(tmp_path, runtime_dir) as room:
        room.strategy_file("probes.py", kind.source)
        room.watch(kind.event)
        living = Living(room, kind)
        living.begin()
        yield living


def test_a_life_is_told_state_by_state(living: Living) -> None:
    room, host = living.room, living.host
    living.connect()
    living.trading(size=2)
    room.tick(3500)
    room.gateway.fill(room.gateway.orders["1"])
    room.settle()
    host.stop_strategy("one")
    host.remove_strategy("one")
    room.settle()
    told = [translate.strategy(state) for state in room.events[living.kind.event]]
    assert [each.state for each in told if each.state != StrategyState.TRADING][-2:] == [
        StrategyState.INITED, StrategyState.REMOVED,
    ]  # fmt: skip
    states = list(dict.fromkeys(each.state.name for each in told))
    assert states == ["ADDED", "INITING", "INITED", "TRADING", "REMOVED"]
    assert [each.revision for each in told] == sorted({each.revision for each in told})
    last = told[-1]
    assert (last.engine, last.class_name, last.symbols) == (living.kind.name, "Buyer", list(living.kind.symbols))
    assert last.position_of(SYMBOL) == 2
    assert last.parameters == {"size": 2, "label": "x"}
    assert set(room.gateway.subscribed) == set(living.kind.symbols)
    assert host.strategies == {}


def test_the_files_of_vnpy_are_kept(living: Living) -> None:
    room, host, kind = living.room, living.host, living.kind
    living.connect()
    living.trading(size=2)
    entry = {"class_name": "Buyer", **kind.symbol_entry, "setting": {"size": 2}}
    assert room.json(kind.setting_file) == {"one": entry} == host.saved_settings()
    room.tick(3500)
    room.gateway.fill(room.gateway.orders["1"])
    room.settle()
    assert room.json(kind.data_file)["one"]["ticks"] == 1
    lost = {"class_name": "Nobody", **kind.symbol_entry, "setting": {}}
    host.replace_settings({"one": entry, "lost": lost})
    host.edit_strategy("one", {"size": 3})
    assert room.json(kind.setting_file) == {"one": {**entry, "setting": {"size": 3}}, "lost": lost}
    host.stop_strategy("one")
    host.remove_strategy("one")
    assert room.json(kind.setting_file) == {"lost": lost}
    assert room.json(kind.data_file) == {}
    assert living.latest()["one"].removed


@pytest.mark.parametrize("how", ["", "exit "])
@pytest.mark.parametrize("callback", ["on_init", "on_start", "on_tick", "on_order", "on_trade", "on_stop"])
def test_one_that_raises_is_failed_and_the_other_goes_on(living: Living, callback: str, how: str) -> None:
    room, host = living.room, living.host
    living.connect()
    living.trading("well")
    living.add("bad", label=how + callback)
    raised = failure(host.init_strategy("bad"))
    if callback == "on_init":
        assert isinstance(raised, StrategyFailed)
    elif callback == "on_start":
        with pytest.raises(StrategyFailed):
            host.start_strategy("bad")
    else:
        host.start_strategy("bad")
        room.tick(3500)
        for order in tuple(room.gateway.orders.values()):
            if callback == "on_trade":
                room.gateway.fill(order)
        room.settle()
    if callback == "on_stop":
        with pytest.raises(StrategyFailed):
            host.stop_strategy("bad")
    state = host.get_state("bad")
    assert state["state"] is StrategyState.FAILED
    assert "boom" in state["error"] or "SystemExit" in state["error"]
    own = [order for order in room.gateway.orders.values() if order.reference.endswith("_bad")]
    assert not [order for order in own if order.is_active()]
    assert living.position("bad") == (1 if callback == "on_trade" else 0)
    room.tick(3501)
    assert host.get_state("well")["state"] is StrategyState.TRADING
    host.edit_strategy("bad", {"label": "x"})
    host.init_strategy("bad").result(WAIT_S)
    host.start_strategy("bad")
    assert host.get_state("bad")["error"] is None


def test_a_stop_cancels_what_works_and_saves(living: Living) -> None:
    room, host = living.room, living.host
    living.connect()
    living.trading()
    room.tick(3500)
    assert room.gateway.orders["1"].is_active()
    host.stop_strategy("one")
    room.settle()
    assert room.gateway.cancelled == ["1"]
    assert living.latest()["one"].variables["ticks"] == 1
    host.stop_strategy("one")  # a second one is no error
    room.tick(3501)
    assert list(room.gateway.orders) == ["1"]


def test_after_a_restart_variables_and_orders_are_its_own_again(living: Living) -> None:
    room = living.room
    living.connect()
    living.trading(size=2)
    room.tick(3500)
    order = room.gateway.orders["1"]
    room.gateway.fill(order, tradeid="first")
    order.status = Status.PARTTRADED
    room.settle()
    before = living.latest()
    room.stop()
    host = living.begin(saved=before)
    living.add(saved=True, size=2)
    fill = f"PROBE.first@{order.vt_orderid}"
    host.adopt_orders({order.vt_orderid: "one"}, [order.vt_orderid], [fill])
    assert living.position() == 2
    living.connect()
    room.gateway.orders["1"] = order
    room.gateway.fill(order, tradeid="first")  # told again, and counted before
    room.settle()
    assert living.position() == 2
    room.gateway.fill(order, tradeid="second")  # while it is not initialised
    room.settle()
    assert living.position() == 4
    host.init_strategy("one").result(WAIT_S)
    host.start_strategy("one")
    assert (living.position(), host.get_state("one")["variables"]["ticks"]) == (4, 1)
    room.gateway.fill(order, tradeid="third")
    room.settle()
    assert living.position() == 6
    assert living.latest()["one"].fills[-3:] == [f"PROBE.{n}@{order.vt_orderid}" for n in ("first", "second", "third")]


def test_a_working_order_of_an_earlier_run_is_cancelled_by_the_stop(living: Living) -> None:
    room = living.room
    living.connect()
    living.trading()
    room.tick(3500)
    order = room.gateway.orders["1"]
    room.stop()
    order.status = Status.NOTTRADED
    host = living.begin(saved=living.latest())
    living.add(saved=True)
    host.adopt_orders({order.vt_orderid: "one"}, [order.vt_orderid], [])
    living.connect()
    room.gateway.orders["1"] = order
    room.gateway.report(order, Status.NOTTRADED)
    room.settle()
    host.init_strategy("one").result(WAIT_S)
    host.start_strategy("one")
    host.stop_strategy("one")
    room.settle()
    assert room.gateway.cancelled == ["1"]


def test_what_cannot_be_is_refused(living: Living) -> None:
    host, symbols = living.host, living.kind.symbols
    living.connect()
    living.add()
    for error, class_name, name, vt_symbols, setting in (
        (Conflict, "Buyer", "one", symbols, {}),
        (NotFound, "Nobody", "two", symbols, {}),
        (Invalid, "Buyer", " two", symbols, {}),
        (Invalid, "Buyer", "two", ["rb2505"], {}),
        (Invalid, "Buyer", "two", [], {}),
        (Invalid, "Buyer", "two", [SYMBOL, SYMBOL], {}),
        (Invalid, "Buyer", "two", symbols, {"size": "big"}),
        (Invalid, "Buyer", "two", symbols, {"sise": 1}),
        (Conflict, "Unsaveable", "two", symbols, {}),
        (StrategyFailed, "BadConstructor", "two", symbols, {}),
    ):
        with pytest.raises(error):
            host.add_strategy(class_name, name, vt_symbols, setting)
    with pytest.raises(Conflict):
        host.start_strategy("one")
    host.init_strategy("one").result(WAIT_S)
    assert isinstance(failure(host.init_strategy("one")), Conflict)
    assert isinstance(failure(host.init_strategy("two")), NotFound)
    host.start_strategy("one")
    for command in (host.start_strategy, host.remove_strategy):
        with pytest.raises(Conflict):
            command("one")
    with pytest.raises(Invalid):
        host.edit_strategy("one", {"size": None})
    assert list(host.strategies) == ["one"]


def test_orders_that_are_held_are_not_sent(living: Living) -> None:
    room = living.room
    living.connect()
    living.trading()
    room.main_engine.hold_orders("the disk is full", by="journal")
    room.tick(3500)
    assert room.gateway.orders == {}
    room.main_engine.hold_orders(None, by="journal")
    room.tick(3501)
    assert list(room.gateway.orders) == ["1"]


def test_what_its_gateway_tells_later_is_subscribed_then(living: Living) -> None:
    room, host = living.room, living.host
    living.add()
    assert SYMBOL in str(host.get_state("one")["error"])
    host.init_strategy("one").result(WAIT_S)
    assert room.gateway.subscribed == []
    living.connect()
    assert set(room.gateway.subscribed) == set(living.kind.symbols)
    assert host.get_state("one")["error"] is None


def test_one_that_hangs_in_on_init_holds_up_no_other(living: Living) -> None:
    host = living.host
    living.connect()
    for name in ("slow", "well"):
        living.add(name, "Slow" if name == "slow" else "Buyer")
    hanging = host.init_strategy("slow")
    kind = host.classes["Slow"]
    assert kind.entered.acquire(timeout=WAIT_S)
    host.init_strategy("well").result(WAIT_S)
    host.start_strategy("well")
    with pytest.raises(Conflict):
        host.remove_strategy("slow")
    assert host.get_state("slow")["state"] is StrategyState.INITING
    kind.leave.set()
    hanging.result(WAIT_S)
    assert host.get_state("slow")["state"] is StrategyState.INITED


def test_classes_are_described(living: Living) -> None:
    described = living.host.describe_class("Buyer")
    assert (described["engine"], described["author"]) == (living.kind.name, "tests")
    assert [parameter["name"] for parameter in described["parameters"]] == ["size", "label"]
    names = {each["class_name"] for each in living.host.describe_classes()}
    assert names >= {"Buyer", "Slow"}
    assert "Base" not in names  # it is abstract
    with pytest.raises(NotFound):
        living.host.describe_class("Nobody")


def test_one_that_is_let_go_of_has_its_variables_again(living: Living) -> None:
    room, host = living.room, living.host
    living.connect()
    living.trading()
    room.tick(3500)
    host.stop_strategy("one")
    room.settle()
    host.unload_strategy("one")
    assert host.strategies == {}
    room.tick(3501)
    living.add(saved=True)
    host.init_strategy("one").result(WAIT_S)
    assert host.get_state("one")["variables"]["ticks"] == 1


def test_one_that_holds_something_is_not_let_go_of(living: Living) -> None:
    room, host = living.room, living.host
    living.connect()
    living.trading()
    with pytest.raises(Conflict):
        host.unload_strategy("one")
    room.tick(3500)
    room.gateway.fill(room.gateway.orders["1"])
    room.settle()
    host.stop_strategy("one")
    with pytest.raises(Conflict) as refused:
        host.unload_strategy("one")
    assert refused.value.error_code == "holds_position"
    assert living.position() == 1


def test_a_name_that_is_forgotten_begins_anew(living: Living) -> None:
    room, host = living.room, living.host
    living.connect()
    living.trading()
    room.tick(3500)
    room.gateway.fill(room.gateway.orders["1"])
    room.settle()
    room.stop()
    host = living.begin(saved=living.latest())
    host.forget_strategy("one")  # it could not be loaded, and was removed
    assert living.latest()["one"].removed
    living.add()
    living.connect()
    host.init_strategy("one").result(WAIT_S)
    assert (living.position(), host.get_state("one")["variables"]["ticks"]) == (0, 0)
