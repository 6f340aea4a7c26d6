"""How a data file writes its times: recognised from a sample, read by DuckDB into microseconds."""

import re
from collections.abc import Sequence

import msgspec

from vnpy_core.errors import Invalid

_ISO = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?"
_ISO_OFFSET = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)? ?(Z|z|UTC|[+-]\d{2}(:?\d{2})?)"


class TimeFormat(msgspec.Struct, frozen=True):
    """``sql``: an expression of ``{t}``, the written time, that is microseconds, or null if it is not so written.

    ``absolute``: the time is UTC already, by an offset or by definition; else it is a wall time of some zone.
    ``typed``: the file has it as a time, not as a text.
    """

    name: str
    sql: str
    absolute: bool
    pattern: str = ""
    typed: bool = False


def _strptime(name: str, pattern: str, expression: str, length: int | None = None) -> TimeFormat:
    parsed = f"epoch_us(try_strptime({{t}}, '{pattern}'))"
    sql = parsed if length is None else f"case when length({{t}}) = {length} then {parsed} end"
    return TimeFormat(name, sql, False, expression)


def _epoch(name: str, sql: str, digits: int) -> TimeFormat:
    return TimeFormat(f"epoch {name}", sql, True, rf"\d{{{digits}}}(\.\d*)?")


_ISO_TEXT = TimeFormat(
    "ISO 8601 without a UTC offset",
    "case when not regexp_matches(substr({t}, 11), '[-+Zz]|UTC') then epoch_us(try_cast({t} as timestamp)) end",
    False,
    _ISO,
)
_ISO_OFFSET_TEXT = TimeFormat(
    "ISO 8601 with a UTC offset",
    r"case when regexp_matches(substr({t}, 11), '(Z|z|UTC|[-+]\d\d(:?\d\d)?)$') then"
    " epoch_us(try_cast(replace(replace(upper({t}), ' +', '+'), ' -', '-') as timestamptz)) end",
    True,
    _ISO_OFFSET,
)
_NAMED = {
    "epoch_s": _epoch("seconds", "try_cast(round(try_cast({t} as double) * 1e6) as bigint)", 10),
    "epoch_ms": _epoch("milliseconds", "try_cast(round(try_cast({t} as double) * 1e3) as bigint)", 13),
    "epoch_us": _epoch("microseconds", "try_cast({t} as bigint)", 16),
    "epoch_ns": _epoch("nanoseconds", "try_cast({t} as bigint) // 1000", 19),
    "YYYYMMDD HHMMSSmmm": _strptime("YYYYMMDD HHMMSSmmm", "%Y%m%d %H%M%S%g", r"\d{8} \d{9}", 18),
}
# The order matters: the first of those that fit most of the sample is taken.
_TEXTS = (
    _ISO_OFFSET_TEXT,
    _ISO_TEXT,
    *_NAMED.values(),
    _strptime("YYYYMMDD HHMMSS", "%Y%m%d %H%M%S", r"\d{8} \d{6}", 15),
    _strptime("YYYYMMDD HH:MM:SS", "%Y%m%d %H:%M:%S", r"\d{8} \d\d:\d\d:\d\d", 17),
    _strptime("YYYYMMDD HH:MM:SS.ffffff", "%Y%m%d %H:%M:%S.%f", r"\d{8} \d\d:\d\d:\d\d\.\d+"),
    _strptime("YYYYMMDD HH:MM", "%Y%m%d %H:%M", r"\d{8} \d\d:\d\d", 14),
    _strptime("YYYYMMDDTHHMMSS", "%Y%m%dT%H%M%S", r"\d{8}T\d{6}", 15),
    _strptime("YYYYMMDDHHMMSSmmm", "%Y%m%d%H%M%S%g", r"\d{17}", 17),
    _strptime("YYYYMMDDHHMMSS", "%Y%m%d%H%M%S", r"\d{14}", 14),
    _strptime("YYYYMMDDHHMM", "%Y%m%d%H%M", r"\d{12}", 12),
    _strptime("YYYYMMDD", "%Y%m%d", r"\d{8}", 8),
    _strptime("YYYY.MM.DD HH:MM:SS", "%Y.%m.%d %H:%M:%S", r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d", 19),
    _strptime("YYYY.MM.DD HH:MM:SS.ffffff", "%Y.%m.%d %H:%M:%S.%f", r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d\.\d+"),
    _strptime("YYYY.MM.DD HH:MM", "%Y.%m.%d %H:%M", r"\d{4}\.\d\d\.\d\d \d\d:\d\d", 16),
    _strptime("YYYY.MM.DD", "%Y.%m.%d", r"\d{4}\.\d\d\.\d\d", 10),
)
_TYPED = {
    "TIMESTAMP WITH TIME ZONE": TimeFormat("a timestamp with time zone", "epoch_us({t})", True, typed=True),
    "TIMESTAMP": TimeFormat("a timestamp", "epoch_us({t})", False, typed=True),
    **dict.fromkeys(
        ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"),
        TimeFormat("a timestamp", "epoch_us(try_cast({t} as timestamp))", False, typed=True),
    ),
}


def typed_format(sql_type: str) -> TimeFormat | None:
    """Return the format of a column that has a time type of its own, as in Parquet; ``None`` for any other."""
    return _TYPED.get(sql_type)


def chosen_format(name: str) -> TimeFormat:
    """Return the format of this name, or of this strptime pattern.

    Raises:
        Invalid: it is neither.
    """
    known = _NAMED.get(name)
    if known is not None:
        return known
    if "%" not in name:
        raise Invalid(
            f"datetime_format {name!r} is neither a strptime pattern such as %d/%m/%Y %H:%M nor one of"
            f" {', '.join(_NAMED)}; ISO 8601 and other common forms are recognised without it"
        )
    literal = name.replace("'", "''").replace("{", "{{").replace("}", "}}")
    return TimeFormat(name, f"epoch_us(try_strptime({{t}}, '{literal}'))", "%z" in name)


def recognised_format(sample: Sequence[str]) -> TimeFormat:
    """Return the format that most of the sample is written in.

    Raises:
        Invalid: none is.
    """
    counts = [sum(re.fullmatch(known.pattern, text) is not None for text in sample) for known in _TEXTS]
    if not any(counts):
        shown = f", such as {sample[0]!r}," if sample else ""
        raise Invalid(
            f"The times{shown} are in no format that is recognised. Give datetime_format, such as %d/%m/%Y %H:%M"
        )
    return _TEXTS[counts.index(max(counts))]
