"""How orders meet the market: each kind of order, partial fills, priority, stops."""

from datetime import timedelta

import pytest
from tests.unit.engine.sim.market import CLOSE, FAK, FOK, LONG, MARKET, SHORT, STOP, Market, reason
from vnpy.trader.constant import Direction, Offset, Status
from vnpy.trader.object import AccountData, OrderData, PositionData, TradeData

BIDS, ASKS = [(3499, 10), (3498, 20)], [(3500, 10), (3501, 20), (3503, 30)]
NEW = [Status.SUBMITTING, Status.NOTTRADED]


@pytest.fixture
def market() -> Market:
    market = Market()
    market.quote(BIDS, ASKS)
    return market


def test_marketable_limit_order_takes_level_by_level(market: Market) -> None:
    order = market.send(LONG, 25, 3501)
    assert market.fills(order) == [(3500, 10), (3501, 15)]
    assert market.statuses(order) == [*NEW, Status.PARTTRADED, Status.ALLTRADED]
    assert (order.traded, order.volume) == (25, 25)


def test_what_is_left_rests_and_fills_when_the_market_comes(market: Market) -> None:
    order = market.send(LONG, 12, 3500)
    assert market.statuses(order) == [*NEW, Status.PARTTRADED]
    market.quote(BIDS, [(3501, 50)])
    assert market.order(order).traded == 10
    market.quote(BIDS, [(3498, 1), (3500, 50)])
    assert market.fills(order) == [(3500, 10), (3498, 1), (3500, 1)]
    assert market.order(order).status is Status.ALLTRADED


def test_each_fill_is_told_as_order_then_trade_and_positions_and_account_follow(market: Market) -> None:
    market.told.clear()
    market.send(LONG, 15, 3501)
    assert [type(effect) for effect in market.told] == [
        OrderData, OrderData, OrderData, TradeData, OrderData, TradeData, PositionData, AccountData,
    ]  # fmt: skip


def test_every_push_is_a_copy_of_its_own(market: Market) -> None:
    order = market.send(LONG, 15, 3500)
    pushed = [told for told in market.of(OrderData) if told.orderid == order.orderid]
    assert [(told.status, told.traded) for told in pushed] == [
        (Status.SUBMITTING, 0), (Status.NOTTRADED, 0), (Status.PARTTRADED, 10),
    ]  # fmt: skip
    assert len({id(told) for told in pushed}) == 3


def test_displayed_volume_is_given_out_once(market: Market) -> None:
    first, second = market.send(LONG, 8, 3500), market.send(LONG, 8, 3500)
    assert (first.traded, second.traded) == (8, 2)
    market.quote(BIDS, ASKS)  # a new quote shows new volume
    assert market.order(second).status is Status.ALLTRADED


def test_price_then_time_priority_among_own_orders(market: Market) -> None:
    early, late = market.send(LONG, 5, 3490), market.send(LONG, 5, 3490)
    better = market.send(LONG, 5, 3491)
    market.quote([(3480, 1)], [(3490, 8)])
    assert [trade.vt_orderid for trade in market.of(TradeData)] == [better.vt_orderid, early.vt_orderid]
    assert (market.order(better).traded, market.order(early).traded, market.order(late).traded) == (5, 3, 0)


def test_sellers_are_served_by_the_lowest_price(market: Market) -> None:
    high, low = market.send(SHORT, 5, 3511), market.send(SHORT, 5, 3510)
    market.quote([(3511, 7)], [(3512, 5)])
    assert (market.fills(low), market.fills(high)) == ([(3511, 5)], [(3511, 2)])


def test_own_orders_do_not_meet_each_other(market: Market) -> None:
    bid = market.send(LONG, 5, 3499)
    offer = market.send(SHORT, 50, 3499)
    assert (market.fills(bid), market.fills(offer)) == ([], [(3499, 10)])


def test_market_order_takes_all_levels_and_cancels_the_rest(market: Market) -> None:
    order = market.send(LONG, 70, type=MARKET)
    assert market.fills(order) == [(3500, 10), (3501, 20), (3503, 30)]
    assert market.statuses(order)[-1] is Status.CANCELLED
    assert (order.traded, reason(order)) == (60, "unfilled")


def test_market_order_without_a_quote_is_refused() -> None:
    assert reason(Market().send(LONG, 1, type=MARKET)) == "no_market"


def test_fak_fills_what_is_there_and_cancels_the_rest(market: Market) -> None:
    order = market.send(LONG, 12, 3500, type=FAK)
    assert market.statuses(order) == [*NEW, Status.PARTTRADED, Status.CANCELLED]
    assert (order.traded, reason(order)) == (10, "unfilled")


@pytest.mark.parametrize(("volume", "traded"), [(30, 30), (31, 0)])
def test_fok_fills_all_or_nothing(market: Market, volume: float, traded: float) -> None:
    order = market.send(LONG, volume, 3501, type=FOK)
    assert order.traded == traded
    assert order.status is (Status.ALLTRADED if traded else Status.CANCELLED)
    assert len(market.fills(order)) == (2 if traded else 0)


def test_limit_order_without_a_quote_rests_until_there_is_one() -> None:
    market = Market()
    order = market.send(LONG, 5, 3500)
    assert order.status is Status.NOTTRADED
    market.quote(BIDS, ASKS)
    assert market.order(order).status is Status.ALLTRADED


