"""The command line: parses, calls, prints."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from vnpy_core import __version__
from vnpy_core.cli_access import token_app, user_app
from vnpy_core.cli_alerts import alerts_app
from vnpy_core.cli_strategies import strategies_app
from vnpy_core.config.settings import DEFAULT_FILE, VnPyCoreConfig, load_config
from vnpy_core.config.template import render_template
from vnpy_core.data.exporter import export_file
from vnpy_core.data.importer import ImportSpec, import_file
from vnpy_core.enums import Interval, parse_enum
from vnpy_core.errors import Conflict, CoreError, Invalid
from vnpy_core.installation import check_installation
from vnpy_core.launch import open_history, serve, upgrade_database, versions


class BarTime(Enum):
    """What a file dates a bar by."""

    start = "start"
    end = "end"


app = typer.Typer(
    name="vnpy-core",
    help="vn.py as a service.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Bring market data in and out.", no_args_is_help=True)
app.add_typer(data_app, name="data")
db_app = typer.Typer(help="See to the SQL database.", no_args_is_help=True)
app.add_typer(db_app, name="db")
app.add_typer(user_app, name="user")
app.add_typer(token_app, name="token")
app.add_typer(strategies_app, name="strategies")
app.add_typer(alerts_app, name="alerts")

out = Console()
err = Console(stderr=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help=f"Default: {DEFAULT_FILE} if there is one")]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept")]


def _load(config: Path | None, data_dir: Path | None, **service: Any) -> VnPyCoreConfig:
    overrides: dict[str, Any] = {"service": {key: value for key, value in service.items() if value is not None}}
    if data_dir is not None:
        overrides["data_dir"] = data_dir
    return load_config(config, overrides=overrides)


@app.command()
def run(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    host: Annotated[str | None, typer.Option(help="Beyond loopback only with TLS")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one")] = None,
) -> None:
    """Start the service; Ctrl-C stops it."""
    uvloop.run(serve(_load(config, data_dir, host=host, port=port), out))


@app.command()
def check(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Try everything a start needs, and say what would stop it."""
    table = Table("what", "state", "detail", box=None, pad_edge=False)
    failed = 0
    for item in uvloop.run(check_installation(_load(config, data_dir))):
        failed += not item.ok
        table.add_row(escape(item.what), "[green]ok" if item.ok else "[red]FAILED", escape(item.detail))
    out.print(table)
    if failed:
        raise typer.Exit(1)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write")] = Path(DEFAULT_FILE),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file")] = False,
) -> None:
    """Write a configuration file with every setting, commented."""
    if path.exists() and not force:
        raise Conflict(f"{path} exists. --force replaces it.")
    path.write_text(render_template(), encoding="utf-8")
    out.print(f"Wrote {path}. Edit it, then `vnpy-core check`.")


