"""Plain values: anything becomes what JSON can carry, and nothing raises."""

import json
import math
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.facts import JSON

from vnpy_core.engine.plain import jsonable, number, quantity, text, timestamp


class Side(Enum):
    LONG = "多"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Box:
    price: float = math.nan
    inner: dict[Any, Any] = field(default_factory=dict)


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Rudest(list[int]):
    def __iter__(self) -> Any:
        raise RuntimeError("no")


class Shy:
    def __repr__(self) -> str:
        return "x" * 10_000


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**70, str(2**70)),
        (1.5, 1.5),
        (math.nan, None),
        (-math.inf, None),
        ("中文", "中文"),
        ("bad \ud800 text", "bad ? text"),
        (Side.LONG, "LONG"),
        (Level.HIGH, "HIGH"),
        (np.float64(2.5), 2.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.float64("nan"), None),
        (np.str_("a"), "a"),
        (np.array([1.0, math.nan]), [1.0, None]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (Decimal("1.25"), 1.25),
        (Decimal("NaN"), None),
        (datetime(2026, 1, 5, 9, 30, tzinfo=ZoneInfo("Asia/Shanghai")), "2026-01-05T01:30:00.000000+00:00"),
        (datetime(2026, 1, 5, 9, 30), "2026-01-05T01:30:00.000000+00:00"),  # noqa: DTZ001 -- local time
        (date(2026, 1, 5), "2026-01-05"),
        (time(9, 30), "09:30:00"),
        (timedelta(minutes=1), 60.0),
        (pd.Timestamp("2026-01-05 09:30", tz="UTC"), "2026-01-05T09:30:00.000000+00:00"),
        (pd.NaT, None),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ((1, (2, [3])), [1, [2, [3]]]),
        (deque([1, 2]), [1, 2]),
        ({1: "a", Side.LONG: {"x": {math.inf}}}, {"1": "a", "LONG": {"x": [None]}}),
        (Box(inner={"side": Side.LONG}), {"price": None, "inner": {"side": "LONG"}}),
        (b"raw", "b'raw'"),
        (Path("/tmp/x"), "PosixPath('/tmp/x')"),
        (Rude(), "<Rude>"),
        (Rudest([1]), "[1]"),
        (Shy(), "x" * 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_become_plain(value: Any, plain: Any) -> None:
    found = jsonable({"it": value})["it"]
    assert found == plain
    assert type(found) is type(plain)
    json.dumps(found, allow_nan=False).encode()
    msgspec.json.encode(found)


@given(JSON)
def test_plain_values_stay_as_they_are(value: Any) -> None:
    assert jsonable(value) == value


def test_nothing_is_shared() -> None:
    inner = [1]
    value = {"a": inner, "b": {"c": inner}}
    copy = jsonable(value)
    inner.append(2)
    assert copy == {"a": [1], "b": {"c": [1]}}


def test_a_value_that_holds_itself_ends() -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    items: list[Any] = []
    items.append(items)
    msgspec.json.encode(jsonable([value, items]))


@pytest.mark.parametrize("value", [None, "2026-01-05", 5, date(2026, 1, 5), pd.NaT, datetime(1, 1, 1)])  # noqa: DTZ001
def test_what_is_no_moment_has_no_timestamp(value: object) -> None:
    assert timestamp(value) is None


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_a_timestamp_is_the_moment_in_utc_at_a_fixed_width(moment: datetime) -> None:
    found = timestamp(moment)
    assert found == moment.astimezone(UTC).isoformat(timespec="microseconds")
    assert len(found or "") == 32
    if moment.utcoffset() == timedelta(0) or moment.fold == 0:
        assert found == timestamp(pd.Timestamp(moment.astimezone(UTC)))


@pytest.mark.parametrize(
    ("value", "found"),
    [(1, 1.0), ("2.5", 2.5), (np.float32(0.5), 0.5), (math.nan, None), (None, None), ("x", None), (10**400, None)],
)
def test_numbers(value: Any, found: float | None) -> None:
    assert number(value) == found
    assert quantity(value) == (found or 0.0)


@given(st.text() | st.integers() | st.none())
def test_any_text_can_be_encoded(value: Any) -> None:
    text(value).encode()
