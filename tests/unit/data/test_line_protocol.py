"""Line protocol: what is encoded says, read by the rules of the protocol, what was given; and is decoded to it."""

import math
import re
from gzip import decompress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vnpy_core.data.history.line_chunks import CHUNK_ROWS, chunks_of, made_ahead
from vnpy_core.data.history.line_protocol import MAX_MICROS, check_rows, decode, encode
from vnpy_core.data.history.series import NO_TIME, checked_columns, value_columns
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import DataRejected
from vnpy_core.ports import BAR_COLUMNS, Series

Field = float | int | str
Line = tuple[str, dict[str, str], dict[str, Field], int]

# Of the line: measurement and tags up to the first blank that is not escaped; of a field: a string, or up to a comma.
HEAD = re.compile(r"(?:\\.|[^ \\]|\\(?! ))+")
FIELD = re.compile(r'([^=,]+)=("(?:\\.|[^"\\])*"|[^, ]+)(?:,|$)', re.DOTALL)


def parse(text: str) -> list[Line]:
    """Read lines by the rules of the protocol's reference, strictly: what is not understood is an error."""
    lines = []
    for line in split(text):
        head = HEAD.match(line)
        assert head, line
        rest, _, time = line[head.end() + 1 :].rpartition(" ")
        measurement, *tags = re.split(r"(?<!\\),", head[0])
        fields: dict[str, Field] = {}
        place = 0
        while place < len(rest):
            found = FIELD.match(rest, place)
            assert found, rest[place:]
            assert found[1] not in fields
            fields[found[1]] = value(found[2])
            place = found.end()
        assert fields, line
        pairs = [re.split(r"(?<!\\)=", tag) for tag in tags]
        lines.append((measurement, {key: re.sub(r"\\([,= ])", r"\1", text) for key, text in pairs}, fields, int(time)))
    return lines


def split(text: str) -> list[str]:
    """Split at the line breaks that are not within a string; a quote in a tag means nothing."""
    lines, start, quoted, in_fields, place = [], 0, False, False, 0
    while place < len(text):
        sign = text[place]
        if sign == "\\" and (quoted or text[place + 1] == " "):
            place += 1
        elif sign == '"' and in_fields:
            quoted = not quoted
        elif sign == " " and not quoted:
            in_fields = True
        elif sign == "\n" and not quoted:
            lines.append(text[start:place])
            start, in_fields = place + 1, False
        place += 1
    assert start == len(text), "the last line has no end"
    return lines


def value(text: str) -> Field:
    if text[0] == '"':
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if text[-1] == "i":
        return int(text[:-1])
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text), text
    return float(text)


symbols = st.text(
    st.sampled_from("rb%2501 ,=\"'\\{}:[]$;*/螺é🙂") | st.characters(categories=["L", "N", "P", "S"]),
    min_size=1,
    max_size=8,
).filter(lambda text: not text.endswith("\\") and text.isprintable())
names = st.text(st.sampled_from('ab%"\\ ,=\n,null') | st.characters(exclude_categories=["Cs"]), max_size=10)
numbers = st.floats() | st.sampled_from([0.0, -0.0, 1.0, 3500.5, math.nan, math.inf, -math.inf, 1e16, 1e-7, 5e-324])
micros = st.integers(-MAX_MICROS, MAX_MICROS)


@st.composite
def series(draw: st.DrawFn) -> Series:
    interval = draw(st.sampled_from([Interval.TICK, Interval.MINUTE, Interval.DAILY]))
    rows = draw(st.integers(1, 4))
    columns: dict[str, NDArray[Any]] = {
        "datetime": np.array(draw(st.lists(micros, min_size=rows, max_size=rows)), np.int64)
    }
    for name in value_columns(interval):
        some = numbers if draw(st.booleans()) else st.just(draw(numbers))
        columns[name] = np.array(draw(st.lists(some, min_size=rows, max_size=rows)), np.float64)
    if interval is Interval.TICK:
        local = micros | st.just(NO_TIME)
        columns["localtime"] = np.array(draw(st.lists(local, min_size=rows, max_size=rows)), np.int64)
    return Series(draw(symbols), Exchange.SHFE, interval, columns, draw(names))


