"""Import and export of data files."""

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.recorded import BITCOIN, EURO, EURO_FUTURE, YEN, is_there

from vnpy_core.data.exporter import export_file
from vnpy_core.data.files.zones import WallClock
from vnpy_core.data.history.duckdb import DuckDbHistory
from vnpy_core.data.history.memory import MemoryHistory
from vnpy_core.data.history.series import NO_TIME, to_micros
from vnpy_core.data.importer import ImportReport, ImportSpec, import_file
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import DataError, Invalid, NotFound, Unavailable
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS, Series

START = datetime(2024, 1, 2, 1, 0, tzinfo=UTC)
MINUTE = 60_000_000
HEADER = "datetime,open,high,low,close,volume"

Write = Callable[..., Path]


@pytest.fixture
def store() -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*lines: str, name: str = "bars.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def spec(**values: Any) -> ImportSpec:
    return ImportSpec(**({"vt_symbol": "rb2501.SHFE", "interval": Interval.MINUTE} | values))


def utc(**values: Any) -> ImportSpec:
    return spec(timezone="UTC", **values)


def ticks_spec(**values: Any) -> ImportSpec:
    return spec(interval=Interval.TICK, timezone="UTC", **values)


def loaded(store: MemoryHistory, interval: Interval = Interval.MINUTE) -> dict[str, list[float]]:
    found = store.load("rb2501", Exchange.SHFE, interval)
    columns = {name: values.tolist() for name, values in found.columns.items()}
    return {name: values for name, values in columns.items() if not np.isnan(values).all()}


def moments(store: MemoryHistory, interval: Interval = Interval.MINUTE) -> list[str]:
    found = store.load("rb2501", Exchange.SHFE, interval).columns["datetime"]
    return [str(moment) for moment in found.view("M8[us]")]


def refused(path: Path, store: MemoryHistory, what: ImportSpec) -> list[tuple[int, str]]:
    with pytest.raises(DataError) as caught:
        import_file(path, store, what)
    assert store.overview() == []
    assert caught.value.extra["bad"] >= len(caught.value.extra["rows"])
    return [(error["row"], error["reason"]) for error in caught.value.extra["rows"]]


# Columns and values


def test_a_csv_of_bars_is_imported_and_reported(store: MemoryHistory, write: Write) -> None:
    path = write(HEADER, "2024-01-02 01:00:00,10,12,9,11,100", "2024-01-02 01:01:00,11,13,10,12,200.5")
    report = import_file(path, store, utc())
    assert loaded(store) == {
        "datetime": [to_micros(START), to_micros(START) + MINUTE],
        "open_price": [10, 11],
        "high_price": [12, 13],
        "low_price": [9, 10],
        "close_price": [11, 12],
        "volume": [100, 200.5],
    }
    assert report == ImportReport(
        path=path,
        vt_symbol="rb2501.SHFE",
        interval=Interval.MINUTE,
        columns={
            "datetime": "datetime",
            "open_price": "open",
            "high_price": "high",
            "low_price": "low",
            "close_price": "close",
            "volume": "volume",
        },
        time_format="ISO 8601 without a UTC offset",
        rows=2,
        imported=2,
        bad=0,
        repeated=0,
        errors=[],
        start="2024-01-02T01:00:00.000000+00:00",
        end="2024-01-02T01:01:00.000000+00:00",
        seconds=report.seconds,
    )


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("timestamp,Open,High,Low,Close,Volume", "2024-01-02 01:00,1,4,0,3,5"),
        ("Date,Time,O,H,L,C,V", "2024-01-02,01:00,1,4,0,3,5"),
        ("<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<VOL>", "20240102;01:00:00;1;4;0;3;5"),
        ("日期\t时间\t开盘价\t最高价\t最低价\t收盘价\t成交量", "2024-01-02\t01:00\t1\t4\t0\t3\t5"),
        ("symbol,close_price,low_price,datetime,high_price,open_price,volume", "rb,3,0,2024-01-02 01:00,4,1,5"),
        ('"datetime","open","high","low","close","volume"', '"2024-01-02 01:00:00","1","4","0","3","5"'),
        ('name,datetime,open,high,low,close,volume', '"Rebar, Jan",2024-01-02 01:00:00,1,4,0,3,5'),
        (" datetime , open,high ,low, close,volume", " 2024-01-02 01:00:00 , 1,4 ,0, 3,5"),
    ],
)
def test_common_names_are_recognised(store: MemoryHistory, write: Write, header: str, row: str) -> None:
    import_file(write(header, row), store, utc())
    values = loaded(store)
    assert values.pop("datetime") == [to_micros(START)]
    assert values == {"open_price": [1], "high_price": [4], "low_price": [0], "close_price": [3], "volume": [5]}


def test_names_that_do_not_tell_are_mapped(store: MemoryHistory, write: Write) -> None:
    path = write("when,first,top,bottom,last,volume,deals", "2024-01-02 01:00,1,4,0,3,5,9")
    mapping = {"datetime": "when", "open_price": "first", "high_price": "top", "low_price": "bottom"}
    import_file(path, store, utc(columns=mapping | {"close_price": "last", "turnover": "deals", "volume": ""}))
    values = loaded(store)
    assert (values["open_price"], values["close_price"], values["turnover"]) == ([1], [3], [9])
    assert "volume" not in values


