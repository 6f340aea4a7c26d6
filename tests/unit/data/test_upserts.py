"""The upsert as each dialect says it; that each does what is meant, the contract suite shows."""

import re

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import mysql, postgresql, sqlite

from vnpy_core.data.tables import FACT_TABLES, accounts, dead_letters, sink_cursors, trades
from vnpy_core.data.upserts import upsert

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
