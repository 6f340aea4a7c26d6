"""Every reason for which the exchange refuses an order, and that a refused order changes nothing."""

from typing import Any

import pytest
from tests.unit.engine.sim.market import CLOSE, FAK, LONG, MARKET, NET, OPEN, SHORT, STOP, Market, reason
from vnpy.trader.constant import Exchange, Offset, OrderType, Status
from vnpy.trader.object import LogData, OrderData, OrderRequest

from vnpy_core.engine.sim.checks import Refusal

REBAR, BANK, BITCOIN = "rb2605.SHFE", "600000.SSE", "BTCUSDT.GLOBAL"


@pytest.fixture
def market() -> Market:
    market = Market(balance=100_000, contracts=[{"vt_symbol": REBAR, "max_volume": 500}])
    market.quote([(3499, 10)], [(3500, 10)], limits=(3255, 3745))
    market.quote([(9.99, 50_000)], [(10.0, 50_000)], vt_symbol=BANK)
    return market


@pytest.mark.parametrize(
    ("code", "order"),
    [
        ("unknown_contract", {"vt_symbol": "rb9999.SHFE"}),
        ("unsupported_type", {"type": OrderType.RFQ}),
        ("unsupported_type", {"type": STOP}),  # rebar: no stop orders at the exchange
        ("unsupported_type", {"type": "LIMIT"}),
        ("invalid_direction", {"direction": NET}),
        ("invalid_direction", {"direction": "LONG"}),
        ("invalid_offset", {"offset": Offset.NONE}),
        ("invalid_offset", {"offset": "OPEN"}),
        ("invalid_volume", {"volume": 0}),
        ("invalid_volume", {"volume": -1}),
        ("invalid_volume", {"volume": float("nan")}),
        ("invalid_volume", {"volume": "1"}),
        ("volume_below_minimum", {"volume": 0.5}),
        ("volume_step", {"volume": 1.5}),
        ("volume_step", {"volume": 150, "vt_symbol": BANK, "price": 10}),
        ("volume_above_maximum", {"volume": 501}),
        ("invalid_price", {"price": 0}),
        ("invalid_price", {"price": float("inf")}),
        ("invalid_price", {"price": None}),
        ("price_tick", {"price": 3500.5}),
        ("price_tick", {"price": 10.005, "vt_symbol": BANK, "volume": 100}),
        ("price_limit", {"price": 3746}),
        ("price_limit", {"price": 3254}),
        ("no_market", {"type": MARKET, "vt_symbol": "hc2605.SHFE"}),
        ("insufficient_funds", {"volume": 29}),  # 29 lots of 3,501 in margin and commission
        ("insufficient_position", {"direction": SHORT, "offset": CLOSE}),
        ("insufficient_position", {"direction": LONG, "offset": Offset.CLOSETODAY}),
        ("insufficient_position", {"direction": SHORT, "offset": CLOSE, "vt_symbol": BANK, "price": 10, "volume": 100}),
        ("insufficient_position", {"direction": LONG, "offset": CLOSE, "vt_symbol": BANK, "price": 10, "volume": 100}),
        ("short_selling", {"direction": SHORT, "vt_symbol": BANK, "price": 10, "volume": 100}),
    ],
)
def test_refused_order_says_why_and_changes_nothing(market: Market, code: str, order: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"direction": LONG, "offset": OPEN, "type": OrderType.LIMIT, "volume": 1, "price": 3500}
    fields |= {"vt_symbol": REBAR} | order
    market.told.clear()
    refused = market.send(**fields)
    assert (refused.status, reason(refused)) == (Status.REJECTED, code)
    assert market.statuses(refused) == [Status.SUBMITTING, Status.REJECTED]
    (log,) = market.of(LogData)
    assert refused.orderid in log.msg
    assert len(market.told) == 3
    assert (market.account.balance, market.account.frozen) == (100_000, 0)


def test_the_largest_order_that_the_money_allows_is_accepted(market: Market) -> None:
    assert market.send(LONG, 28, 3500).status is Status.PARTTRADED


def test_closed_session_refuses(market: Market) -> None:
    closed = Market(session="closed")
    assert reason(closed.send(LONG, 1, 3500)) == "market_closed"


def test_market_order_is_checked_at_the_worst_displayed_price() -> None:
    market = Market(balance=38_000)
    market.quote([(3499, 10)], [(3500, 5), (3900, 5)])
    assert reason(market.send(LONG, 10, type=MARKET)) == "insufficient_funds"
    assert market.send(LONG, 10, 3500).traded == 5


def test_fak_above_the_limit_price_is_refused(market: Market) -> None:
    assert reason(market.send(LONG, 1, 3746, type=FAK)) == "price_limit"


def test_refusal_from_outside_comes_first(market: Market) -> None:
    request = OrderRequest("rb2605", Exchange.SHFE, LONG, OrderType.LIMIT, 1, 3500, OPEN)
    market.exchange.submit(request, market.now, Refusal("injected", "because"))
    (*_, last) = [told for told in market.exchange.take_effects() if isinstance(told, OrderData)]
    assert last.extra == {"code": "injected", "reason": "because"}
