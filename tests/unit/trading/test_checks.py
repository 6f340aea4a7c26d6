"""Pre-trade checks: each refusal by its code, floats as people write them, and a chain that others add to."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnpy_core.enums import Direction, Exchange, GatewayState, Offset, OrderType, Product
from vnpy_core.errors import CoreError, NotFound, OrderRefused, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Contract, GatewayStatus, Model, OrderSpec
from vnpy_core.trading.checks import PreTradeChecks, Proposal, SessionCheck, contract_checks

SPEC = OrderSpec(
    symbol="rb2501", exchange=Exchange.SHFE, direction=Direction.LONG, offset=Offset.OPEN, type=OrderType.LIMIT,
    price=3500.0, volume=2.0,
)  # fmt: skip
FUTURES = Contract(
    vt_symbol="rb2501.SHFE", symbol="rb2501", exchange=Exchange.SHFE, gateway_name="SIM", name="", size=10.0,
    product=Product.FUTURES, pricetick=1.0, min_volume=1.0, max_volume=500.0, stop_supported=True, net_position=False,
    history_data=True,
)  # fmt: skip
GATEWAY = GatewayStatus(
    gateway_name="SIM", class_path="vnpy_core.engine.sim.SimGateway", state=GatewayState.CONNECTED
)


class Market:
    """One contract at one gateway."""

    def __init__(self, contract: Contract = FUTURES, gateway: GatewayStatus = GATEWAY) -> None:
        self.contracts: dict[str, Event] = self._table(contract)
        self.gateways: dict[str, Event] = self._table(gateway)

    def _table(self, *rows: Model) -> dict[str, Event]:
        return {row.key: Event(row) for row in rows}


def sent(contract: Mapping[str, Any] | None = None, gateway: Mapping[str, Any] | None = None, **spec: Any) -> OrderSpec:
    market = Market(
        msgspec.structs.replace(FUTURES, **(contract or {})), msgspec.structs.replace(GATEWAY, **(gateway or {}))
    )
    return PreTradeChecks(market).pass_or_refuse(msgspec.structs.replace(SPEC, **spec), "SIM")


def refusal(contract: Mapping[str, Any] | None = None, gateway: Mapping[str, Any] | None = None, **spec: Any) -> str:
    with pytest.raises(CoreError) as caught:
        sent(contract, gateway, **spec)
    return caught.value.error_code


def test_a_good_order_goes_out_as_it_is() -> None:
    assert sent() == SPEC


@pytest.mark.parametrize(
    ("contract", "spec", "code"),
    [
        ({"product": Product.INDEX}, {}, "not_tradable"),
        ({}, {"type": OrderType.ETF}, "unsupported_type"),
        ({"stop_supported": False}, {"type": OrderType.STOP}, "unsupported_type"),
        ({}, {"offset": Offset.NONE}, "invalid_offset"),
        ({"net_position": True}, {"offset": Offset.CLOSETODAY}, "invalid_offset"),
        ({"net_position": True}, {"offset": Offset.CLOSEYESTERDAY}, "invalid_offset"),
        ({"exchange": Exchange.DCE}, {"offset": Offset.CLOSETODAY}, "invalid_offset"),
        ({"min_volume": 5.0}, {"volume": 2.0}, "volume_below_minimum"),
        ({"min_volume": 5.0}, {"volume": 7.0}, "volume_step"),
        ({"min_volume": 0.001}, {"volume": 0.0015}, "volume_step"),
        ({}, {"volume": 501.0}, "volume_above_maximum"),
        ({}, {"price": 0.0}, "invalid_price"),
        ({}, {"price": -3500.0}, "invalid_price"),
        ({}, {"price": 3500.5}, "price_tick"),
        ({"pricetick": 0.2}, {"price": 3500.3}, "price_tick"),
        ({}, {"price": 3500.0000001}, "price_tick"),
        ({}, {"type": OrderType.STOP, "price": 3500.5}, "price_tick"),
        ({"product": Product.SPREAD}, {"price": -0.5}, "price_tick"),
    ],
)
def test_what_a_contract_does_not_allow_is_refused(
    contract: dict[str, Any], spec: dict[str, Any], code: str
) -> None:
    assert refusal(contract, **spec) == code


@pytest.mark.parametrize(
    ("contract", "spec"),
    [
        ({}, {"offset": Offset.CLOSETODAY}),
        ({"exchange": Exchange.DCE}, {"offset": Offset.CLOSE}),
        ({"net_position": True}, {"offset": Offset.NONE}),
        ({"net_position": True}, {"offset": Offset.OPEN}),
        ({"net_position": True}, {"offset": Offset.CLOSE}),
        ({}, {"type": OrderType.MARKET, "price": 0.0}),
        ({"product": Product.SPREAD}, {"price": -5.0}),
        ({"product": Product.SPREAD}, {"price": 0.0}),
        ({"max_volume": None}, {"volume": 1e6}),
        ({"min_volume": 0.001}, {"volume": 0.003}),
        ({"min_volume": 0.1}, {"volume": 0.1 + 0.2}),
        ({"pricetick": 0.0}, {"price": 1.23456}),
        ({"min_volume": 0.0}, {"volume": 0.37}),
    ],
)
def test_what_it_allows_is_not(contract: dict[str, Any], spec: dict[str, Any]) -> None:
    sent(contract, **spec)


def test_a_price_that_floats_have_blurred_is_sent_exactly() -> None:
    assert sent({"pricetick": 0.1}, price=0.1 + 0.2).price == 0.3
    assert sent({"pricetick": 0.02}, price=560.02 * 3 / 3).price == 560.02


@given(st.integers(1, 10**7), st.sampled_from([1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001, 0.0001, 0.00001]))
def test_every_price_of_the_tick_is_taken_however_it_was_computed(number: int, tick: float) -> None:
    exact = float(number * Decimal(repr(tick)))
    assert sent({"pricetick": tick}, price=number * tick).price == exact
    assert sent({"pricetick": tick}, price=exact).price == exact
    assert refusal({"pricetick": tick}, price=(number + 0.5) * tick) == "price_tick"


def test_what_is_left_of_a_holding_of_shares_may_be_sold_and_not_bought() -> None:
    shares = {
        "product": Product.EQUITY, "exchange": Exchange.SSE, "net_position": True, "min_volume": 100.0,
        "pricetick": 0.01,
    }  # fmt: skip
    sent(shares, direction=Direction.SHORT, offset=Offset.NONE, volume=37.0)
    assert refusal(shares, direction=Direction.LONG, offset=Offset.NONE, volume=37.0) == "volume_below_minimum"


def test_a_gateway_of_which_nothing_is_known_is_left_to_judge_the_type() -> None:
    known = {"class_path": "vnpy_xtp.XtpGateway"}
    assert refusal({}, known, type=OrderType.FOK) == "unsupported_type"
    sent({}, {"class_path": "somebody.OwnGateway"}, type=OrderType.FOK)


def test_gateway_and_contract_must_be_there() -> None:
    checks = PreTradeChecks(Market())
    with pytest.raises(NotFound) as caught:
        checks.pass_or_refuse(SPEC, "GONE")
    assert caught.value.error_code == "unknown_gateway"
    with pytest.raises(NotFound) as caught:
        checks.pass_or_refuse(msgspec.structs.replace(SPEC, symbol="xx"), "SIM")
    assert caught.value.error_code == "unknown_contract"
    down = PreTradeChecks(Market(gateway=msgspec.structs.replace(GATEWAY, state=GatewayState.CONNECTING)))
    with pytest.raises(Unavailable) as unavailable:
        down.pass_or_refuse(SPEC, "SIM")
    assert unavailable.value.error_code == "gateway_not_connected"


class Calendar:
    """Knows what it is told to know."""

    def __init__(self, is_open: bool | None) -> None:
        self._is_open = is_open

    def is_open(self, contract: Contract, moment: datetime) -> bool | None:
        assert (contract, moment.tzinfo) == (FUTURES, UTC)
        return self._is_open


@pytest.mark.parametrize(("is_open", "passes"), [(True, True), (None, True), (False, False)])
def test_an_order_outside_the_session_is_refused_where_that_is_known(is_open: bool | None, passes: bool) -> None:
    checks = PreTradeChecks(Market())
    checks.add(SessionCheck(Calendar(is_open)))
    if passes:
        checks.pass_or_refuse(SPEC, "SIM")
    else:
        with pytest.raises(OrderRefused) as caught:
            checks.pass_or_refuse(SPEC, "SIM")
        assert caught.value.error_code == "market_closed"


@pytest.mark.parametrize(("gateways", "passes"), [({"CTP"}, True), ({"CTP", "SIM"}, False)])
def test_the_session_is_asked_for_where_the_settings_say_so(gateways: set[str], passes: bool) -> None:
    checks = PreTradeChecks(Market())
    checks.add(SessionCheck(Calendar(False), gateways=gateways))
    if passes:
        checks.pass_or_refuse(SPEC, "SIM")
    else:
        with pytest.raises(OrderRefused):
            checks.pass_or_refuse(SPEC, "SIM")


class Halted:
    codes: Mapping[str, str] = {"halted": "trading is halted"}

    def __call__(self, order: Proposal) -> None:
        raise OrderRefused("Trading is halted.", code="halted")


def test_what_was_added_is_asked_after_the_contract() -> None:
    checks = PreTradeChecks(Market())
    checks.add(Halted())
    with pytest.raises(OrderRefused, match="halted"):
        checks.pass_or_refuse(SPEC, "SIM")
    with pytest.raises(OrderRefused) as caught:
        checks.pass_or_refuse(msgspec.structs.replace(SPEC, price=0.5), "SIM")
    assert caught.value.error_code == "price_tick"


def test_no_code_means_two_things() -> None:
    codes = [code for check in contract_checks() for code in check.codes]
    assert len(codes) == len(set(codes))
