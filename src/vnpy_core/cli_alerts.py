"""The commands about alerts. They need no running service: the configuration says where alerts go."""

import socket
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vnpy_core.config.settings import DEFAULT_FILE, load_config
from vnpy_core.errors import ConfigError
from vnpy_core.monitoring.alerts.apprise_sender import apprise_sender
from vnpy_core.monitoring.alerts.channel import DeliveryFailed
from vnpy_core.monitoring.alerts.texts import test_message

alerts_app = typer.Typer(help="Who is told when something is wrong.", no_args_is_help=True)
out = Console()

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help=f"Default: {DEFAULT_FILE} if there is one")]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept")]


@alerts_app.callback()
def _alerts() -> None:
    """Keep ``test`` a command of its own while it is the only one."""


@alerts_app.command("test")
def send_test(
    name: Annotated[str | None, typer.Argument(help="The channel; default: each of them")] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Send a test message to a channel, and say what became of it."""
    settings = load_config(config, overrides={} if data_dir is None else {"data_dir": data_dir}).alerts
    if not settings.channels:
        raise ConfigError("There is no channel: alerts.channels names none.")
    if name is not None and name not in settings.channels:
        raise ConfigError(f"There is no channel {name!r}; there are {', '.join(sorted(settings.channels))}.")
    failed = False
    for each in [name] if name is not None else sorted(settings.channels):
        channel = settings.channels[each]
        message = test_message(each, channel.language or settings.language, settings.source or socket.gethostname())
        try:
            apprise_sender(channel)(message)
        except DeliveryFailed as error:
            failed = True
            out.print(f"{each}: not delivered: {error}", highlight=False)
        else:
            out.print(f"{each}: delivered", highlight=False)
    if failed:
        raise typer.Exit(1)
