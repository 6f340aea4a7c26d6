"""TradingCommands with vn.py's engines and its risk manager: every answer says what came of the command."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vnpy.event import Event
from vnpy.trader.constant import Direction as VnDirection
from vnpy.trader.constant import Exchange as VnExchange
from vnpy.trader.constant import Status
from vnpy.trader.object import OrderData, OrderRequest, PositionData, SubscribeRequest

from tests.integration.engine_room import SYMBOL, WAIT_S, ProbeGateway, Room, engine_room
from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.engine.commands import TradingCommands
from vnpy_core.engine.risk import CoreRiskApp, CoreRiskEngine
from vnpy_core.enums import Direction, Exchange, Offset, OrderType, TradingState
from vnpy_core.errors import Conflict, CoreError, NotFound, OrderRefused, OutcomeUnknown, Unavailable
from vnpy_core.models import Model, OrderSpec
from vnpy_core.trading.risk_guard import RiskGuard


def spec(volume: float = 1, symbol: str = "rb2505", offset: Offset = Offset.OPEN, **more: Any) -> OrderSpec:
    return OrderSpec(
        symbol=symbol,
        exchange=Exchange.SHFE,
        direction=more.get("direction", Direction.LONG),
        type=OrderType.LIMIT,
        volume=volume,
        price=3500,
        offset=offset,
        reference="test",
    )


@pytest.fixture
def room(tmp_path: Path, runtime_dir: Path) -> Iterator[Room]:
    with engine_room(tmp_path / "data", runtime_dir) as made:
        made.start()
        made.connect()
        yield made


@pytest.fixture
def commands(room: Room) -> TradingCommands:
    return TradingCommands(room.main_engine)


@pytest.fixture
def risk(room: Room) -> CoreRiskEngine:
    return room.add(CoreRiskApp, CoreRiskEngine)


def refused(room: Room, kind: type[CoreError], command: Callable[..., Any], *args: Any) -> CoreError:
    with pytest.raises(kind) as caught:
        room.on_events(command, *args)
    room.settle()
    assert room.event_engine.is_alive()
    return caught.value


class Mute(ProbeGateway):
    """Refuses orders, as vn.py's gateways do: a log line and an empty string."""

    said: str | None = "not logged in"

    def send_order(self, req: OrderRequest) -> str:
        if self.said:
            self.write_log(self.said)
        return ""


class Polite(ProbeGateway):
    """Knows how to end a subscription."""

    def unsubscribe(self, req: SubscribeRequest) -> None:
        if self.raises is not None:
            raise self.raises
        self.subscribed.remove(req.vt_symbol)


def add_gateway(room: Room, kind: type[ProbeGateway]) -> Any:
    gateway = room.main_engine.add_gateway(kind, "OTHER")
    gateway.connect({})
    room.settle()
    return gateway


def test_an_order_is_sent_as_it_was_asked_for(room: Room, commands: TradingCommands) -> None:
    vt_orderid = room.on_events(commands.send_order, "PROBE", spec(3))
    room.settle()
    order = room.main_engine.get_order(vt_orderid)
    assert order is not None
    assert (order.vt_symbol, order.volume, order.price, order.reference) == (SYMBOL, 3, 3500, "test")
    assert (order.direction.name, order.offset.name, order.type.name) == ("LONG", "OPEN", "LIMIT")


def test_a_close_order_freezes_the_position_at_once(room: Room, commands: TradingCommands) -> None:
    room.gateway.on_position(PositionData("PROBE", "rb2505", VnExchange.SHFE, VnDirection.LONG, volume=5))
    room.settle()
    frozen = []

    def send_and_look() -> None:
        commands.send_order("PROBE", spec(2, offset=Offset.CLOSETODAY, direction=Direction.SHORT))
        converter = room.main_engine.get_converter("PROBE")
        assert converter is not None
        frozen.append(converter.holdings[SYMBOL].long_td_frozen)

    room.on_events(send_and_look)
    assert frozen == [2]


def test_what_is_unknown_is_not_found(room: Room, commands: TradingCommands) -> None:
    assert refused(room, NotFound, commands.send_order, "NOPE", spec()).error_code == "unknown_gateway"
    assert refused(room, NotFound, commands.send_order, "PROBE", spec(symbol="x")).error_code == "unknown_contract"
    assert refused(room, NotFound, commands.subscribe, "NOPE", "rb2505", Exchange.SHFE).error_code == "unknown_gateway"
    assert refused(room, NotFound, commands.subscribe, "PROBE", "x", Exchange.SHFE).error_code == "unknown_contract"
    assert refused(room, NotFound, commands.cancel_order, "PROBE.99").error_code == "unknown_order"
    assert room.gateway.orders == {}


