"""Positions, margin and money: what is held, what is booked, and what a settlement changes."""

import pytest
from tests.unit.engine.sim.market import CLOSE, LONG, MARKET, NET, OPEN, SHORT, Market, reason
from vnpy.trader.constant import Exchange, Offset, Status
from vnpy.trader.converter import PositionHolding
from vnpy.trader.object import OrderRequest

REBAR, ORE, BANK, BITCOIN = "rb2605.SHFE", "i2605.DCE", "600000.SSE", "BTCUSDT.GLOBAL"
CLOSETODAY, CLOSEYESTERDAY = Offset.CLOSETODAY, Offset.CLOSEYESTERDAY


@pytest.fixture
def market() -> Market:
    market = Market(contracts=[{"vt_symbol": REBAR, "commission_rate": 0.0001}])
    market.quote([(3499, 100)], [(3500, 100)])
    market.quote([(779.5, 100)], [(780, 100)], vt_symbol=ORE)
    market.quote([(9.99, 50_000)], [(10.0, 50_000)], vt_symbol=BANK)
    market.quote([(59_999.9, 5)], [(60_000, 5)], vt_symbol=BITCOIN)
    return market


def test_opening_takes_margin_and_commission(market: Market) -> None:
    market.send(LONG, 2, 3500)
    account = market.account
    assert account.balance == 1_000_000 - 7
    assert account.frozen == pytest.approx(7000 + 20)  # margin, and the loss of a tick on two lots
    assert account.available == account.balance - account.frozen
    position = market.position()
    assert (position.volume, position.yd_volume, position.price, position.frozen) == (2, 0, 3500, 0)


def test_resting_order_freezes_margin_and_commission_until_it_is_cancelled(market: Market) -> None:
    order = market.send(LONG, 2, 3400)
    assert market.account.frozen == pytest.approx(6800 + 6.8)
    market.cancel(order)
    assert market.account.frozen == 0


def test_partial_fill_moves_the_frozen_part_into_the_position(market: Market) -> None:
    market.send(LONG, 150, 3500)
    account = market.account
    assert account.extra is not None
    assert account.extra["margin"] == 350_000
    assert account.extra["order_frozen"] == pytest.approx(50 * 3500 * 10 * 0.1001)


def test_closing_realises_profit_and_frees_margin(market: Market) -> None:
    market.send(LONG, 2, 3500)
    market.quote([(3510, 100)], [(3511, 100)])
    market.send(SHORT, 2, 3510, offset=CLOSETODAY)
    account = market.account
    assert account.extra is not None
    assert account.extra["realised_pnl"] == 200
    assert account.balance == pytest.approx(1_000_000 + 200 - 7 - 7.02)
    assert account.frozen == 0
    assert market.position().volume == 0


def test_short_positions_gain_when_the_price_falls(market: Market) -> None:
    market.send(SHORT, 1, 3499)
    market.quote([(3489, 100)], [(3490, 100)])
    assert market.holding(SHORT).floating == 100_000_000  # 100.00 in millionths
    market.send(LONG, 1, 3490, offset=CLOSETODAY)
    assert market.account.extra is not None
    assert market.account.extra["realised_pnl"] == 90


def test_average_price_of_several_fills_and_a_partial_close(market: Market) -> None:
    market.send(LONG, 1, 3500)
    market.quote([(3509, 100)], [(3510, 100)])
    market.send(LONG, 1, 3510)
    assert market.position().price == 3505
    market.send(SHORT, 1, 3509, offset=CLOSETODAY)
    assert (market.position().price, market.position().volume) == (3505, 1)
    assert market.account.extra is not None
    assert market.account.extra["realised_pnl"] == 40


def test_floating_loss_is_not_available_and_floating_profit_neither(market: Market) -> None:
    market.send(LONG, 2, 3500)
    before = market.account
    market.quote([(3400, 100)], [(3401, 100)])
    assert market.account.available == pytest.approx(1_000_000 - 7 - 7000 - 2000)
    market.quote([(3600, 100)], [(3601, 100)])
    assert market.account.available == pytest.approx(1_000_000 - 7 - 7000)
    assert market.account.balance == before.balance