def test_two_columns_can_be_named_for_the_time(store: MemoryHistory, write: Write) -> None:
    path = write("d,t,open,high,low,close", "02.01.2024,01:00,1,4,0,3")
    import_file(path, store, utc(columns={"datetime": "d+t"}, datetime_format="%d.%m.%Y %H:%M"))
    assert moments(store) == ["2024-01-02T01:00:00.000000"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"open": "open"}, r"'open' is no column of ours \(did you mean 'open_price'"),
        ({"volume": "volumes"}, r"no column 'volumes' for volume \(did you mean 'volume'"),
        ({"close_price": ""}, "No column is known to be close_price"),
    ],
)
def test_a_wrong_mapping_says_what_there_is(
    store: MemoryHistory, write: Write, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(Invalid, match=message):
        import_file(write(HEADER, "2024-01-02 01:00,1,4,0,3,5"), store, utc(columns=columns))


def test_a_file_without_header_needs_its_columns_named(store: MemoryHistory, write: Write) -> None:
    path = write("2024-01-02 01:00,1,4,0,3,5", "2024-01-02 01:01,1,4,0,3,6")
    with pytest.raises(Invalid, match=r"if the first line is no header, name all columns"):
        import_file(path, store, utc())
    report = import_file(path, store, utc(names=HEADER.split(",")))
    assert (report.rows, loaded(store)["volume"]) == (2, [5, 6])


def test_quotes_are_ticks(store: MemoryHistory, write: Write) -> None:
    rows = ["2024-01-02 01:00:00.5,1.5,1.6,10,20", "2024-01-02 01:00:01,1.4,,,"]
    path = write("timestamp,bid,ask,bid_size,ask_size", *rows)
    import_file(path, store, ticks_spec())
    found = store.load("rb2501", Exchange.SHFE, Interval.TICK).columns
    assert found["bid_price_1"].tolist() == [1.5, 1.4]
    np.testing.assert_array_equal(found["ask_price_1"], [1.6, np.nan])
    np.testing.assert_array_equal(found["bid_volume_1"], [10, np.nan])
    assert np.isnan(found["last_price"]).all()
    assert (found["localtime"] == NO_TIME).all()


def test_five_levels_are_recognised(store: MemoryHistory, write: Write) -> None:
    names = [f"{kind}{level}" for kind in ("BidPrice", "AskPrice", "BidVolume", "AskVolume") for level in range(1, 6)]
    path = write("datetime,LastPrice," + ",".join(names), "2024-01-02 01:00:00,99," + ",".join(map(str, range(20))))
    report = import_file(path, store, ticks_spec())
    found = store.load("rb2501", Exchange.SHFE, Interval.TICK).columns
    kinds = ("bid_price", "ask_price", "bid_volume", "ask_volume")
    ours = [f"{kind}_{level}" for kind in kinds for level in range(1, 6)]
    assert [found[name][0] for name in ours] == list(range(20))
    assert report.columns["ask_volume_5"] == "AskVolume5"


def test_the_last_price_can_be_taken_from_quotes(store: MemoryHistory, write: Write) -> None:
    rows = ["2024-01-02 01:00:00,,10,11", "2024-01-02 01:00:01,9,10,11", "2024-01-02 01:00:02,,10,"]
    import_file(write("datetime,last,bid,ask", *rows), store, ticks_spec(last_from_quotes=True))
    found = store.load("rb2501", Exchange.SHFE, Interval.TICK).columns
    np.testing.assert_array_equal(found["last_price"], [10.5, 9, np.nan])


def test_ticks_of_one_instant_are_all_kept_in_their_order(store: MemoryHistory, write: Write) -> None:
    rows = [f"2024-01-02 01:00:00.00{second},{price}" for price, second in enumerate("0000112")]
    path = write("datetime,price", *rows)
    for _ in range(2):
        assert import_file(path, store, ticks_spec()).imported == 7
    values = loaded(store, Interval.TICK)
    assert values["last_price"] == list(range(7))
    assert [micros - to_micros(START) for micros in values["datetime"]] == [0, 1, 2, 3, 1000, 1001, 2000]


def test_ticks_out_of_order_are_sorted(store: MemoryHistory, write: Write) -> None:
    path = write("datetime,price", *(f"2024-01-02 01:00:0{second},{price}" for price, second in enumerate("3121")))
    assert import_file(path, store, ticks_spec()).imported == 4
    assert loaded(store, Interval.TICK)["last_price"] == [1, 3, 2, 0]


# Times


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-02T01:00:00Z",
        "2024-01-02 01:00:00.000000+00:00",
        "2024-01-02 09:00:00+08:00",
        "2024-01-02T09:00:00+0800",
        "2024-01-02 09:00:00 +08",
        "2024-01-01 20:00-05:00",
        "2024-01-02 01:00:00 UTC",
        "1704157200",
        "1704157200.000",
        "1704157200000",
        "1704157200000000",
        "1704157200000000000",
    ],
)
def test_times_that_are_absolute_need_no_zone(store: MemoryHistory, write: Write, text: str) -> None:
    import_file(write(HEADER, f"{text},1,4,0,3,5"), store, spec())
    assert moments(store) == ["2024-01-02T01:00:00.000000"]


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-02 09:00:00",
        "2024-01-02T09:00",
        "2024/01/02 09:00:00.000",
        "2024/1/2 9:00",
        "20240102 090000000",
        "20240102 090000",
        "20240102 09:00:00",
        "20240102 09:00:00.000",
        "20240102 09:00",
        "20240102T090000",
        "20240102090000000",
        "20240102090000",
        "202401020900",
        "2024.01.02 09:00:00",
        "2024.01.02 09:00:00.000",
        "2024.01.02 09:00",
    ],
)
def test_times_of_a_wall_clock_need_its_zone(store: MemoryHistory, write: Write, text: str) -> None:
    path = write(HEADER, f"{text},1,4,0,3,5")
    with pytest.raises(Invalid, match="in which time zone"):
        import_file(path, store, spec())
    import_file(path, store, spec(timezone="Asia/Shanghai"))
    assert moments(store) == ["2024-01-02T01:00:00.000000"]


