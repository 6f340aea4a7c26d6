"""Laws that hold whatever the client sends and the market does: nothing appears, nothing is lost."""

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.sim.market import LONG, NET, SHORT, Market
from vnpy.trader.constant import Direction, Offset, OrderType, Status
from vnpy.trader.object import OrderData, TradeData

from vnpy_core.engine.sim.contracts import MONEY

SYMBOLS = ("rb2605.SHFE", "i2605.DCE", "600000.SSE", "BTCUSDT.GLOBAL")
DEPOSIT = 30_000
FINAL = {Status.ALLTRADED, Status.CANCELLED, Status.REJECTED}
NEXT = {
    Status.SUBMITTING: {Status.NOTTRADED, Status.REJECTED},
    Status.NOTTRADED: {Status.PARTTRADED, Status.ALLTRADED, Status.CANCELLED},
    Status.PARTTRADED: {Status.PARTTRADED, Status.ALLTRADED, Status.CANCELLED},
}

orders = st.tuples(
    st.just("send"),
    st.sampled_from(SYMBOLS),
    st.sampled_from([LONG, SHORT]),
    st.sampled_from([Offset.OPEN, Offset.CLOSE, Offset.CLOSETODAY, Offset.CLOSEYESTERDAY, Offset.NONE]),
    st.sampled_from([OrderType.LIMIT] * 3 + [OrderType.MARKET, OrderType.FAK, OrderType.FOK, OrderType.STOP]),
    st.integers(1, 12),
    st.integers(-6, 6),
)
quotes = st.tuples(
    st.just("quote"),
    st.sampled_from(SYMBOLS),
    st.integers(-5, 5),
    st.lists(st.integers(0, 9), min_size=2, max_size=5),
    st.lists(st.integers(0, 9), min_size=2, max_size=5),
)
cancels = st.tuples(st.just("cancel"), st.integers(0, 40))
days = st.tuples(st.just("day"))
commands = st.lists(st.one_of(orders, orders, quotes, quotes, cancels, days), min_size=10, max_size=80)


class Script:
    """Plays commands to an exchange. Prices are small, so that money, volume and price limits are all reached."""

    def __init__(self) -> None:
        overrides: list[dict[str, Any]] = [{"vt_symbol": name, "price": 100, "pricetick": 1} for name in SYMBOLS]
        self.market = Market(balance=DEPOSIT, contracts=[each | {"commission_rate": 0.001} for each in overrides])
        self.sent: list[OrderData] = []
        for vt_symbol in SYMBOLS:
            self.play(("quote", vt_symbol, 0, [5, 5], [5, 5]))

    def play(self, command: tuple[Any, ...]) -> None:
        market, lot = self.market, 1.0
        kind, *rest = command
        if kind == "send":
            vt_symbol, direction, offset, order_type, lots, away = rest
            lot = market.exchange.instruments[vt_symbol].spec.min_volume
            order = market.send(direction, lots * lot, 100 + away, offset=offset, type=order_type, vt_symbol=vt_symbol)
            self.sent.append(order)
        elif kind == "quote":
            vt_symbol, middle, bids, asks = rest
            lot = market.exchange.instruments[vt_symbol].spec.min_volume
            market.quote(
                [(100 + middle - level, volume * lot) for level, volume in enumerate(bids, 1)],
                [(100 + middle + level, volume * lot) for level, volume in enumerate(asks)],
                vt_symbol=vt_symbol,
            )
        elif kind == "cancel" and self.sent:
            market.cancel(self.sent[rest[0] % len(self.sent)])
        elif kind == "day":
            market.next_day()


def check_account(script: Script) -> None:
    ledger = script.market.exchange.ledger
    assert ledger.balance == ledger.deposit + ledger.realised - ledger.commission
    assert ledger.available == ledger.balance - ledger.frozen
    assert ledger.frozen == ledger.margin + ledger.reserved + max(0, -ledger.floating)
    assert ledger.margin >= 0
    assert ledger.reserved >= 0
    # The running totals are what a fresh count gives.
    assert ledger.margin == sum(exposure.margin for exposure in ledger.exposures.values())
    floating = [each.floating for exposure in ledger.exposures.values() for each in exposure.holdings.values()]
    assert ledger.floating == sum(floating)
    for vt_symbol, exposure in ledger.exposures.items():
        for buy in (True, False):
            resting = [
                order
                for order in script.market.exchange.working.values()
                if order.instrument.vt_symbol == vt_symbol and order.buy is buy and order.closes is None
            ]
            assert exposure.resting_lots[buy] == sum(order.left for order in resting)
            cost = sum(order.instrument.notional(order.data.price, order.left) for order in resting)
            assert exposure.resting_cost[buy] == cost
        if not any(exposure.resting_lots.values()):
            assert exposure.reserved == 0


def check_positions(script: Script) -> None:
    exchange = script.market.exchange
    for exposure in exchange.ledger.exposures.values():
        for holding in exposure.holdings.values():
            assert holding.today >= 0
            assert holding.yesterday >= 0
            assert all(frozen >= 0 for frozen in holding.frozen.values())
            assert holding.frozen_lots <= holding.lots
            assert (holding.cost == 0) is (holding.lots == 0)
            if exposure.instrument.spec.long_only:
                assert holding.sign == 1
            resting = [
                order.left
                for order in exchange.working.values()
                if order.closes is not None and order.exposure is exposure
                if exposure.holding_of(order.buy, order.closes) is holding
            ]
            assert holding.frozen_lots == sum(resting)


