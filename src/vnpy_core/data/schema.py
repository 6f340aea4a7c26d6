"""The schema's upgrades: where the revisions are, and how they are applied to a database.

Kept apart from ``database`` so that Alembic is imported only when there is something to upgrade.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select

import vnpy_core
from vnpy_core.data.tables import metadata
from vnpy_core.errors import ConfigError, Unavailable

_LOCK_TIMEOUT_S = 60
_LOCK_NAME = "vnpy_core_schema"
_LOCK_NUMBER = 8006


def migrations_path() -> Path:
    """Return the folder of the revisions: inside an installed package, beside ``src`` in a checkout."""
    package = Path(vnpy_core.__file__).parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


def alembic_config(connection: Connection) -> Config:
    """Return the configuration with which Alembic's commands work on ``connection``."""
    config = Config(attributes={"connection": connection})
    # A percent sign is ConfigParser's own.
    config.set_main_option("script_location", str(migrations_path()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(connection: Connection, display_url: str) -> None:
    """Bring the schema to the newest revision, alone: another process that wants the same waits for this one.

    Raises:
        ConfigError: the schema is newer than the code, or the database holds tables that are another program's.
    """
    config = alembic_config(connection)
    with _lock(connection):
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        present = MigrationContext.configure(connection).get_current_heads()
        if unknown := set(present) - known:
            raise ConfigError(
                f"The schema of {display_url} is at revision {', '.join(sorted(unknown))}, which VnPy Core "
                f"{vnpy_core.__version__} does not know: a newer version has upgraded it. Run that version or a newer "
                "one, set database.url to another database, or restore a backup from before the upgrade."
            )
        if not present and (foreign := metadata.tables.keys() & set(inspect(connection).get_table_names())):
            raise ConfigError(
                f"{display_url} already has tables named {', '.join(sorted(foreign))} without a schema revision: they "
                "are another program's, or a first start was interrupted. Give VnPy Core a database of its own, or "
                "drop them if nothing in them is needed."
            )
        command.upgrade(config, "head")


@contextmanager
def _lock(connection: Connection) -> Iterator[None]:
    if connection.dialect.name == "postgresql":
        # Held until the transaction ends.
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK_NUMBER)))
        yield
    elif connection.dialect.name == "mysql":
        if connection.scalar(select(func.get_lock(_LOCK_NAME, _LOCK_TIMEOUT_S))) != 1:
            raise Unavailable(f"Another process has been upgrading the schema for {_LOCK_TIMEOUT_S} s.")
        try:
            yield
            # Before the lock is given up: who waits for it must see the new revision, and not upgrade once more.
            connection.exec_driver_sql("COMMIT")
        finally:
            connection.execute(select(func.release_lock(_LOCK_NAME)))
    else:
        # SQLite: the transaction began as IMMEDIATE, so this is the only writer.
        yield