def test_cancel_of_a_partly_filled_order_keeps_its_fills(market: Market) -> None:
    order = market.send(LONG, 12, 3500)
    market.cancel(order)
    market.quote(BIDS, ASKS)
    cancelled = market.order(order)
    assert (cancelled.status, cancelled.traded, cancelled.extra) == (Status.CANCELLED, 10, None)


@pytest.mark.parametrize("what", ["unknown", "filled", "cancelled"])
def test_a_cancel_that_has_no_order_says_why_and_changes_nothing(market: Market, what: str) -> None:
    order = market.send(LONG, 1, 3500 if what == "filled" else 3400)
    if what == "cancelled":
        market.cancel(order)
    market.told.clear()
    market.exchange.cancel("000000000000" if what == "unknown" else order.orderid, market.now)
    (log,) = market.exchange.take_effects()
    assert not isinstance(log, OrderData | TradeData)


# i2605 takes stop orders at the exchange; its tick is 0.5
STOPS = "i2605.DCE"


@pytest.fixture
def ore() -> Market:
    market = Market()
    market.quote([(779.5, 10)], [(780, 10)], vt_symbol=STOPS)
    return market


@pytest.mark.parametrize(
    ("direction", "trigger", "short_of", "at"), [(LONG, 785, 784.5, 785), (SHORT, 775, 775.5, 774.5)]
)
def test_stop_order_waits_for_the_last_price(
    ore: Market, direction: Direction, trigger: float, short_of: float, at: float
) -> None:
    order = ore.send(direction, 3, trigger, type=STOP, vt_symbol=STOPS)
    ore.quote([(780, 10)], [(780.5, 10)], last=short_of, vt_symbol=STOPS)
    assert ore.order(order).status is Status.NOTTRADED
    ore.quote([(770, 10)], [(790, 10)], last=at, vt_symbol=STOPS)
    assert ore.fills(order) == [(790 if direction is LONG else 770, 3)]


def test_triggered_stop_order_works_on_until_it_is_filled(ore: Market) -> None:
    order = ore.send(LONG, 25, 785, type=STOP, vt_symbol=STOPS)
    ore.quote([(785, 10)], [(786, 10)], last=785, vt_symbol=STOPS)
    assert ore.order(order).status is Status.PARTTRADED
    ore.quote([(782, 10)], [(783, 20)], last=782, vt_symbol=STOPS)  # below the trigger: it works all the same
    assert ore.fills(order) == [(786, 10), (783, 15)]


def test_stop_order_whose_price_is_already_reached_goes_at_once(ore: Market) -> None:
    order = ore.send(SHORT, 2, 790, type=STOP, vt_symbol=STOPS)
    assert ore.fills(order) == [(779.5, 2)]


def test_stop_orders_go_off_in_the_order_in_which_the_price_reaches_them(ore: Market) -> None:
    far, near = (ore.send(LONG, 5, price, type=STOP, vt_symbol=STOPS) for price in (786, 785))
    ore.quote([(789, 10)], [(790, 8)], last=790, vt_symbol=STOPS)
    assert (ore.order(near).traded, ore.order(far).traded) == (5, 3)


def test_waiting_stop_order_can_be_cancelled(ore: Market) -> None:
    order = ore.send(LONG, 5, 785, type=STOP, vt_symbol=STOPS)
    ore.cancel(order)
    ore.quote([(789, 10)], [(790, 8)], last=790, vt_symbol=STOPS)
    assert ore.order(order).status is Status.CANCELLED
    assert ore.account.frozen == 0


def test_nothing_is_matched_while_the_market_is_closed() -> None:
    market = Market(session="09:00-11:30")
    order = market.send(LONG, 5, 3500)
    market.quote(BIDS, ASKS, after=timedelta(hours=3))
    assert market.order(order).status is Status.NOTTRADED
    assert reason(market.send(LONG, 1, 3500)) == "market_closed"
    market.cancel(order)
    assert market.order(order).status is Status.CANCELLED


def test_day_orders_expire_and_those_of_a_round_the_clock_market_stay(market: Market) -> None:
    day = market.send(LONG, 5, 3400)
    crypto = market.send(LONG, 0.5, 100, vt_symbol="BTCUSDT.GLOBAL")
    market.next_day()
    assert reason(market.order(day)) == "expired"
    assert market.order(crypto).status is Status.NOTTRADED
    assert market.account.frozen == pytest.approx(50.02)


def test_order_ids_do_not_repeat_and_carry_the_trading_day(market: Market) -> None:
    first = market.send(LONG, 1, 3400)
    market.next_day()
    second = market.send(LONG, 1, 3400, offset=CLOSE)
    assert (first.orderid, second.orderid) == ("260106000001", "260107000002")


def test_finished_orders_of_earlier_days_are_kept_within_bounds(market: Market) -> None:
    resting = market.send(LONG, 0.5, 100, vt_symbol="BTCUSDT.GLOBAL")
    for _ in range(1500):
        market.send(LONG, 0, 1)
    market.next_day()
    assert len(market.exchange.orders) == 1001
    assert resting.orderid in market.exchange.orders
    assert len(market.exchange.changes.dropped) == 500


def test_prices_and_volumes_are_given_back_as_exact_decimals(market: Market) -> None:
    order = market.send(LONG, 0.1 + 0.2, 0.1 * 3, vt_symbol="BTCUSDT.GLOBAL", offset=Offset.NONE)
    assert (order.volume, order.price) == (0.3, 0.3)
