"""What must be there before the first row: the database of an InfluxDB, and how long it keeps them."""

import logging
import re
from typing import Any

import msgspec

from vnpy_core.data.history import influxql
from vnpy_core.data.history.influx_http import DatabaseMissing, InfluxHttp
from vnpy_core.errors import ConfigError

_log = logging.getLogger(__name__)

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}


class Found(msgspec.Struct, frozen=True):
    """``kept_s``: how long rows are kept; ``None``: for ever, or as the bucket says, which 2.x and 3.x do not tell."""

    version: str
    kept_s: int | None


def prepare(server: InfluxHttp, retention: str | None) -> Found:
    """See that the database is there, create it on a 1.x that lets us, and say what was found.

    Raises:
        Unavailable: the server cannot be reached.
        ConfigError: the credentials are refused, the database is missing, or keeps rows for another time than
            ``retention``; the message says what to do. Nothing that exists is ever changed, since a shorter time would
            delete rows.
    """
    version = server.version()
    is_first = version.startswith("1.")
    try:
        policies = _policies(server)
    except DatabaseMissing:
        policies = []
    if not policies:
        if not is_first:
            raise ConfigError(_how_to_create(server, version, retention))
        _create(server, retention)
        policies = _policies(server)
    if not is_first:
        if retention:
            _log.warning("history.retention is not used: in InfluxDB %s it belongs to the bucket", version)
        return Found(version, None)
    kept = next((policy for policy in policies if policy.get("default")), policies[0])
    kept_s = seconds(str(kept["duration"]))
    if retention and kept_s != seconds(retention):
        raise ConfigError(
            f"history.retention is {retention}, but the database {server.database} of {server.url} keeps rows"
            f" {'for ever' if not kept_s else 'for ' + str(kept['duration'])}. Correct the setting, or run"
            f' ALTER RETENTION POLICY "{kept["name"]}" ON "{server.database}" DURATION {retention}, which deletes what'
            " is older."
        )
    return Found(version, kept_s or None)


def seconds(duration: str) -> int:
    """Return the seconds of a duration such as 90d or 2160h0m0s."""
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([wdhms])", duration))


def _policies(server: InfluxHttp) -> list[dict[str, Any]]:
    parts = server.query(influxql.SHOW_POLICIES)
    return [dict(zip(part.columns, row, strict=True)) for part in parts for row in part.values]


def _create(server: InfluxHttp, retention: str | None) -> None:
    statement = influxql.create_database(server.database, retention)
    try:
        server.query(statement)
    except ConfigError as error:
        raise ConfigError(
            f"{server} has no database {server.database}, and does not let us create it. Have its administrator run"
            f' {statement}; GRANT ALL ON "{server.database}" TO the user in history.username.'
        ) from error
    _log.info("Created the database %s in the InfluxDB at %s", server.database, server.url)


def _how_to_create(server: InfluxHttp, version: str, retention: str | None) -> str:
    if version.startswith("2."):
        keep = f" --retention {retention}" if retention else ""
        return (
            f"{server} maps the database {server.database} to no bucket that the token may read. Run influx bucket"
            f" create --name {server.database}{keep}, or influx v1 dbrp create --db {server.database} --rp autogen"
            " --default --bucket-id … for a bucket of another name."
        )
    return (
        f"{server} has no database {server.database}. Run influxdb3 create database {server.database}, or correct"
        " history.database."
    )