@settings(max_examples=300, deadline=None)
@given(given_series=series())
def test_what_is_encoded_is_read_and_decoded_as_it_was(given_series: Series) -> None:
    interval = given_series.interval
    columns = checked_columns(given_series)
    check_rows(given_series, columns)
    lines = parse(encode(given_series, columns).decode())
    assert len(lines) == len(given_series)
    tags = {"symbol": given_series.symbol, "exchange": "SHFE"}
    names = value_columns(interval)
    rows = []
    for place, (measurement, said, fields, time) in enumerate(lines):
        assert measurement == ("tick_data" if interval is Interval.TICK else "bar_data")
        assert said == tags | ({} if interval is Interval.TICK else {"interval": interval.value})
        assert time == int(columns["datetime"][place]) * 1000
        assert fields.get("name", "") == given_series.name
        for name in names:
            number = float(columns[name][place])
            assert (name in fields) == math.isfinite(number)
            assert fields.get(name, number) == number or math.isnan(number)
            # What is whole is written as a float all the same: the first value gives a field its type for ever.
            assert name not in fields or isinstance(fields[name], float)
        row: list[Any] = [time // 1000, *(fields.get(name) for name in names), fields["missing"]]
        rows.append([*row, fields.get("localtime")] if interval is Interval.TICK else row)
    decoded = decode(rows, interval)
    assert set(decoded) == set(columns)
    for name, values in columns.items():
        assert decoded[name].dtype == values.dtype
        np.testing.assert_array_equal(decoded[name], values)
        assert (np.signbit(decoded[name]) == np.signbit(values)).all() or np.isnan(values).any()


def bars(count: int, symbol: str = "rb2501") -> Series:
    columns = {name: np.arange(count, dtype=float) for name in BAR_COLUMNS}
    return Series(symbol, Exchange.SHFE, Interval.MINUTE, {"datetime": np.arange(count), **columns})


def test_what_stood_in_a_row_before_is_not_what_is_missing_now() -> None:
    stale = [0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 0b11_10_01]
    found = decode([stale, [*stale[:-1], 0]], Interval.MINUTE)
    assert math.isnan(found["open_price"][0])
    assert (found["high_price"][0], found["low_price"][0], found["close_price"][0]) == (math.inf, -math.inf, 4.0)
    assert found["open_price"][1] == 1.0


def test_a_row_of_another_program_has_no_word_on_what_is_missing() -> None:
    found = decode([[0, 1.0, None, 3, 4.0, None, 6.0, 7.0, None]], Interval.MINUTE)
    assert math.isnan(found["high_price"][0])
    assert (found["open_price"][0], found["low_price"][0]) == (1.0, 3.0)


@pytest.mark.parametrize("symbol", ["", "rb\\", "rb\n2501", "rb\x00", "\ud800"])
def test_a_symbol_that_can_be_no_tag_is_refused(symbol: str) -> None:
    one = bars(1, symbol)
    with pytest.raises(DataRejected, match="symbol"):
        check_rows(one, checked_columns(one))


@pytest.mark.parametrize("micros", [-MAX_MICROS - 1, MAX_MICROS + 1, NO_TIME])
def test_a_time_out_of_reach_is_refused(micros: int) -> None:
    one = bars(2)
    one.columns["datetime"][1] = micros
    with pytest.raises(DataRejected, match="datetime"):
        check_rows(one, checked_columns(one))


@pytest.mark.parametrize("sizes", [[1], [CHUNK_ROWS], [CHUNK_ROWS + 1], [5, 0, CHUNK_ROWS, 7], [100] * 250])
def test_chunks_hold_all_rows_in_order_and_none_too_many(sizes: list[int]) -> None:
    parts = [(one := bars(size, f"s{number}"), checked_columns(one)) for number, size in enumerate(sizes)]
    found = list(made_ahead(chunks_of(parts)))
    assert [chunk.rows for chunk in found[:-1]] == [CHUNK_ROWS] * (len(found) - 1)
    lines = [line for chunk in found for line in decompress(chunk.body).splitlines()]
    assert [len(decompress(chunk.body).splitlines()) for chunk in found] == [chunk.rows for chunk in found]
    expected = [line for one, columns in parts if len(one) for line in encode(one, columns).splitlines()]
    assert lines == expected


def test_rows_in_disorder_are_sent_once_each_in_order() -> None:
    one = bars(4)
    one.columns["datetime"][:] = [3, 1, 3, 2]
    (chunk,) = chunks_of([(one, checked_columns(one))])
    lines = parse(decompress(chunk.body).decode())
    assert [(time // 1000, fields["volume"]) for _, _, fields, time in lines] == [(1, 1.0), (2, 3.0), (3, 2.0)]


def test_an_error_while_a_chunk_is_made_ahead_is_raised() -> None:
    broken = bars(1), {"datetime": np.zeros(1, np.int64)}
    large = bars(CHUNK_ROWS)
    with pytest.raises(KeyError):
        list(made_ahead(chunks_of([(large, checked_columns(large)), broken])))
