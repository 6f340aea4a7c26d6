"""SimGateway under vn.py's own, unmodified engines and threads: a proper gateway, also when things go wrong."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from vnpy.event import Event, EventEngine
from vnpy.trader import database
from vnpy.trader.constant import Direction, Exchange, Interval, Offset, OrderType
from vnpy.trader.event import EVENT_ACCOUNT, EVENT_CONTRACT, EVENT_ORDER, EVENT_POSITION, EVENT_TICK, EVENT_TRADE
from vnpy.trader.object import HistoryRequest, OrderRequest

from tests.integration.sim_client import BITCOIN, ORE, REBAR, WAIT_S, Client, client
from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.gateways import GatewayHost
from vnpy_core.engine.main_engine import CoreMainEngine
from vnpy_core.engine.sim import SimGateway
from vnpy_core.engine.sim.feed import RandomFeed
from vnpy_core.enums import GatewayState
from vnpy_core.errors import ConfigError


@pytest.fixture
def sim() -> Iterator[Client]:
    with client() as made:
        yield made


@pytest.fixture
def trading(sim: Client) -> Client:
    """A client that is connected and sees rebar move."""
    sim.connect()
    sim.subscribe(REBAR)
    sim.wait_for_tick()
    return sim


def test_connecting_tells_contracts_and_account_and_only_subscribed_ticks(sim: Client) -> None:
    sim.connect()
    sim.subscribe(REBAR)
    for _ in range(3):
        tick = sim.wait_for_tick()
    assert tick.datetime.tzinfo is database.DB_TZ
    assert {each.vt_symbol for each in sim.of(EVENT_TICK)} == {REBAR}
    contracts = {contract.vt_symbol: contract for contract in sim.main.get_all_contracts()}
    assert {REBAR, ORE, BITCOIN, "600000.SSE", "USDJPY.IDEALPRO"} <= contracts.keys()
    assert contracts[REBAR].history_data
    (account,) = sim.main.get_all_accounts()
    assert (account.accountid, account.balance, account.available) == ("SIM", 10_000_000, 10_000_000)


def test_an_order_is_filled_and_everything_agrees(trading: Client) -> None:
    vt_orderid = trading.send(3)
    trading.wait(lambda: trading.fills(vt_orderid) and trading.main.get_all_positions())
    trading.settle()
    assert trading.states(vt_orderid)[:2] == ["SUBMITTING", "NOTTRADED"]
    assert trading.states(vt_orderid)[-1] == "ALLTRADED"
    assert sum(trade.volume for trade in trading.fills(vt_orderid)) == 3
    (position,) = trading.main.get_all_positions()
    assert (position.volume, position.direction) == (3, Direction.LONG)
    converter = trading.main.get_converter("SIM")
    assert converter is not None
    holding = converter.get_position_holding(REBAR)
    assert holding is not None
    assert (holding.long_td, holding.long_pos_frozen) == (3, 0)


def test_a_resting_order_is_cancelled(trading: Client) -> None:
    tick = trading.wait_for_tick()
    vt_orderid = trading.send(3, tick.bid_price_1 - 100)
    trading.wait_for_state(vt_orderid, "NOTTRADED")
    assert trading.main.get_all_active_orders()
    trading.cancel(vt_orderid)
    trading.wait_for_state(vt_orderid, "CANCELLED")
    trading.settle()
    assert trading.main.get_all_active_orders() == []


def test_a_refused_order_has_an_id_and_a_reason(trading: Client) -> None:
    vt_orderid = trading.send(1, 3500.5)
    assert vt_orderid.startswith("SIM.")
    trading.wait_for_state(vt_orderid, "REJECTED")
    order = trading.main.get_order(vt_orderid)
    assert order is not None
    assert order.extra is not None
    assert order.extra["code"] == "price_tick"


def test_vn_pys_converter_splits_a_close_into_what_the_exchange_takes(trading: Client) -> None:
    opened = trading.send(3)
    trading.wait_for_state(opened, "ALLTRADED")
    trading.settle()
    request = OrderRequest("rb2605", Exchange.SHFE, Direction.SHORT, OrderType.MARKET, 2, 0, Offset.CLOSE)
    (split,) = trading.main.convert_order_request(request, "SIM", lock=False)
    assert split.offset is Offset.CLOSETODAY
    closed = trading.main.send_order(split, "SIM")
    trading.wait_for_state(closed, "ALLTRADED")
    trading.settle()
    (position,) = trading.main.get_all_positions()
    assert position.volume == 1


def test_queries_push_the_state(trading: Client) -> None:
    vt_orderid = trading.send(3)
    trading.wait_for_state(vt_orderid, "ALLTRADED")
    trading.forget()
    trading.gateway.query_account()
    trading.gateway.query_position()
    trading.wait(lambda: trading.of(EVENT_ACCOUNT) and trading.of(EVENT_POSITION))


def test_history_joins_the_live_market(trading: Client) -> None:
    now = datetime.now(database.DB_TZ)
    request = HistoryRequest("rb2605", Exchange.SHFE, now - timedelta(days=1), now, Interval.MINUTE)
    bars = trading.main.query_history(request, "SIM")
    assert 1438 <= len(bars) <= 1441
    venue = trading.gateway._venue
    assert venue is not None
    assert isinstance(venue.feed, RandomFeed)
    began = venue.feed.walks[REBAR].state.anchor
    assert began is not None
    last_before = [bar for bar in bars if bar.datetime <= began - timedelta(minutes=1)][-1]
    assert last_before.close_price == 3500
    assert began - last_before.datetime < timedelta(minutes=2)
    unknown = HistoryRequest("zzz", Exchange.SHFE, now, now, Interval.MINUTE)
    assert trading.main.query_history(unknown, "SIM") == []


def test_close_and_connect_again(trading: Client) -> None:
    tick = trading.wait_for_tick()
    filled, resting = trading.send(3), trading.send(2, tick.bid_price_1 - 100)
    trading.wait_for_state(filled, "ALLTRADED")
    trading.gateway.close()
    trading.forget()
    refused = trading.send(1)
    trading.wait_for_state(refused, "REJECTED")
    assert trading.of(EVENT_TICK) == []
    trading.forget()
    trading.connect()
    trading.wait_for_tick()  # without subscribing again
    assert trading.states(filled) == ["ALLTRADED"]
    assert trading.states(resting) == ["NOTTRADED"]
    assert len(trading.fills(filled)) >= 1
    assert next(position.volume for position in trading.of(EVENT_POSITION)) == 3
    assert trading.of(EVENT_CONTRACT)


def test_closing_twice_or_before_connecting_does_nothing(sim: Client) -> None:
    sim.gateway.close()
    sim.connect()
    sim.gateway.close()
    sim.gateway.close()


def test_an_order_before_connecting_is_refused(sim: Client) -> None:
    vt_orderid = sim.send(1)
    sim.wait_for_state(vt_orderid, "REJECTED")


def test_what_was_subscribed_before_connecting_is_served(sim: Client) -> None:
    sim.subscribe(REBAR, "nothing.SHFE")
    sim.connect()
    sim.wait_for_tick()


def test_unsubscribed_contracts_are_silent(trading: Client) -> None:
    trading.subscribe(ORE)
    trading.wait_for_tick(ORE)
    trading.gateway.unsubscribe(trading.main.get_contract(REBAR))  # type: ignore[arg-type]
    trading.forget()
    for _ in range(3):
        trading.wait_for_tick(ORE)
    assert {tick.vt_symbol for tick in trading.of(EVENT_TICK)} == {ORE}


def test_a_wrong_setting_is_said_to_the_caller(sim: Client) -> None:
    with pytest.raises(ConfigError, match="tick_interval_ms"):
        sim.connect(tick_intervall=5)
    sim.connect()  # and nothing is left in the way
    sim.wait(lambda: sim.main.get_all_accounts())


def test_another_setting_opens_another_market(trading: Client) -> None:
    trading.connect(balance=500.0)
    trading.wait(lambda: trading.of(EVENT_ACCOUNT)[-1].balance == 500)


def test_two_accounts_side_by_side(tmp_path: Path) -> None:
    with client("SIM1") as first:
        second = first.main.add_gateway(SimGateway, "SIM2")
        first.connect()
        second.connect({"persist": False, "balance": 1000.0, "tick_interval_ms": 20.0})
        first.wait(lambda: len(first.main.get_all_accounts()) == 2)
        assert {account.balance for account in first.main.get_all_accounts()} == {10_000_000, 1000}


def test_the_gateway_host_connects_it_and_comes_back_to_the_same_venue() -> None:
    events = CoreEventEngine()
    main = CoreMainEngine(events)
    settings = GatewaySettings.model_validate(
        {"class": "vnpy_core.engine.sim.SimGateway", "setting": {"persist": False, "tick_interval_ms": 20.0}}
    )
    host = GatewayHost(main, events, {"SIM": settings})
    try:
        host.load()
        assert host.default_setting("SIM")["feed"] == "random"
        assert host.connect("SIM").result(WAIT_S).state is GatewayState.CONNECTED
        request = OrderRequest("rb2605", Exchange.SHFE, Direction.LONG, OrderType.LIMIT, 1, 3400, Offset.OPEN)
        vt_orderid = events.call(main.send_order, request, "SIM").result(WAIT_S)
        assert host.disconnect("SIM").result(WAIT_S).state is GatewayState.DISCONNECTED
        assert host.connect("SIM").result(WAIT_S).state is GatewayState.CONNECTED
        assert events.drain(WAIT_S)
        (order,) = main.get_all_active_orders()
        assert order.vt_orderid == vt_orderid
        assert host.disconnect("SIM").result(WAIT_S).state is GatewayState.DISCONNECTED
        failed = host.connect("SIM", {"tick_intervall_ms": 5}).result(WAIT_S)
        assert failed.state is GatewayState.FAILED
        assert failed.detail is not None
        assert "tick_interval_ms" in failed.detail
    finally:
        host.close()
        main.close()


# Faults


def test_a_lost_connection_is_silent_and_tells_all_when_it_is_back(trading: Client) -> None:
    tick = trading.wait_for_tick()
    resting = trading.send(2, tick.ask_price_1 - 2)
    trading.wait_for_state(resting, "NOTTRADED")
    trading.gateway.inject(disconnect=True)
    trading.forget()
    refused = trading.send(1)
    trading.wait_for_state(refused, "REJECTED")
    venue = trading.gateway._venue
    assert venue is not None
    deadline = time.monotonic() + WAIT_S
    while venue.exchange.working and time.monotonic() < deadline:
        time.sleep(0.01)  # the market goes on without us, and says nothing that could be awaited
    assert venue.exchange.working == {}
    assert trading.of(EVENT_TICK) == trading.of(EVENT_TRADE) == []
    trading.connect()
    trading.wait_for_state(resting, "ALLTRADED")
    trading.wait(lambda: sum(trade.volume for trade in trading.fills(resting)) == 2)
    trading.wait_for_tick()


def test_a_lost_connection_can_come_back_by_itself(trading: Client) -> None:
    trading.gateway.inject(disconnect=True, reconnect_after_ms=50)
    trading.forget()
    trading.wait_for_tick()
    assert trading.of(EVENT_CONTRACT)


def test_sending_on_a_lost_connection_may_raise(trading: Client) -> None:
    trading.gateway.inject(disconnect=True, disconnected="raise")
    with pytest.raises(ConnectionError, match="SIM is not connected"):
        trading.send(1)


def test_a_lost_acknowledgement_leaves_the_order_at_the_exchange(trading: Client) -> None:
    trading.gateway.inject(lose_acks=1)
    vt_orderid = trading.send(3)
    trading.wait_for_tick()
    assert trading.states(vt_orderid) == ["SUBMITTING"]
    trading.connect()
    trading.wait_for_state(vt_orderid, "ALLTRADED")
    assert sum(trade.volume for trade in trading.fills(vt_orderid)) == 3


def test_delayed_acknowledgements_arrive_in_order(trading: Client) -> None:
    trading.gateway.inject(ack_delay_ms=100)
    vt_orderid = trading.send(3)
    trading.wait_for_state(vt_orderid, "SUBMITTING")
    began = time.monotonic()
    trading.wait_for_state(vt_orderid, "ALLTRADED")
    assert time.monotonic() - began > 0.05
    assert trading.states(vt_orderid)[:2] == ["SUBMITTING", "NOTTRADED"]


def test_injected_refusals(trading: Client) -> None:
    trading.gateway.inject(reject=1, reject_reason="the exchange is in a bad mood")
    first, second = trading.send(1), trading.send(1)
    trading.wait_for_state(first, "REJECTED")
    trading.wait_for_state(second, "ALLTRADED")
    order = trading.main.get_order(first)
    assert order is not None
    assert order.extra == {"code": "injected", "reason": "the exchange is in a bad mood"}


def test_doubled_events(trading: Client) -> None:
    trading.gateway.inject(duplicate=1)
    vt_orderid = trading.send(1)
    trading.wait_for_state(vt_orderid, "ALLTRADED")
    trading.settle()
    fills = trading.fills(vt_orderid)
    assert len(fills) == 2 * len({fill.vt_tradeid for fill in fills})


def test_faults_can_come_with_the_setting(sim: Client) -> None:
    sim.connect(faults={"reject": 1})
    sim.subscribe(REBAR)
    sim.wait_for_tick()
    sim.wait_for_state(sim.send(1), "REJECTED")


def test_closing_does_not_wait_for_an_event_thread_that_is_gone() -> None:
    """vn.py stops the event engine before it closes the gateways."""
    events = EventEngine()
    gateway = SimGateway(events, "SIM")
    gateway.connect({"persist": False, "ticks_per_second": 1000.0})
    began = time.monotonic()
    gateway.close()
    assert time.monotonic() - began < 5


def test_send_order_called_by_a_handler_of_the_event_thread(trading: Client) -> None:
    """As strategies do: from within a tick, while the feed thread wants the same lock."""
    sent: list[str] = []

    def on_tick(event: Event) -> None:
        if len(sent) < 50:
            sent.append(trading.send(1))

    trading.connect(ticks_per_second=2000.0)
    trading.event_engine.register(EVENT_TICK, on_tick)
    trading.wait(lambda: len({trade.vt_orderid for trade in trading.of(EVENT_TRADE)}) == 50)
    trading.settle()
    assert sum(trade.volume for trade in trading.of(EVENT_TRADE)) == 50
    assert trading.main.get_all_positions()[0].volume == 50


def test_a_fast_market_is_delivered_at_its_rate(sim: Client) -> None:
    sim.connect(ticks_per_second=5000.0)
    sim.subscribe(REBAR, ORE)
    sim.wait(lambda: len(sim.events) > 1000)
    first = sim.of(EVENT_TICK)[0]
    sim.wait(lambda: len(sim.events) > 6000)
    ticks = sim.of(EVENT_TICK)
    took = (ticks[-1].datetime - first.datetime).total_seconds()
    assert 1000 < len(ticks) / took < 6000


# A killed process

VICTIM = """
import sys, time
from pathlib import Path
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine import runtime
runtime.prepare(VnPyCoreConfig(data_dir=Path(sys.argv[1])))
from vnpy.event import EventEngine
from vnpy.trader.constant import Direction, Exchange, Offset, OrderType
from vnpy.trader.event import EVENT_ORDER, EVENT_TRADE
from vnpy.trader.object import OrderRequest, SubscribeRequest
from vnpy_core.engine.sim import SimGateway
events = EventEngine()
events._thread.daemon = events._timer.daemon = True
def show(event):
    data = event.data
    if event.type == EVENT_ORDER:
        print("order", data.vt_orderid, data.status.name, data.traded, flush=True)
    else:
        print("trade", data.vt_tradeid, data.volume, flush=True)
