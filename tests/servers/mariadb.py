"""MariaDb: a private mariadbd."""

import itertools
import os
from collections.abc import Sequence

from tests.servers.base import Server, find_program

USER, PASSWORD = "core", "se:cret/1"
# As it stands in a URL.
QUOTED_PASSWORD = "se%3Acret%2F1"
_USERS = f"""
CREATE USER IF NOT EXISTS admin@'127.0.0.1';
GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON `facts\\_%`.* TO {USER}@'127.0.0.1';
"""


class MariaDb(Server):
    """``core`` may do anything in databases named ``facts_…``; ``execute`` may do anything.

    What it has committed survives its death (not the machine's). For the settings of a real server, which fsyncs each
    commit, pass ``--innodb-flush-log-at-trx-commit=1``.
    """

    program = "mariadbd"
    _numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """Of a database that does not exist, see ``new_database``."""
        return self.url_of("facts_none")

    def url_of(self, database: str) -> str:
        return f"mysql://{USER}:{QUOTED_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"facts_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]}")

    def execute(self, sql: str, database: str = "mysql") -> str:
        """Run SQL as the administrator; return the rows as lines, the values apart by tabs."""
        return self.run(
            "mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={self.port}", "--user=admin",
            "--connect-timeout=5", "--batch", "--skip-column-names", "--execute", sql, database,
        )  # fmt: skip

    def ping(self) -> None:
        """It greets whoever connects, and listens last of all."""
        if self.ask(b"")[4:5] != b"\x0a":
            raise RuntimeError("it does not greet")

    def _prepare(self) -> None:
        find_program("mariadb")
        self.run(
            "mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'data'}", "--skip-test-db",
            "--skip-name-resolve", "--auth-root-authentication-method=normal", *self._innodb(), *self._as_root(),
        )  # fmt: skip
        (self.folder / "users.sql").write_text(_USERS)

    def _command(self) -> Sequence[str]:
        return (
            "--no-defaults", f"--datadir={self.folder / 'data'}", f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}", f"--init-file={self.folder / 'users.sql'}",
            "--bind-address=127.0.0.1", f"--port={self.port}", "--skip-name-resolve", "--performance-schema=OFF",
            "--innodb-flush-log-at-trx-commit=2", "--innodb-fast-shutdown=2", *self._innodb(), *self._as_root(),
        )  # fmt: skip

    def _innodb(self) -> Sequence[str]:
        return (
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-doublewrite=OFF",
            "--innodb-data-file-path=ibdata1:4M:autoextend", "--innodb-temp-data-file-path=ibtmp1:4M:autoextend",
        )  # fmt: skip

    def _as_root(self) -> Sequence[str]:
        return ("--user=root",) if os.geteuid() == 0 else ()
