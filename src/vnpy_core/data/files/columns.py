"""Which column of a data file is which of ours: the common names, and what the user says."""

import difflib
import re
from collections.abc import Mapping, Sequence

from vnpy_core.data.history.series import time_columns, value_columns
from vnpy_core.enums import Interval
from vnpy_core.errors import Invalid

# What a column is called in files of exchanges, vendors and other programs, lower case and without punctuation.
_TIMES = (
    "datetime", "timestamp", "timestamputc", "datetimeutc", "time", "date", "ts", "opentime", "starttime", "bartime",
    "tradetime", "updatetime", "日期时间", "时间", "日期",
)  # fmt: skip
_ALIASES: dict[str, tuple[str, ...]] = {
    "open_price": ("open", "openprice", "o", "开盘价", "开盘"),
    "high_price": ("high", "highprice", "h", "最高价", "最高"),
    "low_price": ("low", "lowprice", "l", "最低价", "最低"),
    "close_price": ("close", "closeprice", "c", "收盘价", "收盘"),
    "last_price": ("last", "lastprice", "price", "tradeprice", "最新价", "现价"),
    "last_volume": ("lastvolume", "lastsize", "tradesize", "size", "qty", "quantity", "现量", "现手"),
    "volume": ("volume", "vol", "v", "totalvolume", "成交量"),
    "turnover": ("turnover", "amount", "value", "money", "quotevolume", "totalturnover", "成交额"),
    "open_interest": ("openinterest", "openint", "oi", "持仓量"),
    "limit_up": ("limitup", "upperlimit", "upperlimitprice", "涨停价"),
    "limit_down": ("limitdown", "lowerlimit", "lowerlimitprice", "跌停价"),
    "pre_close": ("preclose", "precloseprice", "previousclose", "昨收价", "昨收"),
    "localtime": ("localtime", "arrival", "received"),
}
_LEVEL_ALIASES = {
    "bid_price": ("bidprice", "bid", "b", "买价", "买"),
    "ask_price": ("askprice", "ask", "a", "offer", "卖价", "卖"),
    "bid_volume": ("bidvolume", "bidsize", "bidvol", "bidqty", "bv", "买量"),
    "ask_volume": ("askvolume", "asksize", "askvol", "askqty", "offersize", "av", "卖量"),
}
_DATES = ("date", "tradingday", "tradedate", "日期")
_CLOCKS = ("time", "clock", "updatetime", "时间")
_REQUIRED = {
    False: ("datetime", "open_price", "high_price", "low_price", "close_price"),
    True: ("datetime",),
}
TICK_PRICES = ("last_price", "bid_price_1", "ask_price_1")


def map_columns(header: Sequence[str], interval: Interval, chosen: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Return for each of our columns that the file has its place there; ``datetime`` may be a date and a time.

    Args:
        chosen: our column → the file's, ``date+time`` to join two, or nothing to leave ours out.

    Raises:
        Invalid: a name is not known, or a needed column is missing; the message says which there are.
    """
    ours = (*time_columns(interval), *value_columns(interval))
    found = {name: places for name in ours if (places := _place(header, name))}
    for name, theirs in chosen.items():
        if name not in ours:
            raise Invalid(f"{name!r} is no column of ours{_nearest(name, ours)}. There are: {', '.join(ours)}")
        found.pop(name, None)
        if theirs:
            found[name] = _chosen_places(header, name, theirs)
    missing = [name for name in _REQUIRED[interval is Interval.TICK] if name not in found]
    if interval is Interval.TICK and not any(name in found for name in TICK_PRICES):
        missing.append(" or ".join(TICK_PRICES))
    if missing:
        raise Invalid(
            f"No column is known to be {' and '.join(missing)}. The file's columns are: {', '.join(header)}. Say which"
            " is which; if the first line is no header, name all columns in their order."
        )
    return found


def _place(header: Sequence[str], ours: str) -> tuple[int, ...]:
    plain = [_plain(name) for name in header]
    if ours == "datetime":
        dates, clocks = (_first(plain, names) for names in (_DATES, _CLOCKS))
        if dates and clocks and not any(name in plain for name in _TIMES[:4]):
            return dates + clocks
        return _first(plain, _TIMES)
    level = re.fullmatch(r"(\w+_(?:price|volume))_(\d)", ours)
    if level is None:
        return _first(plain, (_plain(ours), *_ALIASES.get(ours, ())))
    kind, number = level.groups()
    names = [alias + number for alias in _LEVEL_ALIASES[kind]]
    if number == "1":
        names += [alias for alias in _LEVEL_ALIASES[kind] if len(alias) > 1]
    return _first(plain, names)


def _first(plain: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    return next(((plain.index(name),) for name in names if name in plain), ())


def _chosen_places(header: Sequence[str], ours: str, theirs: str) -> tuple[int, ...]:
    parts = [theirs] if theirs in header or ours != "datetime" else [part.strip() for part in theirs.split("+")]
    for part in parts:
        if part not in header:
            raise Invalid(
                f"The file has no column {part!r} for {ours}{_nearest(part, header)}. It has: {', '.join(header)}"
            )
        if list(header).count(part) > 1:
            raise Invalid(f"The file has more than one column {part!r}")
    return tuple(list(header).index(part) for part in parts)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.strip().lower())


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
