"""The contract of ``ports.HistoryStore``, over every adapter, and what the DuckDB file promises beyond it."""

import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.history_stores import ADAPTERS

from vnpy_core.data.history.duckdb import DuckDbHistory
from vnpy_core.data.history.series import NO_TIME, chunks, to_micros
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import ConfigError, CoreError, Unavailable
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS, HistoryStore, Series

START = datetime(2024, 1, 1, 1, 0, tzinfo=UTC)
MINUTE = 60_000_000
SHFE, CME = Exchange.SHFE, Exchange.CME



@pytest.fixture(params=ADAPTERS)
def store(request: pytest.FixtureRequest) -> Iterator[HistoryStore]:
    with ADAPTERS[request.param](request) as made:
        yield made


def bars(
    symbol: str = "rb2501",
    count: int = 5,
    *,
    first: int = 0,
    base: float = 100.0,
    exchange: Exchange = SHFE,
    interval: Interval = Interval.MINUTE,
    name: str = "",
) -> Series:
    times = to_micros(START) + (first + np.arange(count, dtype=np.int64)) * MINUTE
    columns = {column: base + np.arange(count, dtype=float) + 1000 * place for place, column in enumerate(BAR_COLUMNS)}
    return Series(symbol, exchange, interval, {"datetime": times, **columns}, name)


def ticks(symbol: str = "rb2501", count: int = 5, *, first: int = 0) -> Series:
    times = to_micros(START) + (first + np.arange(count, dtype=np.int64)) * 500_001
    columns = {column: np.arange(count) + 1000.5 * place for place, column in enumerate(TICK_COLUMNS)}
    local = times + 1234
    if count:
        local[0] = NO_TIME
        columns["limit_up"][0] = np.nan
    return Series(symbol, SHFE, Interval.TICK, {"datetime": times, "localtime": local, **columns}, "rebar")


def load(store: HistoryStore, like: Series, *args: datetime | None, **options: object) -> Series:
    return store.load(like.symbol, like.exchange, like.interval, *args, **options)  # type: ignore[arg-type]


def assert_equal(found: Series, expected: Series) -> None:
    assert (found.symbol, found.exchange, found.interval) == (expected.symbol, expected.exchange, expected.interval)
    assert set(found.columns) == set(expected.columns)
    for name, values in expected.columns.items():
        assert found.columns[name].dtype == values.dtype, name
        np.testing.assert_array_equal(found.columns[name], values, err_msg=name)


def closes(series: Series) -> list[float]:
    return series.columns["close_price"].tolist()


@pytest.mark.parametrize("saved", [bars(), ticks()], ids=["bars", "ticks"])
def test_what_is_saved_is_loaded(store: HistoryStore, saved: Series) -> None:
    assert store.save([saved]) == 5
    assert_equal(load(store, saved), saved)


def test_nothing_is_stored_at_first(store: HistoryStore) -> None:
    assert store.overview() == []
    for series in (bars(count=0), ticks(count=0)):
        assert_equal(load(store, series), series)
    assert store.delete("rb2501", SHFE, Interval.MINUTE) == 0


def test_an_empty_batch_and_an_empty_series_are_no_error(store: HistoryStore) -> None:
    assert store.save([]) == 0
    assert store.save([bars(count=0), ticks(count=0)]) == 0
    assert store.overview() == []


def test_numbers_that_are_not_finite_are_kept(store: HistoryStore) -> None:
    saved = bars(count=4)
    saved.columns["turnover"][:] = [np.nan, np.inf, -np.inf, -0.0]
    store.save([saved])
    assert_equal(load(store, saved), saved)


def test_saving_changes_nothing_of_the_batch(store: HistoryStore) -> None:
    given_series = bars()
    given_series = Series("rb2501", SHFE, Interval.MINUTE, {k: v[::-1].copy() for k, v in given_series.columns.items()})
    before = {name: values.copy() for name, values in given_series.columns.items()}
    for values in given_series.columns.values():
        values.flags.writeable = False
    store.save([given_series])
    assert list(given_series.columns) == list(before)
    for name, values in before.items():
        np.testing.assert_array_equal(given_series.columns[name], values)