def test_a_contract_of_another_gateway_is_not_ones_own(room: Room, commands: TradingCommands) -> None:
    add_gateway(room, ProbeGateway).contract("only-there")
    room.settle()
    assert refused(room, NotFound, commands.send_order, "PROBE", spec(symbol="only-there")).status == 404


@pytest.mark.parametrize(("said", "reason"), [("not logged in", "not logged in"), (None, "no reason")])
def test_a_gateway_that_refuses_is_quoted(
    room: Room, commands: TradingCommands, said: str | None, reason: str
) -> None:
    add_gateway(room, Mute).said = said
    error = refused(room, OrderRefused, commands.send_order, "OTHER", spec())
    assert error.error_code == "gateway_refused"
    assert reason in error.detail


def test_the_risk_managers_reason_is_the_answer(room: Room, commands: TradingCommands, risk: CoreRiskEngine) -> None:
    """R6: vn.py answers an empty string, and says why in an event that comes later."""
    room.watch("eRiskNotify")
    error = refused(room, OrderRefused, commands.send_order, "PROBE", spec(9999))
    assert error.error_code == "risk_manager"
    assert "9999" in error.detail
    assert len(room.events["eRiskNotify"]) == 1
    assert {"send_order", "on_log"}.isdisjoint(vars(room.gateway))
    assert room.on_events(commands.send_order, "PROBE", spec(1))


def test_a_rule_that_raises_refuses(room: Room, commands: TradingCommands, risk: CoreRiskEngine) -> None:
    def broken(request: OrderRequest, gateway_name: str) -> bool:
        raise ZeroDivisionError("in a rule")

    risk.check_allowed = broken  # type: ignore[method-assign]
    error = refused(room, OrderRefused, commands.send_order, "PROBE", spec())
    assert error.error_code == "risk_failed"
    assert room.gateway.orders == {}


def test_an_order_that_is_only_tried_is_asked_about_and_leaves_no_trace(
    room: Room, commands: TradingCommands, risk: CoreRiskEngine
) -> None:
    limits = RiskSettings.model_validate({
        "duplicate_window_ms": 3_600_000,
        "account": {"max_orders_per_s": 0.001, "burst": 1},
        "symbol": {"max_order_volume": 5},
    })  # fmt: skip
    told: list[Model] = []
    guard = RiskGuard(limits, told.append, lambda gateway_name: "2026-01-05")
    risk.front.install(guard)
    room.watch("eRiskNotify", "eLog")
    before = risk.rule_states()

    def tried(order: OrderSpec) -> str:
        return refused(room, CoreError, commands.try_order, "PROBE", order).error_code

    for _ in range(3):  # one token, and no equal order within the hour: were any counted, the next would be refused
        room.on_events(commands.try_order, "PROBE", spec())
    assert tried(spec(6)) == "symbol_volume"
    room.main_engine.hold_gateway("PROBE", "reconciling", "positions differ")
    assert tried(spec()) == "reconciling"
    room.main_engine.hold_gateway("PROBE", "reconciling", None)
    room.on_events(guard.set_state, "*", TradingState.HALTED, "odd", "operator")
    assert tried(spec()) == "trading_halted"
    room.on_events(guard.set_state, "*", TradingState.ACTIVE, "", "operator")
    assert tried(spec(symbol="rb9999")) == "unknown_contract"
    assert risk.rule_states() == before
    assert (told, room.gateway.orders, room.events["eRiskNotify"], room.events["eLog"]) == ([], {}, [], [])

    room.main_engine.hold_orders("the disk is full", by="journal")
    assert "the disk is full" in refused(room, Unavailable, commands.try_order, "PROBE", spec()).detail
    assert "the disk is full" in refused(room, Unavailable, commands.send_order, "PROBE", spec()).detail
    room.main_engine.hold_orders("another service", by="database")
    room.main_engine.hold_orders(None, by="journal")
    assert "another service" in refused(room, Unavailable, commands.send_order, "PROBE", spec()).detail
    room.main_engine.hold_orders(None, by="database")
    assert room.on_events(commands.send_order, "PROBE", spec())
    assert tried(spec()) == "duplicate_order"
    assert tried(spec(2)) == "account_rate"


