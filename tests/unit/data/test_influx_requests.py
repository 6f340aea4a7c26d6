"""What an InfluxDB is asked, by version, and what becomes of its errors; of servers that are not there to be tested."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.unit.data.fake_influx import POLICIES, Answer, Asked, FakeInflux, results, rows, statement_error

from vnpy_core.data.history.influx import InfluxHistory
from vnpy_core.data.history.line_chunks import CHUNK_ROWS
from vnpy_core.data.history.series import value_columns
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import ConfigError, Conflict, CoreError, DataRejected, Unavailable
from vnpy_core.ports import BAR_COLUMNS, Series

SHFE, MINUTE = Exchange.SHFE, Interval.MINUTE
TOKEN = "a-token-that-nobody-may-see"
AUTOGEN = rows(POLICIES, ["autogen", "0s", "168h0m0s", 1, True])
START = datetime(2024, 1, 1, tzinfo=UTC)

Script = Callable[[Asked], Answer | None]


def bars(count: int = 3) -> Series:
    columns = {name: np.arange(count, dtype=float) for name in BAR_COLUMNS}
    return Series("rb2501", SHFE, MINUTE, {"datetime": np.arange(count) * 60_000_000, **columns})


def healthy(asked: Asked) -> Answer:
    if asked.path != "/query":
        return 204, ""
    return 200, AUTOGEN if asked.query.startswith("SHOW RETENTION") else results([])


@contextmanager
def store_on(
    version: str = "1.8.10", script: Script = healthy, **options: object
) -> Iterator[tuple[InfluxHistory, FakeInflux]]:
    options = {"token": TOKEN, "timeout_s": 5.0} | options
    with FakeInflux(version, script) as fake, closing(InfluxHistory(fake.url, "ticks", **options)) as store:  # type: ignore[arg-type]
        yield store, fake


def refused(work: Callable[[], object], kind: type[CoreError]) -> str:
    with pytest.raises(kind) as caught:
        work()
    assert type(caught.value) is kind
    assert TOKEN not in caught.value.detail
    return caught.value.detail


# What is asked


@pytest.mark.parametrize("version", ["1.6.7", "1.8.10", "v2.7.11", "3.2.1"])
def test_rows_are_written_as_every_version_takes_them(version: str) -> None:
    with store_on(version) as (store, fake):
        store.save([bars(2)])
    (write,) = fake.requests("/write")
    assert (write.method, write.parameters) == ("POST", {"db": "ticks"})
    assert write.headers["authorization"] == f"Token {TOKEN}"
    assert write.headers["content-encoding"] == "gzip"
    first = write.body.splitlines()[1]
    assert first.startswith(b"bar_data,symbol=rb2501,exchange=SHFE,interval=MINUTE missing=0i,")
    assert first.endswith(b"=1.0 60000000000")


def test_an_organisation_takes_the_writes_to_its_bucket() -> None:
    with store_on("v2.7.11", org="desk") as (store, fake):
        store.save([bars()])
        store.load("rb2501", SHFE, MINUTE)
    (write,) = fake.requests("/api/v2/write")
    assert write.parameters == {"org": "desk", "bucket": "ticks", "precision": "ns"}
    assert {query.parameters["db"] for query in fake.requests("/query")} == {"ticks"}


def test_user_and_password_go_into_a_header_not_the_address() -> None:
    with store_on(token=None, username="me", password="p:w") as (store, fake):
        store.save([bars()])
    assert {asked.headers["authorization"] for asked in fake.asked} == {"Basic bWU6cDp3"}
    assert not any({"u", "p"} & asked.parameters.keys() for asked in fake.asked)


def test_what_a_caller_gives_is_bound_and_nothing_else_is() -> None:
    odd = "x' OR symbol != '\"; DROP DATABASE ticks"
    with store_on("3.2.1") as (store, fake):
        store.load(odd, SHFE, MINUTE, START, START, limit=7, newest=True)
        store.load(odd, SHFE, Interval.TICK)
    _, narrow, wide = fake.requests("/query")
    assert odd not in narrow.query + wide.query
    moment = int(START.timestamp()) * 10**9
    assert narrow.bound == {"symbol": odd, "exchange": "SHFE", "interval": "MINUTE", "start": moment, "end": moment}
    assert narrow.query.endswith("AND time >= $start AND time <= $end ORDER BY time DESC LIMIT 7")
    # 3.x refuses a parameter that the statement does not use.
    assert wide.bound == {"symbol": odd, "exchange": "SHFE"}
    assert "$start" not in wide.query


def test_an_answer_in_pieces_is_put_together() -> None:
    def script(asked: Asked) -> Answer:
        if asked.query.startswith("SELECT last"):
            return 200, rows(["time", "last"], [0, "rebar"])
        if not asked.query.startswith("SELECT open"):
            return healthy(asked)
        fields = ["time", *value_columns(MINUTE), "missing"]
        first = json.loads(rows(fields, [1, *range(7), 0], [2, *range(7), 0]))
        first["results"][0] |= {"partial": True}
        # 3.x ends a chunk by CR LF, and sends the last with an empty line behind it.
        return 200, json.dumps(first) + "\r\n" + rows(fields, [3, *range(7), None]) + "\r\n"

    with store_on(script=script) as (store, _):
        found = store.load("rb2501", SHFE, MINUTE)
    assert found.columns["datetime"].tolist() == [1, 2, 3]
    assert found.columns["open_interest"].tolist() == [6.0, 6.0, 6.0]
    assert found.name == "rebar"


def test_an_answer_that_stops_early_is_no_answer() -> None:
    def script(asked: Asked) -> Answer:
        cut = {"results": [{"statement_id": 0, "series": [], "partial": True}]}
        return (200, json.dumps(cut)) if asked.query.startswith("SELECT") else healthy(asked)

    with store_on(script=script) as (store, _):
        assert "before the end" in refused(lambda: store.load("rb2501", SHFE, MINUTE), Unavailable)


def test_series_of_other_programs_are_no_series_of_ours() -> None:
    def script(asked: Asked) -> Answer:
        if not asked.query.startswith("SELECT count"):
            return healthy(asked)
        mine, other = {"symbol": "rb", "exchange": "EUREX"}, {"symbol": "rb", "exchange": "Mars"}
        tick = [[{"tags": tags, "columns": ["time", "x"], "values": [[5, 7]]} for tags in (mine, other)]] * 3
        half = [{"tags": mine | {"interval": "MINUTE"}, "columns": ["time", "x"], "values": [[5, 7]]}]
        return 200, results(*tick, half)

    with store_on(script=script) as (store, _):
        (found,) = store.overview()
    assert (found.vt_symbol, found.interval, found.count) == ("rb.EUX", Interval.TICK, 7)


def test_a_3_deletes_nothing_and_says_so() -> None:
    with store_on("3.2.1") as (store, fake):
        assert "deletes no series" in refused(lambda: store.delete("rb2501", SHFE, MINUTE), Conflict)
    assert not any("DELETE" in asked.query for asked in fake.asked)


# A missing database


@pytest.mark.parametrize(
    ("version", "answer", "advice"),
    [
        ("v2.7.11", rows(POLICIES), "influx bucket create --name ticks --retention 90d"),
        ("v2.7.11", statement_error("no dbrp mapping found"), "influx v1 dbrp create --db ticks"),
        ("3.2.1", statement_error("Database ticks not found"), "influxdb3 create database ticks"),
    ],
)
def test_a_missing_database_of_a_later_version_says_what_to_do(version: str, answer: str, advice: str) -> None:
    with store_on(version, lambda asked: (200, answer), retention="90d") as (store, _):
        assert advice in refused(store.prepare, ConfigError)


@pytest.mark.parametrize(
    "gone",
    [
        (404, '{"error": "database not found: \\"ticks\\""}'),
        (404, '{"code": "not found", "message": "bucket \\"ticks\\" not found"}'),
        (404, '{"code": "not found", "message": "no dbrp mapping found"}'),
    ],
)
def test_a_database_that_was_dropped_is_looked_for_again(gone: Answer) -> None:
    answers = iter([gone])
    with store_on(script=lambda asked: next(answers, (204, "")) if asked.path == "/write" else healthy(asked)) as (
        store,
        fake,
    ):
        assert store.save([bars()]) == 3
    assert len(fake.requests("/write")) == 2
    assert len(fake.requests("/ping")) == 2


def test_a_database_that_stays_away_is_named() -> None:
    gone = (404, '{"error": "database not found: \\"ticks\\""}')
    with store_on(script=lambda asked: gone if asked.path == "/write" else healthy(asked)) as (store, _):
        assert '"ticks"' in refused(lambda: store.save([bars()]), ConfigError)


# Errors


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (401, '{"error": "authorization failed"}', ConfigError, "history.token"),
        (401, "", ConfigError, "history.token"),
        (403, '{"error": "\\"me\\" user is not authorized to write"}', ConfigError, "read and write"),
        (403, '{"code": "forbidden", "message": "insufficient permissions for write"}', ConfigError, "insufficient"),
        (400, '{"error": "partial write: field type conflict: input field"}', ConfigError, "history.database"),
        (422, '{"message": "failure: already exists as type integer"}', ConfigError, "history.database"),
        (400, '{"error": "partial write: points beyond retention policy dropped=1"}', DataRejected, "beyond retention"),
        (413, '{"error": "Request Entity Too Large"}', ConfigError, "max-body-size"),
        (500, '{"error": "write wal/1.wal: no space left on device"}', Unavailable, "disk .* full"),
        (500, '{"error": "timeout"}', Unavailable, "timeout"),
        (503, "<html>the proxy is tired</html>", Unavailable, "503.*tired"),
        (429, '{"message": "too many"}', Unavailable, "too many"),
        (404, "<html>nothing here</html>", ConfigError, "history.url"),
        (500, f'{{"error": "you said {TOKEN}"}}', Unavailable, "you said …"),
        (500, "x" * 5000, Unavailable, "x…"),
    ],
)
def test_an_error_of_a_write_says_what_to_do(status: int, body: str, kind: type[CoreError], says: str) -> None:
    with store_on(script=lambda asked: (status, body) if asked.path == "/write" else healthy(asked)) as (store, _):
        detail = refused(lambda: store.save([bars()]), kind)
    assert re.search(says, detail), detail
    assert len(detail) < 700
    assert "Of 3 rows 0 are stored" in detail


def test_an_error_within_an_answer_is_raised() -> None:
    def script(asked: Asked) -> Answer:
        if asked.query.startswith("SELECT"):
            return 200, statement_error("max-select-buckets limit exceeded: (10/5)")
        return healthy(asked)

    with store_on(script=script) as (store, _):
        assert "limit exceeded" in refused(lambda: store.load("rb2501", SHFE, MINUTE), Unavailable)
        assert "limit exceeded" in refused(store.overview, Unavailable)


def test_a_chunk_that_fails_says_how_far_it_got_and_saving_again_completes() -> None:
    failing = [False, True, False, False, False]

    def script(asked: Asked) -> Answer:
        return (500, '{"error": "engine is tired"}') if asked.path == "/write" and failing.pop(0) else healthy(asked)

    large = bars(2 * CHUNK_ROWS + 5)
    with store_on(script=script) as (store, fake):
        detail = refused(lambda: store.save([large]), Unavailable)
        assert f"Of {len(large):,} rows {CHUNK_ROWS:,} are stored" in detail
        assert "safe" in detail
        assert store.save([large]) == len(large)
    sizes = [len(write.body.splitlines()) for write in fake.requests("/write")]
    assert sizes == [CHUNK_ROWS, CHUNK_ROWS, CHUNK_ROWS, CHUNK_ROWS, 5]


def test_a_broken_connection_is_tried_once_more_but_not_by_a_delete() -> None:
    broken = {"/write", "SELECT", "DELETE"}

    def script(asked: Asked) -> Answer | None:
        what = asked.query.split(" ")[0] or asked.path
        if what in broken:
            broken.remove(what)
            return None
        if asked.query.startswith("SELECT count"):
            return 200, rows(["time", "count"], [0, 3])
        return healthy(asked)

    with store_on(script=script) as (store, fake):
        assert store.save([bars()]) == 3
        assert len(store.load("rb2501", SHFE, MINUTE)) == 0
        assert "cannot be reached" in refused(lambda: store.delete("rb2501", SHFE, MINUTE), Unavailable)
        assert store.delete("rb2501", SHFE, MINUTE) == 3
    assert len(fake.requests("/write")) == 2


def test_a_connection_that_breaks_each_time_is_unavailable() -> None:
    with store_on(script=lambda asked: None if asked.path == "/write" else healthy(asked)) as (store, fake):
        assert "cannot be reached" in refused(lambda: store.save([bars()]), Unavailable)
    assert len(fake.requests("/write")) == 2


def test_a_port_where_nobody_listens_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with closing(InfluxHistory(f"http://127.0.0.1:{taken.getsockname()[1]}", token=TOKEN)) as store:
            assert "history.url" in refused(store.overview, Unavailable)


def test_something_else_than_an_influxdb_is_a_wrong_setting() -> None:
    with store_on("", healthy) as (store, _):
        assert "does not answer as an InfluxDB" in refused(store.prepare, ConfigError)


def test_an_answer_that_is_no_json_is_unavailable() -> None:
    with store_on(script=lambda asked: (200, "<html>") if asked.query.startswith("SELECT") else healthy(asked)) as (
        store,
        _,
    ):
        assert "answer" in refused(store.overview, Unavailable)