def check_fills_make_positions(script: Script) -> None:
    net: dict[str, float] = defaultdict(float)
    for trade in script.market.of(TradeData):
        net[trade.vt_symbol] += trade.volume if trade.direction is LONG else -trade.volume
    for vt_symbol, exposure in script.market.exchange.ledger.exposures.items():
        held = 0
        for direction, holding in exposure.holdings.items():
            sign = holding.sign if direction is NET else 1 if direction is LONG else -1
            held += sign * holding.lots
        assert exposure.instrument.volume_of(held) == pytest.approx(net[vt_symbol])


def check_orders(script: Script) -> None:
    told: dict[str, list[OrderData]] = defaultdict(list)
    for order in script.market.of(OrderData):
        told[order.orderid].append(order)
    fills: dict[str, float] = defaultdict(float)
    for trade in script.market.of(TradeData):
        fills[trade.orderid] += trade.volume
    for orderid, states in told.items():
        assert states[0].status is Status.SUBMITTING
        for before, after in pairwise(states):
            assert after.status in NEXT[before.status]
            assert before.traded <= after.traded <= after.volume
        assert states[-1].traded == pytest.approx(fills[orderid])
        assert (states[-1].status in FINAL) is (orderid not in script.market.exchange.working)
        assert (states[-1].status is Status.ALLTRADED) is (states[-1].traded == states[-1].volume > 0)


def check_money_is_conserved(script: Script) -> None:
    """What was paid and received for all fills, less commission, is the balance with every position at its cost."""
    market = script.market
    cash = Fraction(DEPOSIT * MONEY) - market.exchange.ledger.commission
    for trade in market.of(TradeData):
        instrument = market.exchange.instruments[trade.vt_symbol]
        lots = instrument.lots_of(trade.volume)
        assert lots
        value = instrument.notional(trade.price, lots)
        cash += -value if trade.direction is LONG else value
    for exposure in market.exchange.ledger.exposures.values():
        for direction, holding in exposure.holdings.items():
            sign = holding.sign if direction is NET else 1 if direction is LONG else -1
            cash += sign * holding.cost
    assert cash == market.exchange.ledger.balance


CHECKS: list[Callable[[Script], None]] = [
    check_account,
    check_positions,
    check_fills_make_positions,
    check_orders,
    check_money_is_conserved,
]


@settings(max_examples=150, deadline=None)
@given(commands)
def test_money_and_positions_are_conserved(script_of: list[tuple[Any, ...]]) -> None:
    script = Script()
    for command in script_of:
        script.play(command)
        check_account(script)
        check_positions(script)
    for check in CHECKS:
        check(script)


@settings(max_examples=100, deadline=None)
@given(commands)
def test_no_quote_gives_out_more_than_it_displays_nor_at_worse_than_the_limit(script_of: list[tuple[Any, ...]]) -> None:
    script = Script()
    given_out: dict[tuple[int, str, bool, float], float] = defaultdict(float)
    for command in script_of:
        if command[0] == "day":
            continue
        before = len(script.market.told)
        script.play(command)
        for trade in script.market.told[before:]:
            if not isinstance(trade, TradeData):
                continue
            tick = script.market.exchange.books[trade.vt_symbol].tick
            assert tick is not None
            buy = trade.direction is LONG
            side = "ask" if buy else "bid"
            displayed = {getattr(tick, f"{side}_price_{n}"): getattr(tick, f"{side}_volume_{n}") for n in range(1, 6)}
            key = (id(tick), trade.vt_symbol, buy, trade.price)
            given_out[key] += trade.volume
            assert given_out[key] <= displayed[trade.price] + 1e-9
            order = script.market.exchange.orders[trade.orderid]
            if order.type not in (OrderType.MARKET, OrderType.STOP):
                assert trade.price <= order.price if buy else trade.price >= order.price


@settings(max_examples=50, deadline=None)
@given(commands)
def test_the_same_commands_make_the_same_events(script_of: list[tuple[Any, ...]]) -> None:
    first, second = Script(), Script()
    for command in script_of:
        first.play(command)
        second.play(command)
    texts = [[_comparable(effect) for effect in script.market.told] for script in (first, second)]
    assert texts[0] == texts[1]


def _comparable(effect: object) -> dict[str, object]:
    return {name: value for name, value in vars(effect).items() if name != "time"}  # a log line carries the wall clock


def test_a_long_scripted_session_stays_conserved() -> None:
    """Deeper than a generated example gets: many days, every kind of order, all four contracts."""
    script = Script()
    for number in range(600):
        vt_symbol = SYMBOLS[number % 4]
        direction: Direction = (LONG, SHORT)[number // 3 % 2]
        offset = (Offset.OPEN, Offset.CLOSE, Offset.CLOSETODAY, Offset.NONE)[number // 5 % 4]
        script.play(("send", vt_symbol, direction, offset, OrderType.LIMIT, 1 + number % 7, number % 9 - 4))
        script.play(("quote", vt_symbol, number % 11 - 5, [1 + number % 5, 3], [2, 1 + number % 4]))
        if number % 7 == 0:
            script.play(("cancel", number))
        if number % 50 == 49:
            script.play(("day",))
    for check in CHECKS:
        check(script)
    assert len(script.market.of(TradeData)) > 200
    codes = {order.extra["code"] for order in script.market.of(OrderData) if order.extra}
    assert {"insufficient_funds", "insufficient_position", "short_selling", "expired"} <= codes
    assert {order.status for order in script.market.of(OrderData)} == set(Status)
