"""Which history store the configuration asks for."""

import logging
from typing import TYPE_CHECKING

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.errors import ConfigError, Unavailable
from vnpy_core.ports import HistoryStore

if TYPE_CHECKING:
    from vnpy_core.data.history.influx import InfluxHistory

_log = logging.getLogger(__name__)


def open_history_store(config: VnPyCoreConfig) -> HistoryStore:
    """Open the DuckDB file, or the InfluxDB that ``history.url`` names; blocks.

    An InfluxDB that cannot be reached now is no reason not to start: it is asked again whenever it is needed.

    Raises:
        Unavailable: DuckDB's file is held by another process.
        ConfigError: a setting is wrong, or a package is missing.
    """
    settings = config.history
    if settings.url is None:
        from vnpy_core.data.history.duckdb import DuckDbHistory

        return DuckDbHistory(config.history_path, settings.memory_limit_mb)
    store = make_influx(config)
    try:
        store.prepare()
    except Unavailable as error:
        _log.warning("%s Ticks and bars wait, and there is no history until then.", error.detail)
    except BaseException:
        store.close()
        raise
    return store


def make_influx(config: VnPyCoreConfig) -> "InfluxHistory":
    """Return the store of the InfluxDB that ``history.url`` names; nothing is asked of it yet.

    Raises:
        ConfigError: a package is missing.
    """
    settings = config.history
    try:
        from vnpy_core.data.history.influx import InfluxHistory
    except ModuleNotFoundError as error:
        raise ConfigError(f"history.url needs the package {error.name}: make servers-clients.") from error
    return InfluxHistory(
        (settings.url or "").removeprefix("influx+"),
        settings.database,
        token=settings.token.get_secret_value() if settings.token else None,
        username=settings.username or None,
        password=settings.password.get_secret_value() if settings.password else None,
        org=settings.org or None,
        retention=settings.retention or None,
        timeout_s=settings.timeout_s,
    )
