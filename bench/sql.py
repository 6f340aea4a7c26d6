"""Facts from the journal through the recorder into SQL: how many a second the recorder catches up with.

``python -m bench.sql [rounds] [orders]``. The servers are those of the tests: private ones, of this run alone.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import func, select
from tests import facts
from tests.servers import MariaDb, Postgres

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import Journal
from vnpy_core.data.recorder import RecorderThread
from vnpy_core.data.tables import FACT_TABLES
from vnpy_core.enums import OrderStatus
from vnpy_core.events import Event
from vnpy_core.models import Model

ORDERS = 5_000
ROUNDS = 3
RATE, LAG = "facts recorded", "lateness of the main loop, p99"


def distinct(orders: int) -> Iterator[Sequence[Model]]:
    """Yield facts of which each is a row of its own: a filled order and its trade."""
    for number in range(orders):
        yield [
            facts.order(number, OrderStatus.ALLTRADED, traded=5.0, datetime=_when(number)),
            facts.trade(number, vt_orderid=f"SIM.{number}", orderid=str(number), datetime=_when(number)),
        ]


def lives(orders: int) -> Iterator[Sequence[Model]]:
    """Yield all that is told of orders that are sent and filled, five working at a time."""
    for first in range(0, orders, 5):
        numbers = range(first, first + 5)
        for number in numbers:
            yield [facts.intent(number), facts.order(number, OrderStatus.SUBMITTING, datetime=_when(number))]
        for number in numbers:
            yield [facts.intent(number, "SENT"), facts.order(number, OrderStatus.NOTTRADED, datetime=_when(number))]
        for number in numbers:
            yield [
                facts.order(number, OrderStatus.ALLTRADED, traded=5.0, datetime=_when(number)),
                facts.trade(number, vt_orderid=f"SIM.{number}", orderid=str(number), datetime=_when(number)),
                facts.position(volume=float(number)),
                facts.account(1e6 - number),
            ]


def _when(number: int) -> str:
    minutes, milliseconds = divmod(number, 60_000)
    return f"2026-01-05T01:{minutes:02}:{milliseconds / 1000:09.6f}+00:00"


async def fill(journal: Journal, models: Iterator[Sequence[Model]]) -> None:
    batch: list[Event] = []
    for some in models:
        batch += map(Event, some)
        if len(batch) >= 500:
            await journal.append(batch)
            batch = []
    await journal.append(batch)


async def lag_of_loop(lags_ms: list[float]) -> None:
    """Note by how much each wait of a millisecond was too long: what anything else on the loop would feel."""
    while True:
        due = time.perf_counter() + 0.001
        await asyncio.sleep(0.001)
        lags_ms.append((time.perf_counter() - due) * 1000)


async def catch_up(journal: Journal, url: str, orders: int) -> tuple[float, float]:
    """Record the whole journal into an empty database.

    Returns the facts per second, and the 99th percentile of the loop's lag meanwhile in ms.
    """
    database = DatabaseManager(url)
    await database.open()
    recorder = RecorderThread(journal, database)
    lags_ms: list[float] = []
    watch = asyncio.create_task(lag_of_loop(lags_ms))
    began = time.perf_counter()
    await recorder.start()
    await recorder.stop(timeout_s=600)
    took_s = time.perf_counter() - began
    watch.cancel()
    assert recorder.lag == 0, recorder.detail
    async with database.session(read_only=True) as session:
        counts = [await session.scalar(select(func.count()).select_from(table)) for table in FACT_TABLES.values()]
    await database.close()
    assert counts[:2] == [orders, orders], "each order and its trade are there"
    return journal.last_seq / took_s, statistics.quantiles(lags_ms, n=100)[98]


async def _measure(rounds: int, orders: int) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="vnpy-core-bench-") as folder,
        MariaDb("--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=ON") as mariadb,
        Postgres("-cfsync=on") as postgres,
    ):
        for kind, make in (("a row each", distinct), ("lives of orders", lives)):
            journal = Journal(Path(folder) / f"{make.__name__}.db")
            await journal.open()
            await fill(journal, make(orders))
            for _ in range(rounds):
                for name, server in (("MariaDB", mariadb), ("PostgreSQL", postgres)):
                    url = server.new_database()
                    rate, lag = await catch_up(journal, url, orders)
                    for what, value in ((RATE, rate), (LAG, lag)):
                        sides = found.setdefault(f"{what}: {name}, {kind}", {"product": [], "peer": []})
                        sides["product"].append(value)
                    server.drop_database(url)
            await journal.close()
    return found


def measure(rounds: int = ROUNDS, orders: int = ORDERS) -> dict[str, dict[str, list[float]]]:
    """Return the facts per second and the loop's lag, of each kind of server and of facts.

    The servers have the settings of a fresh installation where these matter here: every commit is flushed to disk.
    """
    return asyncio.run(_measure(rounds, orders))


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=2))
