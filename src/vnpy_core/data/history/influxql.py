"""The InfluxQL that is sent, and the values bound to its parameters.

The texts are made of our own names alone. Whatever a caller gives travels as a bound parameter; the one exception is
the number behind LIMIT, where 3.x takes none.
"""

from datetime import datetime

from vnpy_core.data.history.line_protocol import MAX_MICROS, MISSING, measurement, tag_keys
from vnpy_core.data.history.series import to_micros, value_columns
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import Invalid

Parameters = dict[str, str | int]

# Times in a GROUP BY take no parameter either.
_WIDTHS = {Interval.MINUTE: "1m", Interval.HOUR: "1h"}
_TOTALS = ("volume", "turnover")
BAR_FIELDS = (
    "first(last_price)", "max(last_price)", "min(last_price)", "last(last_price)", "last(open_interest)",
    *(f"{function}({total})" for total in _TOTALS for function in ("first", "max", "last")),
)  # fmt: skip

SHOW_POLICIES = "SHOW RETENTION POLICIES"


def bound(
    symbol: str, exchange: Exchange, interval: Interval, start: int | None = None, end: int | None = None
) -> Parameters:
    """Return the parameters of a series and, in microseconds, a range of it."""
    parameters: Parameters = {"symbol": symbol, "exchange": exchange.value, "interval": interval.value}
    parameters = {key: parameters[key] for key in tag_keys(interval)}
    # 3.x refuses a parameter that the statement does not use.
    for name, micros in (("start", start), ("end", end)):
        if micros is not None:
            parameters[name] = micros * 1000
    return parameters


def clamped(moment: datetime | None) -> int | None:
    """Return the microseconds since the epoch, or the nearest that InfluxDB knows."""
    return None if moment is None else min(max(to_micros(moment), -MAX_MICROS), MAX_MICROS)


def select_rows(interval: Interval, parameters: Parameters, limit: int | None, newest: bool) -> str:
    """Select what ``line_protocol.decode`` takes."""
    fields = (*value_columns(interval), MISSING, *(("localtime",) if interval is Interval.TICK else ()))
    order = "DESC" if newest else "ASC"
    text = f"SELECT {', '.join(fields)} {_from(interval, parameters)} ORDER BY time {order}"
    return text if limit is None else f"{text} LIMIT {limit:d}"


def select_name(interval: Interval, parameters: Parameters) -> str:
    return f'SELECT last("name") {_from(interval, parameters)}'


def select_count(interval: Interval, parameters: Parameters) -> str:
    return f"SELECT count({MISSING}) {_from(interval, parameters)}"


def select_edge(interval: Interval, parameters: Parameters, function: str) -> str:
    """Select the ``first`` or ``last`` row; of interest is its time."""
    return f"SELECT {function}({MISSING}) {_from(interval, parameters)}"


def select_overview() -> str:
    """Three statements for each measurement: how many rows each series has, the first and the last."""
    return "; ".join(
        f"SELECT {function}({MISSING}) FROM {measurement(interval)} GROUP BY {', '.join(tag_keys(interval))}"  # noqa: S608
        for interval in (Interval.TICK, Interval.MINUTE)
        for function in ("count", "first", "last")
    )


def delete_rows(interval: Interval, parameters: Parameters) -> str:
    return f"DELETE {_from(interval, parameters)}"


def select_bars(
    interval: Interval, parameters: Parameters, limit: int | None = None, newest: bool = False
) -> str:
    """Select ``BAR_FIELDS`` of ticks for each minute or hour that has any with a price.

    Raises:
        Invalid: ``interval`` is neither; a day's bar follows the sessions, not the clock.
    """
    if interval not in _WIDTHS:
        raise Invalid(f"Bars of the interval {interval} cannot be made from ticks: only MINUTE and HOUR can")
    source = _from(Interval.TICK, parameters)
    text = f"SELECT {', '.join(BAR_FIELDS)} {source} AND last_price != 0 GROUP BY time({_WIDTHS[interval]}) fill(none)"
    text += f" ORDER BY time {'DESC' if newest else 'ASC'}"
    return text if limit is None else f"{text} LIMIT {limit:d}"


def select_totals(parameters: Parameters) -> str:
    """Select the day's totals of the last tick with a price in the range."""
    source = _from(Interval.TICK, parameters)
    return f"SELECT {', '.join(_TOTALS)} {source} AND last_price != 0 ORDER BY time DESC LIMIT 1"


def create_database(name: str, retention: str | None) -> str:
    """``name`` and ``retention`` are of the characters that the settings allow, so no quoting can be broken.

    Nothing expires without a ``retention``; then a shard holds a year, instead of a week: years of bars are loaded
    and imported from tens of shards, not hundreds.
    """
    return f'CREATE DATABASE "{name}" WITH ' + (f"DURATION {retention}" if retention else "SHARD DURATION 52w")


def _from(interval: Interval, parameters: Parameters) -> str:
    conditions = [f"{key} = ${key}" for key in tag_keys(interval)]
    conditions += [f"time {sign} ${name}" for name, sign in (("start", ">="), ("end", "<=")) if name in parameters]
    return f"FROM {measurement(interval)} WHERE {' AND '.join(conditions)}"
