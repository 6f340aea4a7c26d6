"""The SQLAlchemy engine of each kind of database: its driver, its options, what a new connection is told first."""

import math
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from ssl import SSLContext, create_default_context
from typing import Any

import msgspec
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from vnpy_core.config.data_settings import DatabaseSettings
from vnpy_core.errors import ConfigError

_DIALECTS = {"mariadb": "mysql", "postgres": "postgresql"}
_DRIVERS = {"sqlite": "aiosqlite", "mysql": "asyncmy", "postgresql": "asyncpg"}

_SQLITE_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON")
# Without strict mode MySQL cuts what is too long, and says so only in a warning. The rest is what each of the two has
# against clients that vanish; MySQL's is about idle connections too, and those are looked at before they are used.
_MYSQL_SESSION = (
    "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES') "
    "/*M!100301 , idle_transaction_timeout = {idle_s} */ /*!80000 , wait_timeout = {idle_s} */"
)


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
    url: URL,
    *,
    pool_size: int,
    max_overflow: int,
    timeout_s: float,
    tls: SSLContext | None = None,
    read_only: bool = False,
) -> AsyncEngine:
    """Make the engine; nothing is connected yet. With ``read_only`` the server refuses to write.

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
            connect_args=_driver_options(url.get_driver_name(), timeout_s, tls),
            hide_parameters=True,
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
            json_deserializer=msgspec.json.decode,
            **options,
        )
    except (ModuleNotFoundError, InvalidRequestError, NoSuchModuleError) as error:
        raise ConfigError(
            f"database.url names the driver {url.drivername}, which is not installed, or not an asyncio driver. "
            f"Begin it with {dialect}:// and install {_DRIVERS.get(dialect, 'its driver')}: make servers-clients."
        ) from error
    if dialect == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_pragmas)
        event.listen(engine.sync_engine, "begin", _begin)
    else:
        statements = _session_settings(dialect, timeout_s, read_only)
        event.listen(engine.sync_engine, "connect", partial(_set_session, statements))
    return engine


def tls_context(settings: DatabaseSettings) -> SSLContext | None:
    """Return what the settings say of TLS; ``None``: that it is not used.

    Raises:
        ConfigError: a file that cannot be read, or holds something else.
    """
    if not settings.tls:
        return None
    name, path = "tls_ca", settings.tls_ca
    try:
        context = create_default_context(cafile=path)
        if settings.tls_cert is not None:
            name, path = "tls_cert", settings.tls_cert
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:
        key = f" (with database.tls_key {settings.tls_key})" if name == "tls_cert" and settings.tls_key else ""
        raise ConfigError(f"database.{name} {path}{key} cannot be used: {error.strerror or error}.") from error
    return context


def _driver_options(driver: str, timeout_s: float, tls: SSLContext | None = None) -> dict[str, Any]:
    match driver:
        case "aiosqlite":
            # Half, so that SQLite's own "locked" comes before the end of our patience. No isolation level: sqlite3
            # begins no transaction by itself, see _begin.
            return {"timeout": timeout_s / 2, "isolation_level": None}
        case "asyncmy":
            return {"connect_timeout": timeout_s, "charset": "utf8mb4"} | ({"ssl": tls} if tls else {})
        case "asyncpg":
            options: dict[str, Any] = {"timeout": timeout_s, "server_settings": {"application_name": "vnpy-core"}}
            return options | ({"ssl": tls} if tls else {})
    return {}


def _session_settings(dialect: str, timeout_s: float, read_only: bool) -> list[str]:
    """Return what a new connection to a server is told first."""
    # How long it waits for the next statement of a transaction. We have ended ours by then: one that is left belongs to
    # a process that stands still or that the network has cut off, and its locks would hold up the others for hours.
    idle_s = max(1, math.ceil(2 * timeout_s))
    if dialect == "mysql":
        always, no_writing = _MYSQL_SESSION.format(idle_s=idle_s), "SET SESSION TRANSACTION READ ONLY"
    else:
        always = f"SET idle_in_transaction_session_timeout = '{idle_s}s'"
        no_writing = "SET default_transaction_read_only = on"
    return [always, no_writing] if read_only else [always]


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


def _set_session(statements: Iterable[str], dbapi_connection: Any, _record: object) -> None:
    cursor = dbapi_connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
    # PostgreSQL forgets them with the transaction otherwise.
    dbapi_connection.commit()
