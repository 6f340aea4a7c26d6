"""The history store on a real InfluxDB 1.x, beyond the contract: its ends, its errors, and what the server computes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.history_stores import new_influx_store
from tests.servers import Influx
from tests.servers.disks import small_disk
from tests.servers.fixtures import running
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.history.factory import open_history_store
from vnpy_core.data.history.influx import InfluxHistory
from vnpy_core.data.history.line_chunks import CHUNK_ROWS
from vnpy_core.data.history.series import NO_TIME, to_micros
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import ConfigError, DataRejected, Unavailable
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS, Series

SHFE, MINUTE, TICK = Exchange.SHFE, Interval.MINUTE, Interval.TICK
START = datetime(2024, 1, 2, 1, 0, tzinfo=UTC)
REST = [name for name in TICK_COLUMNS if name not in ("last_price", "volume", "turnover", "open_interest")]
SECRET = "a-password-nobody-may-see"


@pytest.fixture
def store(influx: Influx) -> Iterator[InfluxHistory]:
    with new_influx_store(influx) as made:
        yield made


def bars(count: int = 3, symbol: str = "rb2501", *, start: datetime = START, base: float = 0.0) -> Series:
    columns = {name: base + np.arange(count, dtype=float) for name in BAR_COLUMNS}
    times = to_micros(start) + np.arange(count, dtype=np.int64) * 60_000_000
    return Series(symbol, SHFE, MINUTE, {"datetime": times, **columns})


def ticks(columns: dict[str, Any], symbol: str = "rb2501", name: str = "") -> Series:
    rows = len(columns["datetime"])
    values = {column: np.zeros(rows) for column in TICK_COLUMNS} | {"localtime": np.full(rows, NO_TIME)} | columns
    return Series(symbol, SHFE, TICK, values, name)


def ask(server: Influx, store: InfluxHistory, statement: str) -> list[Any]:
    """Return the rows of the first series of an answer."""
    answer = json.loads(server.execute(f'{statement.replace("FROM ", f"FROM {store._server.database}..")}'))
    return answer["results"][0]["series"][0]["values"]  # type: ignore[no-any-return]


def write_as_another(server: Influx, store: InfluxHistory, line: str) -> None:
    httpx.post(f"{server.url}/write", params={"db": store._server.database}, content=line).raise_for_status()


# What is stored


def test_measurements_tags_and_fields_are_as_documented(influx: Influx, store: InfluxHistory) -> None:
    times = np.array([to_micros(START)])
    one = ticks({"datetime": times, "localtime": times + 5, "last_price": np.array([7.0])}, name="螺纹")
    store.save([bars(1), one])
    database = store._server.database
    for measurement, tags in (("tick_data", ["exchange", "symbol"]), ("bar_data", ["exchange", "interval", "symbol"])):
        answer = json.loads(influx.execute(f"SHOW TAG KEYS ON {database} FROM {measurement}"))
        assert [tag for (tag,) in answer["results"][0]["series"][0]["values"]] == tags
    answer = json.loads(influx.execute(f"SHOW FIELD KEYS ON {database} FROM tick_data"))
    kinds = dict(answer["results"][0]["series"][0]["values"])
    others = {"missing": "integer", "localtime": "integer", "name": "string"}
    assert kinds == dict.fromkeys(TICK_COLUMNS, "float") | others
    (row,) = ask(influx, store, 'SELECT last_price, localtime, "name", symbol FROM tick_data')
    assert row == ["2024-01-02T01:00:00Z", 7, (to_micros(START) + 5) * 1000, "螺纹", "rb2501"]


def test_a_row_that_is_replaced_leaves_nothing_behind(store: InfluxHistory) -> None:
    before, after = bars(2), bars(2, base=10)
    store.save([before])
    after.columns["turnover"][0] = np.nan
    after.columns["volume"][1] = -np.inf
    store.save([after])
    found = store.load("rb2501", SHFE, MINUTE)
    for name in BAR_COLUMNS:
        np.testing.assert_array_equal(found.columns[name], after.columns[name])
    times = np.array([to_micros(START)])
    store.save([ticks({"datetime": times, "localtime": times})])
    store.save([ticks({"datetime": times})])
    assert store.load("rb2501", SHFE, TICK).columns["localtime"].tolist() == [NO_TIME]


signs = st.sampled_from("rb ,=\"'\\{}$;螺🙂") | st.characters(categories=["L", "N", "P", "S"])
symbols = st.text(signs, min_size=1).filter(lambda text: not text.endswith("\\") and text.isprintable())
names = st.text(st.sampled_from('ab"\\ ,=\n') | st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(symbol=symbols, name=names, values=st.lists(st.floats(), min_size=7, max_size=7))
def test_any_symbol_name_and_number_comes_back(
    store: InfluxHistory, symbol: str, name: str, values: list[float]
) -> None:
    store.delete("other", SHFE, MINUTE)
    store.save([bars(2, "other")])
    one = bars(1, symbol)
    for column, number in zip(BAR_COLUMNS, values, strict=True):
        one.columns[column][:] = number
    store.save([Series(symbol, SHFE, MINUTE, one.columns, name)])
    found = store.load(symbol, SHFE, MINUTE)
    assert found.name == name
    for column in BAR_COLUMNS:
        np.testing.assert_array_equal(found.columns[column], one.columns[column])
    assert [(item.symbol, item.count) for item in store.overview()] == sorted([(symbol, 1), ("other", 2)])
    assert store.delete(symbol, SHFE, MINUTE) == 1
    assert [item.symbol for item in store.overview()] == ["other"]


def test_a_name_may_hold_what_programs_end_texts_by(store: InfluxHistory) -> None:
    one = bars(1)
    store.save([Series(one.symbol, SHFE, MINUTE, one.columns, "a\0b")])
    assert store.load("rb2501", SHFE, MINUTE).name == "a\0b"


def test_rows_of_other_programs_are_loaded(influx: Influx, store: InfluxHistory) -> None:
    store.save([bars(1)])
    line = f"bar_data,symbol=rb2501,exchange=SHFE,interval=MINUTE open_price=5 {to_micros(START) * 1000 + 10**9}"
    write_as_another(influx, store, line)
    found = store.load("rb2501", SHFE, MINUTE)
    assert found.columns["open_price"].tolist() == [0, 5]
    assert np.isnan(found.columns["close_price"][1])


def test_a_large_batch_is_sent_and_loaded_in_pieces(store: InfluxHistory) -> None:
    large = bars(3 * CHUNK_ROWS + 7)
    assert store.save([large]) == len(large)
    found = store.load("rb2501", SHFE, MINUTE)
    np.testing.assert_array_equal(found.columns["volume"], large.columns["volume"])
    newest = store.load("rb2501", SHFE, MINUTE, limit=CHUNK_ROWS + 1, newest=True)
    np.testing.assert_array_equal(newest.columns["volume"], large.columns["volume"][-CHUNK_ROWS - 1 :])


MEMORY = """
import sys
import numpy as np
from vnpy_core.data.history.influx import InfluxHistory
from vnpy_core.data.history.series import chunks
from vnpy_core.enums import Exchange, Interval
from vnpy_core.ports import BAR_COLUMNS, Series

