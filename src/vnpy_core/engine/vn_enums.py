"""vn.py's enumerations and ours, member by member: the maps both ways, by name."""

from enum import Enum
from typing import overload

from vnpy.trader import constant

from vnpy_core.enums import Direction, Exchange, Interval, Offset, OptionType, OrderStatus, OrderType, Product

_PAIRS: tuple[tuple[type[Enum], type[Enum]], ...] = (
    (Direction, constant.Direction),
    (Offset, constant.Offset),
    (OrderStatus, constant.Status),
    (OrderType, constant.OrderType),
    (Product, constant.Product),
    (OptionType, constant.OptionType),
    (Interval, constant.Interval),
    (Exchange, constant.Exchange),
)
# By name, and one map a type: ``ETF`` is both a product and an order type, and vn.py's members hash slowly.
_TO_VN = {ours: dict(theirs.__members__) for ours, theirs in _PAIRS}
_FROM_VN = {theirs: dict(ours.__members__) for ours, theirs in _PAIRS}


@overload
def to_vn(member: Direction) -> constant.Direction: ...
@overload
def to_vn(member: Offset) -> constant.Offset: ...
@overload
def to_vn(member: OrderStatus) -> constant.Status: ...
@overload
def to_vn(member: OrderType) -> constant.OrderType: ...
@overload
def to_vn(member: Product) -> constant.Product: ...
@overload
def to_vn(member: OptionType) -> constant.OptionType: ...
@overload
def to_vn(member: Interval) -> constant.Interval: ...
@overload
def to_vn(member: Exchange) -> constant.Exchange: ...
def to_vn(member: Enum) -> Enum:
    """Return vn.py's member of the same name.

    Raises:
        ValueError: vn.py has none (``OrderStatus.UNKNOWN``).
    """
    try:
        return _TO_VN[type(member)][member._name_]
    except KeyError:
        raise ValueError(f"vn.py has no {type(member).__name__} {member.name}") from None


@overload
def from_vn(member: constant.Direction) -> Direction: ...
@overload
def from_vn(member: constant.Offset) -> Offset: ...
@overload
def from_vn(member: constant.Status) -> OrderStatus: ...
@overload
def from_vn(member: constant.OrderType) -> OrderType: ...
@overload
def from_vn(member: constant.Product) -> Product: ...
@overload
def from_vn(member: constant.OptionType) -> OptionType: ...
@overload
def from_vn(member: constant.Interval) -> Interval: ...
@overload
def from_vn(member: constant.Exchange) -> Exchange: ...
def from_vn(member: Enum) -> Enum:
    """Return our member of the same name as vn.py's."""
    return _FROM_VN[type(member)][member._name_]
