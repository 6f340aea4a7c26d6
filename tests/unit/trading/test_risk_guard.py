"""The account-level layer: what reduces, what each limit refuses, and what breakers do; laws by hypothesis."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.enums import Direction, Offset, OrderType, TradingState
from vnpy_core.models import Alert, Model, RiskDay, RiskOrder, RiskState
from vnpy_core.trading.risk_checks import CODES
from vnpy_core.trading.risk_guard import EVERYTHING, RiskGuard

SYMBOL = "rb2505.SHFE"
PLACE = ("SIM", SYMBOL)


class Room:
    """A guard whose clock and day tests set."""

    def __init__(self, **limits: Any) -> None:
        self.now = 1000.0
        self.day = "2026-01-05"
        self.told: list[Model] = []
        self.guard = RiskGuard(
            RiskSettings.model_validate(limits), self.told.append, lambda gateway_name: self.day, lambda: self.now
        )
        self.guard.on_contract("SIM", SYMBOL, 10.0, False)
        self.count = 0

    def code(self, order: RiskOrder) -> str | None:
        refusal = self.guard.refusal(order)
        assert refusal is None or refusal.code in CODES
        return refusal.code if refusal is not None else None

    def send(self, order: RiskOrder) -> str | None:
        """Send the order if it may go out, and return why not."""
        code = self.code(order)
        if code is None:
            self.count += 1
            self.guard.attempt(order)
            self.guard.sent(f"SIM.{self.count}", order)
        return code


def asked(is_buy: bool = True, volume: float = 1, **fields: Any) -> RiskOrder:
    values = {
        "gateway_name": "SIM", "vt_symbol": SYMBOL, "is_buy": is_buy, "offset": Offset.OPEN, "type": OrderType.LIMIT,
        "volume": volume, "price": 3500.0, "sender": "",
    }  # fmt: skip
    return RiskOrder(**values | fields)


def close(is_buy: bool = False, volume: float = 1, **fields: Any) -> RiskOrder:
    return asked(is_buy, volume, offset=Offset.CLOSE, **fields)


# -- states


def test_reducing_lets_through_what_closes_and_nothing_beyond_it() -> None:
    room = Room()
    room.guard.on_position("SIM", SYMBOL, Direction.LONG, 5)
    room.guard.set_state(EVERYTHING, TradingState.REDUCING, "late", "operator")

    assert room.code(asked()) == "trading_reducing"
    assert room.code(close(volume=6)) == "trading_reducing"
    assert room.code(close(is_buy=True)) == "trading_reducing"  # there is no short position
    assert room.send(close(volume=3)) is None
    assert room.code(close(volume=3)) == "trading_reducing"  # with the one that works it would be six
    assert room.send(close(volume=2)) is None


def test_halted_lets_clients_reduce_and_nothing_else() -> None:
    room = Room()
    room.guard.on_position("SIM", SYMBOL, Direction.LONG, 5)
    room.guard.set_state("SIM", TradingState.HALTED, "stop", "operator")
    assert room.code(asked()) == "trading_halted"
    assert room.code(close(sender="demo")) == "trading_halted"
    assert room.code(close()) is None

    room.guard.checks.set_limits(RiskSettings(halted_reducing="everyone"))
    assert room.code(close(sender="demo")) is None
    assert room.code(asked(gateway_name="OTHER")) is None


@pytest.mark.parametrize("own", list(TradingState))
@pytest.mark.parametrize("of_all", list(TradingState))
def test_the_narrower_state_holds(own: TradingState, of_all: TradingState) -> None:
    room = Room()
    room.guard.set_state("SIM", own, "a", "operator")
    room.guard.set_state(EVERYTHING, of_all, "b", "operator")
    state = room.guard.state_of("SIM")
    assert state is not None
    order = list(TradingState)
    assert order.index(state.state) == max(order.index(own), order.index(of_all))


def test_fills_count_before_the_position_is_told() -> None:
    room = Room()
    room.guard.on_position("SIM", SYMBOL, Direction.LONG, 5)
    room.guard.set_state(EVERYTHING, TradingState.REDUCING, "late", "operator")
    order = close(volume=3)
    assert room.send(order) is None
    room.guard.on_order("SIM.1", order, traded=3, is_active=False)
    assert room.code(close(volume=3)) == "trading_reducing"  # filled, and nobody has said so of the position
    room.guard.on_trade("SIM.1", "SIM.T1", 3)
    room.guard.on_trade("SIM.1", "SIM.T1", 3)
    assert room.code(close(volume=3)) == "trading_reducing"
    assert room.code(close(volume=2)) is None
    room.guard.on_position("SIM", SYMBOL, Direction.LONG, 2)
    assert room.code(close(volume=2)) is None


def test_what_is_cancelled_may_be_closed_by_another_order() -> None:
    room = Room()
    room.guard.on_position("SIM", SYMBOL, Direction.LONG, 5)
    room.guard.set_state(EVERYTHING, TradingState.REDUCING, "late", "operator")
    order = close(volume=5)
    room.send(order)
    assert room.code(close()) == "trading_reducing"
    room.guard.on_order("SIM.1", order, traded=0, is_active=False)
    assert room.code(close(volume=5)) is None


def test_an_order_whose_trades_never_come_is_not_waited_for_forever() -> None:
    room = Room()
    room.guard.on_position("SIM", SYMBOL, Direction.LONG, 5)
    room.guard.set_state(EVERYTHING, TradingState.REDUCING, "late", "operator")
    order = close(volume=5)
    room.send(order)
    room.guard.on_order("SIM.1", order, traded=2, is_active=False)
    assert room.code(close(volume=4)) == "trading_reducing"
    room.guard.on_position("SIM", SYMBOL, Direction.LONG, 3)
    room.now += 6
    room.guard.on_timer()
    assert room.code(close(volume=3)) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "fill", "cancel", "told"]),
        st.booleans(),
        st.sampled_from([Offset.OPEN, Offset.CLOSE, Offset.CLOSETODAY, Offset.CLOSEYESTERDAY]),
        st.integers(1, 9),
    ),
    max_size=40,
)


@given(
    long=st.integers(0, 12), short=st.integers(0, 12), net=st.integers(-12, 12), is_net=st.booleans(), steps=STEPS,
    before=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 5)), max_size=4),
)  # fmt: skip
def test_what_passes_in_reducing_never_makes_a_position_larger(
    long: int, short: int, net: int, is_net: bool, steps: Any, before: Any
) -> None:
    """Positions as the exchange has them, against what the guard lets through; events come in any order."""
    room = Room()
    room.guard.on_contract("SIM", SYMBOL, 10.0, is_net)
    held = {"net": net} if is_net else {"long": long, "short": short}
    working: dict[str, tuple[RiskOrder, int, bool]] = {}

    def tell() -> None:
        for name, volume in held.items():
            room.guard.on_position("SIM", SYMBOL, Direction[name.upper()], volume)

    tell()
    for is_buy, closes, volume in before:  # of the time when everything passed
        order = asked(is_buy, volume, offset=Offset.NONE if is_net else Offset.CLOSE if closes else Offset.OPEN)
        room.count += 1
        room.guard.sent(f"SIM.{room.count}", order)
        working[f"SIM.{room.count}"] = (order, volume, False)
    room.guard.set_state(EVERYTHING, TradingState.REDUCING, "late", "operator")

    for step, is_buy, offset, volume in steps:
        if step == "told":
            tell()
        elif step == "send":
            order = asked(is_buy, volume, offset=Offset.NONE if is_net else offset)
            if room.send(order) is None:
                working[f"SIM.{room.count}"] = (order, volume, True)
        elif working:
            vt_orderid = sorted(working)[volume % len(working)]
            order, left, reducing = working.pop(vt_orderid)
            if step == "cancel":
                room.guard.on_order(vt_orderid, order, traded=order.volume - left, is_active=False)
                continue
            filled = min(volume, left)
            exposure = sum(abs(one) for one in held.values())
            sign = 1 if order.is_buy else -1
            if is_net:
                held["net"] += sign * filled
            elif order.closes:
                side = "short" if order.is_buy else "long"
                filled = min(filled, held[side])  # the exchange closes no more than there is
                held[side] -= filled
            else:
                held["long" if order.is_buy else "short"] += filled
            if reducing:
                assert sum(abs(one) for one in held.values()) <= exposure
            left -= filled
            room.guard.on_order(vt_orderid, order, traded=order.volume - left, is_active=left > 0)
            room.count += 1
            room.guard.on_trade(vt_orderid, f"SIM.T{room.count}", filled)
            if left:
                working[vt_orderid] = (order, left, reducing)


# -- limits


@pytest.mark.parametrize(
    ("limits", "order", "code"),
    [
        ({"symbol": {"max_order_volume": 5}}, {"volume": 6}, "symbol_volume"),
        ({"symbols": {SYMBOL: {"max_order_volume": 5}}}, {"volume": 6}, "symbol_volume"),
        ({"strategy": {"max_order_volume": 5}}, {"volume": 6, "sender": "demo"}, "strategy_volume"),
        ({"strategies": {"demo": {"max_order_volume": 5}}}, {"volume": 6, "sender": "demo"}, "strategy_volume"),
        ({"account": {"max_order_volume": 5}}, {"volume": 6}, "account_volume"),
        ({"accounts": {"SIM": {"max_order_volume": 5}}}, {"volume": 6}, "account_volume"),
        ({"symbol": {"max_order_notional": 100_000}}, {"volume": 3}, "symbol_notional"),
        ({"strategy": {"max_order_notional": 100_000}}, {"volume": 3, "sender": "demo"}, "strategy_notional"),
        ({"account": {"max_order_notional": 100_000}}, {"volume": 3}, "account_notional"),
        ({"symbol": {"price_collar_percent": 1}}, {"price": 3536.0}, "price_collar"),
        ({"symbol": {"price_collar_percent": 1}}, {"price": 3464.0}, "price_collar"),
        ({"account": {"max_order_notional": 100_000}}, {"volume": 3, "type": OrderType.MARKET}, "account_notional"),
    ],
)
def test_each_limit_refuses_with_its_code_what_does_not_reduce(
    limits: dict[str, Any], order: dict[str, Any], code: str
) -> None:
    room = Room(**limits)
    room.guard.on_price(SYMBOL, 3500.0)
    assert room.code(asked(**order)) == code
    assert room.code(asked(**{**order, "volume": 1, "price": 3500.0})) is None
    room.guard.on_position("SIM", SYMBOL, Direction.SHORT, 10)
    assert room.code(asked(**{**order, "offset": Offset.CLOSE})) is None


@pytest.mark.parametrize("scope", ["symbol", "strategy", "account"])
def test_working_orders_are_counted_from_their_sending(scope: str) -> None:
    room = Room(**{scope: {"max_working_orders": 2}})
    order = asked(sender="demo")
    assert [room.send(order) for _ in range(3)] == [None, None, f"{scope}_working_orders"]
    room.guard.on_order("SIM.1", order, traded=0, is_active=False)
    assert room.code(order) is None


def test_a_stale_price_is_none() -> None:
    room = Room(symbol={"price_collar_percent": 1}, without_price="refuse", price_max_age_s=10)
    assert room.code(asked()) == "no_last_price"
    room.guard.on_price(SYMBOL, 3500.0)
    assert room.code(asked()) is None
    room.now += 11
    assert room.code(asked()) == "no_last_price"
    room.guard.checks.set_limits(room.guard.checks.limits.model_copy(update={"without_price": "pass"}))
    assert room.code(asked(price=1.0)) is None


@pytest.mark.parametrize("scope", ["strategy", "account"])
def test_the_rate_is_that_of_a_bucket(scope: str) -> None:
    room = Room(**{scope: {"max_orders_per_s": 2, "burst": 3}})
    order = asked(sender="demo")
    assert [room.send(order) for _ in range(4)] == [None, None, None, f"{scope}_rate"]
    room.now += 0.5
    assert [room.send(order) for _ in range(2)] == [None, f"{scope}_rate"]
    room.now += 100
    assert [room.send(order) for _ in range(4)] == [None, None, None, f"{scope}_rate"]


def test_the_same_order_again_is_refused_for_a_while() -> None:
    room = Room(duplicate_window_ms=500)
    assert room.send(asked()) is None
    assert room.send(asked()) == "duplicate_order"
    assert room.send(asked(price=3501.0)) is None
    room.now += 0.6
    room.guard.on_timer()
    assert room.send(asked()) is None


# -- breakers


@pytest.mark.parametrize(
    ("limits", "balances", "source"),
    [
        ({"max_daily_loss": 1000}, [100_000, 105_000, 99_001, 99_000], "daily_loss"),
        ({"max_daily_loss_percent": 1}, [100_000, 105_000, 99_001, 99_000], "daily_loss"),
        ({"max_drawdown": 1000}, [100_000, 105_000, 104_001, 104_000], "drawdown"),
        ({"max_drawdown_percent": 2}, [100_000, 200_000, 196_001, 196_000], "drawdown"),
    ],
)
@pytest.mark.parametrize("state", ["REDUCING", "HALTED"])
def test_too_much_of_a_loss_narrows_the_account_once(
    limits: dict[str, Any], balances: list[float], source: str, state: str
) -> None:
    room = Room(account=limits | {"breaker_state": state})
    for balance in balances[:-1]:
        room.guard.on_balance("SIM", "SIM.A", balance)
        assert room.code(asked()) is None
    for _ in range(2):
        room.guard.on_balance("SIM", "SIM.A", balances[-1])

    (told,) = [fact for fact in room.told if isinstance(fact, RiskState)]
    assert (told.scope, told.state, told.source) == ("SIM", state, source)
    assert len([fact for fact in room.told if isinstance(fact, Alert)]) == 1
    assert room.code(asked()) == f"trading_{state.lower()}"
    room.day = "2026-01-06"
    room.guard.on_balance("SIM", "SIM.A", balances[-1])
    assert room.code(asked()) is not None  # until somebody resumes it


def test_a_resumed_account_measures_losses_anew() -> None:
    room = Room(account={"max_daily_loss": 1000})
    for balance in (100_000, 99_000):
        room.guard.on_balance("SIM", "SIM.A", balance)
    room.guard.set_state("SIM", TradingState.ACTIVE, "go on", "operator")
    room.guard.on_balance("SIM", "SIM.A", 98_500)
    assert room.code(asked()) is None
    room.guard.on_balance("SIM", "SIM.A", 98_000)
    assert room.code(asked()) == "trading_reducing"


def test_losses_are_measured_over_a_restart() -> None:
    before = Room(account={"max_drawdown": 1000})
    before.guard.on_balance("SIM", "SIM.A", 100_000)
    before.guard.on_balance("SIM", "SIM.A", 101_000)
    before.guard.on_timer()
    days = [fact for fact in before.told if isinstance(fact, RiskDay)]

    after = Room(account={"max_drawdown": 1000})
    after.guard.restore([], days[-1:])
    after.guard.on_balance("SIM", "SIM.A", 100_000)
    assert after.code(asked()) == "trading_reducing"


def test_a_new_day_begins_with_its_first_balance() -> None:
    room = Room(account={"max_daily_loss": 1000})
    room.guard.on_balance("SIM", "SIM.A", 0.0)  # some gateways tell this before they know
    room.guard.on_balance("SIM", "SIM.A", 100_000)
    room.day = "2026-01-06"
    room.guard.on_balance("SIM", "SIM.A", 99_000)
    room.guard.on_balance("SIM", "SIM.A", 98_001)
    assert room.code(asked()) is None
    room.guard.on_balance("SIM", "SIM.A", 98_000)
    assert room.code(asked()) == "trading_reducing"
