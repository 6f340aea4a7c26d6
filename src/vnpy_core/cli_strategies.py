"""The commands that move strategies from a folder of vn.py's into the data folder, and back."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vnpy_core.config.settings import DEFAULT_FILE, load_config
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import Journal
from vnpy_core.data.lease import DatabaseLease
from vnpy_core.data.repositories import StrategyRepository
from vnpy_core.data.strategy_variables import SavedVariables
from vnpy_core.engine.data_lock import DataDirLock
from vnpy_core.errors import Conflict
from vnpy_core.strategies.moving import MoveItem, Moving
from vnpy_core.strategies.vnpy_folder import VnpyFolder

strategies_app = typer.Typer(help="Move strategies in from vn.py, and out again.", no_args_is_help=True)

out = Console()
T = TypeVar("T")

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help=f"Default: {DEFAULT_FILE} if there is one")]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept")]


@strategies_app.command("import")
def import_strategies(
    folder: Annotated[Path, typer.Argument(help="The folder vn.py is started in, with .vntrader and strategies")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be done, and do nothing")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Take over the strategies of a vn.py folder: settings, variables and code.

    The service must not run: it writes the same things at every fill. Refused as a whole if anything is there already
    and different. The strategies are added, and wait to be initialised and started.
    """
    theirs = VnpyFolder.read(folder.expanduser().absolute())
    if dry_run:
        items = _with_moving(config, data_dir, lambda moving: moving.plan(theirs))
    else:
        items = _with_moving(config, data_dir, lambda moving: moving.import_folder(theirs))
    _print(items)
    conflicts = sum(item.action == "conflict" for item in items)
    if conflicts:
        raise Conflict(f"{conflicts} of these conflict with what is there: an import would be refused.")
    count = sum(item.action == "new" and item.kind == "strategy" for item in items)
    out.print(f"{count} strategies {'would be' if dry_run else 'were'} imported.", highlight=False)


@strategies_app.command("export")
def export_strategies(
    folder: Annotated[Path, typer.Argument(help="Where .vntrader and strategies are written")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be written, and write nothing")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there and different")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write all strategies as vn.py has them: settings, variables and code.

    The service must not run: variables change at every fill, and would be of different moments.
    """
    folder = folder.expanduser().absolute()
    ours = _with_moving(config, data_dir, lambda moving: moving.export())
    different = ours.different(folder)
    if different and not force:
        listed = ", ".join(str(path) for path in different)
        raise Conflict(f"These are there already, and different: {listed}. --force replaces them.")
    paths = [folder / relative for relative in ours.contents()] if dry_run else ours.write(folder)
    for path in paths:
        out.print(f"{'would write' if dry_run else 'wrote'} {path}", highlight=False, soft_wrap=True)


def _with_moving(
    config: Path | None, data_dir: Path | None, work: Callable[[Moving], Awaitable[T]]
) -> T:
    settings = load_config(config, overrides={} if data_dir is None else {"data_dir": data_dir})

    async def run() -> T:
        journal = Journal(settings.data_dir / "journal.db", settings.journal.synchronous)
        database = DatabaseManager.configured(settings)
        await journal.open()
        try:
            await database.open()
            lease = DatabaseLease.configured(settings, database, journal.identity)
            try:
                await lease.take()
                saved = SavedVariables(database, journal)
                return await work(Moving(settings.data_dir, StrategyRepository(database), saved, journal))
            finally:
                await lease.release()
                await database.close()
        finally:
            await journal.close()

    with DataDirLock(settings.data_dir):
        return uvloop.run(run())


def _print(items: list[MoveItem]) -> None:
    table = Table("what", "name", "engine", "state", "detail", box=None, pad_edge=False)
    for item in items:
        shown = f"[red]{item.action}" if item.action == "conflict" else item.action
        table.add_row(item.kind, escape(item.name), item.engine, shown, escape(item.detail))
    out.print(table)
