"""Journal: numbered commits that survive, errors that say what to do, pruning, and the replay of states."""

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.facts import account, gateway, intent, order, position, strategy, trade

from vnpy_core.data.journal import Journal
from vnpy_core.data.journal_file import explain
from vnpy_core.data.read_model import ReadModel, Table
from vnpy_core.enums import GatewayState, OrderStatus, StrategyState
from vnpy_core.errors import Unavailable
from vnpy_core.events import Event, decode_fact
from vnpy_core.models import Model

OLD, NEW = "2026-01-01T00:00:00.000000+00:00", "2026-01-09T00:00:00.000000+00:00"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[Journal]:
    journal = Journal(path, **options)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


@contextlib.contextmanager
def no_space(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size``; to SQLite that is a disk that refuses to write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def events(*models: Model, ts: str = OLD) -> list[Event]:
    return [Event(model, ts=ts) for model in models]


async def test_facts_are_numbered_in_order_and_read_back(path: Path) -> None:
    async with opened(path) as journal:
        first, second = events(order(1), trade(1)), events(order(2))
        await journal.append(first)
        await journal.append(second)
        assert [event.seq for event in first + second] == [1, 2, 3]
        assert (journal.first_seq, journal.last_seq) == (1, 3)
        records = await journal.read(after=1, limit=10)
        assert [(record.seq, record.topic, record.ts) for record in records] == [
            (2, "trade.executed", OLD), (3, "order.updated", OLD),
        ]  # fmt: skip
        assert decode_fact(records[1].topic, records[1].payload) == order(2)
        assert len(await journal.read(after=0, limit=2)) == 2


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
async def test_numbers_go_on_after_a_restart(path: Path, synchronous: str) -> None:
    async with opened(path, synchronous=synchronous) as journal:
        await journal.append(events(order(1), order(2)))
    async with opened(path, synchronous=synchronous) as journal:
        assert journal.last_seq == 2
        more = events(order(3))
        await journal.append(more)
        assert more[0].seq == 3
        assert len(await journal.read(0, 10)) == 3


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200])
async def test_however_many_are_appended_at_once_all_are_there(path: Path, count: int) -> None:
    """Of each key the latest too, also if several facts of it come together."""
    facts = events(*(order(str(number % 30), traded=number / 1000) for number in range(count)))
    async with opened(path) as journal:
        await journal.append(facts)
        assert [event.seq for event in facts] == list(range(1, count + 1))
        assert [record.payload for record in await journal.read(0, 1000)] == [event.payload for event in facts]
        latest = [(one.first_seq, one.record.seq) for one in await journal.latest("order.updated", 1000)]
        assert latest == [(first, max(range(first, count + 1, 30))) for first in range(1, min(count, 30) + 1)]


async def test_appends_at_the_same_time_get_numbers_without_gaps(path: Path) -> None:
    async with opened(path) as journal:
        batches = [events(*(order(f"{b}-{n}") for n in range(3))) for b in range(20)]
        await asyncio.gather(*(journal.append(batch) for batch in batches))
        assert sorted(event.seq or 0 for batch in batches for event in batch) == list(range(1, 61))
        for batch in batches:
            first = batch[0].seq or 0
            assert [event.seq for event in batch] == [first, first + 1, first + 2]


async def test_a_full_disk_leaves_nothing_behind_and_uses_no_number(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(events(order(1)))
        refused = events(*(order(number) for number in range(2, 2000)))
        with no_space(path.with_name("journal.db-wal").stat().st_size + 8192):
            with pytest.raises(Unavailable, match="free space"):
                await journal.append(refused)
            with pytest.raises(Unavailable, match="free space"):
                await journal.append(refused)
        assert journal.last_seq == 1
        assert refused[0].seq is None
        assert len(await journal.read(0, 10)) == 1
        await journal.check()
        await journal.append(refused)
        assert (refused[0].seq, journal.last_seq) == (2, 1999)


async def test_a_locked_file_is_told_and_served_again_later(path: Path) -> None:
    async with opened(path) as journal:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="locked by another program"):
                await journal.append(events(order(1)))
            with pytest.raises(Unavailable, match="locked"):
                await journal.check()
            other.execute("ROLLBACK")
        await journal.append(events(order(1)))
        assert journal.last_seq == 1


@pytest.fixture
def damaged(path: Path) -> Path:
    path.write_bytes(b"this is no database at all, and long enough to be looked at" * 20)
    return path


