"""What the command line starts: the server process, and the store for a command of its own."""

import asyncio
import contextlib
import gc
import ipaddress
import os
import signal
import socket
import ssl
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, Self

import uvicorn
from rich.console import Console
from rich.markup import escape

from vnpy_core.app import create_app
from vnpy_core.config import logging as core_logging
from vnpy_core.config.hiding import secrets_of
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.history.factory import open_history_store
from vnpy_core.engine import runtime
from vnpy_core.enums import GatewayState, StrategyState
from vnpy_core.errors import AlreadyRunning, ConfigError
from vnpy_core.http_limits import bounded_http, end_the_slow
from vnpy_core.monitoring.supervisor import Supervisor
from vnpy_core.ports import HistoryStore
from vnpy_core.routers.compression import ChosenCompression
from vnpy_core.service import VnPyCoreService

# How long the start waits for the gateways before it says how far they are.
BANNER_WAIT_S = 8.0
# How long a busy thread may keep the loop waiting for the interpreter (Python's default is 5 ms).
SWITCH_INTERVAL_S = 0.0005
UNREAD_TIMEOUT_MS = 30_000
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling, which would cut short the stop that comes after it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _StopSignals:
    """SIGINT and SIGTERM, from the beginning of the start to the end of the stop: the first asks for the stop, and no
    later one cuts it short."""

    def __init__(self, console: Console) -> None:
        self.told = asyncio.Event()
        self._console = console

    def __enter__(self) -> Self:
        for number in _STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._take)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number in _STOP_SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            if self.told.is_set():
                signal.signal(number, signal.SIG_IGN)  # for the moments until the process has ended

    async def unless_told(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do ``work``, or break it off as soon as the stop is asked for; return whether it was done."""
        task, told = asyncio.create_task(work), asyncio.create_task(self.told.wait())
        try:
            await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        finally:
            told.cancel()
        if task.cancelled():
            return False
        task.result()
        return True

    def _take(self) -> None:
        if self.told.is_set():
            say(self._console, "Already stopping. Only kill -9 ends it sooner, and leaves working orders behind.")
        self.told.set()


async def serve(config: VnPyCoreConfig, console: Console) -> None:
    """Run the service until SIGINT or SIGTERM.

    Raises:
        CoreError: the configuration is refused, the folder or the port is taken, or a part cannot start.
    """
    refuse_open_address(config)
    with contextlib.closing(_bind_or_name_the_holder(config)) as listener:
        scheme = "https" if config.service.tls_cert is not None else "http"
        url = f"{scheme}://{_host_in_url(config.service.host)}:{listener.getsockname()[1]}"
        with runtime.DataDirLock(config.data_dir, url=url), _StopSignals(console) as signals:
            core_logging.configure(config.log, config.log_path, secrets_of(config))
            say(console, f"VnPy Core is starting in {config.data_dir}")
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            supervisor = Supervisor.of(os.environ)

            def on_stage(name: str) -> None:
                say(console, f"  {name}", style="dim")
                supervisor.status(f"Starting: {name}")

            service = VnPyCoreService(
                config, port=listener.getsockname()[1], on_stage=on_stage, supervisor=supervisor
            )
            if not await signals.unless_told(service.start()):
                say(console, "Stopped before it was ready")
                return
            # What is there now stays: a full collection need not look at it again (it halted the loop for 40-60 ms).
            gc.collect()
            gc.freeze()
            supervisor.ready()
            try:
                await _serve_until_told(service, listener, url, console, signals.told)
            finally:
                supervisor.stopping()
                supervisor.status("Stopping")
                say(console, "Stopping: strategies, orders, engines, stores")
                await service.stop()
                # What is frozen is not freed at the end either, and DuckDB's binding prints a page of leaks then.
                gc.unfreeze()


async def _serve_until_told(
    service: VnPyCoreService, listener: socket.socket, url: str, console: Console, told: asyncio.Event
) -> None:
    settings = service.config
    context = tls_context(settings)
    server = _Server(
        uvicorn.Config(
            create_app(service),
            http=bounded_http(settings.service.max_connections + settings.websocket.max_sessions),
            ws=ChosenCompression,
            ws_ping_interval=settings.websocket.ping_interval_s,
            ws_ping_timeout=settings.websocket.ping_interval_s,
            ws_max_size=1 << 20,
            ws_per_message_deflate=settings.websocket.compression,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=3,
            backlog=2048,
            proxy_headers=bool(settings.service.trusted_proxies),
            forwarded_allow_ips=list(settings.service.trusted_proxies),
            ssl_context_factory=(lambda *_: context) if context is not None else None,
        )
    )

    async def end_when_told() -> None:
        await told.wait()
        service.announce_stop()
        server.should_exit = True

    beside = (
        asyncio.create_task(_print_banner(service, url, console), name="banner"),
        asyncio.create_task(end_when_told(), name="wait for the end"),
        asyncio.create_task(
            end_the_slow(server.server_state.connections, settings.service.request_timeout_s), name="end slow requests"
        ),
    )
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _print_banner(service: VnPyCoreService, url: str, console: Console) -> None:
    """Say where everything is, once the gateways are connected and the strategies run, or how far they got."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(service.settled(), BANNER_WAIT_S)
    say(console, "")
    for what, where in (
        ("API", f"{url}/api/v1"),
        ("documentation", f"{url}/docs"),
        ("WebSocket", f"{url.replace('http', 'ws', 1)}/ws"),
        ("data folder", str(service.config.data_dir)),
        ("log", str(service.config.log_path)),
    ):
        say(console, f"  {what:14} {where}")
    if (link := service.access.first_link) is not None:
        say(console, "\n  No password is set yet. Log in by this link, once, within 15 minutes:")
        say(console, f"  {url}/login#token={link}\n", style="bold")
    if service.config.security.authentication == "off":
        say(console, "  authentication  [red]off: whoever reaches this address may do everything[/]")
    for status in service.gateways.statuses():
        style = "green" if status.state is GatewayState.CONNECTED else "yellow"
        detail = f"  {escape(status.detail)}" if status.detail else ""
        line = f"  gateway        {status.gateway_name} [{style}]{status.state}[/]{detail}"
        say(console, line)
    for strategy in service.strategies.list():
        missing = strategy.error if strategy.state is not StrategyState.FAILED else None
        style = "green" if strategy.state is StrategyState.TRADING and missing is None else "yellow"
        what = f"{strategy.strategy_name} ({strategy.class_name} on {strategy.vt_symbol})"
        detail = f"  {escape(missing)}" if missing else ""
        say(console, f"  strategy       {what} [{style}]{strategy.state}[/]{detail}")
    say(console, "  Ctrl-C stops it; everything is kept for the next start.\n")


def say(console: Console, text: str, **options: Any) -> None:
    """Print for people. Nothing depends on it: the output may be a file on a full disk, or a pipe that nobody reads."""
    with contextlib.suppress(OSError):
        console.print(text, highlight=False, soft_wrap=True, **options)


@contextlib.contextmanager
def open_history(config: VnPyCoreConfig) -> Iterator[HistoryStore]:
    """Open the history store for a command of its own, holding the data folder.

    Raises:
        AlreadyRunning: a service works on the folder.
    """
    with runtime.DataDirLock(config.data_dir):
        store = open_history_store(config)
        try:
            yield store
        finally:
            store.close()


async def upgrade_database(config: VnPyCoreConfig) -> tuple[str, str]:
    """Upgrade the SQL schema, and return which database that is and its revision.

    Raises:
        CoreError: as ``DatabaseManager.open``.
    """
    database = DatabaseManager.configured(config)
    try:
        await database.open()
        return database.display_url, await database.revision()
    finally:
        await database.close()


def refuse_open_address(config: VnPyCoreConfig) -> None:
    """Raises: ConfigError for an address that others can reach without being asked who they are, or in plain text; or
    for TLS that cannot be."""
    service, host = config.service, config.service.host
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise ConfigError(f"service.host {host!r} is not an IP address. Use 127.0.0.1 or ::1.") from error
    if config.security.authentication == "off" and (not address.is_loopback or service.behind_tls_proxy):
        raise ConfigError(
            "security.authentication is off, and others can reach this address. Set it to required, or service.host "
            "to 127.0.0.1 and no proxy before it."
        )
    tls_context(config)
    if not address.is_loopback and service.tls_cert is None and not service.behind_tls_proxy:
        raise ConfigError(
            f"service.host {host} can be reached from other machines, and passwords and keys would travel in plain "
            "text. Set service.tls_cert and service.tls_key; or service.behind_tls_proxy = true, if only a proxy that "
            "encrypts can reach it; or use 127.0.0.1, and a tunnel such as `ssh -L 8006:127.0.0.1:8006`."
        )


def tls_context(config: VnPyCoreConfig) -> ssl.SSLContext | None:
    """Return what https is served by, or ``None`` for plain http.

    Raises:
        ConfigError: a file that cannot be read, or holds something else.
    """
    service = config.service
    if service.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(service.tls_cert, service.tls_key)
    except OSError as error:
        key = f" with service.tls_key {service.tls_key}" if service.tls_key is not None else ""
        reason = error.strerror or error
        raise ConfigError(f"service.tls_cert {service.tls_cert}{key} cannot be used: {reason}.") from error
    return context


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        AlreadyRunning: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # handed on to each connection: one that takes nothing is ended
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_MS)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise AlreadyRunning(
            f"Port {port} of {host} cannot be used: {error.strerror}. Another service may listen there; "
            "set VNPY_CORE_SERVICE__PORT (or --port) for this one."
        ) from error
    return listener


def _bind_or_name_the_holder(config: VnPyCoreConfig) -> socket.socket:
    """As ``bind``; if the service that has the port is the one that works on the same folder, that is what is said."""
    try:
        return bind(config.service.host, config.service.port)
    except AlreadyRunning:
        with runtime.DataDirLock(config.data_dir):
            raise


def versions() -> dict[str, str]:
    """Return the versions of Python, vnpy and its apps."""
    from vnpy_core.engine.packages import installed_versions

    return installed_versions()


def _host_in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
