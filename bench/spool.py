"""Ticks into the spool and out of it, beside a plain file of the same bytes; and what the recorder costs the loop.

``python -m bench.spool [rounds]``. Encoding is in neither side: the spool is given the bytes that ``/ws`` sends.
"""

import asyncio
import gc
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import msgspec

from vnpy_core.config.data_settings import HistorySettings
from vnpy_core.data.history.duckdb import DuckDbHistory
from vnpy_core.data.history.memory import MemoryHistory
from vnpy_core.data.history.series import to_moment
from vnpy_core.data.spool.spool import Position, Spool
from vnpy_core.data.tick_drain import TickDrain
from vnpy_core.data.tick_recorder import HistoryRecorder
from vnpy_core.events import Event
from vnpy_core.launch import SWITCH_INTERVAL_S
from vnpy_core.models import to_timestamp
from vnpy_core.routers.examples import TICK

TICKS = 200_000
FRAME = 250
RATE = 10_000
FEED_S = 3.0
ROUNDS = 3
APPEND, DRAIN = "append to the spool", "drain the spool, with bars"
LOOP, LATE = "hand over to the recorder", "lateness of the loop, p99"
SYMBOLS = 500
_BEGIN = 1_767_576_600_000_000


def events(count: int) -> list[Event]:
    """Return whole ticks of five levels, of ``SYMBOLS`` symbols in turn."""
    made = []
    for number in range(count):
        when = to_timestamp(to_moment(_BEGIN + number * 100))
        symbol = f"s{number % SYMBOLS}"
        made.append(
            Event(
                msgspec.structs.replace(
                    TICK, symbol=symbol, vt_symbol=f"{symbol}.SHFE", datetime=when, localtime=when,
                    last_price=3500.0 + number % 89, volume=float(number),
                )
            )
        )  # fmt: skip
    return made


def append(folder: Path, frames: Sequence[Sequence[bytes]]) -> float:
    """Return the ticks a second that the spool takes."""
    spool = opened(folder)
    gc.collect()
    began = perf_counter()
    for records in frames:
        spool.append(records)
    rate = TICKS / (perf_counter() - began)
    spool.close()
    return rate


def write(folder: Path, frames: Sequence[Sequence[bytes]]) -> float:
    """Return the ticks a second that a plain file takes, in writes of the same size."""
    bodies = [b"\n".join(records) for records in frames]
    gc.collect()
    began = perf_counter()
    file = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for body in bodies:
        os.write(file, body)
    os.close(file)
    return TICKS / (perf_counter() - began)


def opened(folder: Path) -> Spool:
    settings = HistorySettings()
    spool = Spool(
        folder, max_bytes=settings.spool_mb << 20, max_age_s=3600, segment_bytes=settings.spool_segment_mb << 20
    )
    spool.open(Position())
    return spool


def drain(folder: Path) -> float:
    """Return the ticks a second that leave the spool, with bars built, for a store that costs little."""
    spool = opened(folder)
    draining = TickDrain(MemoryHistory(), spool, ticks=True, bars=True)
    draining.read_checkpoint()
    began = perf_counter()
    while draining.drain(lambda: False):
        pass
    rate = draining.stored / (perf_counter() - began)
    assert spool.waiting == 0
    return rate


async def feed(folder: Path, made: Sequence[Event], *, recording: bool) -> tuple[float, float]:
    """Tell ``RATE`` ticks a second in bursts of a millisecond, to DuckDB in the end.

    Returns the microseconds of the loop that telling one takes, and the 99th percentile, in ms, of how late the loop
    runs what is due meanwhile.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # as the service does
    store = DuckDbHistory(folder / "history.duckdb")
    recorder = HistoryRecorder(store, HistorySettings(record_ticks=recording), folder / "feed")
    await recorder.start()
    late_ms: list[float] = []
    told, handed_s, began = 0, 0.0, perf_counter()
    while (now := perf_counter()) - began < FEED_S:
        burst = made[told : int((now - began) * RATE)]
        recorder.on_events(burst)
        told += len(burst)
        handed_s += perf_counter() - now
        due = perf_counter() + 0.001
        await asyncio.sleep(0.001)
        late_ms.append((perf_counter() - due) * 1000)
    await recorder.stop(60)
    assert recorder.pending == recorder.dropped == 0
    assert recorder.status().stored == (told if recording else 0)
    store.close()
    return handed_s / told * 1e6, statistics.quantiles(late_ms, n=100)[98]


def measure(rounds: int = ROUNDS) -> dict[str, dict[str, list[float]]]:
    """Return the samples of each thing measured, in alternating rounds."""
    made = events(TICKS)
    frames = [[event.payload for event in made[first : first + FRAME]] for first in range(0, TICKS, FRAME)]
    found: dict[str, dict[str, list[float]]] = {
        name: {"product": [], "peer": []} for name in (APPEND, DRAIN, LOOP, LATE)
    }
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="vnpy-core-bench-") as name:
            folder = Path(name)
            found[APPEND]["peer"].append(write(folder, frames))
            found[APPEND]["product"].append(append(folder / "spool", frames))
            found[DRAIN]["product"].append(drain(folder / "spool"))
            for side, recording in (("peer", False), ("product", True)):
                cost_us, late_ms = asyncio.run(feed(folder, made, recording=recording))
                found[LOOP][side].append(cost_us)
                found[LATE][side].append(late_ms)
    return found


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=2))
