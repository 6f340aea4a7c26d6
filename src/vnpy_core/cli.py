"""The command line: parses, calls, prints."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from vnpy_core import __version__
from vnpy_core.config.settings import DEFAULT_FILE, VnPyCoreConfig, load_config
from vnpy_core.config.template import render_template
from vnpy_core.errors import CoreError
from vnpy_core.launch import check_installation, serve, versions

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
    host: Annotated[str | None, typer.Option(help="Loopback only, until authentication is there")] = None,
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
        table.add_row(item.what, "[green]ok" if item.ok else "[red]FAILED", item.detail)
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
        raise CoreError(f"{path} exists. --force replaces it.")
    path.write_text(render_template(), encoding="utf-8")
    out.print(f"Wrote {path}. Edit it, then `vnpy-core check`.")


@app.command()
def version() -> None:
    """Print the versions of the service, of vn.py and of its apps."""
    for name, number in {"vnpy-core": __version__, **versions()}.items():
        out.print(f"{name} {number}", highlight=False)


def main() -> None:
    """Run the program; a ``CoreError`` is its message and exit code 1, never a traceback."""
    try:
        app()
    except CoreError as error:
        err.print(f"[red]{error.title}:[/red] {error.detail}", highlight=False)
        sys.exit(1)