events.register(EVENT_ORDER, show)
events.register(EVENT_TRADE, show)
events.start()
gateway = SimGateway(events, "SIM")
gateway.connect({"tick_interval_ms": 5.0})
gateway.subscribe(SubscribeRequest("rb2605", Exchange.SHFE))
time.sleep(0.2)
number = 0
while True:
    number += 1
    price = 0 if number % 3 else 3300 + number % 200
    kind = OrderType.LIMIT if price else OrderType.MARKET
    gateway.send_order(OrderRequest("rb2605", Exchange.SHFE, Direction.LONG, kind, 1, price, Offset.OPEN))
    time.sleep(0.0005)
"""
RANK = {"SUBMITTING": 0, "NOTTRADED": 1, "PARTTRADED": 2, "ALLTRADED": 3, "CANCELLED": 3, "REJECTED": 3}


def run_until_killed(folder: Path, lines: int) -> list[list[str]]:
    """Run the victim, kill it after it has shown that many lines, and return what it has shown."""
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    shown = []
    try:
        for line in process.stdout:
            shown.append(line.split())
            if len(shown) == lines:
                os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        errors = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
    assert len(shown) >= lines, errors
    return [line for line in shown if len(line) > 2]


def test_kill_minus_nine_forgets_nothing_that_was_shown(sim: Client, tmp_path: Path) -> None:
    orders: dict[str, tuple[str, float]] = {}
    trades: dict[str, float] = {}
    for _ in range(2):  # the second process starts from what the first has left
        shown = run_until_killed(tmp_path, 400)
        for kind, key, *rest in shown:
            if kind == "trade":
                trades[key] = float(rest[0])
            else:
                orders[key] = (rest[0], float(rest[1]))
    sim.connect(persist=str(tmp_path / "sim_SIM.db"))
    sim.settle()
    known = {order.vt_orderid: order for order in sim.of(EVENT_ORDER)}
    assert orders.keys() <= known.keys()
    for key, (status, traded) in orders.items():
        assert RANK[known[key].status.name] >= RANK[status]
        assert known[key].traded >= traded
    told = [trade.vt_tradeid for trade in sim.of(EVENT_TRADE)]
    assert trades.keys() <= set(told)
    assert len(told) == len(set(told))
    position = next(position for position in sim.of(EVENT_POSITION) if position.vt_symbol == REBAR)
    assert position.volume == sum(trade.volume for trade in sim.of(EVENT_TRADE))


def test_the_default_file_lies_in_vn_pys_folder(runtime_dir: Path) -> None:
    with client("KEPT") as first:
        first.connect(persist=True)
        first.wait(lambda: first.main.get_all_accounts())
    path = runtime_dir / "sim_KEPT.db"
    assert path.exists()
    path.unlink()
