"""Influx: a private influxd of the line 1.x."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.servers.base import PING_TIMEOUT_S, START_TIMEOUT_S, Server

_CONFIG = """
reporting-disabled = true
# For backups; any free port.
bind-address = "127.0.0.1:0"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
[monitor]
  store-enabled = false
"""


class Influx(Server):
    """What it has acknowledged survives its death.

    Args:
        auth: ask for credentials. The first user must then be created: ``CREATE USER … WITH ALL PRIVILEGES``.
    """

    program = "influxd"
    _numbers = itertools.count(1)

    def __init__(self, *arguments: str, auth: bool = False, folder: Path | None = None) -> None:
        super().__init__(*arguments, folder=folder)
        self._auth = auth

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_database(self) -> str:
        """Create an empty database and return its name."""
        name = f"history_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def execute(self, statement: str, **parameters: str) -> str:
        """Run an InfluxQL statement and return the answer, JSON."""
        answer = httpx.post(f"{self.url}/query", data={"q": statement} | parameters, timeout=START_TIMEOUT_S)
        return answer.raise_for_status().text

    def ping(self) -> None:
        try:
            httpx.get(f"{self.url}/ping", timeout=PING_TIMEOUT_S).raise_for_status()
        except httpx.HTTPError as error:
            raise RuntimeError(str(error)) from error

    def _prepare(self) -> None:
        config = _CONFIG.format(folder=self.folder, port=self.port, auth=str(self._auth).lower())
        (self.folder / "influxdb.conf").write_text(config)

    def _command(self) -> Sequence[str]:
        return ("run", "-config", str(self.folder / "influxdb.conf"))