@pytest.mark.parametrize("text", ["2024-01-02", "20240102", "2024.01.02", "2024/01/02"])
def test_dates_of_days(store: MemoryHistory, write: Write, text: str) -> None:
    import_file(write(HEADER, f"{text},1,4,0,3,5"), store, utc(interval=Interval.DAILY))
    assert moments(store, Interval.DAILY) == ["2024-01-02T00:00:00.000000"]


@pytest.mark.parametrize(
    ("text", "pattern", "zone"),
    [
        ("02/01/2024 09:00", "%d/%m/%Y %H:%M", "Asia/Shanghai"),
        ("Jan 02 2024 01:00:00", "%b %d %Y %H:%M:%S", "UTC"),
        ("02/01/2024 09:00 +0800", "%d/%m/%Y %H:%M %z", None),
        ("1704157200", "epoch_s", None),
        ("20240102 010000000", "YYYYMMDD HHMMSSmmm", "UTC"),
    ],
)
def test_a_time_format_can_be_given(
    store: MemoryHistory, write: Write, text: str, pattern: str, zone: str | None
) -> None:
    import_file(write(HEADER, f"{text},1,4,0,3,5"), store, spec(datetime_format=pattern, timezone=zone))
    assert moments(store) == ["2024-01-02T01:00:00.000000"]


def test_times_that_are_not_recognised_ask_for_their_format(store: MemoryHistory, write: Write) -> None:
    path = write(HEADER, "2 January 2024,1,4,0,3,5")
    with pytest.raises(Invalid, match=r"such as '2 January 2024', are in no format .* datetime_format"):
        import_file(path, store, utc())
    with pytest.raises(Invalid, match="neither a strptime pattern"):
        import_file(path, store, utc(datetime_format="DD MONTH YYYY"))
    with pytest.raises(Invalid, match="not an IANA time zone"):
        import_file(path, store, spec(timezone="Shanghai"))


@pytest.mark.parametrize(("interval", "expected"), [(Interval.MINUTE, "00:59"), (Interval.HOUR, "00:00")])
def test_bars_dated_by_their_end_are_dated_by_their_start(
    store: MemoryHistory, write: Write, interval: Interval, expected: str
) -> None:
    path = write(HEADER, "2024-01-02 01:00,1,4,0,3,5")
    import_file(path, store, utc(interval=interval, bar_time="end"))
    assert moments(store, interval) == [f"2024-01-02T{expected}:00.000000"]


def test_days_dated_by_their_end_are_refused(store: MemoryHistory, write: Write) -> None:
    with pytest.raises(Invalid, match="dated by their end"):
        import_file(write(HEADER, "2024-01-02,1,4,0,3,5"), store, utc(interval=Interval.DAILY, bar_time="end"))


def test_times_that_a_zone_never_had_or_had_twice_are_bad(store: MemoryHistory, write: Write) -> None:
    path = write(
        HEADER,
        "2024-03-10 01:59:00,1,4,0,3,5",
        "2024-03-10 02:00:00,1,4,0,3,5",
        "2024-03-10 02:59:59,1,4,0,3,5",
        "2024-03-10 03:00:00,1,4,0,3,5",
        "2024-11-03 00:59:00,1,4,0,3,5",
        "2024-11-03 01:00:00,1,4,0,3,5",
        "2024-11-03 02:00:00,1,4,0,3,5",
    )
    errors = refused(path, store, spec(timezone="America/New_York"))
    assert [row for row, _ in errors] == [3, 4, 7]
    assert "skipped" in errors[0][1]
    assert "repeated" in errors[2][1]
    report = import_file(path, store, spec(timezone="America/New_York", skip_bad_rows=True))
    assert (report.rows, report.imported, report.bad) == (7, 4, 3)
    assert moments(store) == [
        "2024-03-10T06:59:00.000000",
        "2024-03-10T07:00:00.000000",
        "2024-11-03T04:59:00.000000",
        "2024-11-03T07:00:00.000000",
    ]


