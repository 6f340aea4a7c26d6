"""The upsert as each dialect says it; that each does what is meant, the contract suite shows."""

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import DateTime, Dialect
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.mysql import asyncmy
from sqlalchemy.dialects.postgresql import asyncpg, psycopg
from sqlalchemy.dialects.sqlite import aiosqlite

from vnpy_core.data.tables import FACT_TABLES, WireTime, accounts, dead_letters, sink_cursors, trades
from vnpy_core.data.upserts import DriverUpsert, upsert
from vnpy_core.errors import DataRejected

DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),
    "mysql": mysql.dialect(),
}


def sql(table: object, dialect: str) -> str:
    return re.sub(r"\s+", " ", str(upsert(table, dialect).compile(dialect=DIALECTS[dialect])))


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_on_conflict_replaces_an_older_row(dialect: str) -> None:
    statement = sql(accounts, dialect)
    assert "ON CONFLICT (vt_accountid) DO UPDATE SET" in statement
    assert "balance = excluded.balance" in statement
    assert statement.endswith("WHERE excluded.seq > accounts.seq")


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_both_ids_of_a_trade_are_its_key(dialect: str) -> None:
    assert "ON CONFLICT (vt_tradeid, vt_orderid) DO UPDATE SET" in sql(trades, dialect)


def test_mysql_replaces_an_older_row_and_assigns_seq_last() -> None:
    statement = sql(accounts, "mysql")
    _, assignments = statement.split(" ON DUPLICATE KEY UPDATE ")
    assert "balance = if(VALUES(seq) > accounts.seq, VALUES(balance), accounts.balance)" in assignments
    assert assignments.endswith(", seq = if(VALUES(seq) > accounts.seq, VALUES(seq), accounts.seq)")
    assert "vt_accountid =" not in assignments


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("table", [*FACT_TABLES.values(), sink_cursors, dead_letters], ids=str)
def test_every_table_can_be_upserted_in_every_dialect(table: object, dialect: str) -> None:
    assert sql(table, dialect).startswith("INSERT INTO ")


def test_a_dead_letter_that_is_there_already_stays() -> None:
    assert sql(dead_letters, "sqlite").endswith("ON CONFLICT (sink, journal, seq) DO NOTHING")


DRIVERS: dict[str, Dialect] = {
    "aiosqlite": aiosqlite.dialect(),
    "asyncpg": asyncpg.dialect(),
    "asyncmy": asyncmy.dialect(),
}


@pytest.mark.parametrize("dialect", DRIVERS.values(), ids=DRIVERS)
def test_the_driver_gets_the_values_in_the_order_of_the_text(dialect: Dialect) -> None:
    statement = DriverUpsert(sink_cursors, dialect)
    assert statement.parameters({"seq": 3, "journal": 2, "sink": "sql", "more": 4}) == ("sql", 2, 3)


def test_times_become_what_the_column_stores() -> None:
    row = {"vt_accountid": "SIM.1", "accountid": "1", "gateway_name": "SIM", "balance": 1.5, "frozen": None}
    row |= {"available": 0.0, "seq": 9, "ts": "2026-01-05T09:00:00.000001+08:00"}
    given = DriverUpsert(accounts, DRIVERS["asyncpg"]).parameters(row)
    assert given == ("SIM.1", "1", "SIM", 1.5, None, 0.0, 9, datetime(2026, 1, 5, 1, 0, 0, 1, tzinfo=UTC))


def test_times_are_in_sqlite_the_text_that_sqlalchemy_writes() -> None:
    sqlite_driver = DRIVERS["aiosqlite"]
    of_sqlalchemy = DateTime().dialect_impl(sqlite_driver).bind_processor(sqlite_driver)
    ours = WireTime().bind_processor(sqlite_driver)
    assert of_sqlalchemy is not None
    assert ours is not None
    assert ours(None) is None
    for text in ("2026-01-05T09:00:00.000001+08:00", "2026-12-31T23:59:59.000000+00:00", "0999-01-01T00:00:00+00:00"):
        assert ours(text) == of_sqlalchemy(datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None))


def test_a_driver_that_takes_them_by_name_gets_them_by_name() -> None:
    statement = DriverUpsert(sink_cursors, psycopg.dialect())
    row = {"sink": "sql", "journal": 2, "seq": 3}
    assert statement.parameters(row | {"more": 4}) == row


@pytest.mark.parametrize("dialect", DRIVERS.values(), ids=DRIVERS)
def test_a_value_that_is_none_of_its_column_is_rejected_by_name(dialect: Dialect) -> None:
    row = dict.fromkeys((column.name for column in accounts.columns), 1) | {"ts": "soon"}
    with pytest.raises(DataRejected, match=r"^ts: "):
        DriverUpsert(accounts, dialect).parameters(row)