def part(first, count):
    rng = np.random.default_rng(first)
    times = (first + np.arange(count, dtype=np.int64)) * 60_000_000
    values = {column: rng.normal(1000, 10, count).round(2) for column in BAR_COLUMNS}
    return Series("x", Exchange.SHFE, Interval.MINUTE, {"datetime": times, **values})

url, database, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = InfluxHistory(url, database)
store.save(part(first, 20_000) for first in range(0, total, 20_000))
assert sum(len(chunk) for chunk in chunks(store, "x", Exchange.SHFE, Interval.MINUTE, rows=20_000)) == total
store.close()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)
"""


def test_memory_does_not_grow_with_what_is_saved_and_read(influx: Influx) -> None:
    peaks = []
    for total in (40_000, 240_000):
        name = influx.new_database()
        command = [sys.executable, "-c", MEMORY, influx.url, name, str(total)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        influx.execute(f"DROP DATABASE {name}")
    assert peaks[1] < peaks[0] + 24


# The server fails


def test_a_server_that_was_restarted_is_not_noticed(own_influx: Influx) -> None:
    with closing(InfluxHistory(own_influx.url)) as store:
        store.save([bars(2)])
        for end in (own_influx.stop, own_influx.kill):
            end()
            own_influx.start()
            assert len(store.load("rb2501", SHFE, MINUTE)) == 2
            assert store.save([bars(2)]) == 2


def test_a_server_that_is_down_is_named_and_what_it_confirmed_is_there_again(own_influx: Influx) -> None:
    with closing(InfluxHistory(own_influx.url)) as store:
        store.save([bars(CHUNK_ROWS + 1)])
        own_influx.kill()
        with pytest.raises(Unavailable, match=f"{own_influx.port} cannot be reached.*history.url.* 0 are stored"):
            store.save([bars(1)])
        own_influx.start()
        assert store.overview()[0].count == CHUNK_ROWS + 1


def test_a_server_that_stands_still_is_waited_for_no_longer_than_configured(own_influx: Influx) -> None:
    with closing(InfluxHistory(own_influx.url, timeout_s=0.3)) as store:
        store.save([bars(2)])
        own_influx.freeze()
        for work in (lambda: store.save([bars(3)]), store.overview, lambda: store.load("rb2501", SHFE, MINUTE)):
            with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
                work()
        own_influx.thaw()
    with closing(InfluxHistory(own_influx.url)) as store:
        assert store.save([bars(4)]) == 4
        assert len(store.load("rb2501", SHFE, MINUTE)) == 4


def test_a_batch_that_is_cut_off_is_completed_by_saving_it_again(own_influx: Influx) -> None:
    large = bars(40 * CHUNK_ROWS)
    with closing(InfluxHistory(own_influx.url)) as store, ThreadPoolExecutor(1) as pool:
        store.prepare()
        saving = pool.submit(store.save, [large])
        with closing(InfluxHistory(own_influx.url)) as other:
            # More than a chunk is seen: so the first was confirmed, as they go one after the other.
            while not (seen := other.overview()) or seen[0].count <= CHUNK_ROWS:
                assert not saving.done()
        own_influx.kill()
        with pytest.raises(Unavailable, match=r"Of 400,000 rows [1-9][0-9,]*0,000 are stored for certain"):
            saving.result()
        own_influx.start()
        assert CHUNK_ROWS <= store.overview()[0].count < len(large)
        assert store.save([large]) == len(large)
        assert store.overview()[0].count == len(large)


def test_a_full_disk_says_so_and_is_no_end() -> None:
    rng = np.random.default_rng(1)
    large = bars(CHUNK_ROWS)
    for name in BAR_COLUMNS:
        large.columns[name][:] = rng.random(CHUNK_ROWS)
    with (
        small_disk(24) as disk,
        running(Influx, folder=disk) as server,
        closing(InfluxHistory(server.url)) as store,
    ):
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(23 * 1024 * 1024))
        batch = [Series(f"s{number}", SHFE, MINUTE, large.columns) for number in range(20)]
        with pytest.raises(Unavailable, match=r"disk .*full.*Free some space, and restart it"):
            store.save(batch)
        ballast.unlink()
        # A 1.x repeats the error of a file that it could not write, until it is restarted.
        server.restart()
        assert store.save([large]) == CHUNK_ROWS
        found = store.load("rb2501", SHFE, MINUTE)
        np.testing.assert_array_equal(found.columns["close_price"], large.columns["close_price"])


# The database


def test_a_database_that_is_dropped_is_created_again(influx: Influx, store: InfluxHistory) -> None:
    for _ in range(2):
        store.save([bars(2)])
        influx.execute(f"DROP DATABASE {store._server.database}")
        assert store.overview() == []
        influx.execute(f"DROP DATABASE {store._server.database}")
        assert len(store.load("rb2501", SHFE, MINUTE)) == 0
        assert store.delete("rb2501", SHFE, MINUTE) == 0
        influx.execute(f"DROP DATABASE {store._server.database}")


def test_a_field_of_another_type_says_whose_it_is(influx: Influx, store: InfluxHistory) -> None:
    store.prepare()
    write_as_another(influx, store, f"bar_data volume=1i {to_micros(START) * 1000}")
    with pytest.raises(ConfigError, match=r"another type.*history\.database"):
        store.save([bars(3)])


def test_a_retention_is_given_to_a_new_database_and_checked_in_one_that_exists(influx: Influx) -> None:
    now = datetime.now(UTC)
    with new_influx_store(influx, retention="30d") as store:
        store.save([bars(2, start=now - timedelta(days=29))])
        old = bars(2, "old", start=now - timedelta(days=31))
        with pytest.raises(DataRejected, match="keeps rows for 720 hours"):
            store.save([bars(2, "new", start=now), old])
        assert [item.symbol for item in store.overview()] == ["rb2501"]
        with closing(InfluxHistory(influx.url, store._server.database, retention="720h")) as same:
            same.prepare()
        other = InfluxHistory(influx.url, store._server.database, retention="5w")
        with closing(other), pytest.raises(ConfigError, match=r'ALTER RETENTION POLICY "autogen".*DURATION 5w'):
            other.prepare()
    with new_influx_store(influx) as store:
        store.prepare()
        other = InfluxHistory(influx.url, store._server.database, retention="30d")
        with closing(other), pytest.raises(ConfigError, match="for ever"):
            other.prepare()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Influx]:
    """One that asks for credentials: ``admin`` may do all, ``trader`` use the database mine, ``reader`` see it."""
    with running(Influx, auth=True) as server:
        server.execute(f"CREATE USER admin WITH PASSWORD '{SECRET}' WITH ALL PRIVILEGES")
        with closing(InfluxHistory(server.url, "mine", username="admin", password=SECRET)) as store:
            store.prepare()
            for user, right in (("trader", "ALL"), ("reader", "READ")):
                store._server.query(f"CREATE USER {user} WITH PASSWORD '{SECRET}'")
                store._server.query(f"GRANT {right} ON mine TO {user}")
        yield server


def test_credentials_that_fit_are_enough(guarded: Influx) -> None:
    with closing(InfluxHistory(guarded.url, "mine", username="trader", password=SECRET)) as store:
        store.save([bars(2)])
        assert store.delete("rb2501", SHFE, MINUTE) == 2


@pytest.mark.parametrize(
    ("database", "username", "password", "says"),
    [
        ("mine", None, None, r"refuses the credentials.*history\.username"),
        ("mine", "trader", SECRET + "x", r"refuses the credentials.*history\.username"),
        ("mine", "reader", SECRET, r"refuses the credentials.*may read and write"),
        ("mine", "nobody", SECRET, r"refuses the credentials.*history\.username"),
        ("new", "trader", SECRET, r"(refuses the credentials|CREATE DATABASE)"),
    ],
)
def test_credentials_that_do_not_fit_are_told_without_them(
    guarded: Influx, database: str, username: str | None, password: str | None, says: str
) -> None:
    store = InfluxHistory(guarded.url, database, username=username, password=password)
    with closing(store), pytest.raises(ConfigError, match=says) as caught:
        store.save([bars(1)])
    assert SECRET not in caught.value.detail


# The configuration


def config(folder: Path, **history: object) -> VnPyCoreConfig:
    return VnPyCoreConfig(data_dir=folder, history=history)  # type: ignore[arg-type]


def test_the_configuration_opens_it(guarded: Influx, tmp_path: Path) -> None:
    url = guarded.url.replace("http", "influx+http")
    store = open_history_store(config(tmp_path, url=url, database="mine", username="trader", password=SECRET))
    with closing(store):
        assert store.overview() == []
    with pytest.raises(ConfigError, match="credentials"):
        open_history_store(config(tmp_path, url=url, database="mine", username="trader", password="wrong"))


def test_a_server_that_is_down_at_the_start_is_used_when_it_is_there(own_influx: Influx, tmp_path: Path) -> None:
    own_influx.stop()
    with closing(open_history_store(config(tmp_path, url=f"influx+{own_influx.url}"))) as store:
        with pytest.raises(Unavailable):
            store.overview()
        own_influx.start()
        assert store.save([bars(2)]) == 2