def test_rows_are_loaded_in_order_of_time_however_they_were_saved(store: HistoryStore) -> None:
    store.save([bars(count=3, first=10), bars(count=3, first=0)])
    store.save([bars(count=3, first=5)])
    loaded = load(store, bars())
    minutes = (loaded.columns["datetime"] - to_micros(START)) // MINUTE
    assert minutes.tolist() == [0, 1, 2, 5, 6, 7, 10, 11, 12]


def test_saving_again_replaces(store: HistoryStore) -> None:
    store.save([bars(count=5, base=100)])
    assert store.save([bars(count=4, first=3, base=200)]) == 4
    assert closes(load(store, bars())) == [3100, 3101, 3102, 3200, 3201, 3202, 3203]
    assert store.overview()[0].count == 7


def test_of_one_identity_the_last_row_wins(store: HistoryStore) -> None:
    twice = bars(count=2)
    twice.columns["datetime"][:] = to_micros(START)
    store.save([twice])
    assert closes(load(store, twice)) == [3101]
    store.save([bars(count=1, base=200), bars(count=1, base=300)])
    assert closes(load(store, twice)) == [3300]
    assert store.overview()[0].count == 1


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York", "Asia/Kolkata"])
def test_a_range_in_any_zone_has_exactly_its_rows(store: HistoryStore, zone: str) -> None:
    store.save([bars(count=10)])
    start, end = (START + timedelta(minutes=m) for m in (2, 6))
    start, end = start.astimezone(ZoneInfo(zone)), end.astimezone(ZoneInfo(zone))
    assert closes(load(store, bars(), start, end)) == [3102, 3103, 3104, 3105, 3106]
    inside = (start + timedelta(microseconds=1), end - timedelta(microseconds=1))
    assert closes(load(store, bars(), *inside)) == [3103, 3104, 3105]


def test_a_bound_may_be_left_open(store: HistoryStore) -> None:
    store.save([bars(count=4)])
    middle = START + timedelta(minutes=2)
    assert closes(load(store, bars(), None, middle)) == [3100, 3101, 3102]
    assert closes(load(store, bars(), middle, None)) == [3102, 3103]
    assert len(load(store, bars(), middle, START)) == 0
    assert len(load(store, bars(), START - timedelta(days=3), START - timedelta(days=2))) == 0


def test_a_bound_without_zone_is_refused(store: HistoryStore) -> None:
    store.save([bars()])
    with pytest.raises(ValueError, match="no time zone"):
        load(store, bars(), START.replace(tzinfo=None))


def test_a_limit_keeps_the_first_rows_or_the_newest(store: HistoryStore) -> None:
    store.save([bars(count=10)])
    assert closes(load(store, bars(), limit=3)) == [3100, 3101, 3102]
    assert closes(load(store, bars(), limit=3, newest=True)) == [3107, 3108, 3109]
    after = START + timedelta(minutes=6)
    assert closes(load(store, bars(), after, limit=2)) == [3106, 3107]
    assert closes(load(store, bars(), None, after, limit=2, newest=True)) == [3105, 3106]
    assert len(load(store, bars(), limit=100)) == 10
    assert len(load(store, bars(), limit=0)) == 0


def test_a_limit_finds_its_rows_where_time_has_gaps(store: HistoryStore) -> None:
    store.save([bars(count=20, first=0), bars(count=20, first=100_000), bars(count=20, first=100_050)])
    assert closes(load(store, bars(), limit=25)) == [3100.0 + n for n in range(20)] + [3100.0 + n for n in range(5)]
    newest = load(store, bars(), limit=25, newest=True)
    assert closes(newest) == [3115.0 + n for n in range(5)] + [3100.0 + n for n in range(20)]


def test_series_are_kept_apart(store: HistoryStore) -> None:
    apart = [
        bars("rb2501"),
        bars("rb2505", base=200),
        bars("rb2501", base=300, exchange=CME),
        bars("rb2501", base=400, interval=Interval.HOUR),
        ticks("rb2501"),
    ]
    assert store.save(apart) == 25
    for series in apart:
        assert_equal(load(store, series), series)
    assert store.delete("rb2501", SHFE, Interval.MINUTE) == 5
    assert len(load(store, apart[0])) == 0
    for series in apart[1:]:
        assert_equal(load(store, series), series)


