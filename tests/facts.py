"""Models for tests: ready-made ones, and hypothesis strategies for any of them."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from vnpy_core.enums import Direction, Exchange, GatewayState, Offset, OrderStatus, OrderType, StrategyState
from vnpy_core.models import Account, GatewayStatus, Log, Order, OrderIntent, Position, Strategy, Tick, Trade

WHEN = "2026-01-05T01:30:00.000000+00:00"


def order(number: int | str = 1, status: OrderStatus = OrderStatus.NOTTRADED, **changes: Any) -> Order:
    made = Order(
        vt_orderid=f"SIM.{number}", orderid=str(number), gateway_name="SIM", symbol="rb2501", exchange=Exchange.SHFE,
        vt_symbol="rb2501.SHFE", type=OrderType.LIMIT, direction=Direction.LONG, offset=Offset.OPEN, price=3500.0,
        volume=5.0, traded=0.0, status=status, datetime=WHEN, reference="CtaStrategy_demo",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def trade(number: int | str = 1, **changes: Any) -> Trade:
    made = Trade(
        vt_tradeid=f"SIM.T{number}", tradeid=f"T{number}", vt_orderid="SIM.1", orderid="1", gateway_name="SIM",
        symbol="rb2501", exchange=Exchange.SHFE, vt_symbol="rb2501.SHFE", direction=Direction.LONG,
        offset=Offset.OPEN, price=3500.0, volume=1.0, datetime=WHEN,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def position(symbol: str = "rb2501", volume: float = 1.0) -> Position:
    return Position(
        vt_positionid=f"SIM.{symbol}.SHFE.LONG", gateway_name="SIM", symbol=symbol, exchange=Exchange.SHFE,
        vt_symbol=f"{symbol}.SHFE", direction=Direction.LONG, volume=volume, frozen=0.0, price=3500.0, pnl=None,
        yd_volume=0.0,
    )  # fmt: skip


def account(balance: float = 1e6) -> Account:
    return Account(
        vt_accountid="SIM.SIM", accountid="SIM", gateway_name="SIM", balance=balance, frozen=0.0, available=balance
    )


def strategy(name: str = "demo", state: StrategyState = StrategyState.ADDED) -> Strategy:
    return Strategy(
        strategy_name=name, class_name="Demo", engine="CtaStrategy", vt_symbol="rb2501.SHFE", author="",
        state=state, inited=False, trading=False, auto_start=False, pos=0.0, parameters={}, variables={},
    )  # fmt: skip


def gateway(name: str = "SIM", state: GatewayState = GatewayState.CONNECTED) -> GatewayStatus:
    return GatewayStatus(gateway_name=name, class_path="sim.Gateway", state=state)


def intent(number: int | str = 1, outcome: str | None = None) -> OrderIntent:
    return OrderIntent(
        intent_id=f"i{number}", client_order_id=f"c{number}", gateway_name="SIM", symbol="rb2501",
        exchange=Exchange.SHFE, direction=Direction.LONG, offset=Offset.OPEN, type=OrderType.LIMIT, price=3500.0,
        volume=1.0, reference="", created=WHEN, outcome=outcome,
    )  # fmt: skip


def tick(symbol: str = "rb2501", price: float = 3500.0) -> Tick:
    fields: dict[str, Any] = dict.fromkeys(Tick.__struct_fields__)
    fields |= {"symbol": symbol, "exchange": Exchange.SHFE, "vt_symbol": f"{symbol}.SHFE", "gateway_name": "SIM"}
    return Tick(**fields | {"datetime": WHEN, "name": symbol, "last_price": price})


def log(message: str = "hello") -> Log:
    return Log(source="SIM", level="INFO", message=message, datetime=WHEN)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for any valid instance of a model's class."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return st.builds(kind, **{field.name: _of_type(field.type) for field in info.fields})


def _of_type(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.Metadata():
            return _of_type(kind.type)
        case inspect.UnionType():
            return st.one_of(*map(_of_type, kind.types))
        case inspect.EnumType():
            return st.sampled_from(list(kind.cls))
        case inspect.StructType():
            return of(kind.cls)
        case inspect.ListType():
            return st.lists(_of_type(kind.item_type), max_size=3)
        case inspect.DictType():
            return st.dictionaries(TEXTS, _of_type(kind.value_type), max_size=3)
        case inspect.AnyType():
            return JSON
        case inspect.FloatType():
            return FLOATS
        case inspect.IntType():
            return st.integers(0, 2**53)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.StrType():
            return TEXTS
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
    raise TypeError(f"no strategy for {kind}")
