"""The lease on the SQL database: one service works with it, as one process works on a data folder."""

import asyncio
import logging
import math
import os
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, func, insert, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.tables import WireTime, database_lease
from vnpy_core.errors import AlreadyRunning, CoreError, Unavailable
from vnpy_core.models import to_timestamp

_RENEWALS = 4  # in the time that it holds
_RETRY_S = 1.0
_GOODBYE_S = 2.0

_log = logging.getLogger(__name__)


class DatabaseLease:
    """Held for ``lease_s`` from each renewal, by the database's clock. Loop only, but for ``require``.

    ``journal`` says which service it is: after a crash the same one has it again at once, since the lock on the data
    folder tells that the process before is dead. If that is not so, because the folder was copied, the process before
    has lost it.

    While the database cannot be reached nobody can take the lease, and nobody learns of having lost it.
    """

    def __init__(self, database: DatabaseManager, journal: int, data_dir: str, lease_s: float) -> None:
        self.obstacle: str | None = None
        """Who else holds it, if that was found after the start."""
        self.on_obstacle: Callable[[str | None], None] = lambda obstacle: None
        """Called when ``obstacle`` has changed."""
        self._database = database
        self._lease_s = lease_s
        self._holder = uuid4().hex
        self._row = {"journal": journal, "host": socket.gethostname()[:128], "pid": os.getpid(), "data_dir": data_dir}
        self._has_had_it = False
        self._valid_until = -math.inf
        self._failure = f"It is not known yet whether another service works with {database.display_url}."

    @classmethod
    def configured(cls, config: VnPyCoreConfig, database: DatabaseManager, journal: int) -> "DatabaseLease":
        return cls(database, journal, str(config.data_dir), config.database.lease_s)

    async def take(self) -> None:
        """Take it, or renew it.

        Raises:
            AlreadyRunning: another service holds it; the message names it.
            Unavailable: the database does not answer.
        """
        began = time.monotonic()
        async with self._database.session() as session:
            found = await _locked_row(session)
            now = await _now(session)
            if self._is_anothers(found) and found.expires > now:
                raise AlreadyRunning(self._refusal(found, now))
            lasts = timedelta(seconds=self._lease_s)
            row = self._row | {
                "holder": self._holder,
                "acquired": found.acquired if found.holder == self._holder else now,
                "renewed": now,
                "expires": to_timestamp(datetime.fromisoformat(now) + lasts),
            }
            await session.execute(update(database_lease).where(database_lease.c.id == 1).values(row))
        self._has_had_it = True
        self._valid_until = began + self._lease_s

    async def keep(self) -> None:
        """Renew it until cancelled, or try to take it until that succeeds."""
        while True:
            is_safe = time.monotonic() < self._valid_until - self._lease_s / 2
            interval_s = self._lease_s / _RENEWALS
            await asyncio.sleep(interval_s if is_safe else min(_RETRY_S, interval_s))
            try:
                await self.take()
            except AlreadyRunning as error:
                self._valid_until = -math.inf
                self._tell(error.detail)
            except CoreError as error:
                self._failure = error.detail
            else:
                self._tell(None)

    async def release(self) -> None:
        """Let others have it at once. If the database does not answer, they wait until it is over."""
        self._valid_until = -math.inf
        if not self._has_had_it:
            return
        ours = database_lease.c.holder == self._holder
        try:
            async with asyncio.timeout(_GOODBYE_S), self._database.session() as session:
                await session.execute(update(database_lease).where(ours).values(holder=None))
        except (CoreError, TimeoutError) as error:
            _log.warning("The lease on %s was not released: %s", self._database.display_url, error)

    def require(self) -> None:
        """See that nobody else can have it now. From any thread.

        Raises:
            Unavailable: somebody else has it, or it was not renewed in time; it may be ours again later.
        """
        if time.monotonic() >= self._valid_until:
            raise Unavailable(self.obstacle or self._failure)

    def _is_anothers(self, found: Row[tuple[object, ...]]) -> bool:
        if found.holder in (None, self._holder):
            return False
        return self._has_had_it or found.journal != self._row["journal"]

    def _refusal(self, found: Row[tuple[object, ...]], now: str) -> str:
        left = datetime.fromisoformat(found.expires) - datetime.fromisoformat(now)
        return (
            f"Another service works with the database {self._database.display_url}: process {found.pid} on "
            f"{found.host}, data folder {found.data_dir}, since {found.acquired}. Set database.url to a database of "
            f"its own, or stop that one first. If it is dead, wait {math.ceil(left.total_seconds())} s."
        )

    def _tell(self, obstacle: str | None) -> None:
        # What it says changes by the second; what it means does not.
        if (obstacle is None) != (self.obstacle is None):
            self.obstacle = obstacle
            self.on_obstacle(obstacle)


async def _locked_row(session: AsyncConnection) -> Row[tuple[object, ...]]:
    """Return the one row, which nobody else can change before the transaction ends."""
    row = select(database_lease).where(database_lease.c.id == 1).with_for_update()
    found = (await session.execute(row)).one_or_none()
    if found is None:  # somebody has emptied the table
        await session.execute(insert(database_lease).values(id=1))
        found = (await session.execute(row)).one()
    return found


async def _now(session: AsyncConnection) -> str:
    """Return the database's time: two machines may not agree about theirs."""
    clocks: dict[str, ColumnElement[object]] = {
        "sqlite": func.strftime("%Y-%m-%d %H:%M:%f", "now"),
        "mysql": func.utc_timestamp(6),
        "postgresql": func.clock_timestamp(),
    }
    now: str = (await session.execute(select(type_coerce(clocks[session.dialect.name], WireTime)))).scalar_one()
    return now
