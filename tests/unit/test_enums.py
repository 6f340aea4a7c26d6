"""Enums: names and vn.py's localized values are understood; anything else is refused with the names."""

from enum import StrEnum

import pytest

from vnpy_core import enums
from vnpy_core.enums import (
    ACTIVE_STATUSES,
    FINAL_STATUSES,
    Direction,
    Exchange,
    Interval,
    Offset,
    OrderStatus,
    OrderType,
    Product,
    Role,
    Scope,
    parse_enum,
)

KINDS = [kind for kind in vars(enums).values() if isinstance(kind, type) and issubclass(kind, StrEnum)]
KINDS.remove(StrEnum)
GRANTED = (Role, Scope)  # written as grants are: in small letters, and area:kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_name_means_its_member_and_is_its_text(kind: type[StrEnum]) -> None:
    for name, member in kind.__members__.items():
        assert parse_enum(kind, name) is member
        assert str(member) == member.value == (name.lower().replace("_", ":") if kind in GRANTED else name)


@pytest.mark.parametrize(
    ("kind", "text", "member"),
    [
        (Direction, "多", Direction.LONG),
        (Direction, "Short", Direction.SHORT),
        (Offset, "", Offset.NONE),
        (Offset, "平今", Offset.CLOSETODAY),
        (Offset, "Close Yesterday", Offset.CLOSEYESTERDAY),
        (OrderStatus, "部分成交", OrderStatus.PARTTRADED),
        (OrderType, "询价", OrderType.RFQ),
        (Product, "Stock", Product.EQUITY),
        (Interval, "1m", Interval.MINUTE),
        (Exchange, "EUX", Exchange.EUREX),
    ],
)
def test_localized_values_are_understood(kind: type[StrEnum], text: str, member: StrEnum) -> None:
    assert parse_enum(kind, text) is member


@pytest.mark.parametrize("text", ["long", "LONGER", "", " LONG", "__class__", "空 "])
def test_what_is_neither_is_refused_with_the_names(text: str) -> None:
    with pytest.raises(ValueError, match="LONG, SHORT, NET"):
        parse_enum(Direction, text)


def test_a_status_is_active_or_final_or_unknown() -> None:
    assert {*ACTIVE_STATUSES, *FINAL_STATUSES, OrderStatus.UNKNOWN} == set(OrderStatus)
    assert not ACTIVE_STATUSES & FINAL_STATUSES
