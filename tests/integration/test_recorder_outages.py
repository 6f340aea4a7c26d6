"""The recorder while its server is killed, frozen and restarted: nothing lost, nothing twice, nobody else held up."""

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.integration.busy_recorder import TIMEOUT_S, eventually, trading
from tests.integration.test_recorder import differences
from tests.servers import MariaDb, Postgres

SqlServer = MariaDb | Postgres

FROZEN_S = 5.0
# PostgreSQL's driver tries to end a connection in good form for so long, before it lets go.
GOODBYE_S = 2.0


@pytest.fixture(params=["own_mariadb", "own_postgres"])
def server(request: pytest.FixtureRequest) -> SqlServer:
    found: SqlServer = request.getfixturevalue(request.param)
    return found


async def test_a_server_that_is_killed_frozen_and_restarted(server: SqlServer, tmp_path: Path) -> None:
    url = server.new_database()
    async with trading(tmp_path, url) as busy:
        for _ in range(2):
            server.kill()
            await eventually(lambda: not busy.recorder.healthy)
            await eventually(lambda: busy.recorder.lag >= 100)
            await asyncio.to_thread(server.start)
            await busy.recorded_up_to_now()

        server.freeze()
        frozen = time.monotonic()
        await eventually(lambda: not busy.recorder.healthy)
        assert time.monotonic() - frozen < TIMEOUT_S + GOODBYE_S + 0.5
        assert "no answer within 1 s" in str(busy.recorder.detail)
        await asyncio.sleep(FROZEN_S)
        server.thaw()
        await busy.recorded_up_to_now()

        await asyncio.to_thread(server.restart)
        await busy.recorded_up_to_now()
        assert busy.slowest_s < 0.5
    last, different = await differences(tmp_path, url)
    assert last > 1000
    assert different == []


async def test_a_frozen_server_does_not_hold_up_the_stop_and_what_was_not_written_is_made_good(
    server: SqlServer, tmp_path: Path
) -> None:
    url = server.new_database()
    began = 0.0
    async with trading(tmp_path, url) as busy:
        server.freeze()
        await eventually(lambda: busy.recorder.lag >= 100)
        began = time.monotonic()
    assert time.monotonic() - began < 2 * (TIMEOUT_S + GOODBYE_S)
    server.thaw()
    last, different = await differences(tmp_path, url)
    assert last > 100
    assert different == []


HOLDER = f"""
import asyncio, sys
from sqlalchemy import update
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.tables import sink_cursors
async def hold():
    database = DatabaseManager(sys.argv[1], timeout_s={TIMEOUT_S})
    await database.open()
    async with database.session() as session:
        await session.execute(update(sink_cursors).values(seq=sink_cursors.c.seq))
        print("holding", flush=True)
        await asyncio.Event().wait()
asyncio.run(hold())
"""


async def test_a_client_that_vanished_in_a_transaction_does_not_hold_up_the_others(
    server: SqlServer, tmp_path: Path
) -> None:
    """As seen by the server, a process that stands still is one that a broken network has cut off."""
    url = server.new_database()
    async with trading(tmp_path, url) as busy:
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, url, stdout=asyncio.subprocess.PIPE
        )
        assert holder.stdout is not None
        try:
            assert await holder.stdout.readline() == b"holding\n"
            holder.send_signal(signal.SIGSTOP)
            await eventually(lambda: busy.recorder.lag >= 100)
            await busy.recorded_up_to_now()
        finally:
            holder.kill()
            await holder.communicate()
    assert (await differences(tmp_path, url))[1] == []