@pytest.mark.parametrize("raised", [ValueError("socket"), SystemExit(1)])
@pytest.mark.parametrize("with_risk", [False, True])
def test_a_gateway_that_raises_leaves_the_outcome_unknown(
    room: Room, commands: TradingCommands, raised: BaseException, with_risk: bool
) -> None:
    if with_risk:
        room.add(CoreRiskApp, CoreRiskEngine)
    room.gateway.raises = raised
    error = refused(room, OutcomeUnknown, commands.send_order, "PROBE", spec())
    assert repr(raised) in error.detail
    room.gateway.raises = None
    assert room.on_events(commands.send_order, "PROBE", spec())


def test_an_order_number_the_converter_cannot_read_is_still_sent(room: Room, commands: TradingCommands) -> None:
    """vn.py takes vt_orderid apart at its dots, and raises when there are two."""

    class Dotted(ProbeGateway):
        def send_order(self, req: OrderRequest) -> str:
            order = req.create_order_data("a.1", self.gateway_name)
            self.orders["a.1"] = order
            return str(order.vt_orderid)

    gateway = add_gateway(room, Dotted)
    assert room.on_events(commands.send_order, "OTHER", spec()) == "OTHER.a.1"
    room.on_events(commands.cancel_order, "OTHER.a.1")
    assert gateway.cancelled == ["a.1"]


def test_cancel(room: Room, commands: TradingCommands) -> None:
    vt_orderid = room.on_events(commands.send_order, "PROBE", spec())
    room.settle()
    room.on_events(commands.cancel_order, vt_orderid)
    room.settle()
    order = room.main_engine.get_order(vt_orderid)
    assert order is not None
    assert order.status is Status.CANCELLED
    error = refused(room, Conflict, commands.cancel_order, vt_orderid)
    assert error.error_code == "order_not_active"
    assert "CANCELLED" in error.detail


def test_a_cancel_may_overtake_the_event_of_its_order(room: Room, commands: TradingCommands) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold(event: Event) -> None:
        held.set()
        assert go_on.wait(WAIT_S)

    room.event_engine.register("eHold", hold)
    room.event_engine.put(Event("eHold"))
    assert held.wait(WAIT_S)
    sent = room.event_engine.call(commands.send_order, "PROBE", spec())
    cancelled = room.event_engine.call(commands.cancel_order, "PROBE.1")
    go_on.set()
    assert sent.result(WAIT_S) == "PROBE.1"
    cancelled.result(WAIT_S)
    assert room.gateway.cancelled == ["1"]
    room.settle()
    assert refused(room, Conflict, commands.cancel_order, "PROBE.1").error_code == "order_not_active"


def test_a_gateway_that_raises_in_cancel_leaves_the_outcome_unknown(room: Room, commands: TradingCommands) -> None:
    vt_orderid = room.on_events(commands.send_order, "PROBE", spec())
    room.settle()
    room.gateway.orders.clear()  # KeyError
    assert "KeyError" in refused(room, OutcomeUnknown, commands.cancel_order, vt_orderid).detail


def test_subscriptions(room: Room, commands: TradingCommands) -> None:
    gateway = add_gateway(room, Polite)
    for name in ("PROBE", "OTHER"):
        room.on_events(commands.subscribe, name, "rb2505", Exchange.SHFE)
    assert room.gateway.subscribed == gateway.subscribed == [SYMBOL]
    assert room.on_events(commands.unsubscribe, "OTHER", "rb2505", Exchange.SHFE)
    assert gateway.subscribed == []
    assert not room.on_events(commands.unsubscribe, "PROBE", "rb2505", Exchange.SHFE)
    gateway.raises = ValueError("socket")
    assert "socket" in refused(room, Unavailable, commands.unsubscribe, "OTHER", "rb2505", Exchange.SHFE).detail
    room.gateway.subscribed = None  # type: ignore[assignment]
    assert refused(room, Unavailable, commands.subscribe, "PROBE", "rb2505", Exchange.SHFE).status == 503


def test_a_gateway_that_is_not_connected_is_unavailable(room: Room, commands: TradingCommands) -> None:
    vt_orderid = room.on_events(commands.send_order, "PROBE", spec())
    room.settle()
    room.main_engine.set_online("PROBE", "is DISCONNECTED")
    for command in (
        (commands.send_order, "PROBE", spec()),
        (commands.cancel_order, vt_orderid),
        (commands.subscribe, "PROBE", "rb2505", Exchange.SHFE),
    ):
        error = refused(room, Unavailable, *command)
        assert error.error_code == "gateway_not_connected"
        assert "DISCONNECTED" in error.detail
    order: OrderData = room.gateway.orders["1"]
    assert order.is_active()
