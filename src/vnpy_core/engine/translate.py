"""The one conversion: a vn.py object becomes a frozen Struct of ``models`` that shares nothing with it.

Call these on the event thread: a gateway may change its object after it has pushed it, so everything is copied at
once. msgspec's converter does the whole work for plain values; only an object it refuses, or one that holds a NaN, is
repaired field by field (``plain``). A number that is not finite becomes ``None``, or 0 (vn.py's own default) where
the model has no null. Naive datetimes are local time, which is that of the configured zone. ``vt_symbol`` stays
vn.py's own text, which a strategy is added with.
"""

import logging
import math
import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec import inspect
from vnpy.trader import constant
from vnpy.trader.object import AccountData, BarData, ContractData, LogData, OrderData, PositionData, TickData, TradeData

from vnpy_core import models
from vnpy_core.engine.markers import split_reference
from vnpy_core.engine.plain import jsonable, number, quantity, text, timestamp
from vnpy_core.engine.vn_enums import from_vn, to_vn
from vnpy_core.enums import Interval, StrategyState, parse_enum

if TYPE_CHECKING:
    from vnpy_ctastrategy.base import StopOrder

__all__ = [
    "account",
    "algo",
    "bar",
    "contract",
    "from_vn",
    "jsonable",
    "log",
    "order",
    "position",
    "printable",
    "risk_rejection",
    "risk_rule",
    "stop_order",
    "strategy",
    "tick",
    "timestamp",
    "to_vn",
    "trade",
]

_M = TypeVar("_M", bound=models.Model)

def _repair_of(kind: inspect.Type) -> Callable[[Any], Any] | None:
    """Return what makes any value fit a field of this type, or ``None`` for a field that is made here anyway."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        inner = next((found for option in kind.types if (found := _repair_of(option)) is not None), None)
        return number if inner is quantity else inner and (lambda value: None if value is None else inner(value))
    if isinstance(kind, inspect.EnumType):
        members: type[Any] = kind.cls
        return lambda value: parse_enum(members, "" if value is None else str(value))
    if isinstance(kind, inspect.FloatType):
        return quantity
    if isinstance(kind, inspect.StrType):
        return text
    return bool if isinstance(kind, inspect.BoolType) else None


class _Maker:
    """Makes one kind of model of a dict of fields, on the fast way or the careful one."""

    def __init__(self, kind: type[models.Model]) -> None:
        info = cast("inspect.StructType", inspect.type_info(kind))
        self.repairs = {field.name: repair for field in info.fields if (repair := _repair_of(field.type)) is not None}
        numbers = [name for name, repair in self.repairs.items() if repair in (number, quantity)]
        self.numbers = attrgetter(*numbers, *numbers[:1])  # one more, so that it is a tuple in any case


_makers: dict[type[models.Model], _Maker] = {}


def _make(kind: type[_M], fields: dict[str, Any]) -> _M:
    """Return a ``kind`` of ``fields``, in which enums are given by name and times are wire timestamps.

    Raises:
        ValueError, msgspec.ValidationError: a required field is missing, or an enum's text means nothing.
    """
    maker = _makers.get(kind)
    if maker is None:
        maker = _makers[kind] = _Maker(kind)
    try:
        made = msgspec.convert(fields, kind)
        # One addition tells whether any is NaN or infinite; None among them raises and is seen to below.
        if math.isfinite(sum(maker.numbers(made))):
            return made
    except (msgspec.ValidationError, TypeError):
        pass
    repairs = maker.repairs
    return msgspec.convert({n: repairs[n](v) if n in repairs else v for n, v in fields.items()}, kind)


def _name(member: Any) -> Any:
    """Return an enum member's name; what is no member goes on as it is, to be parsed."""
    return getattr(member, "_name_", member)


def printable(model: _M) -> _M:
    """Return ``model`` with lone surrogates in its texts replaced, so that it can be encoded."""
    values = {n: getattr(model, n) for n in model.__struct_fields__}
    return msgspec.structs.replace(model, **{n: text(v) for n, v in values.items() if type(v) is str})


def tick(data: TickData) -> models.Tick:
    fields = {**vars(data), "exchange": _name(data.exchange), "localtime": timestamp(data.localtime)}
    fields["datetime"] = timestamp(data.datetime) or fields["localtime"] or models.now_timestamp()
    return _make(models.Tick, fields)


def bar(data: BarData) -> models.Bar:
    """A bar without an interval counts as one of a minute, what vn.py's ``BarGenerator`` makes.

    Raises:
        ValueError: the bar has no time.
    """
    return _make(
        models.Bar,
        {
            **vars(data),
            "exchange": _name(data.exchange),
            "datetime": timestamp(data.datetime),
            "interval": _name(data.interval or Interval.MINUTE),
        },
    )


def order(
    data: OrderData, client_order_id: str | None = None, replaces: str | None = None, *, external: bool = False
) -> models.Order:
    """``rejected_reason`` is ``extra["reason"]``, where gateways that know the reason put it."""
    reason = data.extra.get("reason") if isinstance(data.extra, dict) else None
    return _make(
        models.Order,
        {
            **vars(data),
            "exchange": _name(data.exchange),
            "type": _name(data.type),
            "direction": _name(data.direction),
            "offset": _name(data.offset),
            "status": _name(data.status),
            "datetime": timestamp(data.datetime),
            "reference": split_reference(data.reference)[0] if type(data.reference) is str else data.reference,
            "client_order_id": client_order_id,
            "replaces": replaces,
            "external": external,
            "rejected_reason": None if reason is None else text(reason),
        },
    )