def test_a_deleted_series_can_be_saved_anew(store: HistoryStore) -> None:
    store.save([bars(count=5), ticks()])
    assert store.delete("rb2501", SHFE, Interval.MINUTE) == 5
    assert store.delete("rb2501", SHFE, Interval.MINUTE) == 0
    store.save([bars(count=2, base=7)])
    assert closes(load(store, bars())) == [3007, 3008]
    assert [(item.interval, item.count) for item in store.overview()] == [(Interval.MINUTE, 2), (Interval.TICK, 5)]


def test_the_overview_counts_and_dates_each_series(store: HistoryStore) -> None:
    store.save([bars("b"), bars("a", count=3, first=5), ticks("a"), bars("x", exchange=Exchange.EUREX, count=1)])
    store.save([bars("a", count=3, first=0)])
    assert [(item.vt_symbol, item.interval, item.count) for item in store.overview()] == [
        ("a.SHFE", Interval.MINUTE, 6),
        ("a.SHFE", Interval.TICK, 5),
        ("b.SHFE", Interval.MINUTE, 5),
        ("x.EUX", Interval.MINUTE, 1),
    ]
    first = store.overview()[0]
    assert (first.start, first.end) == ("2024-01-01T01:00:00.000000+00:00", "2024-01-01T01:07:00.000000+00:00")
    assert (first.symbol, first.exchange) == ("a", SHFE)


def test_the_last_name_that_is_not_empty_is_kept(store: HistoryStore) -> None:
    store.save([bars(name="Rebar")])
    store.save([bars(name="")])
    assert load(store, bars()).name == "Rebar"
    store.save([bars(name="螺纹钢")])
    assert load(store, bars()).name == "螺纹钢"


def test_a_large_series_may_come_in_parts(store: HistoryStore) -> None:
    assert store.save(bars(count=1000, first=1000 * part) for part in range(30)) == 30_000
    assert store.overview()[0].count == 30_000
    parts = list(chunks(store, "rb2501", SHFE, Interval.MINUTE, rows=7000))
    assert [len(part) for part in parts] == [7000, 7000, 7000, 7000, 2000]
    times = np.concatenate([part.columns["datetime"] for part in parts])
    np.testing.assert_array_equal(times, to_micros(START) + np.arange(30_000) * MINUTE)


def test_parts_that_raise_write_nothing(store: HistoryStore) -> None:
    store.save([bars(count=2)])

    def parts() -> Iterator[Series]:
        yield bars(count=120_000, base=5)
        yield bars("other", count=120_000)
        raise RuntimeError("the file ended early")

    with pytest.raises(RuntimeError, match="ended early"):
        store.save(parts())
    assert closes(load(store, bars())) == [3100, 3101]
    assert len(store.overview()) == 1


def test_a_series_without_a_column_is_refused_and_nothing_is_written(store: HistoryStore) -> None:
    broken = bars("broken")
    short = Series("short", SHFE, Interval.MINUTE, {**bars().columns, "volume": np.zeros(2)})
    missing = Series("broken", SHFE, Interval.MINUTE, {k: v for k, v in broken.columns.items() if k != "volume"})
    with pytest.raises(ValueError, match="volume"):
        store.save([bars(), missing])
    with pytest.raises(ValueError, match="length"):
        store.save([bars(), short])
    assert store.overview() == []


def test_chunks_of_a_range_are_its_rows(store: HistoryStore) -> None:
    store.save([bars(count=50)])
    start, end = START + timedelta(minutes=10), START + timedelta(minutes=29)
    parts = list(chunks(store, "rb2501", SHFE, Interval.MINUTE, start, end, rows=10))
    assert [len(part) for part in parts] == [10, 10]
    assert closes(parts[-1])[-1] == 3129
    assert list(chunks(store, "nothing", SHFE, Interval.MINUTE)) == []