@data_app.command("import")
def data_import(
    path: Annotated[Path, typer.Argument(help="CSV, CSV.gz or Parquet of bars, ticks or quotes")],
    symbol: Annotated[str, typer.Option("--symbol", help="Such as rb2605.SHFE")],
    interval: Annotated[str, typer.Option(help="MINUTE, HOUR, DAILY, WEEKLY or TICK")],
    timezone: Annotated[str | None, typer.Option(help="Of times without an offset, such as Asia/Shanghai")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="open_price=Open, if the names do not tell; repeatable")
    ] = None,
    names: Annotated[str | None, typer.Option(help="Columns of a file without a header: datetime,bid,ask")] = None,
    time_format: Annotated[str | None, typer.Option(help="strptime pattern or epoch_s, _ms, _us, _ns")] = None,
    bar_time: Annotated[BarTime, typer.Option(help="What the file dates a bar by")] = BarTime.start,
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Import the good rows all the same")] = False,
    last_from_quotes: Annotated[
        bool, typer.Option("--last-from-quotes", help="Where no last price is given, take the middle of bid and ask")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Bring a file into the history store: all of it, or with bad rows nothing. The service must not run meanwhile."""
    spec = ImportSpec(
        vt_symbol=symbol,
        interval=_interval(interval),
        columns=dict(_pair(text) for text in mapping or ()),
        names=names.split(",") if names else None,
        datetime_format=time_format,
        timezone=timezone,
        bar_time=bar_time.value,
        skip_bad_rows=skip_bad_rows,
        last_from_quotes=last_from_quotes,
    )
    with open_history(_load(config, data_dir)) as store, _progress() as progress:
        report = import_file(path, store, spec, progress)
    out.print(
        f"{report.imported:,} rows of {report.vt_symbol} {report.interval} from {report.start} to {report.end} "
        f"in {report.seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )
    if report.repeated:
        out.print(f"[yellow]{report.repeated:,} rows were there twice, and count once[/]", highlight=False)
    if report.bad:
        out.print(f"[yellow]{report.bad:,} bad rows were left out:[/]")
        for error in report.errors:
            out.print(f"  row {error.row}: {escape(error.reason)}", highlight=False, soft_wrap=True)


@data_app.command("export")
def data_export(
    path: Annotated[Path, typer.Argument(help="The file to write: .csv, .csv.gz or .parquet")],
    symbol: Annotated[str, typer.Option("--symbol", help="Such as rb2605.SHFE")],
    interval: Annotated[str, typer.Option(help="MINUTE, HOUR, DAILY, WEEKLY or TICK")],
    start: Annotated[str | None, typer.Option(help="ISO 8601 with offset; default: the beginning")] = None,
    end: Annotated[str | None, typer.Option(help="ISO 8601 with offset; default: the end")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write a series of the history store to a file."""
    if path.exists() and not force:
        raise Conflict(f"{path} exists. --force replaces it.")
    with open_history(_load(config, data_dir)) as store, _progress() as progress:
        report = export_file(path, store, symbol, _interval(interval), _moment(start), _moment(end), progress)
    out.print(
        f"{report.rows:,} rows of {symbol} from {report.start} to {report.end} written to {path}",
        highlight=False,
        soft_wrap=True,
    )


@db_app.command("upgrade")
def db_upgrade(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Bring the SQL schema to what this version needs. A service of the version before may go on meanwhile."""
    database, revision = uvloop.run(upgrade_database(_load(config, data_dir)))
    out.print(f"The schema of {database} is at revision {revision}", highlight=False, soft_wrap=True)


@app.command()
def version() -> None:
    """Print the versions of the service, of vn.py and of its apps."""
    for name, number in {"vnpy-core": __version__, **versions()}.items():
        out.print(f"{name} {number}", highlight=False)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each stage that is told; nothing where nobody looks."""
    columns = (TextColumn("{task.description:10}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        stages: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage)
            bar.update(stages[stage], completed=done, total=total)

        yield tell


def _interval(text: str) -> Interval:
    try:
        return parse_enum(Interval, text.upper() if text.upper() in Interval.__members__ else text)
    except ValueError as error:
        raise Invalid(f"--interval: {error}") from error


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals:
        raise Invalid(f"--map {text!r}: write ours=theirs, such as open_price=Open")
    return ours, theirs


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{text!r} is not a time such as 2026-01-05T09:30:00+08:00") from error
    if moment.tzinfo is None:
        raise Invalid(f"{text!r} has no UTC offset: write 2026-01-05T09:30:00+08:00")
    return moment


def main() -> None:
    """Run the program; a ``CoreError`` is its message and exit code 1, never a traceback."""
    code = 0
    try:
        app()
    except CoreError as error:
        code = 1
        err.print(f"[red]{error.title}:[/red] {escape(error.detail)}", highlight=False, soft_wrap=True)
        for row in error.extra.get("rows", ()):
            err.print(f"  row {row['row']}: {escape(row['reason'])}", highlight=False, soft_wrap=True)
    # Not above: the error and all that its frames hold would be kept to the very end, and DuckDB's binding then prints
    # a page of leaks below the message.
    sys.exit(code)
