"""Ticks on their way to a real InfluxDB that is killed and frozen, from a process that is killed, on a full disk."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.integration.busy_recorder import eventually
from tests.integration.busy_ticks import SYMBOLS, settings, tick
from tests.servers import Influx
from vnpy_core.data.bar_builder import BarBuilder, bar_series
from vnpy_core.data.history.influx import InfluxHistory
from vnpy_core.data.history.memory import MemoryHistory
from vnpy_core.data.tick_recorder import HistoryRecorder
from vnpy_core.data.tick_series import TimedTick, tick_series
from vnpy_core.enums import Exchange, Interval
from vnpy_core.events import Event
from vnpy_core.models import Tick
from vnpy_core.ports import HistoryStore

ROOT = Path(__file__).resolve().parents[2]
# What can arrive in the 200 ms that a kill may cost, of some 4,000 ticks a second.
UNFLUSHED = 800


class Child:
    """The process of ``busy_ticks``: how many ticks it has said to be on the disk, and on their way."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.safe = self.pending = self.dropped = 0
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.safe, self.pending, self.dropped = map(int, line.split())

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reading


@asynccontextmanager
async def child(server: Influx, database: str, folder: Path, first: int) -> AsyncIterator[Child]:
    command = [sys.executable, "-m", "tests.integration.busy_ticks", server.url, database, str(folder), str(first)]
    started = Child(await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT))
    try:
        yield started
    finally:
        await started.kill()


def numbers_in(store: HistoryStore) -> set[int]:
    """Return the numbers of the stored ticks."""
    found: set[int] = set()
    for symbol in SYMBOLS:
        series = store.load(symbol, Exchange.SHFE, Interval.TICK)
        found |= set(series.columns["volume"].astype(int).tolist())
    return found


def bars_in(store: HistoryStore) -> dict[str, list[list[float]]]:
    series = {symbol: store.load(symbol, Exchange.SHFE, Interval.MINUTE) for symbol in SYMBOLS}
    return {symbol: np.array(list(each.columns.values())).tolist() for symbol, each in series.items()}


def stored_at_once(ticks: list[Tick]) -> MemoryHistory:
    """Return a store with what is made of ``ticks`` if nothing ever fails."""
    store, builder = MemoryHistory(), BarBuilder()
    timed = [TimedTick.of(one) for one in ticks]
    made = [builder.update(one.tick, one.time, 0.0) for one in timed]
    bars = [bar for bar in [*made, *builder.finish(0.0, everything=True)] if bar is not None]
    store.save([*tick_series(timed), *bar_series(bars)])
    return store


async def drained(server: Influx, database: str, folder: Path) -> InfluxHistory:
    """Let a last run store what is left, and return the store."""
    store = InfluxHistory(server.url, database)
    recorder = HistoryRecorder(store, settings(), folder)
    await recorder.start()
    await recorder.stop(30)  # stores what waits, if anything does: the run before may have stored all
    assert (recorder.pending, recorder.dropped, recorder.refused) == (0, 0, 0)
    assert recorder.status().damaged == 0
    return store


@pytest.mark.timeout(180)
async def test_a_killed_process_and_a_server_that_is_killed_and_frozen(own_influx: Influx, tmp_path: Path) -> None:
    database = own_influx.new_database()
    folder = tmp_path / "spool"
    told = 0
    kept: set[int] = set()
    for fate in ("killed", "frozen", "well"):
        first = told + UNFLUSHED  # so that nothing of this run has the number of one that was lost
        async with child(own_influx, database, folder, first) as process:
            await eventually(lambda process=process, first=first: process.safe >= first + 1000)
            if fate == "killed":
                own_influx.kill()
            elif fate == "frozen":
                own_influx.freeze()
            await eventually(lambda process=process, first=first: process.safe >= first + 6000)
            await process.kill()
            assert process.dropped == 0
        told = process.safe
        kept |= set(range(first, told))
        if fate == "killed":
            own_influx.start()
        elif fate == "frozen":
            own_influx.thaw()
    store = await drained(own_influx, database, folder)
    with closing(store):
        found = numbers_in(store)
        bars = bars_in(store)
    assert kept <= found
    # Further ones had come to the disk when the last line was written, but no more than one batch of each run.
    assert len(found - kept) <= 3 * UNFLUSHED
    assert bars == bars_in(stored_at_once([tick(number) for number in sorted(found)]))


async def test_an_outage_is_over_and_nothing_is_lost(own_influx: Influx, tmp_path: Path) -> None:
    store = InfluxHistory(own_influx.url, own_influx.new_database(), timeout_s=1.0)
    recorder = HistoryRecorder(store, settings(), tmp_path / "spool")
    await recorder.start()
    number = 0

    async def flow(count: int) -> None:
        nonlocal number
        for _ in range(count // 20):
            recorder.on_events([Event(tick(number + place)) for place in range(20)])
            number += 20
            await asyncio.sleep(0.001)

    with closing(store):
        await flow(2000)
        own_influx.freeze()
        await flow(2000)
        await eventually(lambda: "did not answer within 1 s" in str(recorder.detail))
        own_influx.thaw()
        await eventually(lambda: recorder.healthy and recorder.pending == 0)
        own_influx.kill()
        await flow(2000)
        await eventually(lambda: "cannot be reached" in str(recorder.detail))
        assert recorder.status().in_memory < 2000
        await asyncio.to_thread(own_influx.start)
        await eventually(lambda: recorder.healthy and recorder.pending == 0)
        await recorder.stop(30)
        wanted = stored_at_once([tick(each) for each in range(number)])
        assert numbers_in(store) == set(range(number))
        assert bars_in(store) == bars_in(wanted)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small file system can be mounted by root alone: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_disk_that_is_full_is_said_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    store = MemoryHistory()
    with small_disk(tmp_path / "disk", 4) as disk:
        recorder = HistoryRecorder(store, settings(), disk / "spool", capacity=1000)
        await recorder.start()
        recorder.on_events([Event(tick(number)) for number in range(100)])
        await eventually(lambda: recorder.status().stored >= 100)
        ballast = disk / "ballast"
        fill_up(ballast)
        number = 100
        while recorder.status().in_memory < 1000:
            recorder.on_events([Event(tick(each)) for each in range(number, number + 100)])
            number += 100
            await asyncio.sleep(0.01)
        assert f"The disk of the spool {disk / 'spool'} is full" in str(recorder.detail)
        before = number
        recorder.on_events([Event(tick(each)) for each in range(number, number + 50)])
        number += 50
        assert recorder.dropped > 0
        ballast.unlink()
        await eventually(lambda: recorder.healthy and recorder.pending == 0)
        recorder.on_events([Event(tick(each)) for each in range(number, number + 100)])
        number += 100
        await recorder.stop()
        found = numbers_in(store)
        assert len(found) + recorder.dropped == number
        assert found >= set(range(before, number))
        assert recorder.status().damaged == 0


def fill_up(path: Path) -> None:
    """Write until nothing more can be written."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 12))
