"""How a service begins with its SQL database, which may be down."""

import logging

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.lease import DatabaseLease
from vnpy_core.data.repositories import StrategyRepository
from vnpy_core.data.strategy_mirror import StrategyMirror
from vnpy_core.errors import Unavailable

_log = logging.getLogger(__name__)


async def open_database(
    config: VnPyCoreConfig, database: DatabaseManager, lease: DatabaseLease
) -> StrategyRepository | StrategyMirror:
    """Open it, take the lease on it, and return where the strategies are stored.

    A server that is down may come later, if it was used before: it is known then that its schema is right, and which
    strategies there are.

    Raises:
        AlreadyRunning: another service works with it.
        ConfigError: as ``DatabaseManager.open``.
        Unavailable: it is down, and was not used before.
    """
    repository = StrategyRepository(database)
    if database.dialect == "sqlite":
        await database.open()
        await lease.take()
        return repository
    mirror = StrategyMirror(repository, config.data_dir / "strategies.json", database.display_url)
    try:
        await database.open()
        await lease.take()
    except Unavailable as error:
        if not mirror.is_kept:
            raise
        _log.warning("%s Starting without it: facts wait in the journal, and no strategy can be changed", error.detail)
    return mirror
