"""What holds for every SQL database: the schema and its upgrades, transactions, and what the errors say."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, false, insert, inspect, select, text, update

import vnpy_core
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.schema import alembic_config, migrations_path
from vnpy_core.data.tables import (
    FACT_TABLES,
    SCHEMA_REVISION,
    VtId,
    accounts,
    dead_letters,
    metadata,
    order_intents,
    sink_cursors,
)
from vnpy_core.errors import ConfigError, DataRejected, Unavailable

SECRET = "s3cret-pass"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[DatabaseManager]:
    manager = DatabaseManager(database_url, timeout_s=5)
    await manager.open()
    yield manager
    await manager.close()


async def reopen(database: DatabaseManager) -> None:
    await database.close()
    await database.open()


def cursor(sink: str, seq: int) -> dict[str, object]:
    return {"sink": sink, "journal": 1, "seq": seq}


async def cursors(database: DatabaseManager) -> dict[str, int]:
    async with database.session(read_only=True) as session:
        return {row.sink: row.seq for row in await session.execute(select(sink_cursors))}


# The schema


async def test_open_creates_every_table_at_the_newest_revision(database: DatabaseManager) -> None:
    def look(connection: Connection) -> tuple[set[str], str | None, str | None]:
        head = ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
        present = MigrationContext.configure(connection).get_current_revision()
        return set(inspect(connection).get_table_names()), head, present

    async with database.session() as session:
        names, head, present = await session.run_sync(look)
    assert names == {*metadata.tables, "alembic_version"}
    assert SCHEMA_REVISION == head == present


async def test_models_equal_migrations(database: DatabaseManager) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return [each for each in compare_metadata(context, metadata) if not is_false_of_mariadb(each)]

    def is_false_of_mariadb(difference: Any) -> bool:
        """MariaDB keeps a boolean as a TINYINT, and so shows the default ``false`` as 0."""
        match difference:
            case [("modify_default", _, _, _, _, there, here)] if database.dialect == "mysql":
                return there is not None and str(there.arg) == "0" and isinstance(here.arg, type(false()))
        return False

    async with database.session() as session:
        assert await session.run_sync(differences) == []


async def test_downgrade_to_nothing_and_upgrade_again(database: DatabaseManager) -> None:
    def downgrade(connection: Connection) -> set[str]:
        command.downgrade(alembic_config(connection), "base")
        return set(inspect(connection).get_table_names())

    async with database.session() as session:
        assert await session.run_sync(downgrade) == {"alembic_version"}
    await reopen(database)
    assert await cursors(database) == {}


async def test_opening_again_keeps_what_is_stored_and_changes_nothing(database: DatabaseManager) -> None:
    async with database.session() as session:
        await session.execute(insert(sink_cursors), cursor("sql", 7))
    await reopen(database)
    await database.open()
    assert await cursors(database) == {"sql": 7}


async def test_opening_an_up_to_date_database_does_not_load_alembic(
    database: DatabaseManager, database_url: str
) -> None:
    program = (
        "import asyncio, sys\n"
        "from vnpy_core.data.database import DatabaseManager\n"
        "async def main():\n"
        "    database = DatabaseManager(sys.argv[1])\n"
        "    await database.open()\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
        "print('alembic' in sys.modules)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, database_url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.split() == [b"False"]


async def test_two_processes_that_start_together_both_find_the_schema(database_url: str) -> None:
    managers = [DatabaseManager(database_url) for _ in range(2)]
    try:
        await asyncio.gather(*(manager.open() for manager in managers))
        for manager in managers:
            assert await cursors(manager) == {}
    finally:
        for manager in managers:
            await manager.close()


async def test_a_schema_newer_than_the_code_is_refused_and_left_alone(database: DatabaseManager) -> None:
    async with database.session() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    with pytest.raises(ConfigError, match=r"revision 9999.*newer version has upgraded it"):
        await database.open()
    assert not database.is_open
    with pytest.raises(Unavailable, match="newer version has upgraded it"):
        await database.ping()


@pytest.mark.parametrize("since", [SCHEMA_REVISION[:4], "0001"])
async def test_a_newer_schema_that_lets_this_code_go_on_is_used_as_it_is(database: DatabaseManager, since: str) -> None:
    newer = f"9998_since_{since}"
    async with database.session() as session:
        await session.execute(text(f"UPDATE alembic_version SET version_num = '{newer}'"))  # noqa: S608
    await reopen(database)
    assert await database.revision() == newer
    assert await cursors(database) == {}


async def test_a_newer_schema_that_lets_only_later_code_go_on_is_refused(database: DatabaseManager) -> None:
    later = f"{int(SCHEMA_REVISION[:4]) + 1:04d}"
    async with database.session() as session:
        await session.execute(text(f"UPDATE alembic_version SET version_num = '9998_since_{later}'"))  # noqa: S608
    with pytest.raises(ConfigError, match="newer version has upgraded it"):
        await reopen(database)


def test_each_revision_has_the_next_number_and_lets_no_later_code_go_on() -> None:
    names = sorted(path.name for path in (migrations_path() / "versions").glob("[0-9]*.py"))
    revisions = [script.revision for script in ScriptDirectory(str(migrations_path())).walk_revisions()][::-1]
    assert [name[:4] for name in names] == [revision[:4] for revision in revisions]
    for number, revision in enumerate(revisions, 1):
        found = re.fullmatch(r"(\d{4})(?:_since_(\d{4}))?", revision)
        assert found is not None
        assert int(found[1]) == number
        assert found[2] is None or found[2] < found[1]


async def test_tables_of_another_program_are_not_taken_for_ours(database_url: str, database: DatabaseManager) -> None:
    async with database.session() as session:
        await session.execute(text("DROP TABLE alembic_version"))
    await database.close()
    with pytest.raises(ConfigError, match=r"already has tables named .*accounts, .*database of its own"):
        await database.open()


@pytest.mark.parametrize(("model", "table"), FACT_TABLES.items(), ids=lambda item: getattr(item, "name", ""))
def test_a_facts_table_has_a_column_per_field(model: type, table: Table) -> None:
    fields = set(model.__struct_fields__)
    assert {column.name for column in table.columns if column.computed is None} == fields | {"seq", "ts"}


def test_no_index_is_longer_than_mysql_allows() -> None:
    for table in metadata.sorted_tables:
        for columns in (table.primary_key.columns, *(index.columns for index in table.indexes)):
            bytes_ = sum(4 * (getattr(column.type, "length", None) or 2) for column in columns)
            assert bytes_ <= 3072, (table.name, [column.name for column in columns])
    assert VtId.length == 64 + 1 + 136


def test_the_migrations_are_found_in_a_checkout() -> None:
    assert (migrations_path() / "env.py").is_file()


def test_the_migrations_are_found_in_an_installed_package(tmp_path: Path) -> None:
    package = tmp_path / "100%" / "vnpy_core"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(vnpy_core.__file__).parent, package, ignore=ignore)
    shutil.copytree(migrations_path(), package / "_migrations", ignore=ignore)
    program = (
        "import asyncio\n"
        "from vnpy_core.data import database, schema\n"
        "async def main():\n"
        "    manager = database.DatabaseManager('sqlite:///new.db')\n"
        "    await manager.open()\n"
        "    await manager.close()\n"
        "asyncio.run(main())\n"
        "print(schema.migrations_path())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip() == str(package / "_migrations"), result.stderr


# Transactions


async def test_a_session_is_one_transaction(database: DatabaseManager) -> None:
    async with database.session() as session:
        await session.execute(insert(sink_cursors), cursor("a", 1))

    async def fail() -> None:
        async with database.session() as session:
            await session.execute(insert(sink_cursors), cursor("b", 2))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await cursors(database) == {"a": 1}


async def test_a_reader_does_not_wait_for_a_writer(database: DatabaseManager) -> None:
    async with database.session() as session:
        await session.execute(insert(sink_cursors), cursor("a", 1))
        assert await cursors(database) == {}
    assert await cursors(database) == {"a": 1}


async def test_writers_that_read_first_wait_for_each_other(database: DatabaseManager) -> None:
    async with database.session() as session:
        await session.execute(insert(sink_cursors), cursor("a", 0))

    async def increment() -> None:
        async with database.session() as session:
            seq = await session.scalar(select(sink_cursors.c.seq).where(sink_cursors.c.sink == "a").with_for_update())
            await session.execute(update(sink_cursors).values(seq=seq + 1))

    await asyncio.gather(*(increment() for _ in range(20)))
    assert await cursors(database) == {"a": 20}


async def test_a_transaction_that_takes_too_long_is_ended_and_the_next_one_works(database_url: str) -> None:
    database = DatabaseManager(database_url, timeout_s=0.5)
    await database.open()

    async def dawdle() -> None:
        async with database.session() as session:
            await session.execute(insert(sink_cursors), cursor("a", 1))
            await asyncio.Event().wait()

    try:
        with pytest.raises(Unavailable, match=r"no answer within 0.5 s"):
            await dawdle()
        assert await cursors(database) == {}
    finally:
        await database.close()


async def test_a_twin_on_another_loop_has_its_original_opened_and_sees_the_same(database_url: str) -> None:
    original = DatabaseManager(database_url, timeout_s=5)
    twin = original.twin()

    async def write() -> None:
        await twin.open()
        async with twin.session() as session:
            await session.execute(insert(sink_cursors), cursor("twin", 7))
        await twin.close()

    await asyncio.to_thread(asyncio.run, write())
    assert (original.is_open, twin.is_open) == (True, False)
    assert await cursors(original) == {"twin": 7}
    await original.close()


async def test_a_twin_tells_why_its_original_cannot_be_opened(tmp_path: Path) -> None:
    twin = DatabaseManager(f"sqlite:///{tmp_path / 'missing' / 'facts.db'}").twin()
    with pytest.raises(Unavailable, match="is not available"):
        await asyncio.to_thread(asyncio.run, twin.open())
    assert not twin.is_open


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
async def test_a_database_in_memory_has_no_twin(url: str) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        DatabaseManager(url).twin()


async def test_ping_answers(database: DatabaseManager) -> None:
    await database.ping()


# Values


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-01-05T01:30:00.123456+00:00", "2026-01-05T01:30:00.123456+00:00"),
        ("2026-01-05T09:30:00.000001+08:00", "2026-01-05T01:30:00.000001+00:00"),
        ("2026-01-05T01:30:00+00:00", "2026-01-05T01:30:00.000000+00:00"),
    ],
)
async def test_times_are_stored_in_utc_to_the_microsecond(database: DatabaseManager, given: str, stored: str) -> None:
    async with database.session() as session:
        await session.execute(insert(accounts), account("SIM.a", ts=given))
        assert await session.scalar(select(accounts.c.ts)) == stored


async def test_keys_differ_by_case(database: DatabaseManager) -> None:
    keys = {"SIM.a", "SIM.A", "SIM.ä", "SIM.期", "SIM.期货"}
    async with database.session() as session:
        await session.execute(insert(accounts), [account(key) for key in keys])
        found = await session.execute(select(accounts.c.vt_accountid))
    assert set(found.scalars()) == keys


@pytest.mark.parametrize("value", [0.1, 1e-300, 1.7976931348623157e308, 123456789.123456789, -0.0])
async def test_numbers_come_back_to_the_last_bit(database: DatabaseManager, value: float) -> None:
    async with database.session() as session:
        await session.execute(insert(accounts), account("SIM.a", balance=value))
        assert await session.scalar(select(accounts.c.balance)) == value


async def test_a_value_that_cannot_be_stored_is_told_from_a_database_that_cannot_be_used(
    database: DatabaseManager,
) -> None:
    with pytest.raises(DataRejected):
        async with database.session() as session:
            await session.execute(insert(accounts), account("SIM.a", ts="soon"))
    with pytest.raises(DataRejected):
        async with database.session() as session:
            await session.execute(insert(accounts), [account("SIM.a"), account("SIM.a")])
    with pytest.raises(Unavailable, match="no_such_table"):
        async with database.session() as session:
            await session.execute(text("SELECT * FROM no_such_table"))


def account(vt_accountid: str, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "vt_accountid": vt_accountid,
        "accountid": "a",
        "gateway_name": "SIM",
        "balance": None,
        "frozen": None,
        "available": None,
        "seq": 1,
        "ts": "2026-01-05T01:30:00.000000+00:00",
    }
    return row | changes


# What the errors say


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    database = DatabaseManager(f"sqlite:///{tmp_path}/missing/facts.db")
    with pytest.raises(Unavailable, match=r"missing/facts.db is not available: unable to open database file"):
        await database.open()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "facts.db").write_text("not a database, and long enough to be looked at " * 100)
    with pytest.raises(Unavailable, match="file is not a database"):
        await DatabaseManager(f"sqlite:///{tmp_path}/facts.db").open()


async def test_a_read_only_database_is_found_at_open(tmp_path: Path) -> None:
    writable = DatabaseManager(f"sqlite:///{tmp_path}/facts.db")
    await writable.open()
    await writable.close()
    with pytest.raises(Unavailable, match="readonly database"):
        await DatabaseManager(f"sqlite:///file:{tmp_path}/facts.db?mode=ro&uri=true").open()


@pytest.mark.parametrize("dialect", ["mysql", "postgresql"])
async def test_an_unreachable_server_is_told_without_the_password(dialect: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        database = DatabaseManager(f"{dialect}://core:{SECRET}@127.0.0.1:{port}/facts")
        with pytest.raises(Unavailable) as caught:
            await database.open()
    assert f"//core:***@127.0.0.1:{port}/facts is not available" in caught.value.detail
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(database)


async def test_a_server_that_accepts_and_never_answers_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for dialect in ("mysql", "postgresql"):
            database = DatabaseManager(f"{dialect}://core@127.0.0.1:{silent.getsockname()[1]}/facts", timeout_s=0.3)
            with pytest.raises(Unavailable):
                await database.open()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (SECRET, "not a URL"),
        (f"mysql://core:{SECRET}@127.0.0.1:33o6/facts", "not a URL"),
        (f"oracle://core:{SECRET}@db/facts", "oracle, which is not one of sqlite, mysql, postgresql"),
        (f"mysql+pymysql://core:{SECRET}@db/facts", r"driver mysql\+pymysql"),
        (f"mysql+nothing://core:{SECRET}@db/facts", r"driver mysql\+nothing"),
        (f"postgresql+psycopg2://core:{SECRET}@db/facts", "psycopg2.*install asyncpg: make servers-clients"),
    ],
)
async def test_a_wrong_url_is_explained_without_the_password(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        await DatabaseManager(url).open()
    assert SECRET not in caught.value.detail


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"mariadb://core:{SECRET}@db/facts?ssl_key={SECRET}", "mysql+asyncmy://core:***@db/facts"),
        (f"postgres://core:{SECRET}@db/facts", "postgresql+asyncpg://core:***@db/facts"),
        ("sqlite:////data/facts.db", "sqlite+aiosqlite:////data/facts.db"),
    ],
)
def test_the_driver_may_be_left_out_and_the_password_is_never_shown(url: str, shown: str) -> None:
    assert DatabaseManager(url).display_url == shown


def test_nothing_refers_to_a_fact_table() -> None:
    """A trade may come before its order, an intent may never have one: facts are stored in any order."""
    assert not any(table.foreign_keys for table in (*FACT_TABLES.values(), order_intents, dead_letters))
