"""What closes a position: offsets by day, prices within limits, volumes that the contract takes."""

from typing import Any

import msgspec
import pytest

from vnpy_core.enums import Direction, Exchange, Offset
from vnpy_core.models import OrderSpec
from vnpy_core.routers import examples
from vnpy_core.trading.flatten import Unclosable, closing_orders


def orders(position: dict[str, Any], contract: dict[str, Any] | None = None, **tick: Any) -> list[OrderSpec]:
    made = closing_orders(
        msgspec.structs.replace(examples.POSITION, **position),
        msgspec.structs.replace(examples.CONTRACT, **(contract or {})),
        msgspec.structs.replace(examples.TICK, **tick),
        1.0,
    )
    assert isinstance(made, list)
    return made


def test_today_and_yesterday_are_closed_apart_where_the_exchange_tells_them_apart() -> None:
    made = orders({"volume": 5.0, "yd_volume": 2.0})
    assert [(one.offset, one.volume, one.direction) for one in made] == [
        (Offset.CLOSEYESTERDAY, 2.0, Direction.SHORT), (Offset.CLOSETODAY, 3.0, Direction.SHORT),
    ]  # fmt: skip
    made = orders({"volume": 5.0, "yd_volume": 2.0, "exchange": Exchange.DCE})
    assert [(one.offset, one.volume) for one in made] == [(Offset.CLOSE, 5.0)]


@pytest.mark.parametrize(("volume", "direction"), [(4.0, Direction.SHORT), (-4.0, Direction.LONG)])
def test_a_net_position_is_closed_by_its_opposite(volume: float, direction: Direction) -> None:
    (made,) = orders({"volume": volume, "direction": Direction.NET}, {"net_position": True})
    assert (made.direction, made.offset, made.volume) == (direction, Offset.NONE, 4.0)


def test_prices_are_beyond_the_opposite_best_on_the_tick_and_within_the_days_limits() -> None:
    (sell,) = orders({"exchange": Exchange.DCE})
    assert sell.price == 3465.0  # 3499 less one per cent is 3464.01
    (buy,) = orders({"exchange": Exchange.DCE, "direction": Direction.SHORT})
    assert buy.price == 3535.0
    (buy,) = orders({"exchange": Exchange.DCE, "direction": Direction.SHORT}, limit_up=3510.0)
    assert buy.price == 3510.0


def test_large_ones_are_split() -> None:
    made = orders({"volume": 25.0, "exchange": Exchange.DCE}, {"max_volume": 10.0})
    assert [one.volume for one in made] == [10.0, 10.0, 5.0]


def test_without_a_market_there_is_no_order() -> None:
    made = closing_orders(examples.POSITION, examples.CONTRACT, None, 1.0)
    assert made == Unclosable("There is no price for it: nothing is known of its market.")
    made = closing_orders(examples.POSITION, None, examples.TICK, 1.0)
    assert made == Unclosable("Its gateway has not told of the contract.")
    assert closing_orders(msgspec.structs.replace(examples.POSITION, volume=0.0), None, None, 1.0) == []
