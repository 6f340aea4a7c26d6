"""Line protocol: rows of a series as the text InfluxDB takes, and back from the values it answers.

A float field can be neither NaN nor infinite, and a field that is left out of a row keeps the value that the row had
before. So each row also carries the integer field ``missing``, two bits for each value column in the order of
``ports.TICK_COLUMNS`` or ``BAR_COLUMNS``: 0 a number, 1 NaN, 2 infinity, 3 minus infinity; bit 62 says that a tick has
no ``localtime``. New columns must go to the end. Every row has this field, hence rows are counted by it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from vnpy_core.data.history.series import NO_TIME, Int64s, time_columns, value_columns
from vnpy_core.enums import Interval
from vnpy_core.errors import DataRejected
from vnpy_core.ports import Series

MISSING = "missing"
# What 64 bits of nanoseconds hold (the years 1677 to 2262), in microseconds, less what InfluxDB keeps for itself.
MAX_MICROS = (2**63 - 1) // 1000 - 1
_NO_LOCALTIME = 1 << 62
_STATES = (0.0, np.nan, np.inf, -np.inf)

_TAG = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})
_STRING = str.maketrans({"\\": r"\\", '"': r"\""})
_ENCODER = msgspec.json.Encoder()


def measurement(interval: Interval) -> str:
    return "tick_data" if interval is Interval.TICK else "bar_data"


def tag_keys(interval: Interval) -> tuple[str, ...]:
    return ("symbol", "exchange") if interval is Interval.TICK else ("symbol", "exchange", "interval")


def check_rows(series: Series, columns: dict[str, NDArray[Any]]) -> None:
    """See that the rows can be written as lines.

    Raises:
        DataRejected: the symbol cannot be a tag, or a time does not fit into 64 bits of nanoseconds.
    """
    symbol = series.symbol
    if not symbol or symbol.endswith("\\") or not symbol.isprintable():
        raise DataRejected(
            f"The symbol {symbol!r} cannot be stored in InfluxDB: a tag must not be empty, end in a backslash or hold"
            " a line break or another character that is not printed."
        )
    for name in time_columns(series.interval):
        times = columns[name] if name == "datetime" else columns[name][columns[name] != NO_TIME]
        if len(times) and (times.min() < -MAX_MICROS or times.max() > MAX_MICROS):
            raise DataRejected(f"A {name} of {symbol} is not within the years 1678 to 2261, which InfluxDB can hold.")


def encode(series: Series, columns: dict[str, NDArray[Any]]) -> bytes:
    """Return a line for each row of ``columns``, which are as ``checked_columns`` returns them, and not empty.

    Each column is made text at once, by a JSON encoder: 3 µs for a tick with five levels, where formatting number by
    number takes 7 (measured).
    """
    template = [_head(series).replace(b"%", b"%%")]
    values: list[list[bytes]] = []
    missing = missing_states(columns, series.interval)
    if missing.any():
        template.append(b"missing=%bi")
        values.append(_texts(missing))
    else:
        template.append(b"missing=0i")
    for name in value_columns(series.interval):
        column = columns[name]
        bits = column.view(np.int64)
        if (bits == bits[0]).all():
            template.append(_field(name, _texts(column[:1])[0]))
        elif np.isfinite(column).all():
            template.append(b",%b=%%b" % name.encode())
            values.append(_texts(column))
        else:
            template.append(b"%b")
            values.append([_field(name, text) for text in _texts(column)])
    if "localtime" in columns:
        known = (columns["localtime"] != NO_TIME).tolist()
        texts = _texts(columns["localtime"] * 1000)
        template.append(b"%b")
        marked = zip(texts, known, strict=True)
        values.append([b",localtime=%bi" % text if is_known else b"" for text, is_known in marked])
    template.append(b" %b\n")
    values.append(_texts(columns["datetime"] * 1000))
    return b"".join(map(b"".join(template).__mod__, zip(*values, strict=True)))


def missing_states(columns: dict[str, NDArray[Any]], interval: Interval) -> Int64s:
    """Return the field ``missing`` of each row."""
    states = np.zeros(len(columns["datetime"]), np.int64)
    for place, name in enumerate(value_columns(interval)):
        values = columns[name]
        if not np.isfinite(values).all():
            kinds = np.isnan(values) * 1 + np.isposinf(values) * 2 + np.isneginf(values) * 3
            states |= kinds.astype(np.int64) << (2 * place)
    if "localtime" in columns:
        states[columns["localtime"] == NO_TIME] |= _NO_LOCALTIME
    return states


def decode(rows: Sequence[Sequence[Any]], interval: Interval) -> dict[str, NDArray[Any]]:
    """Return the columns of rows with the values ``time`` (in microseconds), the value columns, ``missing`` and, of
    ticks, ``localtime``. A field that a row has not is not known."""
    times, *fields = zip(*rows, strict=True)
    columns: dict[str, NDArray[Any]] = {"datetime": np.array(times, np.int64)}
    names = value_columns(interval)
    states = np.array([state or 0 for state in fields[len(names)]], np.int64)
    if interval is Interval.TICK:
        local = fields[len(names) + 1]
        known = [NO_TIME if moment is None else moment // 1000 for moment in local]
        columns["localtime"] = np.array(known, np.int64)
        columns["localtime"][states & _NO_LOCALTIME != 0] = NO_TIME
    columns |= {name: np.array(values, np.float64) for name, values in zip(names, fields, strict=False)}
    if states.any():
        for place, name in enumerate(names):
            kinds = (states >> (2 * place)) & 3
            columns[name] = np.where(kinds == 0, columns[name], np.take(_STATES, kinds))
    return columns


def _texts(column: NDArray[Any]) -> list[bytes]:
    """Return each number as JSON has it, which is as a line has it; what is not finite is ``null``."""
    return _ENCODER.encode(column.tolist())[1:-1].split(b",")


def _field(name: str, text: bytes) -> bytes:
    return b"" if text == b"null" else b",%b=%b" % (name.encode(), text)


def _head(series: Series) -> bytes:
    values = (series.symbol, series.exchange.value, series.interval.value)
    tags = "".join(
        f",{key}={value.translate(_TAG)}" for key, value in zip(tag_keys(series.interval), values, strict=False)
    )
    name = f'name="{series.name.translate(_STRING)}",' if series.name else ""
    return f"{measurement(series.interval)}{tags} {name}".encode(errors="replace")
