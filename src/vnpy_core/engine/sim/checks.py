"""Why the simulated exchange refuses an order: every rule, with a code for programs and a reason for people."""

import math
from datetime import datetime
from numbers import Real
from typing import NamedTuple

from vnpy.trader.constant import Direction, Offset, OrderType
from vnpy.trader.object import OrderRequest

from vnpy_core.engine.sim.account import Ledger
from vnpy_core.engine.sim.book import Book, SimOrder
from vnpy_core.engine.sim.contracts import MONEY, Instrument

PRICED = frozenset({OrderType.LIMIT, OrderType.FAK, OrderType.FOK, OrderType.STOP})
SUPPORTED = PRICED | {OrderType.MARKET}


class Refusal(NamedTuple):
    """``code`` is stable; ``reason`` says what, and what would be right."""

    code: str
    reason: str


def refuse_form(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    """Check what the request alone tells: kind, side, offset, volume, price tick."""
    spec = instrument.spec
    if request.type not in SUPPORTED:
        return Refusal("unsupported_type", f"{_name(request.type)} orders are not supported")
    if request.type is OrderType.STOP and not spec.stop_supported:
        return Refusal("unsupported_type", f"{instrument.vt_symbol} takes no STOP orders")
    if request.direction not in (Direction.LONG, Direction.SHORT):
        return Refusal("invalid_direction", f"the direction must be LONG or SHORT, not {_name(request.direction)}")
    offset: object = request.offset
    if not isinstance(offset, Offset):
        return Refusal("invalid_offset", f"the offset must be an Offset, not {request.offset!r}")
    if request.offset is Offset.NONE and not spec.net_position:
        return Refusal("invalid_offset", f"{instrument.vt_symbol} needs an offset: OPEN or one of the closing ones")
    return _refuse_volume(request.volume, instrument) or _refuse_price(request, instrument)


def _refuse_volume(volume: float, instrument: Instrument) -> Refusal | None:
    spec = instrument.spec
    if not is_number(volume) or volume <= 0:
        return Refusal("invalid_volume", f"the volume must be a positive number, not {volume!r}")
    if volume < spec.min_volume - 1e-12:
        return Refusal("volume_below_minimum", f"the volume {volume:g} is below the minimum of {spec.min_volume:g}")
    if instrument.lots_of(volume) is None:
        return Refusal("volume_step", f"the volume {volume!r} is not a multiple of {spec.min_volume:g}")
    if spec.max_volume is not None and volume > spec.max_volume:
        return Refusal("volume_above_maximum", f"the volume {volume:g} is above the maximum of {spec.max_volume:g}")
    return None


def _refuse_price(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    if request.type not in PRICED:
        return None
    if not is_number(request.price) or request.price <= 0:
        return Refusal("invalid_price", f"the price must be a positive number, not {request.price!r}")
    if not instrument.is_on_tick(request.price):
        return Refusal("price_tick", f"the price {request.price!r} is not a multiple of {instrument.spec.pricetick:g}")
    return None


def refuse_now(order: SimOrder, book: Book, ledger: Ledger, is_open: bool, now: datetime) -> Refusal | None:
    """Check the order against the hour, the market, the positions and the money as they are."""
    if not is_open:
        return Refusal("market_closed", f"the market is closed at {now:%H:%M:%S}")
    return _refuse_market(order, book) or _refuse_position(order) or _refuse_funds(order, book, ledger)


def _refuse_market(order: SimOrder, book: Book) -> Refusal | None:
    tick, price = book.tick, order.data.price
    if order.data.type is OrderType.MARKET:
        if not any(lots for _, lots in book.levels(order.buy)):
            return Refusal("no_market", f"{order.instrument.vt_symbol} has no quote to trade at")
        return None
    if tick is not None and tick.limit_up > 0 and price > tick.limit_up:
        return Refusal("price_limit", f"the price {price:g} is above the upper limit of {tick.limit_up:g}")
    if tick is not None and price < tick.limit_down:
        return Refusal("price_limit", f"the price {price:g} is below the lower limit of {tick.limit_down:g}")
    return None


def _refuse_position(order: SimOrder) -> Refusal | None:
    instrument, offset = order.instrument, order.data.offset
    if instrument.spec.long_only:
        if not order.buy and offset is Offset.OPEN:
            return Refusal("short_selling", f"{instrument.vt_symbol} cannot be sold short")
        if order.buy and offset not in (Offset.OPEN, Offset.NONE):
            return Refusal("insufficient_position", f"{instrument.vt_symbol} has no short position to close")
    if order.closes is None:
        return None
    holding = order.exposure.holding_of(order.buy, order.closes)
    closable = holding.closable(order.closes)
    if order.lots <= closable:
        return None
    volume_of, kind = instrument.volume_of, order.closes.value
    which = "" if kind == "any" else f" of {kind}" if kind == "today" else " of an earlier day"
    return Refusal(
        "insufficient_position",
        f"{volume_of(order.lots):g} to close, but only {volume_of(max(0, closable)):g}{which} can be: "
        f"the position is {volume_of(holding.lots):g}, of which {volume_of(holding.frozen_lots):g} is frozen",
    )


def _refuse_funds(order: SimOrder, book: Book, ledger: Ledger) -> Refusal | None:
    if order.closes is not None:
        return None
    price = order.data.price
    if order.data.type is OrderType.MARKET:
        levels = book.levels(order.buy)
        price = levels[-1][0] if order.buy else levels[0][0]
    missing = ledger.shortfall(order.exposure, order.buy, price, order.lots)
    if not missing:
        return None
    return Refusal(
        "insufficient_funds",
        f"the order needs {(missing + ledger.available) / MONEY:.2f}, available is {ledger.available / MONEY:.2f}",
    )


def is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _name(value: object) -> str:
    return getattr(value, "name", repr(value))
