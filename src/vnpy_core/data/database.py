"""DatabaseManager: the SQL database, its connections, its transactions, and what its errors mean to us."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from ssl import SSLContext
from typing import Any, Self

from sqlalchemy import column, inspect, select, table, text, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.engines import create_engine, parse_url, tls_context, try_sqlite
from vnpy_core.data.tables import SCHEMA_REVISION, sink_cursors
from vnpy_core.errors import ConfigError, CoreError, DataRejected, Unavailable

_UPGRADE_TIMEOUT_S = 600.0
_GOODBYE_S = 2.0

_ADVICE = {
    "sqlite": (
        " Correct database.url, or see to the file and its disk. A damaged one can be moved away with its -wal and "
        "-shm: facts are then recorded again from the journal, strategies are taken from cta_strategy_setting.json."
    )
}

_log = logging.getLogger(__name__)


class SqlConnections:
    """Connections to one SQL database, by SQLAlchemy URL (the driver may be left out); made when they are needed.

    Every error that leaves it is a ``CoreError``, and holds no password: ``Unavailable`` for what time or the operator
    can mend, ``DataRejected`` for what neither can.

    Args:
        timeout_s: for a connection, and for a transaction from begin to commit.
        tls: ``None`` leaves it to the URL.
        read_only: have the server refuse to write.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        max_overflow: int = 5,
        timeout_s: float = 10.0,
        tls: SSLContext | None = None,
        read_only: bool = False,
    ) -> None:
        self._url = parse_url(url)
        self._options: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": max_overflow,
            "timeout_s": timeout_s,
            "tls": tls,
            "read_only": read_only,
        }
        self._timeout_s = timeout_s
        self._engine: AsyncEngine | None = None
        self._pinging: asyncio.Task[None] | None = None

    @property
    def dialect(self) -> str:
        """``sqlite``, ``mysql`` (MariaDB too) or ``postgresql``."""
        return self._url.get_backend_name()

    @property
    def display_url(self) -> str:
        """The URL without password and options, which may hold one too."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    async def close(self) -> None:
        """Say goodbye to the database, and leave if it does not answer. Closing twice does nothing."""
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.wait({self._pinging}, timeout=_GOODBYE_S)
        engine, self._engine = self._engine, None
        if engine is not None:
            await _dispose(engine)

    @asynccontextmanager
    async def session(self, *, read_only: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a connection in one transaction: committed at the end, rolled back if anything is raised.

        ``read_only`` promises not to write, and then never waits for a writer.

        Raises:
            Unavailable: see the class; nothing was written, unless the connection broke during the commit itself.
            DataRejected: nothing was written.
        """
        engine = self._connected()
        if read_only:
            engine = engine.execution_options(read_only=True)
        with self._errors(engine):
            async with asyncio.timeout(self._timeout_s), engine.begin() as connection:
                yield connection

    async def ping(self, timeout_s: float = 1.0) -> None:
        """Ask for an answer, and wait no longer for it than ``timeout_s``; one question at a time.

        Raises:
            Unavailable: there was none; the detail says why.
        """
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self._ask(), name="database ping")
            self._pinging.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait({self._pinging}, timeout=timeout_s)
        if not done:
            raise self._unavailable(f"no answer within {timeout_s:g} s")
        self._pinging.result()

    async def _ask(self) -> None:
        async with self.session(read_only=True) as session:
            await session.execute(text("SELECT 1"))

    def _connected(self) -> AsyncEngine:
        if self._engine is None:
            self._engine = create_engine(self._url, **self._options)
        return self._engine

    @contextmanager
    def _errors(self, engine: AsyncEngine, advice: str = "") -> Iterator[None]:
        """Turn the errors of SQLAlchemy, the driver and the network into ours."""
        try:
            yield
        except StatementError as error:
            if _is_about_content(error):
                raise DataRejected(_reason(error)) from error
            if not isinstance(error, DBAPIError):
                raise
            raise self._unavailable(_reason(error), advice) from error
        except (TimeoutError, PoolTimeout) as error:
            raise self._unavailable(f"no answer within {self._timeout_s:g} s", advice) from error
        # The driver's own, unwrapped: what it raises while a new connection is being set up.
        except (OSError, EOFError, engine.dialect.loaded_dbapi.Error) as error:
            raise self._unavailable(_reason(error), advice) from error

    def _unavailable(self, reason: str, advice: str = "") -> Unavailable:
        return Unavailable(f"The database {self.display_url} is not available: {reason}.{advice}")


