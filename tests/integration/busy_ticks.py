"""A process that records ticks, for tests that kill it: ``python -m … url database folder first``.

Tick ``n`` is dated ``n`` hundredths of a second after ``BEGIN``; half of them are of each of two symbols.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from tests import facts
from vnpy_core.config.data_settings import HistorySettings
from vnpy_core.data.history.influx import InfluxHistory
from vnpy_core.data.tick_recorder import HistoryRecorder
from vnpy_core.events import Event
from vnpy_core.models import Tick, to_timestamp

BEGIN = datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
SYMBOLS = ("rb2501", "cu2501")


def tick(number: int) -> Tick:
    made = facts.tick(SYMBOLS[number % 2], 3500.0 + number % 17)
    return msgspec.structs.replace(
        made, datetime=to_timestamp(BEGIN + timedelta(milliseconds=10 * number)), volume=float(number)
    )


def settings() -> HistorySettings:
    return HistorySettings(record_ticks=True, record_bars=True, flush_interval_ms=50, timeout_s=1.0)


async def record_for_ever(url: str, database: str, folder: Path, first: int) -> None:
    """Print, every few ticks, up to which number they are on the disk, and how many wait and were dropped."""
    store = InfluxHistory(url, database, timeout_s=1.0)
    recorder = HistoryRecorder(store, settings(), folder)
    await recorder.start()
    number = first
    while True:
        recorder.on_events([Event(tick(number + place)) for place in range(20)])
        number += 20
        print(first + recorder.status().spooled, recorder.pending, recorder.dropped, flush=True)
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(record_for_ever(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
