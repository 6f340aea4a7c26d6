"""The history stores that the contracts are held against, each empty."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from tests.servers import Influx

from vnpy_core.data.history.duckdb import DuckDbHistory
from vnpy_core.data.history.influx import InfluxHistory
from vnpy_core.data.history.memory import MemoryHistory
from vnpy_core.ports import HistoryStore

_numbers = itertools.count(1)


def duckdb_store(request: pytest.FixtureRequest) -> AbstractContextManager[HistoryStore]:
    folder: Path = request.getfixturevalue("tmp_path")
    return closing(DuckDbHistory(folder / "history.duckdb", 64))


def memory_store(request: pytest.FixtureRequest) -> AbstractContextManager[HistoryStore]:
    return closing(MemoryHistory())


def influx_store(request: pytest.FixtureRequest) -> AbstractContextManager[HistoryStore]:
    return new_influx_store(request.getfixturevalue("influx"))


@contextmanager
def new_influx_store(server: Influx, **options: object) -> Iterator[InfluxHistory]:
    """Give a store on a database of its own, that it creates itself."""
    database = f"store_{next(_numbers)}"
    with closing(InfluxHistory(server.url, database, **options)) as store:  # type: ignore[arg-type]
        yield store
    server.execute(f"DROP DATABASE {database}")


ADAPTERS: dict[str, Callable[[pytest.FixtureRequest], AbstractContextManager[HistoryStore]]] = {
    "duckdb": duckdb_store,
    "influx": influx_store,
    "memory": memory_store,
}
