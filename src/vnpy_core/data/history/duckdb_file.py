"""The DuckDB file under the history store: opening, its tables, transactions, and its errors in plain words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, RLock

import duckdb
from duckdb import DuckDBPyConnection

from vnpy_core.errors import ConfigError, CoreError, Unavailable
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS

SCHEMA_VERSION = 1
# One thread a core would take the cores from the trading threads; two save and load as fast (measured).
_THREADS = 2
_DISK_FULL = ("No space left", "File too large", "Disk quota")
_DAMAGED = ("not a valid DuckDB", "Corrupt database", "Could not read enough bytes", "Serialization Error")

# No primary key: with one, inserting 100,000 rows takes 60 to 100 ms instead of 8. A save replaces by a join.
_TABLES = (
    "create table if not exists history_schema (version integer not null)",
    "create table if not exists series (id integer not null, symbol varchar not null, exchange varchar not null,"
    " interval varchar not null, name varchar not null, row_count bigint not null, first_time timestamp,"
    " last_time timestamp)",
    "create table if not exists bars (series_id integer not null, datetime timestamp not null,"
    f" {', '.join(f'{name} double' for name in BAR_COLUMNS)})",
    "create table if not exists ticks (series_id integer not null, datetime timestamp not null, localtime timestamp,"
    f" {', '.join(f'{name} double' for name in TICK_COLUMNS)})",
)


class DuckDbFile:
    """One DuckDB file, read by any number of threads and written by one at a time. Times in it are UTC."""

    def __init__(self, path: Path, memory_limit_mb: int) -> None:
        """Open the file, or create it.

        Raises:
            Unavailable: another process holds it, or the disk is full.
            ConfigError: it is damaged, is something else, or was written by a newer version.
        """
        self.path = path
        self._memory_limit_mb = memory_limit_mb
        self._connection: DuckDBPyConnection | None = None
        self._in_use = 0
        self._state = Condition()
        self._writing = RLock()
        self._closed = False
        with self._state:
            self._open()

    @contextmanager
    def reading(self) -> Iterator[DuckDBPyConnection]:
        """Give a connection of the caller's own, that sees what was committed when its query began."""
        with self._state:
            if self._closed:
                raise Unavailable(f"The history store {self.path} is closed")
            connection = self._connection or self._open()
            cursor = connection.cursor()
            self._in_use += 1
        try:
            yield cursor
        except (duckdb.ProgrammingError, duckdb.IntegrityError):
            raise
        except duckdb.Error as error:
            if isinstance(error, duckdb.FatalException | duckdb.InternalException):
                self._abandon(connection)
            raise explain(error, self.path) from error
        finally:
            cursor.close()
            with self._state:
                self._in_use -= 1
                self._state.notify_all()

    @contextmanager
    def writing(self) -> Iterator[DuckDBPyConnection]:
        """Give a connection in a transaction: committed at the end, rolled back if anything is raised."""
        with self._writing, self.reading() as cursor:
            cursor.execute("begin")
            try:
                yield cursor
                cursor.execute("commit")
            except BaseException:
                with suppress(duckdb.Error):
                    cursor.execute("rollback")
                raise

    def close(self) -> None:
        """Wait for those at work, then write everything to the file and let go of it. Idempotent."""
        with self._writing, self._state:
            self._closed = True
            self._state.wait_for(lambda: self._in_use == 0)
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> DuckDBPyConnection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"history.path: the folder of {self.path} cannot be made: {error}") from error
        try:
            connection = duckdb.connect(
                str(self.path),
                config={
                    "threads": _THREADS,
                    "memory_limit": f"{self._memory_limit_mb}MB",
                    "temp_directory": str(self.path.with_name(self.path.name + ".tmp")),
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
        except duckdb.Error as error:
            raise explain(error, self.path) from error
        try:
            self._prepare(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, duckdb.Error):
                raise explain(error, self.path) from error
            raise
        self._connection = connection
        return connection

    def _prepare(self, connection: DuckDBPyConnection) -> None:
        tables = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
        if tables and "history_schema" not in tables:
            raise ConfigError(
                f"history.path: {self.path} is a DuckDB database of something else (it has the tables"
                f" {', '.join(sorted(tables)[:5])}). Name another file; a new one is made."
            )
        connection.execute("begin")
        for statement in _TABLES:
            connection.execute(statement)
        found = connection.execute("select max(version) from history_schema").fetchall()[0][0]
        if found is None:
            connection.execute("insert into history_schema values (?)", [SCHEMA_VERSION])
        connection.execute("commit")
        if found is not None and found > SCHEMA_VERSION:
            raise ConfigError(
                f"history.path: {self.path} was written by a newer VnPy Core (schema {found}, this one knows"
                f" {SCHEMA_VERSION}). Install that version, or name another file."
            )

    def _abandon(self, connection: DuckDBPyConnection) -> None:
        """Give up a database that DuckDB has declared unusable; the next caller opens it again from the disk."""
        with self._state:
            if self._connection is connection:
                self._connection = None
        connection.close()


def explain(error: duckdb.Error, path: Path) -> CoreError:
    """Return what to tell the operator, and what to do about it."""
    text = str(error)
    if "Could not set lock" in text:
        holder = re.search(r"\(PID (\d+)\)", text)
        who = f"process {holder[1]}" if holder else "another process"
        return Unavailable(
            f"The history store {path} is held by {who}. Stop it first, or name another file in history.path."
        )
    if any(sign in text for sign in _DAMAGED):
        return ConfigError(
            f"The history store {path} cannot be read: {text.splitlines()[0]} Restore it from a backup, or move it"
            " away and a new one is made."
        )
    if any(sign in text for sign in _DISK_FULL):
        return Unavailable(f"The disk of the history store {path} is full; nothing was written. Free some space.")
    if isinstance(error, duckdb.OutOfMemoryException):
        return Unavailable(
            f"The history store {path} needs more memory than it is given. Raise history.memory_limit_mb."
        )
    return Unavailable(f"The history store {path} failed: {text.splitlines()[0]}")
