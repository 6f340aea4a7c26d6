"""Upserts: the statement that inserts or replaces a row, and its shortest way to the driver."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect, Insert, Table, func
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from vnpy_core.errors import DataRejected


@cache
def upsert(table: Table, dialect: str) -> Insert:
    """Build the statement that inserts a row, or replaces the one of its primary key if that has a smaller ``seq``.

    So a row can be written again, late or out of turn, and never goes back.
    """
    key = [column.name for column in table.primary_key.columns]
    # MySQL assigns from left to right, and what follows sees what was assigned: seq, which decides, comes last.
    rest = sorted((name for name in _given(table) if name not in key), key="seq".__eq__)
    if dialect == "mysql":
        of_mysql = mysql.insert(table)
        given, kept = of_mysql.inserted, table.columns
        return of_mysql.on_duplicate_key_update(
            [(name, func.if_(given.seq > kept.seq, given[name], kept[name])) for name in rest]
        )
    on_conflict = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    given = on_conflict.excluded
    if "seq" in key:
        return on_conflict.on_conflict_do_nothing(index_elements=key)
    return on_conflict.on_conflict_do_update(
        index_elements=key, set_={name: given[name] for name in rest}, where=given.seq > table.columns.seq
    )


class DriverUpsert:
    """``upsert`` as text with the driver's own parameters: SQLAlchemy's care for each row was half of what one cost.

    Made of the dialect of an open connection, which by then knows its server: MySQL's statement depends on the version.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        statement = upsert(table, dialect.name).compile(dialect=dialect, column_keys=_given(table))
        names = list(statement.positiontup or _given(table))
        self._names = None if statement.positiontup else names
        self._text = str(statement)
        row = f"({', '.join('?' * len(names))})"
        # SQLite's driver lets go of the interpreter and waits for it again at each row, unless they are one statement.
        self._joins_rows = dialect.name == "sqlite" and self._text.count(f"VALUES {row}") == 1
        self._row = row
        self._in_order = itemgetter(*names)
        self._processors = [
            (place, name, process)
            for place, name in enumerate(names)
            if (process := table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) is not None
        ]

    def parameters(self, row: Mapping[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        """Return the values of ``row``, by column, as the driver wants them: in their order, or some by name.

        Raises:
            DataRejected: one of them is none of its column's.
        """
        values = list(self._in_order(row))
        for place, name, process in self._processors:
            try:
                values[place] = process(values[place])
            except (ValueError, TypeError, OverflowError) as error:
                raise DataRejected(f"{name}: {error}") from error
        return tuple(values) if self._names is None else dict(zip(self._names, values, strict=True))

    async def execute(self, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write ``rows``, at least one, and each of another key."""
        if self._joins_rows:
            text = self._text.replace(f"VALUES {self._row}", f"VALUES {', '.join([self._row] * len(rows))}")
            await connection.exec_driver_sql(text, tuple(chain.from_iterable(map(self.parameters, rows))))
        else:
            await connection.exec_driver_sql(self._text, [self.parameters(row) for row in rows])


def _given(table: Table) -> list[str]:
    """Return the columns that the database does not compute."""
    return [column.name for column in table.columns if column.computed is None]
