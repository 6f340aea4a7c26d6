"""Postgres: a private PostgreSQL."""

import itertools
import signal
from collections.abc import Sequence
from typing import Self

from tests.servers.base import Server, find_program
from tests.servers.mariadb import PASSWORD, QUOTED_PASSWORD, USER


class Postgres(Server):
    """``core`` owns the databases that ``new_database`` creates; ``execute`` may do anything.

    What it has committed survives its death (not the machine's). For the settings of a real server, which fsyncs each
    commit, pass ``-cfsync=on``.
    """

    program = "postgres"
    run_as = "postgres"
    stop_signal = signal.SIGINT
    _numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """Of a database that does not exist, see ``new_database``."""
        return self.url_of("facts_none")

    def url_of(self, database: str) -> str:
        return f"postgresql://{USER}:{QUOTED_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"facts_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} OWNER {USER}")
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run SQL as the administrator; return the rows as lines, the values apart by bars."""
        return self.run(
            "psql", f"postgresql://admin:admin@127.0.0.1:{self.port}/{database}?connect_timeout=5",
            "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--command", sql,
        )  # fmt: skip

    def ping(self) -> None:
        self.run("pg_isready", "--quiet", "--host=127.0.0.1", f"--port={self.port}", "--timeout=1")

    def _prepare(self) -> None:
        find_program("psql")
        data = self.folder / "data"
        password = self.folder / "password"
        password.write_text("admin")
        if self.user is not None:
            password.chmod(0o644)
        self.run(
            "initdb", f"--pgdata={data}", "--no-sync", "--locale=C", "--encoding=UTF8", "--username=admin",
            f"--pwfile={password}", "--auth=scram-sha-256",
        )  # fmt: skip

    def start(self) -> Self:
        super().start()
        if USER not in self.execute("SELECT rolname FROM pg_roles").split():
            self.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        return self

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "fsync": "off",
            "autovacuum": "off",
            # The shared memory of a killed one is not left behind.
            "dynamic_shared_memory_type": "mmap",
            "log_min_messages": "warning",
        }
        return ("-D", str(self.folder / "data"), *(f"-c{name}={value}" for name, value in settings.items()))