def trade(data: TradeData) -> models.Trade:
    return _make(
        models.Trade,
        {
            **vars(data),
            "exchange": _name(data.exchange),
            "direction": _name(data.direction),
            "offset": _name(data.offset),
            "datetime": timestamp(data.datetime),
        },
    )


def position(data: PositionData) -> models.Position:
    """The id ends in the direction's name; vn.py's own ends in its translated value."""
    direction = _name(data.direction)
    return _make(
        models.Position,
        {
            **vars(data),
            "vt_positionid": f"{data.gateway_name}.{data.vt_symbol}.{direction}",
            "exchange": _name(data.exchange),
            "direction": direction,
        },
    )


def account(data: AccountData) -> models.Account:
    return _make(models.Account, dict(vars(data)))


def contract(data: ContractData) -> models.Contract:
    return _make(
        models.Contract,
        {
            **vars(data),
            "exchange": _name(data.exchange),
            "product": _name(data.product),
            "option_type": _name(data.option_type),
            "option_listed": timestamp(data.option_listed),
            "option_expiry": timestamp(data.option_expiry),
        },
    )


_STRATEGY_PREFIX = re.compile(r"\[([^\]]+)\]  ")


def log(data: LogData, *, of_strategies: bool = False) -> models.Log:
    """``of_strategies``: a line that starts with ``[name]`` is that strategy's, as CtaEngine writes them."""
    message = text(data.msg)
    strategy_name = None
    if of_strategies and (found := _STRATEGY_PREFIX.match(message)):
        strategy_name, message = found[1], message[found.end() :]
    return models.Log(
        source=text(data.gateway_name),
        level=logging.getLevelName(data.level) if isinstance(data.level, int) else text(data.level),
        message=message,
        datetime=timestamp(data.time) or models.now_timestamp(),
        strategy_name=strategy_name,
    )


def stop_order(data: "StopOrder") -> models.StopOrder:
    return _make(
        models.StopOrder,
        {
            **vars(data),
            "direction": _name(data.direction),
            "offset": _name(data.offset),
            "status": _name(data.status),
            "vt_orderids": [text(vt_orderid) for vt_orderid in list(data.vt_orderids)],
            "datetime": timestamp(data.datetime),
        },
    )


def strategy(data: Mapping[str, Any]) -> models.Strategy:
    """``data`` is what ``CtaTemplate.get_data`` returns; the keys ``engine``, ``state``, ``auto_start``,
    ``desired_state``, ``revision`` and ``error`` may be added to it. Without ``state`` the flags ``inited`` and
    ``trading`` among the variables tell it."""
    variables = jsonable(data["variables"])
    inited, trading = bool(variables.get("inited")), bool(variables.get("trading"))
    state = StrategyState.TRADING if trading else StrategyState.INITED if inited else StrategyState.ADDED
    error = data.get("error")
    vt_symbols = list(data.get("vt_symbols") or ([data["vt_symbol"]] if data.get("vt_symbol") else []))
    pos = number(variables.get("pos"))
    positions = data.get("positions", {data["vt_symbol"]: pos} if len(vt_symbols) == 1 else {})
    return _make(
        models.Strategy,
        {
            "strategy_name": data["strategy_name"],
            "class_name": data["class_name"],
            "engine": data.get("engine") or "CtaStrategy",
            "vt_symbol": vt_symbols[0] if vt_symbols else "",
            "vt_symbols": vt_symbols,
            "positions": {vt_symbol: number(held) for vt_symbol, held in positions.items()},
            "author": text(data.get("author")),
            "state": _name(data.get("state") or state),
            "inited": inited,
            "trading": trading,
            "auto_start": bool(data.get("auto_start")),
            "pos": pos,
            "parameters": jsonable(data["parameters"]),
            "variables": variables,
            "error": None if error is None else text(error),
            "desired_state": _name(data.get("desired_state") or StrategyState.ADDED),
            "revision": data.get("revision", 0),
            "paused": bool(data.get("paused")),
        },
    )


def algo(data: Mapping[str, Any]) -> models.Algo:
    """``data`` is what ``AlgoTemplate.get_data`` returns; its name is the template's and a number."""
    return _make(
        models.Algo,
        {
            **data,
            "template": data.get("template") or str(data["algo_name"]).rpartition("_")[0],
            "direction": _name(data["direction"]),
            "offset": _name(data["offset"]),
            "status": _name(data["status"]),
            "parameters": jsonable(data["parameters"]),
            "variables": jsonable(data["variables"]),
        },
    )


def risk_rule(data: Mapping[str, Any]) -> models.RiskRule:
    """``data`` is what ``RuleTemplate.get_data`` returns; it shares the rule's live dicts, so it is copied deep."""
    return models.RiskRule(
        class_name=text(data["class_name"]),
        name=text(data["name"]),
        parameters=jsonable(data["parameters"]),
        variables=jsonable(data["variables"]),
    )


_REFUSED_REQUEST = re.compile(
    r"OrderRequest\(symbol='(?P<symbol>[^']*)', exchange=<Exchange\.(?P<exchange>\w+)"
    r".*?reference='(?P<reference>[^']*)'"
)


def risk_rejection(notice: str, gateway_name: str = "") -> models.RiskRejection:
    """``notice`` is RiskManager's text, which ends in the ``repr`` of the refused OrderRequest."""
    notice = text(notice)
    found = _REFUSED_REQUEST.search(notice)
    member = constant.Exchange.__members__.get(found["exchange"]) if found else None
    return models.RiskRejection(
        code="risk_manager",
        reason=notice,
        vt_symbol=f"{found['symbol']}.{member.value}" if found and member else "",
        gateway_name=gateway_name,
        reference=found["reference"] if found else "",
        datetime=models.now_timestamp(),
    )
