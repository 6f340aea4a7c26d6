"""Plain values: whatever a gateway or a strategy holds in a field, as what JSON can carry.

Nothing here raises and nothing is shared with the argument. Used on the event thread and in the strategies' threads.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np

from vnpy_core.models import to_timestamp

_MAX_DEPTH = 8
_MAX_REPR = 500


def timestamp(moment: object) -> str | None:
    """Return a wire timestamp, or ``None`` for what is no moment (None, NaT, a text, out of range).

    A naive one is local time, which ``runtime.prepare`` has made that of the configured zone.
    """
    if not isinstance(moment, datetime):
        return None
    try:
        return to_timestamp(moment if type(moment) is datetime else _plain(moment))
    except (OverflowError, ValueError, TypeError):
        return None


def _plain(moment: datetime) -> datetime:
    """Return the same moment without what a subclass adds; one of pandas is NaT, and raises."""
    return datetime.combine(
        date(moment.year, moment.month, moment.day),
        time(moment.hour, moment.minute, moment.second, moment.microsecond, moment.tzinfo, fold=moment.fold),
    )


def number(value: Any) -> float | None:
    """Return a finite float, or ``None`` for NaN, infinity, and what is no number."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def quantity(value: Any) -> float:
    """Return a finite float; what is none counts as 0, vn.py's own default of every amount."""
    return number(value) or 0.0


def text(value: Any) -> str:
    """Return a text that UTF-8 can carry: lone surrogates of a mis-decoded broker message become ``?``."""
    if value is None:
        return ""
    found = value if type(value) is str else shown(value)
    return found if found.isascii() else found.encode("utf-8", "replace").decode()


def jsonable(value: Any, depth: int = 0) -> Any:
    """Return a deep copy of ``value`` in JSON's types.

    Enum members become their names, moments wire timestamps, numpy values Python's, sets sorted lists, dataclasses
    dicts, NaN and infinity null; anything else, and what is nested deeper than 8 levels, becomes its ``repr``.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return value if value.isascii() else text(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is int:
        return value if -(2**63) <= value < 2**64 else str(value)
    try:
        return _converted(value, depth)
    except Exception:  # noqa: BLE001 - the value's own code raised (iteration, comparison): show what can be shown
        return shown(value)


def _converted(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.generic | np.ndarray) and value.dtype.kind not in "Mm":
        return jsonable(value.tolist(), depth + 1) if depth < _MAX_DEPTH else shown(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, bool | int | float | str):  # a subclass: its plain value
        return jsonable(next(base(value) for base in (bool, int, float, str) if isinstance(value, base)), depth)
    if depth >= _MAX_DEPTH or isinstance(value, bytes | bytearray | memoryview):
        return shown(value)
    # The copies guard against another thread that adds an item meanwhile.
    if isinstance(value, Mapping):
        return {_key(key): jsonable(item, depth + 1) for key, item in dict(value).items()}
    if isinstance(value, Set):
        return sorted((jsonable(item, depth + 1) for item in list(value)), key=repr)
    if isinstance(value, Sequence):
        return [jsonable(item, depth + 1) for item in list(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return {name: jsonable(item, depth + 1) for name, item in dict(vars(value)).items()}
    return shown(value)


def _key(key: Any) -> str:
    if type(key) is str:
        return text(key)
    return text(key.name if isinstance(key, Enum) else shown(key))


def shown(value: Any) -> str:
    """Return a ``repr`` (of a number or a text: itself) of at most 500 characters."""
    try:
        found = str(value) if isinstance(value, str | int | float | Enum) else repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__ must not hide the rest
        found = f"<{type(value).__name__}>"
    return found[:_MAX_REPR].encode("utf-8", "replace").decode()
