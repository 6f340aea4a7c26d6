"""The orders that close positions: how much, with which offset, and at what price."""

from collections.abc import Iterable, Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from vnpy_core.enums import Direction, Exchange, Offset, OrderType
from vnpy_core.models import Contract, OrderSpec, Position, Tick

REFERENCE = "KillSwitch"
_CLOSES_BY_DAY = frozenset({Exchange.SHFE, Exchange.INE})


class Unclosable(msgspec.Struct, frozen=True):
    """Why no order can be made that closes a position."""

    reason: str


def closing_orders(
    position: Position, contract: Contract | None, tick: Tick | None, collar_percent: float
) -> list[OrderSpec] | Unclosable:
    """Return the orders that close what is not frozen of ``position``, none if there is nothing to close.

    Limit orders at the opposite best price, ``collar_percent`` beyond it and within the day's limits. Where today's
    positions are told from others, each has its own closing offset; larger ones than the contract takes are split.
    """
    volume = abs(position.volume)
    if not volume:
        return []
    if contract is None:
        return Unclosable("Its gateway has not told of the contract.")
    is_buy = position.direction is Direction.SHORT or (position.direction is Direction.NET and position.volume < 0)
    price = _price(is_buy, contract, tick, collar_percent)
    if price is None:
        return Unclosable("There is no price for it: nothing is known of its market.")
    parts = _parts(position, contract, volume)
    return [
        OrderSpec(
            symbol=position.symbol, exchange=position.exchange,
            direction=Direction.LONG if is_buy else Direction.SHORT, type=OrderType.LIMIT, volume=one, price=price,
            offset=offset, reference=REFERENCE,
        )
        for offset, part in parts
        for one in _split(part, contract)
    ]  # fmt: skip


def _parts(position: Position, contract: Contract, volume: float) -> list[tuple[Offset, float]]:
    if contract.net_position:
        return [(Offset.NONE, volume)]
    if position.exchange not in _CLOSES_BY_DAY or position.direction is Direction.NET:
        return [(Offset.CLOSE, volume)]
    yesterday = min(position.yd_volume, volume)
    parts = ((Offset.CLOSEYESTERDAY, yesterday), (Offset.CLOSETODAY, volume - yesterday))
    return [(offset, part) for offset, part in parts if part > 0]


def _split(volume: float, contract: Contract) -> Iterator[float]:
    most = contract.max_volume
    if most is None or most <= 0:
        yield volume
        return
    while volume > 1e-9:
        yield min(volume, most)
        volume -= most


def _price(is_buy: bool, contract: Contract, tick: Tick | None, collar_percent: float) -> float | None:
    if tick is None:
        return None
    best = (tick.ask_price_1 if is_buy else tick.bid_price_1) or tick.last_price
    if not best:
        return None
    price = best + abs(best) * collar_percent / 100 * (1 if is_buy else -1)
    if is_buy and tick.limit_up:
        price = min(price, tick.limit_up)
    elif not is_buy and tick.limit_down:
        price = max(price, tick.limit_down)
    return _on_tick(price, contract.pricetick, up=not is_buy)


def _on_tick(price: float, pricetick: float, *, up: bool) -> float:
    """Return the next price that the exchange takes, towards the better one."""
    if pricetick <= 0:
        return price
    step = Decimal(repr(pricetick))
    steps = (Decimal(repr(price)) / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return float(steps * step)


def open_positions(positions: Iterable[object]) -> list[Position]:
    return [one for one in positions if isinstance(one, Position) and one.volume]