def test_a_closed_store_is_unavailable(store: HistoryStore) -> None:
    store.close()
    store.close()
    with pytest.raises(Unavailable, match="closed"):
        store.save([bars()])
    with pytest.raises(Unavailable, match="closed"):
        load(store, bars())
    with pytest.raises(Unavailable, match="closed"):
        store.overview()


def test_many_threads_read_and_write_at_once(store: HistoryStore) -> None:
    symbols = [f"s{number}" for number in range(6)]
    stop = threading.Event()
    torn: list[int] = []

    def write(symbol: str) -> None:
        for turn in range(15):
            store.save([bars(symbol, 100, base=1000.0 * turn), ticks(symbol, 20, first=20 * turn)])

    def read() -> None:
        while not stop.is_set():
            for symbol in symbols:
                found = store.load(symbol, SHFE, Interval.MINUTE)
                if len(found) not in (0, 100) or len({value // 1000 for value in found.columns["open_price"]}) > 1:
                    torn.append(len(found))
                store.overview()

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        writers = [pool.submit(write, symbol) for symbol in symbols]
        try:
            for writer in writers:
                writer.result()
        finally:
            stop.set()
        for reader in readers:
            reader.result()
    assert torn == []
    assert {item.count for item in store.overview()} == {100, 300}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    saves=st.lists(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=8)),
            max_size=4,
        ),
        max_size=6,
    ),
    low=st.integers(0, 30),
    width=st.integers(-1, 30),
    limit=st.none() | st.integers(0, 12),
    newest=st.booleans(),
)
def test_any_saves_and_any_range_behave_as_a_dictionary(
    store: HistoryStore,
    saves: list[list[tuple[str, list[tuple[int, int]]]]],
    low: int,
    width: int,
    limit: int | None,
    newest: bool,
) -> None:
    expected: dict[str, dict[int, int]] = {"a": {}, "b": {}}
    for symbol in expected:
        store.delete(symbol, SHFE, Interval.MINUTE)
    for batch in saves:
        series = []
        for symbol, rows in batch:
            expected[symbol] |= dict(rows)
            one = bars(symbol, len(rows))
            one.columns["datetime"][:] = [to_micros(START) + minute * MINUTE for minute, _ in rows]
            one.columns["close_price"][:] = [value for _, value in rows]
            series.append(one)
        store.save(series)
    for symbol, rows_by_minute in expected.items():
        wanted = sorted((m, v) for m, v in rows_by_minute.items() if low <= m <= low + width)
        if limit is not None:
            wanted = wanted[max(0, len(wanted) - limit) :] if newest else wanted[:limit]
        edges = START + timedelta(minutes=low), START + timedelta(minutes=low + width)
        found = store.load(symbol, SHFE, Interval.MINUTE, *edges, limit=limit, newest=newest)
        minutes = ((found.columns["datetime"] - to_micros(START)) // MINUTE).tolist()
        assert list(zip(minutes, closes(found), strict=True)) == wanted
    counted = {item.symbol: (item.count, item.start, item.end) for item in store.overview()}
    assert counted == {
        symbol: (
            len(rows),
            (START + timedelta(minutes=min(rows))).isoformat(timespec="microseconds"),
            (START + timedelta(minutes=max(rows))).isoformat(timespec="microseconds"),
        )
        for symbol, rows in expected.items()
        if rows
    }


# The DuckDB file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.duckdb"


def test_what_was_saved_is_there_after_a_restart(path: Path) -> None:
    first = DuckDbHistory(path)
    first.save([bars(), ticks()])
    first.close()
    second = DuckDbHistory(path)
    assert_equal(load(second, bars()), bars())
    assert_equal(load(second, ticks()), ticks())
    assert [item.count for item in second.overview()] == [5, 5]
    second.close()


def run(code: str, *args: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


SAVER = """
import sys
import numpy as np
from pathlib import Path
from vnpy_core.data.history.duckdb import DuckDbHistory
from vnpy_core.enums import Exchange, Interval
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS, Series

store = DuckDbHistory(Path(sys.argv[1]), 64)
rows = int(sys.argv[2])
for turn in range(1, 1_000_000):
    times = np.arange(rows, dtype=np.int64) * 60_000_000
    values = {c: np.full(rows, turn) for c in BAR_COLUMNS}
    bars = Series("bar", Exchange.SHFE, Interval.MINUTE, {"datetime": times, **values})
    later = times + turn * rows * 60_000_000
    values = {c: np.full(rows, turn) for c in TICK_COLUMNS}
    ticks = Series("tick", Exchange.SHFE, Interval.TICK, {"datetime": later, "localtime": later, **values})
    store.save([bars, ticks])
    print(turn, flush=True)
"""


@pytest.mark.parametrize(("rows", "turns"), [(50, 40), (20_000, 5)])
def test_a_kill_leaves_whole_batches_and_every_one_that_was_confirmed(path: Path, rows: int, turns: int) -> None:
    confirmed = 0
    for _ in range(3):
        process = run(SAVER, path, rows)
        assert process.stdout is not None
        for line in process.stdout:
            confirmed = int(line)
            if confirmed >= turns:
                break
        process.send_signal(signal.SIGKILL)
        confirmed = max([confirmed, *map(int, process.communicate()[0].split())])
        store = DuckDbHistory(path, 64)
        found = store.load("bar", SHFE, Interval.MINUTE)
        assert len(found) == rows
        assert len(set(closes(found))) == 1
        assert closes(found)[0] >= confirmed
        batches, counts = np.unique(store.load("tick", SHFE, Interval.TICK).columns["last_price"], return_counts=True)
        assert set(counts.tolist()) == {rows}
        assert set(range(1, confirmed + 1)) <= set(batches.astype(int).tolist())
        store.delete("tick", SHFE, Interval.TICK)
        store.close()


def test_a_file_held_by_another_process_says_which(path: Path) -> None:
    process = run(SAVER, path, 10)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        with pytest.raises(Unavailable, match=rf"held by process {process.pid}.*history\.path"):
            DuckDbHistory(path)
    finally:
        process.kill()
        process.communicate()
    DuckDbHistory(path).close()


def test_a_file_that_is_no_database_says_what_to_do(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"bars of 2024" * 1000)
    with pytest.raises(ConfigError, match="move it away"):
        DuckDbHistory(path)
    assert path.read_bytes().startswith(b"bars of 2024")


def test_a_damaged_file_says_what_to_do(path: Path) -> None:
    store = DuckDbHistory(path)
    rng = np.random.default_rng(1)
    large = bars(count=300_000)
    for column in BAR_COLUMNS:
        large.columns[column][:] = rng.random(300_000)
    store.save([large])
    store.close()
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 4, len(content) - 300_000, 50_000):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot be read.*backup"):
        load(DuckDbHistory(path), large)


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    other = duckdb.connect(str(path))
    other.execute("create table prices (a integer)")
    other.close()
    with pytest.raises(ConfigError, match=r"something else.*prices"):
        DuckDbHistory(path)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    DuckDbHistory(path).close()
    newer = duckdb.connect(str(path))
    newer.execute("update history_schema set version = 99")
    newer.close()
    with pytest.raises(ConfigError, match="newer VnPy Core"):
        DuckDbHistory(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"history\.path"):
        DuckDbHistory(tmp_path / "file" / "history.duckdb")


@pytest.fixture
def limited_files() -> Iterator[Callable[[int], None]]:
    """Stand in for a full disk: no file may grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("rows", [2_000, 200_000])
def test_a_full_disk_writes_nothing_and_is_no_end(path: Path, rows: int, limited_files: Callable[[int], None]) -> None:
    store = DuckDbHistory(path, 64)
    store.save([bars(count=10)])
    rng = np.random.default_rng(1)
    large = bars(count=rows)
    for column in BAR_COLUMNS:
        large.columns[column][:] = rng.random(rows)
    limited_files(path.stat().st_size + 30_000)
    with pytest.raises(Unavailable, match="full"):
        store.save([large])
    limited_files(resource.RLIM_INFINITY)
    assert_equal(load(store, bars(count=10)), bars(count=10))
    assert store.overview()[0].count == 10
    assert store.save([large]) == rows
    store.close()
    again = DuckDbHistory(path, 64)
    assert_equal(load(again, large), large)
    again.close()


@pytest.mark.parametrize("moment", ["before_header", "before_truncate"])
def test_a_database_that_duckdb_gives_up_is_opened_again(path: Path, moment: str) -> None:
    store = DuckDbHistory(path, 64)
    store.save([bars()])
    with store._file.reading() as cursor:
        cursor.execute(f"set debug_checkpoint_abort = '{moment}'")
    with pytest.raises(Unavailable, match="failed"), store._file.reading() as cursor:
        cursor.execute("checkpoint")
    assert_equal(load(store, bars()), bars())
    store.save([bars(first=5)])
    store.close()
    again = DuckDbHistory(path, 64)
    assert again.overview()[0].count == 10
    again.close()


MEMORY = """
import sys
import numpy as np
from pathlib import Path
from vnpy_core.data.history.duckdb import DuckDbHistory
from vnpy_core.data.history.series import chunks, to_moment
from vnpy_core.enums import Exchange, Interval
from vnpy_core.ports import BAR_COLUMNS, Series

def used():
    fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(fields["VmRSS"].split()[0]) // 1024, int(fields["VmHWM"].split()[0]) // 1024

def part(first, count):
    rng = np.random.default_rng(first)
    times = (first + np.arange(count, dtype=np.int64)) * 60_000_000
    values = {column: rng.normal(1000, 10, count).round(2) for column in BAR_COLUMNS}
    return Series("x", Exchange.SHFE, Interval.MINUTE, {"datetime": times, **values})

total = int(sys.argv[2])
store = DuckDbHistory(Path(sys.argv[1]), 64)
store.save(part(first, 50_000) for first in range(0, total, 50_000))
day = [to_moment((total // 2 + minute) * 60_000_000) for minute in (0, 1439)]
assert len(store.load("x", Exchange.SHFE, Interval.MINUTE, *day)) == 1440
assert sum(len(chunk) for chunk in chunks(store, "x", Exchange.SHFE, Interval.MINUTE, rows=50_000)) == total
print(*used(), *[name for name in ("pandas", "pyarrow", "pytz") if name in sys.modules])
"""


def test_memory_does_not_grow_with_what_is_stored(tmp_path: Path) -> None:
    peaks = []
    for total in (300_000, 3_000_000):
        output, error = run(MEMORY, tmp_path / f"{total}.duckdb", total).communicate()
        assert not error
        _, peak, *heavy = output.split()
        assert heavy == []
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 64
    assert peaks[1] < 260


def test_the_configured_limits_are_set(path: Path) -> None:
    store = DuckDbHistory(path, 100)
    with store._file.reading() as cursor:
        found = dict(
            cursor.execute(
                "select name, value from duckdb_settings() where name in ('threads', 'memory_limit', 'temp_directory')"
            ).fetchall()
        )
    store.close()
    assert found == {"threads": "2", "memory_limit": "95.3 MiB", "temp_directory": str(path) + ".tmp"}


def test_closing_waits_for_the_readers(path: Path) -> None:
    store = DuckDbHistory(path)
    store.save([bars(count=1000)])
    entered, leave = threading.Event(), threading.Event()

    def read() -> int:
        with store._file.reading() as cursor:
            entered.set()
            leave.wait(30)
            return len(cursor.execute("select * from bars").fetchall())

    with ThreadPoolExecutor(2) as pool:
        reader = pool.submit(read)
        assert entered.wait(30)
        closing = pool.submit(store.close)
        assert not closing.done()
        leave.set()
        assert reader.result(30) == 1000
        closing.result(30)
    other = run("import duckdb, sys; duckdb.connect(sys.argv[1]).close()", path)
    assert other.communicate()[1] == ""


def test_every_error_is_one_of_ours(path: Path) -> None:
    with pytest.raises(CoreError):
        DuckDbHistory(path.parent.parent)
    assert list(path.parent.parent.iterdir()) == []
