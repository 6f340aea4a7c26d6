"""Ticks written to an InfluxDB by the history store, beside a plain loader of line protocol: what our share costs.

``python -m bench.influx [rounds] [ticks]``. The server is that of the tests: a private one, of this run alone.

The loader posts lines that were made, and packed, before its clock ran, over the same HTTP client in requests of the
same size, one after another. The store is given numpy columns, as the recorder and the importer give them to it, and
has to make and pack its lines while the clock runs. Each round writes a new series from each side, in turns.
"""

import gc
import gzip
import json
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from time import perf_counter
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from tests.servers import Influx

from vnpy_core.data.history.influx import InfluxHistory
from vnpy_core.data.history.line_chunks import CHUNK_ROWS
from vnpy_core.enums import Exchange, Interval
from vnpy_core.ports import TICK_COLUMNS, Series

TICKS = 100_000
ROUNDS = 3
LOADER, PACKED_LOADER, STORE = "plain", "packed", "store"


def ticks(symbol: str, count: int, seed: int) -> Series:
    """Return full ticks of five levels, two a second, of a price that walks."""
    random = np.random.default_rng(seed)
    price = 3500.0 + np.cumsum(random.integers(-1, 2, count))
    times = 1_767_576_600_000_000 + np.arange(count, dtype=np.int64) * 500_000
    traded = np.cumsum(random.integers(0, 50, count)).astype(float)
    columns: dict[str, NDArray[Any]] = {"datetime": times, "localtime": times + random.integers(900, 30_000, count)}
    columns |= {name: np.full(count, 3400.0 + place * 10) for place, name in enumerate(TICK_COLUMNS)}
    columns |= {
        "volume": traded, "turnover": traded * 35_017.5, "last_price": price,
        "open_interest": 1e6 + np.cumsum(random.integers(-9, 10, count)),
        "last_volume": random.integers(0, 50, count).astype(float),
        "high_price": np.maximum.accumulate(price), "low_price": np.minimum.accumulate(price),
    }  # fmt: skip
    for level in range(1, 6):
        columns[f"bid_price_{level}"], columns[f"ask_price_{level}"] = price - level, price + level
        for side in ("bid", "ask"):
            columns[f"{side}_volume_{level}"] = random.integers(1, 900, count).astype(float)
    return Series(symbol, Exchange.SHFE, Interval.TICK, columns, "螺纹钢2605")


def plain_lines(series: Series) -> list[bytes]:
    """Return the bodies of requests as any loader would make them, number by number."""
    template = ",".join(f"{name}=%r" for name in TICK_COLUMNS)
    head = f'tick_data,symbol={series.symbol},exchange=SHFE name="{series.name}",'
    values = zip(*(series.columns[name].tolist() for name in TICK_COLUMNS), strict=True)
    times = zip(series.columns["localtime"].tolist(), series.columns["datetime"].tolist(), strict=True)
    lines = [
        f"{head}{template % row},localtime={local * 1000}i {moment * 1000}\n".encode()
        for row, (local, moment) in zip(values, times, strict=True)
    ]
    return [b"".join(lines[first : first + CHUNK_ROWS]) for first in range(0, len(lines), CHUNK_ROWS)]


def load(client: httpx.Client, database: str, bodies: list[bytes], headers: dict[str, str]) -> None:
    for body in bodies:
        client.post("/write", params={"db": database}, content=body, headers=headers).raise_for_status()


def measure(rounds: int = ROUNDS, count: int = TICKS) -> dict[str, dict[str, list[float]]]:
    """Return the ticks a second of the store beside each loader, in alternating rounds, each with another first."""
    rates: dict[str, list[float]] = {LOADER: [], PACKED_LOADER: [], STORE: []}
    with Influx() as server, closing(InfluxHistory(server.url, "bench", timeout_s=60)) as store:
        store.prepare()
        client = httpx.Client(base_url=server.url, timeout=60, trust_env=False)
        with client:
            # The first writes make shards and caches; nobody's clock runs.
            store.save([ticks("warm", CHUNK_ROWS, 0)])
            for number in range(rounds):
                sides = list(rates)
                for side in sides[number % 3 :] + sides[: number % 3]:
                    series = ticks(f"{side}_{number}", count, number)
                    rates[side].append(count / timed(work_of(side, series, store, client)))
        counts = {item.symbol: item.count for item in store.overview()}
        assert all(counts[f"{STORE}_{number}"] == count for number in range(rounds))
        loaded = store.load(f"{STORE}_0", Exchange.SHFE, Interval.TICK)
        given = ticks(f"{STORE}_0", count, 0)
        assert all((loaded.columns[name] == values).all() for name, values in given.columns.items())
    return {loader: {"product": rates[STORE], "peer": rates[loader]} for loader in (LOADER, PACKED_LOADER)}


def work_of(side: str, series: Series, store: InfluxHistory, client: httpx.Client) -> Callable[[], object]:
    if side == STORE:
        return partial(store.save, [series])
    bodies, headers = plain_lines(series), {}
    if side == PACKED_LOADER:
        bodies, headers = [gzip.compress(body, 1) for body in bodies], {"Content-Encoding": "gzip"}
    return partial(load, client, "bench", bodies, headers)


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    began = perf_counter()
    work()
    return perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=2))
