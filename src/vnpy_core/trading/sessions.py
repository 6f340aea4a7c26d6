"""When contracts of the Chinese exchanges trade: day and night sessions by product. On which days: see calendar.py.

The exchanges' own rules as of 2025; a product that is not listed has the day session of its exchange and no night.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import time

from vnpy_core.enums import Exchange

Windows = Sequence[tuple[time, time]]

_COMMODITIES: Windows = ((time(9), time(10, 15)), (time(10, 30), time(11, 30)), (time(13, 30), time(15)))
_INDICES: Windows = ((time(9, 30), time(11, 30)), (time(13), time(15)))
_BONDS: Windows = ((time(9, 30), time(11, 30)), (time(13), time(15, 15)))
_STOCKS: Windows = ((time(9, 15), time(11, 30)), (time(13), time(15)))  # with the call auction
_DAY: Mapping[Exchange, Windows] = {
    **dict.fromkeys((Exchange.SHFE, Exchange.INE, Exchange.DCE, Exchange.CZCE, Exchange.GFEX), _COMMODITIES),
    Exchange.CFFEX: _INDICES,
    **dict.fromkeys((Exchange.SSE, Exchange.SZSE, Exchange.BSE), _STOCKS),
}
_BOND_FUTURES = frozenset({"T", "TF", "TS", "TL"})
NIGHT_BEGINS = time(21)
_NIGHT_ENDS: Mapping[Exchange, Mapping[time, str]] = {
    Exchange.SHFE: {
        time(23): "rb hc fu bu ru sp br op",
        time(1): "cu al zn pb ni sn ss ao ad",
        time(2, 30): "au ag",
    },
    Exchange.INE: {time(23): "nr lu", time(1): "bc", time(2, 30): "sc"},
    Exchange.DCE: {time(23): "a b m y p c cs rr j jm i l v pp eg eb pg bz"},
    Exchange.CZCE: {time(23): "SR CF CY TA MA FG RM OI ZC SA PF PX SH PR PL"},
}
_NIGHTS = {
    (exchange, product): end
    for exchange, ends in _NIGHT_ENDS.items()
    for end, products in ends.items()
    for product in products.split()
}


def night_end(symbol: str, exchange: Exchange) -> time | None:
    """Return when the product's night session, which begins at 21:00, ends; ``None``: it has none."""
    return _NIGHTS.get((exchange, _product(symbol)))


def day_windows(symbol: str, exchange: Exchange) -> Windows | None:
    """Return the hours of a trading day without its night, in China; ``None``: its exchange is not known."""
    if exchange is Exchange.CFFEX and _product(symbol) in _BOND_FUTURES:
        return _BONDS
    return _DAY.get(exchange)


def _product(symbol: str) -> str:
    found = re.match(r"[A-Za-z]*", symbol)
    return found[0] if found is not None else ""
