"""The SQLAlchemy engine of each kind of database: its driver, its options, what a new connection is told first."""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from vnpy_core.errors import ConfigError

_DIALECTS = {"mariadb": "mysql", "postgres": "postgresql"}
_DRIVERS = {"sqlite": "aiosqlite", "mysql": "asyncmy", "postgresql": "asyncpg"}

_SQLITE_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON")
# Without strict mode MySQL cuts what is too long, and says so only in a warning.
_MYSQL_STRICT = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')"


def parse_url(text: str) -> URL:
    """Return the URL with its driver.

    Raises:
        ConfigError: it is none, or of a database that is not supported; the message does not repeat it.
    """
    try:
        url = make_url(text)
        backend = _DIALECTS.get(url.get_backend_name(), url.get_backend_name())
        _, plus, driver = url.drivername.partition("+")
    except (ArgumentError, ValueError):
        # Neither the text nor the cause is shown: a password may stand anywhere in it.
        raise ConfigError(
            "database.url is not a URL such as postgresql://user:password@host:5432/vnpy_core "
            "(special characters of the password percent-encoded)."
        ) from None
    if backend not in _DRIVERS:
        raise ConfigError(f"database.url begins with {backend}, which is not one of {', '.join(_DRIVERS)}.")
    return url.set(drivername=f"{backend}+{driver if plus else _DRIVERS[backend]}")


def create_engine(
    url: URL, *, pool_size: int, max_overflow: int, timeout_s: float, connect_args: Mapping[str, Any]
) -> AsyncEngine:
    """Make the engine; nothing is connected yet.

    Raises:
        ConfigError: the driver is not installed, or not an asyncio one.
    """
    dialect = url.get_backend_name()
    options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": max_overflow}
    if dialect != "sqlite":
        options |= {"pool_timeout": timeout_s, "pool_pre_ping": True, "pool_recycle": 1800}
    elif url.database in (None, "", ":memory:"):
        options = {}
    try:
        engine = create_async_engine(
            url,
            connect_args=_driver_options(url.get_driver_name(), timeout_s) | dict(connect_args),
            hide_parameters=True,
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
            json_deserializer=msgspec.json.decode,
            **options,
        )
    except (ModuleNotFoundError, InvalidRequestError, NoSuchModuleError) as error:
        raise ConfigError(
            f"database.url names the driver {url.drivername}, which is not installed, or not an asyncio driver. "
            f"Begin it with {dialect}:// and pip install 'vnpy-core[{dialect}]'."
        ) from error
    if dialect == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_pragmas)
        event.listen(engine.sync_engine, "begin", _begin)
    elif dialect == "mysql":
        event.listen(engine.sync_engine, "connect", _set_strict)
    return engine


def _driver_options(driver: str, timeout_s: float) -> dict[str, Any]:
    match driver:
        case "aiosqlite":
            # Half, so that SQLite's own "locked" comes before the end of our patience. No isolation level: sqlite3
            # begins no transaction by itself, see _begin.
            return {"timeout": timeout_s / 2, "isolation_level": None}
        case "asyncmy":
            return {"connect_timeout": timeout_s, "charset": "utf8mb4"}
        case "asyncpg":
            return {"timeout": timeout_s, "server_settings": {"application_name": "vnpy-core"}}
    return {}


def try_sqlite(engine: AsyncEngine, timeout_s: float) -> None:
    """Open the file as a writer, to learn of anything wrong with it, and make its journal a write-ahead log. Blocks.

    When aiosqlite finds something wrong, it leaves a thread behind that outlives the loop and complains about it.
    """
    arguments: Any
    arguments, options = engine.dialect.create_connect_args(engine.url)
    options = {**options, **_driver_options("aiosqlite", timeout_s)}
    deadline = time.monotonic() + timeout_s
    with closing(sqlite3.connect(*arguments, **options)) as connection:
        while True:
            try:
                connection.execute(_SQLITE_PRAGMAS[0])
                break
            except sqlite3.OperationalError as error:
                # SQLite does not wait for the lock here, as it does elsewhere.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        connection.execute("BEGIN IMMEDIATE")


def _set_pragmas(dbapi_connection: Any, _record: object) -> None:
    cursor = dbapi_connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin as a writer: a transaction that reads first and writes later fails at once if another wrote in between."""
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _set_strict(dbapi_connection: Any, _record: object) -> None:
    cursor = dbapi_connection.cursor()
    cursor.execute(_MYSQL_STRICT)
    cursor.close()
