"""What ``vnpy-core check`` tries: everything a start needs, without starting it."""

import asyncio
from pathlib import Path

import msgspec
from pydantic import SecretStr

from vnpy_core.bus.transports import make_transport
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.history.factory import make_influx
from vnpy_core.data.redis_server import RedisServer
from vnpy_core.engine import runtime
from vnpy_core.errors import ConfigError, CoreError
from vnpy_core.launch import bind, refuse_open_address, versions


class CheckResult(msgspec.Struct, frozen=True):
    what: str
    ok: bool
    detail: str


async def check_installation(config: VnPyCoreConfig) -> list[CheckResult]:
    """Try everything a start needs, without starting it."""
    results = [CheckResult("configuration", True, f"data folder {config.data_dir}, time zone {config.timezone}")]

    def attempt(what: str, detail: str, *steps: object) -> None:
        for step in steps:
            try:
                if callable(step):
                    step()
            except (CoreError, OSError, ValueError) as error:
                results.append(CheckResult(what, False, str(error)))
                return
        results.append(CheckResult(what, True, detail))

    attempt("address", config.service.host, lambda: refuse_open_address(config))
    holder = runtime.read_lock_holder(config.data_dir)
    if holder is not None:
        results.append(CheckResult("running", True, f"process {holder.pid} serves this folder at {holder.url}"))
    else:
        attempt("data folder", str(config.data_dir), lambda: _try_lock(config.data_dir))
        attempt("port", str(config.service.port), lambda: bind(config.service.host, config.service.port).close())
    attempt("vn.py", ", ".join(f"{k} {v}" for k, v in versions().items()), lambda: runtime.prepare(config))
    for name, gateway in config.gateways.items():
        attempt(f"gateway {name}", gateway.class_path, lambda path=gateway.class_path: _load_class(path))
    results.append(await _ask_database(config))
    for what, settings in (("cache", config.cache), ("registry", config.registry)):
        if settings.url and not settings.url.get_secret_value().startswith("memory:"):
            results.append(await _ask_redis(what, settings.url, settings.timeout_s))
    if config.history.url:
        results.append(await asyncio.to_thread(_ask_influx, config))
    if config.bus.url and not config.bus.url.get_secret_value().startswith("memory:"):
        results.append(await _ask_bus(config))
    return results


async def _ask_database(config: VnPyCoreConfig) -> CheckResult:
    try:
        database = DatabaseManager.configured(config)
        try:
            await database.open()
        finally:
            await database.close()
        return CheckResult("database", True, database.display_url)
    except CoreError as error:
        return CheckResult("database", False, error.detail)


async def _ask_redis(what: str, url: SecretStr, timeout_s: float) -> CheckResult:
    try:
        server = RedisServer(url, f"{what}.url", timeout_s=timeout_s)
        try:
            await server.call(lambda redis: redis.echo(b"check"))
        finally:
            await server.close()
        return CheckResult(what, True, server.display_url)
    except CoreError as error:
        return CheckResult(what, False, error.detail)


def _ask_influx(config: VnPyCoreConfig) -> CheckResult:
    try:
        store = make_influx(config)
        try:
            found = store.prepare()
        finally:
            store.close()
        return CheckResult("history", True, f"InfluxDB {found.version} at {config.history.url}")
    except CoreError as error:
        return CheckResult("history", False, error.detail)


async def _ask_bus(config: VnPyCoreConfig) -> CheckResult:
    try:
        transport = make_transport(config.bus)
        try:
            await transport.stored("check")
        finally:
            await transport.close()
        return CheckResult("bus", True, transport.address or transport.kind)
    except CoreError as error:
        return CheckResult("bus", False, error.detail)


def _try_lock(data_dir: Path) -> None:
    with runtime.DataDirLock(data_dir):
        """It can be had: that is all there is to know."""


def _load_class(path: str) -> None:
    from vnpy_core.engine.gateway_loading import GatewayNotLoaded, load_class

    try:
        load_class(path)
    except GatewayNotLoaded as error:
        raise ConfigError(str(error)) from error