def test_resting_close_order_freezes_the_position_it_will_close(market: Market) -> None:
    market.send(LONG, 5, 3500)
    order = market.send(SHORT, 3, 3600, offset=CLOSETODAY)
    assert market.position().frozen == 3
    assert reason(market.send(SHORT, 3, 3600, offset=CLOSETODAY)) == "insufficient_position"
    market.cancel(order)
    assert market.position().frozen == 0
    assert market.send(SHORT, 5, 3600, offset=CLOSETODAY).status is Status.NOTTRADED


def test_settlement_makes_todays_position_yesterdays(market: Market) -> None:
    market.send(LONG, 5, 3500)
    market.next_day()
    assert (market.position().volume, market.position().yd_volume) == (5, 5)


def test_exchanges_that_close_by_day_keep_today_and_yesterday_apart(market: Market) -> None:
    market.send(LONG, 5, 3500)
    market.next_day()
    market.quote([(3499, 100)], [(3500, 100)])
    market.send(LONG, 2, 3500)
    assert reason(market.send(SHORT, 3, 3499, offset=CLOSETODAY)) == "insufficient_position"
    assert reason(market.send(SHORT, 6, 3499, offset=CLOSEYESTERDAY)) == "insufficient_position"
    assert reason(market.send(SHORT, 6, 3499, offset=CLOSE)) == "insufficient_position"  # CLOSE is yesterday's here
    assert market.send(SHORT, 4, 3499, offset=CLOSE).status is Status.ALLTRADED
    assert (market.position().volume, market.position().yd_volume) == (3, 1)
    assert market.send(SHORT, 2, 3499, offset=CLOSETODAY).status is Status.ALLTRADED
    assert (market.position().volume, market.position().yd_volume) == (1, 1)


def test_elsewhere_close_takes_todays_position_first(market: Market) -> None:
    market.send(LONG, 5, 780, vt_symbol=ORE)
    market.next_day()
    market.quote([(779.5, 100)], [(780, 100)], vt_symbol=ORE)
    market.send(LONG, 2, 780, vt_symbol=ORE)
    market.send(SHORT, 3, 779.5, offset=CLOSE, vt_symbol=ORE)
    position = market.position(vt_symbol=ORE)
    assert (position.volume, position.yd_volume) == (4, 4)


def test_close_leaves_what_close_today_orders_have_frozen(market: Market) -> None:
    market.send(LONG, 2, 780, vt_symbol=ORE)
    market.next_day()
    market.quote([(779.5, 100)], [(780, 100)], vt_symbol=ORE)
    market.send(LONG, 2, 780, vt_symbol=ORE)
    market.send(SHORT, 2, 800, offset=CLOSETODAY, vt_symbol=ORE)
    market.send(SHORT, 2, 779.5, offset=CLOSE, vt_symbol=ORE)
    holding = market.holding(vt_symbol=ORE)
    assert (holding.today, holding.yesterday, holding.frozen_lots) == (2, 0, 2)


def test_closing_is_never_refused_for_lack_of_money() -> None:
    market = Market(balance=36_000)
    market.quote([(3499, 100)], [(3500, 100)])
    market.send(LONG, 10, 3500)
    market.quote([(3200, 100)], [(3201, 100)])
    assert market.account.available < 0
    assert reason(market.send(LONG, 1, 3201)) == "insufficient_funds"
    assert market.send(SHORT, 10, 3200, offset=CLOSETODAY).status is Status.ALLTRADED


def test_net_position_goes_through_zero(market: Market) -> None:
    market.send(LONG, 2, 60_000, vt_symbol=BITCOIN, offset=Offset.NONE)
    market.quote([(61_000, 10)], [(61_000.1, 10)], vt_symbol=BITCOIN)
    market.send(SHORT, 5, 61_000, vt_symbol=BITCOIN, offset=CLOSE)
    position = market.position(NET, BITCOIN)
    assert (position.volume, position.price) == (-3, 61_000)
    assert market.account.extra is not None
    assert market.account.extra["realised_pnl"] == 2000
    assert market.account.extra["margin"] == 183_000