@settings(deadline=None)
@given(
    wall=st.lists(st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=10),  # noqa: DTZ001
    zone=st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Europe/London", "Australia/Lord_Howe"]),
)
@example(wall=[datetime(2024, 11, 3, 1, 30)], zone="America/New_York")  # noqa: DTZ001
@example(wall=[datetime(2024, 3, 10, 2, 30)], zone="America/New_York")  # noqa: DTZ001
def test_wall_times_become_the_moments_that_zoneinfo_says(wall: list[datetime], zone: str) -> None:
    known = ZoneInfo(zone)
    micros = np.array([to_micros(moment.replace(tzinfo=UTC)) for moment in wall], np.int64)
    clock = WallClock(known, int(micros.min()), int(micros.max()))
    assert clock.to_utc(micros).tolist() == [to_micros(moment.replace(tzinfo=known)) for moment in wall]
    for moment, place in zip(wall, micros.tolist(), strict=True):
        doubtful = any(first <= place < after for first, after in (shift.doubtful for shift in clock.shifts))
        first, second = (moment.replace(tzinfo=known, fold=fold).utcoffset() for fold in (0, 1))
        assert doubtful == (first != second)


# Bad rows


def test_bad_rows_are_told_by_number_and_reason_and_nothing_is_imported(store: MemoryHistory, write: Write) -> None:
    path = write(
        HEADER,
        "2024-01-02 01:00:00,1,4,0,3,5",
        "2024-01-02 01:01:00,1,4,0,3",
        "2024-01-02 01:02:00,1,4,0,3,5,6",
        "",
        "yesterday,1,4,0,3,5",
        ",1,4,0,3,5",
        "2024-01-02 01:03:00,one,4,0,3,5",
        "2024-01-02 01:04:00,,4,0,3,5",
        "2024-01-02 01:05:00,1,nan,0,3,5",
        "2024-01-02 01:06:00,1,inf,0,3,5",
        "2024-01-02 01:07:00,1,4,5,3,5",
        "2024-01-02 01:08:00,1,4,0,3,-5",
        "2024-01-02 01:09:00,1,4,0,3,many",
        "1824-01-02 01:10:00,1,4,0,3,5",
        "2024-01-02 25:00:00,1,4,0,3,5",
        "2024-01-02 01:11:00+08:00,1,4,0,3,5",
        "2024-01-02 01:12:00,1,4,0,3,",
    )
    assert refused(path, store, utc()) == [
        (3, "5 fields where 6 are expected"),
        (4, "7 fields where 6 are expected"),
        (6, "datetime yesterday is not ISO 8601 without a UTC offset"),
        (7, "datetime is missing"),
        (8, "open_price one is not a number"),
        (9, "open_price is missing"),
        (10, "high_price nan is not finite"),
        (11, "high_price inf is not finite"),
        (12, "high_price 4.0 is below low_price 5.0"),
        (13, "volume -5.0 is negative"),
        (14, "volume many is not a number"),
        (15, "datetime is not between the years 1900 and 2200"),
        (16, "datetime 2024-01-02 25:00:00 is not ISO 8601 without a UTC offset"),
        (17, "datetime 2024-01-02 01:11:00+08:00 is not ISO 8601 without a UTC offset"),
    ]
    report = import_file(path, store, utc(skip_bad_rows=True))
    assert (report.rows, report.imported, report.bad) == (16, 2, 14)
    assert len(report.errors) == 14
    assert moments(store) == ["2024-01-02T01:00:00.000000", "2024-01-02T01:12:00.000000"]


def test_bad_ticks_are_told(store: MemoryHistory, write: Write) -> None:
    path = write(
        "datetime,bid,ask,bid_volume,volume",
        "2024-01-02 01:00:00,1,2,3,4",
        "2024-01-02 01:00:01,,,3,4",
        "2024-01-02 01:00:02,1,2,-3,4",
        "2024-01-02 01:00:03,x,2,3,4",
        "2024-01-02 01:00:04,inf,2,3,4",
    )
    assert refused(path, store, ticks_spec()) == [
        (3, "there is no price"),
        (4, "bid_volume_1 -3.0 is negative"),
        (5, "bid_price_1 x is not a number"),
        (6, "bid_price_1 inf is not finite"),
    ]


def test_only_the_first_bad_rows_are_shown_and_all_are_counted(store: MemoryHistory, write: Write) -> None:
    path = write(HEADER, *(f"2024-01-02 01:{minute:02}:00,1,4,0,3,-1" for minute in range(50)))
    with pytest.raises(DataError, match=r"50 of the 50 rows of bars\.csv are bad.*Row 2: volume -1\.0") as caught:
        import_file(path, store, utc())
    assert caught.value.extra["bad"] == 50
    assert [error["row"] for error in caught.value.extra["rows"]] == list(range(2, 22))


def test_a_file_of_bad_rows_alone_is_refused_even_if_they_are_to_be_skipped(store: MemoryHistory, write: Write) -> None:
    path = write(HEADER, "2024-01-02 01:00:00,1,4,0,3,-1")
    with pytest.raises(DataError, match="1 of the 1 rows"):
        import_file(path, store, utc(skip_bad_rows=True))


