"""Bars through HistoryDatabase on DuckDB and through vnpy_sqlite: saved and loaded as vn.py's apps do."""

import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

BARS = 200_000
DAY = 1440
ROUNDS = 5
ZONE = "Asia/Shanghai"
_WIDE = (datetime(2000, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 (a wall time, as vn.py's apps ask)


def measure(rounds: int = ROUNDS) -> dict[str, dict[str, list[float]]]:
    """Return the bars a second of either side, of each thing measured, in alternating rounds.

    To be called in a process whose working folder has vn.py's ``.vntrader``, and with ``TZ`` set to its time zone:
    vn.py reads both when it is first imported, hence the late imports. Both sides keep their files in that folder,
    and save each round's bars as a series of their own. vnpy_sqlite spoils the objects that it is given, so each save
    is given new ones, made before the clock runs.
    """
    from vnpy.trader.constant import Exchange, Interval
    from vnpy.trader.database import DB_TZ, BaseDatabase
    from vnpy.trader.object import BarData
    from vnpy_sqlite import Database as SqliteDatabase

    from vnpy_core.data.history.duckdb import DuckDbHistory
    from vnpy_core.engine.history_database import HistoryDatabase

    store = DuckDbHistory(Path.cwd() / "history.duckdb")
    sides: dict[str, BaseDatabase] = {"peer": SqliteDatabase(), "product": HistoryDatabase(store)}
    start = datetime(2024, 1, 1, tzinfo=DB_TZ)
    minutes = [start + timedelta(minutes=minute) for minute in range(BARS)]

    def bars(symbol: str) -> list[BarData]:
        return [
            BarData(
                "DB", symbol, Exchange.SHFE, moment, Interval.MINUTE,
                volume=number % 997, turnover=number * 7.5, open_interest=number % 9973,
                open_price=3500 + number % 89, high_price=3600 + number % 89,
                low_price=3400 + number % 89, close_price=3500 + number % 83,
            )
            for number, moment in enumerate(minutes)
        ]  # fmt: skip

    def timed(work: Callable[[], Any], rows: int, expected: Any) -> float:
        gc.collect()
        began = perf_counter()
        found = work()
        rate = rows / (perf_counter() - began)
        if found != expected:
            raise AssertionError("what was loaded is not what was saved")
        return rate

    kinds = (f"save {BARS:,} bars", f"save {BARS:,} bars again", f"load {BARS:,} bars", "load a day")
    results: dict[str, dict[str, list[float]]] = {kind: {side: [] for side in sides} for kind in kinds}
    first, again, whole, day = (results[kind] for kind in kinds)
    for symbol in (f"rb{number}" for number in range(rounds)):
        expected = bars(symbol)
        middle = minutes[BARS // 2].replace(tzinfo=None)
        one_day = (middle, middle + timedelta(minutes=DAY - 1))
        asked = (symbol, Exchange.SHFE, Interval.MINUTE)
        for name, side in sides.items():
            for rates in (first, again):
                rates[name].append(timed(partial(side.save_bar_data, bars(symbol)), BARS, True))
            whole[name].append(timed(partial(side.load_bar_data, *asked, *_WIDE), BARS, expected))
            one = expected[BARS // 2 : BARS // 2 + DAY]
            day[name].append(timed(partial(side.load_bar_data, *asked, *one_day), DAY, one))
    store.close()
    return results


def main() -> dict[str, dict[str, float]]:
    """Print and return the medians and their ratios; run in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="vnpy-core-bench-") as folder:
        os.chdir(folder)
        Path(".vntrader").mkdir()
        Path(".vntrader/vt_setting.json").write_text(
            json.dumps({"log.console": False, "log.file": False, "database.timezone": ZONE})
        )
        os.environ["TZ"] = ZONE
        time.tzset()
        measured = measure()
        os.chdir("/")
    results = {}
    for what, rates in measured.items():
        ours, theirs = statistics.median(rates["product"]), statistics.median(rates["peer"])
        results[what] = {"product": ours, "peer": theirs, "ratio": ours / theirs}
        line = f"{what:>24}  vnpy_sqlite {theirs:>9,.0f} bars/s  core {ours:>11,.0f} bars/s  {ours / theirs:.1f}x\n"
        sys.stdout.write(line)
    return results


if __name__ == "__main__":
    main()