def test_net_order_that_only_closes_needs_no_money() -> None:
    market = Market(balance=60_100)
    market.quote([(59_999.9, 5)], [(60_000, 5)], vt_symbol=BITCOIN)
    market.send(LONG, 1, 60_000, vt_symbol=BITCOIN)
    assert reason(market.send(LONG, 1, 60_000, vt_symbol=BITCOIN)) == "insufficient_funds"
    resting = market.send(SHORT, 1, 61_000, vt_symbol=BITCOIN)
    assert resting.status is Status.NOTTRADED
    # A second one would go short: that needs margin.
    assert reason(market.send(SHORT, 1, 61_000, vt_symbol=BITCOIN)) == "insufficient_funds"


def test_equity_is_sold_from_yesterdays_holding_only(market: Market) -> None:
    market.send(LONG, 1000, 10, vt_symbol=BANK)
    assert reason(market.send(SHORT, 100, 9.99, offset=CLOSE, vt_symbol=BANK)) == "insufficient_position"
    market.next_day()
    market.quote([(9.99, 50_000)], [(10.0, 50_000)], vt_symbol=BANK)
    market.send(SHORT, 300, 20, offset=CLOSE, vt_symbol=BANK)
    assert market.position(NET, BANK).frozen == 300
    assert market.send(SHORT, 700, 9.99, offset=Offset.NONE, vt_symbol=BANK).status is Status.ALLTRADED
    assert reason(market.send(SHORT, 100, 9.99, offset=CLOSE, vt_symbol=BANK)) == "insufficient_position"
    assert (market.position(NET, BANK).volume, market.position(NET, BANK).yd_volume) == (300, 300)


def test_equity_is_paid_in_full(market: Market) -> None:
    market.send(LONG, 10_000, 10, vt_symbol=BANK)
    assert market.account.frozen == pytest.approx(100_000 + 100)  # the value, and the spread as floating loss


def test_self_locked_position_pays_both_margins(market: Market) -> None:
    market.send(LONG, 1, 3500)
    market.send(SHORT, 1, 3499)
    assert market.account.extra is not None
    assert market.account.extra["margin"] == pytest.approx(3500 + 3499)


def test_pulse_tells_profit_and_account_once_they_have_moved(market: Market) -> None:
    market.send(LONG, 1, 3500)
    market.exchange.pulse()
    market.exchange.take_effects()
    market.exchange.pulse()
    assert market.exchange.take_effects() == []
    market.quote([(3520, 100)], [(3521, 100)])
    market.exchange.pulse()
    position, account = market.exchange.take_effects()
    assert position.pnl == 200
    assert account.extra["unrealised_pnl"] == 200


@pytest.mark.parametrize("vt_symbol", [REBAR, ORE])
def test_vn_pys_own_holding_follows_every_fill(market: Market, vt_symbol: str) -> None:
    """vn.py's OffsetConverter splits and checks closing orders by its own count: the exchange must agree with it."""
    contract = market.exchange.instruments[vt_symbol].contract_data("SIM")
    holding = PositionHolding(contract)
    bid, ask = (3499, 3500) if vt_symbol == REBAR else (779.5, 780)

    def send(direction, volume, offset) -> None:  # type: ignore[no-untyped-def]
        request = OrderRequest(*_parts(vt_symbol), direction, MARKET, volume, 0, offset)
        requests = holding.convert_order_request_shfe(request) if vt_symbol == REBAR else [request]
        assert requests
        for each in requests:
            order = market.send(direction, each.volume, offset=each.offset, type=MARKET, vt_symbol=vt_symbol)
            assert order.status is Status.ALLTRADED
        for told in market.told:
            if type(told).__name__ == "TradeData" and told not in applied:
                applied.append(told)
                holding.update_trade(told)
        ours = market.holding(LONG, vt_symbol)
        assert (holding.long_td, holding.long_yd) == (ours.today, ours.yesterday)

    applied: list[object] = []
    send(LONG, 5, OPEN)
    market.next_day()
    holding.update_position(market.position(LONG, vt_symbol))
    market.quote([(bid, 100)], [(ask, 100)], vt_symbol=vt_symbol)
    send(LONG, 3, OPEN)
    send(SHORT, 4, CLOSE)
    send(SHORT, 4, CLOSE)


def _parts(vt_symbol: str) -> tuple[str, Exchange]:
    symbol, exchange = vt_symbol.split(".")
    return symbol, Exchange(exchange)