async def test_a_damaged_file_is_refused_with_what_to_do(damaged: Path) -> None:
    with pytest.raises(Unavailable, match=r"damaged.*move the file"):
        await Journal(damaged).open()


async def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    async with opened(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    journal = Journal(path)
    with pytest.raises(Unavailable, match="newer version") as caught:
        await journal.open()
    assert caught.value.error_code == "journal_too_new"
    with pytest.raises(Unavailable, match="closed"):
        await journal.append(events(order()))


async def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be written"):
        await Journal(tmp_path).open()


@pytest.fixture
def readonly_error(path: Path) -> sqlite3.Error:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE facts (seq)")
    with (
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError) as caught,
    ):
        connection.execute("INSERT INTO facts VALUES (1)")
    return caught.value


def test_a_file_without_write_access_is_told(readonly_error: sqlite3.Error) -> None:
    assert "give this process's user write access" in explain(readonly_error)


async def test_the_log_is_moved_into_the_file_while_the_journal_is_in_use(path: Path) -> None:
    async with opened(path) as journal:
        for first in range(0, 20_000, 1000):
            await journal.append(events(*(order(first + number) for number in range(1000))))
        await journal.read(0, 1)  # runs after the checkpoint, on its thread
        assert os.stat(path).st_size > 2 << 20  # noqa: PTH116


