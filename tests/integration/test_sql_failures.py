"""What database servers refuse, and what is made of it: it is said, nothing is lost, and it goes on by itself."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from tests import facts
from tests.integration.busy_recorder import eventually, trading
from tests.integration.test_recorder import differences
from tests.servers import MariaDb, Postgres
from tests.servers.disks import fill_up, small_disk
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import Journal
from vnpy_core.data.recorder import RecorderThread
from vnpy_core.data.tables import dead_letters, orders
from vnpy_core.errors import ConfigError, Unavailable
from vnpy_core.events import Event

SqlServer = MariaDb | Postgres

PASSWORD = "se%3Acret%2F1"


@pytest.fixture(params=["mariadb", "postgres"])
def server(request: pytest.FixtureRequest) -> SqlServer:
    found: SqlServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["own_mariadb", "own_postgres"])
def own_server(request: pytest.FixtureRequest) -> SqlServer:
    found: SqlServer = request.getfixturevalue(request.param)
    return found


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def hang_up(server: SqlServer) -> None:
    """End the connections of the service, so that what was changed holds for its next ones."""
    if isinstance(server, MariaDb):
        server.execute("KILL CONNECTION USER core@'127.0.0.1'")
    else:
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'core'")


# At the start


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda url: url.replace(PASSWORD, "wrong"), r"Access denied|password authentication failed"),
        (lambda url: url.replace("core:", "nobody:"), r"Access denied|password authentication failed"),
        (lambda url: url.replace(name_of(url), "facts_missing"), r"[Uu]nknown database|does not exist"),
        (lambda url: url.replace("127.0.0.1", "no-such-host.invalid"), r"not known"),
    ],
    ids=["password", "user", "database", "host"],
)
async def test_what_is_wrong_with_the_url_is_said(server: SqlServer, wrong: object, said: str) -> None:
    assert callable(wrong)
    url = wrong(server.new_database())
    with pytest.raises(Unavailable, match=f"is not available: .*({said}).*Correct database.url") as caught:
        await DatabaseManager(url).open()
    assert PASSWORD not in caught.value.detail
    assert "se:cret" not in caught.value.detail


async def test_a_database_that_may_only_be_read_is_refused(server: SqlServer) -> None:
    url = server.new_database()
    database = DatabaseManager(url)
    await database.open()
    await database.close()
    forbid_writing(server, url)
    try:
        with pytest.raises(Unavailable, match=r"(?i)read.only"):
            await database.open()
    finally:
        allow_writing(server, url)
    await database.open()
    await database.close()


async def test_a_user_who_may_not_write_is_refused(server: SqlServer) -> None:
    url = server.new_database()
    database = DatabaseManager(url)
    await database.open()
    await database.close()
    if isinstance(server, MariaDb):
        server.execute(f"CREATE USER reader IDENTIFIED BY 'r'; GRANT SELECT ON {name_of(url)}.* TO reader")
    else:
        server.execute("CREATE ROLE reader LOGIN PASSWORD 'r'; GRANT pg_read_all_data TO reader")
    with pytest.raises(Unavailable, match=r"(?i)denied"):
        await DatabaseManager(url.replace(f"core:{PASSWORD}", "reader:r")).open()


def forbid_writing(server: SqlServer, url: str) -> None:
    if isinstance(server, MariaDb):
        server.execute("SET GLOBAL read_only = ON")
    else:
        server.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")


def allow_writing(server: SqlServer, url: str) -> None:
    if isinstance(server, MariaDb):
        server.execute("SET GLOBAL read_only = OFF")
    else:
        server.execute(f"ALTER DATABASE {name_of(url)} RESET default_transaction_read_only")


# At work


async def test_facts_wait_while_the_database_is_read_only(own_server: SqlServer, tmp_path: Path) -> None:
    url = own_server.new_database()
    async with trading(tmp_path, url) as busy:
        await asyncio.to_thread(forbid_writing, own_server, url)
        await asyncio.to_thread(hang_up, own_server)
        await eventually(lambda: "read" in str(busy.recorder.detail) and "only" in str(busy.recorder.detail))
        await eventually(lambda: busy.recorder.lag >= 100)
        await asyncio.to_thread(allow_writing, own_server, url)
        await asyncio.to_thread(hang_up, own_server)
        await busy.recorded_up_to_now()
        assert busy.recorder.dead_letters == 0
    assert (await differences(tmp_path, url))[1] == []


async def test_facts_wait_while_the_password_is_not_accepted(own_server: SqlServer, tmp_path: Path) -> None:
    url = own_server.new_database()
    mariadb = isinstance(own_server, MariaDb)
    change = "SET PASSWORD FOR core@'127.0.0.1' = PASSWORD('{}')" if mariadb else "ALTER ROLE core PASSWORD '{}'"
    async with trading(tmp_path, url) as busy:
        await asyncio.to_thread(own_server.execute, change.format("changed"))
        await asyncio.to_thread(hang_up, own_server)
        said = "Access denied" if mariadb else "password authentication failed"
        await eventually(lambda: said in str(busy.recorder.detail))
        await eventually(lambda: busy.recorder.lag >= 100)
        await asyncio.to_thread(own_server.execute, change.format("se:cret/1"))
        await busy.recorded_up_to_now()
        assert busy.recorder.dead_letters == 0
    assert (await differences(tmp_path, url))[1] == []


async def test_facts_wait_while_the_disk_is_full(tmp_path: Path, kind: type[SqlServer]) -> None:
    with small_disk(160) as disk, kind(folder=disk) as server:
        url = server.new_database()
        async with trading(tmp_path, url) as busy:
            filler = disk / "filler"
            await asyncio.to_thread(fill_up, filler)
            said = "is full" if isinstance(server, MariaDb) else "No space left"
            await eventually(lambda: said in str(busy.recorder.detail), 60)
            await eventually(lambda: busy.recorder.lag >= 500)
            filler.unlink()
            # PostgreSQL ends itself when it cannot write its log.
            if not server.is_running:
                await asyncio.to_thread(server.restart)
            await busy.recorded_up_to_now(60)
            assert busy.recorder.dead_letters == 0
            assert busy.slowest_s < 0.5
        assert (await differences(tmp_path, url))[1] == []


@pytest.fixture(params=[MariaDb, Postgres])
def kind(request: pytest.FixtureRequest) -> type[SqlServer]:
    found: type[SqlServer] = request.param
    return found


async def test_records_that_are_refused_for_their_content_are_put_aside(server: SqlServer, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    poison = {
        100: facts.order(100, symbol="x" * 200),
        101: facts.order("k" * 300),
        1500: facts.order(1500, datetime="soon"),
        1999: facts.order(1999, datetime="0001-01-01T00:00:00.000000+08:00"),
    }
    made = [Event(poison.get(number, facts.order(number))) for number in range(1, 2001)]
    await journal.append(made)
    url = server.new_database()
    database = DatabaseManager(url)
    recorder = RecorderThread(journal, database)
    await recorder.start()
    await recorder.stop(timeout_s=60)
    assert (recorder.lag, recorder.dead_letters, recorder.healthy) == (0, len(poison), True)
    async with database.session(read_only=True) as session:
        letters = {letter.seq: letter for letter in await session.execute(select(dead_letters))}
        stored = set((await session.scalars(select(orders.c.seq))).all())
    assert {seq: letter.payload for seq, letter in letters.items()} == {
        seq: msgspec.json.encode(fact) for seq, fact in poison.items()
    }
    assert all(letter.reason and letter.topic == "order.updated" for letter in letters.values())
    assert stored == set(range(1, 2001)) - set(poison)
    await database.close()
    await journal.close()


# A rolling restart


async def test_an_old_version_goes_on_while_a_new_one_upgrades_the_schema(server: SqlServer, tmp_path: Path) -> None:
    url = server.new_database()
    async with trading(tmp_path, url) as busy:
        revision = await asyncio.to_thread(server.execute, "SELECT version_num FROM alembic_version", name_of(url))
        for statement in (
            "ALTER TABLE orders ADD COLUMN note VARCHAR(10)",
            "ALTER TABLE trades ADD COLUMN fee DOUBLE PRECISION DEFAULT 0",
            "UPDATE alembic_version SET version_num = '9999'",
        ):
            await asyncio.to_thread(server.execute, statement, name_of(url))
        await busy.recorded_up_to_now()
        await asyncio.to_thread(hang_up, server)
        await busy.recorded_up_to_now()
    with pytest.raises(ConfigError, match="newer version has upgraded it"):
        await DatabaseManager(url).open()
    back = f"UPDATE alembic_version SET version_num = '{revision.strip()}'"  # noqa: S608
    await asyncio.to_thread(server.execute, back, name_of(url))
    assert (await differences(tmp_path, url))[1] == []
