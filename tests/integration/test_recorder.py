"""From the journal on disk into SQL, also through the death of the process."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from tests import facts
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import Journal
from vnpy_core.data.recorder import RecorderThread
from vnpy_core.data.tables import FACT_TABLES
from vnpy_core.enums import OrderStatus
from vnpy_core.events import Event, decode_fact

ROOT = Path(__file__).parents[2]
WRITER = """
import asyncio, sys
from pathlib import Path
from tests.integration.test_recorder import write_for_ever
asyncio.run(write_for_ever(Path(sys.argv[1]), sys.argv[2]))
"""


async def write_for_ever(folder: Path, database_url: str) -> None:
    """Journal the lives of orders and record them; print a number after each commit to the journal."""
    journal = Journal(folder / "journal.db")
    await journal.open()
    database = DatabaseManager(database_url)
    await database.open()
    recorder = RecorderThread(journal, database, batch_size=50, linger_s=0)
    await recorder.start()
    number = 0
    while True:
        batch = []
        for _ in range(10):
            number += 1
            batch += [facts.order(number, OrderStatus.SUBMITTING), facts.order(number, OrderStatus.ALLTRADED)]
            batch += [facts.trade(number, vt_orderid=f"SIM.{number}"), facts.account(float(number))]
        await journal.append([Event(fact) for fact in batch])
        recorder.notify()
        print(journal.last_seq, recorder.position, flush=True)


async def differences(folder: Path, database_url: str) -> tuple[int, list[Any]]:
    """Catch up, then return how many facts the journal has, and what the tables have otherwise than it."""
    journal = Journal(folder / "journal.db")
    await journal.open()
    database = DatabaseManager(database_url)
    await database.open()
    recorder = RecorderThread(journal, database)
    await recorder.start()
    await recorder.stop(timeout_s=60)
    assert recorder.lag == 0
    expected: dict[tuple[str, str], tuple[int, Any]] = {}
    for record in await journal.read(0, 10_000_000):
        fact = decode_fact(record.topic, record.payload)
        expected[type(fact).__name__, fact.key] = (record.seq, fact)
    stored = {}
    async with database.session(read_only=True) as session:
        for model, table in FACT_TABLES.items():
            for row in (await session.execute(select(table))).mappings():
                fact = msgspec.convert({field: row[field] for field in model.__struct_fields__}, model)
                stored[model.__name__, fact.key] = (row["seq"], fact)
    await database.close()
    last = journal.last_seq
    await journal.close()
    return last, [key for key in expected.keys() | stored.keys() if expected.get(key) != stored.get(key)]


async def test_the_tables_show_the_latest_of_the_journal(tmp_path: Path, database_url: str) -> None:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    for number in range(1, 40):
        await journal.append(
            [
                Event(facts.intent(number)),
                Event(facts.order(number, OrderStatus.SUBMITTING)),
                Event(facts.gateway()),
                Event(facts.intent(number, "SENT")),
                Event(facts.order(number, OrderStatus.ALLTRADED, traded=5.0)),
                Event(facts.trade(number, vt_orderid=f"SIM.{number}")),
                Event(facts.position(volume=float(number))),
                Event(facts.account(1e6 - number)),
                Event(facts.strategy(f"strategy {number % 3}")),
            ]
        )
    await journal.close()
    (last, different), keys = await differences(tmp_path, database_url), {("GatewayStatus", "SIM")}
    assert last == 39 * 9
    assert set(different) == keys


@pytest.mark.parametrize("passed", [40, 2000])
async def test_a_killed_process_leaves_nothing_that_is_not_made_good(
    tmp_path: Path, database_url: str, passed: int
) -> None:
    for round_ in (1, 2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(tmp_path), database_url, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        assert process.stdout is not None
        recorded = 0
        try:
            while recorded < passed * round_:
                line = (await process.stdout.readline()).split()
                assert line, "the writer ended by itself"
                recorded = int(line[1])
        finally:
            process.kill()
            await process.communicate()
        last, different = await differences(tmp_path, database_url)
        assert last >= recorded
        assert different == []