def test_a_row_that_is_no_text_is_told_by_its_number(store: MemoryHistory, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    lines = [HEADER.encode(), *(f"2024-01-02 01:{minute:02}:00,1,4,0,3,5".encode() for minute in range(6))]
    lines[3] = b"2024-01-02 01:02:00,1,4,0,\xff\xfe,5"
    lines[5] = b"2024-01-02 01:04:00,1,4,0,3,-5"
    path.write_bytes(b"\n".join(lines))
    assert refused(path, store, utc()) == [(4, "not UTF-8"), (6, "volume -5.0 is negative")]
    assert import_file(path, store, utc(skip_bad_rows=True)).imported == 4


def test_row_numbers_are_right_in_a_large_file(store: MemoryHistory, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    count = 800_000
    stamps = np.datetime_as_string((np.arange(count) * MINUTE).view("M8[us]"), unit="s").tolist()
    lines = [HEADER, *(f"{stamp},1000.25,1000.50,1000.00,1000.25,123456" for stamp in stamps)]
    for row, text in ((300_000, "\udcff"), (500_001, "\udcff"), (400_000, "x,1,1,1,1,1"), (700_000, "y,1,1,1,1,1")):
        lines[row - 1] = text
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    assert path.stat().st_size > 35_000_000
    errors = refused(path, store, utc())
    assert [row for row, _ in errors] == [300_000, 400_000, 500_001, 700_000]


def test_bars_of_one_time_are_one_if_equal_and_else_bad(store: MemoryHistory, write: Write) -> None:
    path = write(
        HEADER,
        "2024-01-02 01:02:00,1,4,0,3,5",
        "2024-01-02 01:01:00,1,4,0,3,5",
        "2024-01-02 01:00:00,1,4,0,3,5",
        "2024-01-02 01:01:00,1,4,0,3,5",
        "2024-01-02 01:02:00,1,4,0,3,6",
    )
    assert refused(path, store, utc()) == [(6, "the same time as row 2, with other values")]
    report = import_file(path, store, utc(skip_bad_rows=True))
    assert (report.rows, report.imported, report.bad, report.repeated) == (5, 3, 1, 1)
    assert loaded(store)["volume"] == [5, 5, 5]


def test_bars_out_of_order_are_sorted(store: MemoryHistory, write: Write) -> None:
    path = write(HEADER, *(f"2024-01-02 01:{minute:02}:00,1,4,0,3,{minute}" for minute in reversed(range(20))))
    report = import_file(path, store, utc())
    assert loaded(store)["volume"] == list(range(20))
    assert (report.start, report.end) == ("2024-01-02T01:00:00.000000+00:00", "2024-01-02T01:19:00.000000+00:00")


def test_a_bad_row_hides_no_disorder(store: MemoryHistory, write: Write) -> None:
    rows = ["2024-01-02 01:05:00,1,4,0,3,5", "someday,1,4,0,3,5", "2024-01-02 01:03:00,1,4,0,3,6"]
    report = import_file(write(HEADER, *rows), store, utc(skip_bad_rows=True))
    assert (report.start[11:16], report.end[11:16]) == ("01:03", "01:05")
    assert loaded(store)["volume"] == [6, 5]


def test_bars_too_near_together_for_their_interval_are_refused(store: MemoryHistory, write: Write) -> None:
    path = write(HEADER, *(f"2024-01-02 01:{minute:02}:00,1,4,0,3,5" for minute in range(20)))
    with pytest.raises(Invalid, match="interval HOUR"):
        import_file(path, store, utc(interval=Interval.HOUR))


# Files


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("header", [True, False])
def test_line_ends_and_marks_do_not_matter(
    store: MemoryHistory, tmp_path: Path, ending: str, mark: str, last: bool, header: bool
) -> None:
    rows = [f"2024-01-02 01:0{minute}:00,1,4,0,3,5" for minute in range(3)]
    text = mark + ending.join([HEADER, *rows] if header else rows) + (ending if last else "")
    path = tmp_path / "bars.csv"
    path.write_bytes(text.encode())
    assert import_file(path, store, utc(names=None if header else HEADER.split(","))).imported == 3


def test_line_ends_may_be_mixed(store: MemoryHistory, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(f"{HEADER}\n2024-01-02 01:00:00,1,4,0,3,5\r\n2024-01-02 01:01:00,1,4,0,3,6\n".encode())
    import_file(path, store, utc())
    assert loaded(store)["volume"] == [5, 6]


@pytest.mark.parametrize("name", ["bars.csv.gz", "BARS.CSV.GZ", "odd [name]* 'x'.csv.gz"])
def test_a_packed_file_of_any_name(store: MemoryHistory, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(f"{HEADER}\n2024-01-02 01:00:00,1,4,0,3,5\n".encode()))
    assert import_file(path, store, utc()).imported == 1


def test_files_that_cannot_be_read_say_why(store: MemoryHistory, tmp_path: Path) -> None:
    def refuses(name: str, content: bytes | None, kind: type[Exception], message: str) -> None:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(kind, match=message):
            import_file(path, store, utc())

    packed = gzip.compress((HEADER + "\n" + "2024-01-02 01:00:00,1,4,0,3,5\n" * 100_000).encode())
    refuses("none.csv", None, Invalid, "no file")
    refuses("bars.xlsx", b"x", Invalid, "no known kind")
    refuses("empty.csv", b"", DataError, "is empty")
    refuses("header.csv", HEADER.encode(), Invalid, "no format|no rows")
    refuses("text.csv.gz", b"no gzip at all", DataError, "cannot be read")
    refuses("cut.csv.gz", packed[: len(packed) // 2], DataError, r"cut\.csv\.gz cannot be read: .*GZIP stream$")
    refuses("bars.parquet", b"no parquet at all", DataError, "no readable Parquet file")
    assert store.overview() == []


def parquet(path: Path, select: str) -> Path:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"copy ({select}) to '{path}' (format parquet)")
    return path


@pytest.mark.parametrize(
    ("moment", "zone"),
    [
        ("timestamp '2024-01-02 09:00:00'", "Asia/Shanghai"),
        ("timestamp_ns '2024-01-02 09:00:00'", "Asia/Shanghai"),
        ("timestamp_ms '2024-01-02 01:00:00'", "UTC"),
        ("timestamptz '2024-01-02 01:00:00+00'", None),
        ("'2024-01-02 01:00:00Z'", None),
        ("1704157200000", None),
        ("1704157200.0::double", None),
    ],
)
def test_parquet_keeps_its_types(store: MemoryHistory, tmp_path: Path, moment: str, zone: str | None) -> None:
    values = '1 as open, 4::float as high, 0::decimal(9, 2) as low, \'3\' as close, 5::bigint as "Volume"'
    path = parquet(tmp_path / "bars.parquet", f"select {moment} as timestamp, {values}")
    import_file(path, store, spec(timezone=zone))
    assert moments(store) == ["2024-01-02T01:00:00.000000"]
    found = {name: value[0] for name, value in loaded(store).items() if name != "datetime"}
    assert found == {"open_price": 1, "high_price": 4, "low_price": 0, "close_price": 3, "volume": 5}


def test_bad_rows_of_parquet_are_counted_from_one(store: MemoryHistory, tmp_path: Path) -> None:
    select = (
        "select timestamp '2024-01-02 01:00:00' + to_minutes(i::bigint) as time, 1.0 as open,"
        " case i when 3 then 'nan'::double when 5 then null else 4.0 end as high, 0.0 as low, 2.0 as close"
        " from range(10) as given(i)"
    )
    path = parquet(tmp_path / "bars.parquet", select)
    assert refused(path, store, utc()) == [(4, "high_price nan is not finite"), (6, "high_price is missing")]


# All or nothing


class BreakingHistory(MemoryHistory):
    """A store that fails when half of a batch has come."""

    def save(self, batch: Iterable[Series]) -> int:
        for _ in batch:
            raise Unavailable("the disk is full")
        return 0


def large(path: Path, count: int = 250_000) -> Path:
    stamps = np.datetime_as_string((np.arange(count) * MINUTE).view("M8[us]"), unit="s").tolist()
    path.write_text("\n".join([HEADER, *(f"{stamp},1,4,0,3,5" for stamp in stamps)]))
    return path


def test_a_store_that_fails_is_left_as_it_was(tmp_path: Path, scratch: Path) -> None:
    path = large(tmp_path / "bars.csv")
    with pytest.raises(Unavailable):
        import_file(path, BreakingHistory(), utc(), scratch_dir=scratch)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("stage", ["reading", "writing"])
def test_an_interrupted_import_leaves_nothing(tmp_path: Path, scratch: Path, stage: str) -> None:
    path = large(tmp_path / "bars.csv")
    store = DuckDbHistory(tmp_path / "history.duckdb", 64)

    def interrupt(at: str, done: int, total: int) -> None:
        if at == stage and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(path, store, utc(), interrupt, scratch_dir=scratch)
    assert store.overview() == []
    assert len(store.load("rb2501", Exchange.SHFE, Interval.MINUTE)) == 0
    assert list(scratch.iterdir()) == []
    assert import_file(path, store, utc(), scratch_dir=scratch).imported == 250_000
    store.close()


KILLED = """
import sys
import time
from pathlib import Path
from vnpy_core.data.history.duckdb import DuckDbHistory
from vnpy_core.data.importer import ImportSpec, import_file
from vnpy_core.enums import Interval

def told(stage, done, total):
    if stage == "writing":
        print(done, flush=True)
        time.sleep(60)

store = DuckDbHistory(Path(sys.argv[1]), 64)
spec = ImportSpec(vt_symbol="x.SHFE", interval=Interval.MINUTE, timezone="UTC")
import_file(Path(sys.argv[2]), store, spec, told, scratch_dir=Path(sys.argv[3]))
"""


def test_a_kill_amid_the_writing_leaves_nothing_in_the_store(tmp_path: Path, scratch: Path) -> None:
    history = tmp_path / "history.duckdb"
    command = [sys.executable, "-c", KILLED, str(history), str(large(tmp_path / "bars.csv")), str(scratch)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert int(process.stdout.readline()) == 100_000
    process.kill()
    process.communicate()
    store = DuckDbHistory(history, 64)
    assert store.overview() == []
    assert len(store.load("x", Exchange.SHFE, Interval.MINUTE)) == 0
    store.close()


def test_importing_again_replaces(tmp_path: Path, write: Write) -> None:
    store = DuckDbHistory(tmp_path / "history.duckdb", 64)
    rows = [f"2024-01-02 01:0{minute}:00,1,4,0,3,5" for minute in range(5)]
    import_file(write(HEADER, *rows), store, utc())
    import_file(write(HEADER, *(row[:-1] + "7" for row in rows[2:])), store, utc())
    assert store.load("rb2501", Exchange.SHFE, Interval.MINUTE).columns["volume"].tolist() == [5, 5, 7, 7, 7]
    store.close()


def test_progress_is_told_in_order(store: MemoryHistory, tmp_path: Path) -> None:
    path = large(tmp_path / "bars.csv")
    told: list[tuple[str, int, int]] = []
    import_file(path, store, utc(), lambda *what: told.append(what))
    size = path.stat().st_size
    reading = [(done, total) for stage, done, total in told if stage == "reading"]
    assert reading == sorted(reading)
    assert reading[-1] == (size, size)
    assert [what for what in told if what[0] == "writing"] == [
        ("writing", 100_000, 250_000),
        ("writing", 200_000, 250_000),
        ("writing", 250_000, 250_000),
    ]


MEMORY = """
import sys
from pathlib import Path
from vnpy_core.data.history.duckdb import DuckDbHistory
from vnpy_core.data.importer import ImportSpec, import_file
from vnpy_core.enums import Interval

store = DuckDbHistory(Path(sys.argv[1]), 64)
spec = ImportSpec(vt_symbol="x.SHFE", interval=Interval.MINUTE, timezone="UTC")
print(import_file(Path(sys.argv[2]), store, spec).imported)
store.close()
fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(fields["VmHWM"].split()[0]) // 1024)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for count in (300_000, 1_500_000):
        path = large(tmp_path / "bars.csv", count)
        command = [sys.executable, "-c", MEMORY, str(tmp_path / f"{count}.duckdb"), str(path)]
        imported, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert int(imported) == count
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 100
    assert peaks[1] < 450


# Export


def stored_bars(count: int = 50) -> Series:
    rng = np.random.default_rng(1)
    low = rng.normal(3500, 10, count)
    high = low + rng.random(count)
    columns = {
        "datetime": to_micros(START) + np.arange(count, dtype=np.int64) * MINUTE,
        "open_price": (low + high) / 2,
        "high_price": high,
        "low_price": low,
        "close_price": low + (high - low) / 3,
        "volume": rng.random(count) * 1e9,
        "turnover": np.where(np.arange(count) % 2, np.nan, rng.random(count) * 1e12),
        "open_interest": np.full(count, np.nan),
    }
    return Series("rb2501", Exchange.SHFE, Interval.MINUTE, columns)


def stored_ticks(count: int = 50) -> Series:
    rng = np.random.default_rng(1)
    times = to_micros(START) + np.cumsum(rng.integers(1, 1_000_000, count))
    columns: dict[str, Any] = {"datetime": times, "localtime": times + 77}
    columns["localtime"][::3] = NO_TIME
    columns |= {name: np.where(rng.random(count) < 0.2, np.nan, rng.random(count)) for name in TICK_COLUMNS}
    columns["last_price"] = rng.random(count)
    return Series("rb2501", Exchange.SHFE, Interval.TICK, columns)


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet"])
@pytest.mark.parametrize("series", [stored_bars(), stored_ticks()], ids=["bars", "ticks"])
def test_what_is_exported_is_imported_equal(store: MemoryHistory, tmp_path: Path, name: str, series: Series) -> None:
    store.save([series])
    path = tmp_path / name
    report = export_file(path, store, "rb2501.SHFE", series.interval)
    assert (report.rows, report.path, report.start[:16]) == (50, path, "2024-01-02T01:00")
    other = MemoryHistory()
    imported = import_file(path, other, spec(interval=series.interval))
    assert (imported.imported, imported.start, imported.end) == (50, report.start, report.end)
    found = other.load("rb2501", Exchange.SHFE, series.interval).columns
    for column, values in series.columns.items():
        np.testing.assert_array_equal(found[column], values, err_msg=column)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_range_is_exported(store: MemoryHistory, tmp_path: Path, name: str) -> None:
    store.save([stored_bars()])
    start = (START + timedelta(minutes=10)).astimezone(ZoneInfo("Asia/Shanghai"))
    told: list[tuple[str, int, int]] = []
    report = export_file(
        tmp_path / name, store, "rb2501.SHFE", Interval.MINUTE, start, start + timedelta(minutes=4),
        lambda *what: told.append(what),
    )  # fmt: skip
    assert (report.rows, report.start[11:16], report.end[11:16]) == (5, "01:10", "01:14")
    assert told == [("writing", 5, 50)]


def test_a_csv_can_be_read_by_people(store: MemoryHistory, tmp_path: Path) -> None:
    store.save([stored_bars(2)])
    export_file(tmp_path / "rows.csv", store, "rb2501.SHFE", Interval.MINUTE)
    header, first, *_ = (tmp_path / "rows.csv").read_text().splitlines()
    assert header == ",".join(["datetime", *BAR_COLUMNS])
    assert first.startswith("2024-01-02T01:00:00.000000+00:00,")
    assert first.endswith(",")


def test_an_export_that_cannot_be_made_leaves_the_old_file(store: MemoryHistory, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("old")
    with pytest.raises(NotFound):
        export_file(path, store, "rb2501.SHFE", Interval.MINUTE)
    store.save([stored_bars()])
    with pytest.raises(Invalid, match="no known kind"):
        export_file(tmp_path / "rows.txt", store, "rb2501.SHFE", Interval.MINUTE)
    with pytest.raises(Invalid, match="offset"):
        export_file(path, store, "rb2501.SHFE", Interval.MINUTE, START.replace(tzinfo=None))
    with pytest.raises(Unavailable, match="cannot be written"):
        export_file(tmp_path / "nowhere" / "rows.csv", store, "rb2501.SHFE", Interval.MINUTE)
    assert path.read_text() == "old"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["rows.csv"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(-2_000_000_000, 4_000_000_000), st.floats(-1e15, 1e15), st.floats(0, 1e300)),
        min_size=1,
        max_size=30,
        unique_by=lambda row: row[0],
    )
)
def test_any_bars_survive_a_csv(tmp_path: Path, rows: Sequence[tuple[int, float, float]]) -> None:
    columns = {name: np.array([row[1] for row in rows]) for name in BAR_COLUMNS[:4]}
    columns |= {name: np.array([row[2] for row in rows]) for name in BAR_COLUMNS[4:]}
    times = np.array([row[0] for row in rows], np.int64) * 1_000_000
    before, after = MemoryHistory(), MemoryHistory()
    before.save([Series("rb2501", Exchange.SHFE, Interval.DAILY, {"datetime": times, **columns})])
    export_file(tmp_path / "rows.csv", before, "rb2501.SHFE", Interval.DAILY)
    import_file(tmp_path / "rows.csv", after, spec(interval=Interval.DAILY))
    expected = before.load("rb2501", Exchange.SHFE, Interval.DAILY).columns
    found = after.load("rb2501", Exchange.SHFE, Interval.DAILY).columns
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


# Recorded market data


@pytest.fixture(params=["stand_in", "recorded"] if is_there() else ["stand_in"])
def market(request: pytest.FixtureRequest) -> Path:
    """Each of the folders of market data that there are: what stands in for the recordings must be as they are."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


def test_a_month_of_bitcoin_minutes(tmp_path: Path, market: Path) -> None:
    path = market / BITCOIN
    store = DuckDbHistory(tmp_path / "history.duckdb", 64)
    what = ImportSpec(vt_symbol="BTCUSDT.GLOBAL", interval=Interval.MINUTE, timezone="UTC", bar_time="end")
    report = import_file(path, store, what)
    assert (report.rows, report.imported, report.bad, report.repeated) == (45_031, 45_031, 0, 0)
    assert (report.start, report.end) == ("2021-12-31T23:00:00.000000+00:00", "2022-02-01T05:30:00.000000+00:00")
    found = store.load("BTCUSDT", Exchange.GLOBAL, Interval.MINUTE).columns
    assert [found[name][0] for name in BAR_COLUMNS[:5]] == [46319, 46385, 46319, 46377, 2300413.7295]
    assert [found[name][-1] for name in BAR_COLUMNS[:5]] == [38525, 38546, 38525, 38544, 685906.9735]
    item = store.overview()[0]
    assert (item.vt_symbol, item.count, item.start, item.end) == ("BTCUSDT.GLOBAL", 45_031, report.start, report.end)
    store.close()


def test_a_month_of_euro_future_minutes(tmp_path: Path, market: Path) -> None:
    path = market / EURO_FUTURE
    store = DuckDbHistory(tmp_path / "history.duckdb", 64)
    what = ImportSpec(vt_symbol="6EH4.CME", interval=Interval.MINUTE, timezone="UTC", bar_time="end")
    report = import_file(path, store, what)
    assert (report.imported, report.columns["datetime"]) == (29_996, "timestamp_utc")
    assert (report.start, report.end) == ("2024-01-01T23:00:00.000000+00:00", "2024-01-31T23:58:00.000000+00:00")
    found = store.load("6EH4", Exchange.CME, Interval.MINUTE).columns
    assert [found[name][0] for name in BAR_COLUMNS[:5]] == [1.1076, 1.10785, 1.1076, 1.1078, 205]
    assert [found[name][-1] for name in BAR_COLUMNS[:5]] == [1.08225, 1.0824, 1.08225, 1.0823, 36]
    store.close()


def test_every_quote_of_the_dollar_in_yen(tmp_path: Path, market: Path) -> None:
    path = market / YEN
    store = DuckDbHistory(tmp_path / "history.duckdb", 64)
    report = import_file(path, store, ImportSpec(vt_symbol="USDJPY.IDEALPRO", interval=Interval.TICK))
    assert (report.imported, report.start, report.end) == (
        1000,
        "2013-01-01T22:00:00.295000+00:00",
        "2013-01-01T22:35:13.494000+00:00",
    )
    found = store.load("USDJPY", Exchange.IDEALPRO, Interval.TICK).columns
    assert (found["bid_price_1"][0], found["ask_price_1"][0]) == (86.655, 86.728)
    assert (found["bid_price_1"][-1], found["ask_price_1"][-1]) == (86.836, 86.854)
    assert (np.diff(found["datetime"]) == 1).sum() == 7
    store.close()


def test_quotes_of_the_euro_without_header(tmp_path: Path, market: Path) -> None:
    path = market / EURO
    store = DuckDbHistory(tmp_path / "history.duckdb", 64)
    what = ImportSpec(
        vt_symbol="EURUSD.IDEALPRO", interval=Interval.TICK, timezone="UTC", names=["datetime", "bid", "ask", "volume"]
    )
    report = import_file(path, store, what)
    assert (report.imported, report.time_format) == (9500, "YYYYMMDD HHMMSSmmm")
    assert (report.start, report.end) == ("2020-01-01T17:00:00.065000+00:00", "2020-01-01T23:00:52.125000+00:00")
    found = store.load("EURUSD", Exchange.IDEALPRO, Interval.TICK).columns
    assert (found["bid_price_1"][0], found["ask_price_1"][-1], found["volume"].max()) == (1.1212, 1.12132, 0)
    store.close()