async def test_a_closed_journal_says_so_and_closes_twice(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(Unavailable, match="not open"):
        await journal.read(0, 1)
    await journal.open()
    await journal.close()
    await journal.close()
    with pytest.raises(Unavailable, match="closed"):
        await journal.append(events(order()))


async def test_cursors_begin_at_zero_and_are_kept(path: Path) -> None:
    async with opened(path) as journal:
        assert await journal.cursor("sql") == 0
        await journal.set_cursor("sql", 17)
    async with opened(path) as journal:
        assert await journal.cursor("sql") == 17
        assert await journal.cursor("redis") == 0


async def test_pruning_waits_for_every_cursor_and_for_age(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(events(*(trade(number) for number in range(10))))
        await journal.append(events(*(trade(number) for number in range(10, 20)), ts=NEW))
        await journal.cursor("sql")
        assert await journal.prune(NEW, keep_after_seq=20) == 0
        await journal.set_cursor("sql", 4)
        assert await journal.prune(NEW, keep_after_seq=20) == 4
        await journal.set_cursor("sql", 20)
        assert await journal.prune(NEW, keep_after_seq=6) == 2
        assert await journal.prune(NEW, keep_after_seq=20) == 4
        assert (journal.first_seq, journal.last_seq) == (11, 20)
        assert [record.seq for record in await journal.read(0, 100)] == list(range(11, 21))
        assert await journal.prune("9", keep_after_seq=20) == 9
    async with opened(path) as journal:
        assert (journal.first_seq, journal.last_seq) == (20, 20)
        more = events(trade(99))
        await journal.append(more)
        assert more[0].seq == 21


async def test_pruning_keeps_what_still_lives(path: Path) -> None:
    alive: list[Model] = [
        order(1), position(), account(), strategy(), gateway(), intent(1), intent(2, "UNKNOWN"),
        order(2, OrderStatus.UNKNOWN),
    ]  # fmt: skip
    over: list[Model] = [
        order(3, OrderStatus.ALLTRADED), trade(1), intent(3, "SENT"), strategy("gone", StrategyState.REMOVED),
    ]  # fmt: skip
    async with opened(path) as journal:
        await journal.append(events(order(1, OrderStatus.SUBMITTING), order(3), position(volume=9.0), *over, *alive))
        await journal.append(events(account(2.0), trade(2), ts=NEW))
        assert await journal.prune(NEW, keep_after_seq=10**9) == 8  # one of them is the account's earlier state
        left = [decode_fact(record.topic, record.payload) for record in await journal.read(0, 100)]
        assert left == [model for model in alive if model != account()] + [account(2.0), trade(2)]
        model = ReadModel()
        await model.restore(journal)
        assert [event.data.key for event in model.orders.values()] == ["SIM.1", "SIM.2"]
        assert model.orders.get("SIM.1") is not None


async def test_pruning_goes_in_parts_between_which_facts_are_appended(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(events(*(trade(number) for number in range(5000))))
        pruning = asyncio.create_task(journal.prune(NEW, keep_after_seq=10**9))
        last_seqs = []
        for number in range(20):
            await journal.append(events(trade(f"new{number}"), ts=NEW))
            last_seqs.append((journal.first_seq, journal.last_seq))
        assert await pruning == 5000
        assert len({first for first, _ in last_seqs}) > 2


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.facts import order
from vnpy_core.data.journal import Journal
from vnpy_core.data.journal_file import explain
from vnpy_core.events import Event

async def main():
    journal = Journal(Path(sys.argv[1]))
    await journal.open()
    number = 0
    while True:
        batch = [Event(order(f"{journal.last_seq}-{n}")) for n in range(1 + number % 7)]
        await journal.append(batch)
        print(" ".join(f"{event.seq}:{event.data.orderid}" for event in batch), flush=True)
        number += 1

asyncio.run(main())
"""


def append_until_killed(path: Path, wanted: int) -> dict[int, str]:
    """Kill a process with -9 in the midst of its appends; return what it has told to be on disk."""
    command = [sys.executable, "-c", CHILD, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    acknowledged: dict[int, str] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            acknowledged |= {int(seq): orderid for seq, orderid in (item.split(":") for item in line.split())}
            if len(acknowledged) >= wanted:
                child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    return acknowledged


async def test_nothing_acknowledged_is_lost_by_kill_9(path: Path) -> None:
    acknowledged: dict[int, str] = {}
    for wanted in (50, 400, 1500):
        acknowledged |= await asyncio.to_thread(append_until_killed, path, wanted)
        async with opened(path) as journal:
            on_disk = {record.seq: record for record in await journal.read(0, 10**6)}
        assert sorted(on_disk) == list(range(1, len(on_disk) + 1))
        for seq, orderid in acknowledged.items():
            model = decode_fact(on_disk[seq].topic, on_disk[seq].payload)
            assert model.key == f"SIM.{orderid}"


STATUSES = list(OrderStatus)
FACTS = st.one_of(
    st.builds(order, st.integers(1, 8), st.sampled_from(STATUSES), traded=st.integers(0, 5).map(float)),
    st.builds(trade, st.integers(1, 8)),
    st.builds(position, st.sampled_from(["a", "b"]), st.integers(0, 3).map(float)),
    st.builds(account, st.integers(0, 3).map(float)),
    st.builds(strategy, st.sampled_from(["a", "b", "c"]), st.sampled_from(list(StrategyState))),
    st.builds(gateway, st.just("SIM"), st.sampled_from(list(GatewayState))),
    st.builds(intent, st.integers(1, 5), st.sampled_from([None, "SENT", "UNKNOWN"])),
)


def same(replayed: ReadModel, live: ReadModel, keep_final: int) -> None:
    """Assert that both hold the same rows, in the same order and with the same cursors.

    Where rows were evicted, the order may differ (one told again later is last in the live model, and where it first
    was in the other), and the replay may have room for one that the live model had evicted.
    """
    for name, table in vars(live).items():
        if isinstance(table, Table):
            other = vars(replayed)[name]
            rows, others = ([event.frame for event in each.values()] for each in (table, other))
            if table.evicted:
                assert set(rows) <= set(others)
                assert sum(event.data.is_final for event in other.values()) <= keep_final
            else:
                assert others == rows
                assert other.page(None, None, 1)[1] == table.page(None, None, 1)[1]


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(FACTS, min_size=1, max_size=12), max_size=6), keep_final=st.integers(1, 4))
def test_a_replay_gives_the_same_read_model(batches: list[list[Model]], keep_final: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder, "journal.db"), batches, keep_final))


async def compare(path: Path, batches: list[list[Model]], keep_final: int) -> None:
    """Tell a live read model the batches, and compare it with one replayed from the journal of them."""
    live = ReadModel(keep_final)
    intents: dict[str, Model] = {}
    async with opened(path) as journal:
        for batch in batches:
            told = events(*batch)
            await journal.append(told)
            live.apply(told)
            intents |= {model.key: model for model in batch if model.topic == "intent"}
        replayed = ReadModel(keep_final)
        known = {model.key: model for model in await replayed.restore(journal)}
        same(replayed, live, keep_final)
        assert {key: model for key, model in intents.items() if not model.is_final}.items() <= known.items()
        more = events(order(1, OrderStatus.CANCELLED), order(9, OrderStatus.CANCELLED), trade(9))
        await journal.append(more)
        live.apply(more)
        replayed.apply(more)
        same(replayed, live, keep_final)