class DatabaseManager(SqlConnections):
    """The database of facts and strategies: SQLite, MySQL, MariaDB or PostgreSQL. Used between open and close.

    Args:
        queries: another database with the same content, perhaps a moment behind, for ``query_session``.
    """

    def __init__(self, url: str, *, queries: SqlConnections | None = None, **options: Any) -> None:
        super().__init__(url, **options)
        self.replica = queries
        self._opening = asyncio.Lock()
        self._why_closed = f"The database {self.display_url} is not open."

    @classmethod
    def configured(cls, config: VnPyCoreConfig) -> Self:
        """Make the one that the settings ask for.

        Raises:
            ConfigError: they cannot be followed.
        """
        settings = config.database
        options: dict[str, Any] = {
            "pool_size": settings.pool_size,
            "max_overflow": settings.max_overflow,
            "timeout_s": settings.timeout_s,
            "tls": tls_context(settings),
        }
        queries = None
        if settings.read_only_url is not None:
            queries = SqlConnections(settings.read_only_url.get_secret_value(), read_only=True, **options)
        return cls(config.database_url.get_secret_value(), queries=queries, **options)

    @property
    def is_open(self) -> bool:
        return self._engine is not None

    async def open(self) -> None:
        """Connect, bring the schema up to date, and see that it can be written to. Nothing is done when open.

        Raises:
            ConfigError: the schema is newer than the code, the tables are another program's, or a driver is missing.
            Unavailable: unreachable, wrong credentials, read-only, out of space; may be tried again.
        """
        async with self._opening:
            if self._engine is not None:
                return
            engine = create_engine(self._url, **self._options)
            try:
                with self._errors(engine, _ADVICE.get(self.dialect, " Correct database.url, or see to the database.")):
                    await self._prepare(engine)
            except BaseException as error:
                if isinstance(error, CoreError):
                    self._why_closed = error.detail
                await _dispose(engine)
                raise
            self._engine = engine

    def twin(self) -> "DatabaseManager":
        """Return another one of the same database, for another loop than the running one; it has its own connections.

        It opens this one first, so that both are open once it is, and only one of them upgrades the schema.

        Raises:
            ConfigError: the database is in memory, where each connection has one of its own.
        """
        if self.dialect == "sqlite" and self._url.database in (None, "", ":memory:"):
            raise ConfigError("database.url names no file: facts cannot be recorded in memory.")
        return _Twin(self, self._url.render_as_string(hide_password=False), **self._options | {"pool_size": 1})

    async def close(self) -> None:
        await super().close()
        if self.replica is not None:
            await self.replica.close()

    async def revision(self) -> str:
        """Return the schema's revision."""
        async with self.session(read_only=True) as session:
            return await _revision(session) or ""

    def query_session(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Give a connection like ``session``, for queries that may miss the last moments: it may be a replica's."""
        return (self.replica or self).session(read_only=True)

    def _connected(self) -> AsyncEngine:
        if self._engine is None:
            raise Unavailable(self._why_closed)
        return self._engine

    async def _prepare(self, engine: AsyncEngine) -> None:
        if self.dialect == "sqlite":
            await asyncio.to_thread(try_sqlite, engine, self._timeout_s)
        async with asyncio.timeout(self._timeout_s), engine.begin() as connection:
            revision = await _revision(connection)
            if revision == SCHEMA_REVISION or is_newer_and_fits(revision):
                await _require_writable(connection)
                if revision != SCHEMA_REVISION:
                    _log.warning(
                        "The schema of %s was upgraded to %s by a newer version, which lets this one go on",
                        self.display_url, revision,
                    )  # fmt: skip
                return
        async with asyncio.timeout(_UPGRADE_TIMEOUT_S), engine.begin() as connection:
            # 80 ms of the start, and rarely needed.
            from vnpy_core.data import schema

            await connection.run_sync(schema.upgrade, self.display_url)
            await _require_writable(connection)


class _Twin(DatabaseManager):
    def __init__(self, original: DatabaseManager, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._original = original
        self._loop_of_original = asyncio.get_running_loop()

    async def open(self) -> None:
        if not self.is_open:
            opening = asyncio.run_coroutine_threadsafe(self._original.open(), self._loop_of_original)
            await asyncio.wrap_future(opening)
            await super().open()


def is_newer_and_fits(revision: str | None) -> bool:
    """Tell whether a later revision says that code of ours may go on: ``0005_since_0003``, from 0003 on.

    Of an older code, all that one can know of a revision is its name; see docs/durability.md.
    """
    named = re.fullmatch(r"(\d{4})_since_(\d{4})", revision or "")
    return named is not None and named[2] <= SCHEMA_REVISION[:4] < named[1]


async def _dispose(engine: AsyncEngine) -> None:
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await engine.dispose()
    except TimeoutError:
        _log.warning("The database did not answer when its connections were closed")


async def _revision(connection: AsyncConnection) -> str | None:
    if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
        return None
    found: str | None = await connection.scalar(select(table("alembic_version", column("version_num")).c.version_num))
    return found


async def _require_writable(connection: AsyncConnection) -> None:
    """Update no row: refused all the same by a read-only database, a standby, and for want of privileges."""
    await connection.execute(update(sink_cursors).where(sink_cursors.c.sink == "").values(seq=0))


def _is_about_content(error: StatementError) -> bool:
    if not isinstance(error, DBAPIError):
        # A value that could not even be handed to the driver.
        return isinstance(error.orig, ValueError | TypeError | OverflowError)
    # PostgreSQL's driver tells classes 22 (data exception) and 23 (constraint) by SQLSTATE only, and finds a value of
    # the wrong type by itself.
    state = getattr(error.orig, "sqlstate", None)
    cause = getattr(error.orig, "__cause__", None)
    return (
        isinstance(error, DataError | IntegrityError)
        or (isinstance(state, str) and state[:2] in ("22", "23"))
        # A certificate that is not trusted is an OSError, and a ValueError too.
        or (isinstance(cause, ValueError) and not isinstance(cause, OSError))
    )


def _reason(error: BaseException) -> str:
    """Return the database's own words: no statement, no parameters."""
    cause: BaseException = error
    if isinstance(error, StatementError) and error.orig is not None:
        cause = error.orig.__cause__ or error.orig
    words = [argument for argument in cause.args if isinstance(argument, str)]
    return (words[-1] if words else str(cause)).rstrip(".") or type(cause).__name__
