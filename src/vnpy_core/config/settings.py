"""VnPyCoreConfig: every setting of the service, its default, and the four layers it can come from.

Layers, later wins: defaults < ``vnpy-core.toml`` < environment (``VNPY_CORE_…``, nested by ``__``) < command line.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from vnpy_core.errors import ConfigError

PREFIX = "VNPY_CORE_"
DEFAULT_FILE = "vnpy-core.toml"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Asia/Shanghai") from error
    return name


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServiceSettings(_Section):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8006
    shutdown_timeout_s: Annotated[float, Field(gt=0)] = 20.0
    command_timeout_s: Annotated[float, Field(gt=0, description="Wait for the event thread to answer a command")] = 5.0


class EngineSettings(_Section):
    queue_high_water: Annotated[int, Field(ge=1, description="Queued events that raise an alert")] = 50_000
    timer_interval_s: Annotated[int, Field(ge=1)] = 1
    init_workers: Annotated[int, Field(ge=1, le=64, description="Strategies initialised side by side")] = 4
    tick_buffer: Annotated[int, Field(ge=1, description="Ticks that wait for the loop before the oldest is dropped")] = 100_000


class GatewaySettings(_Section):
    """One account: a gateway class under a name of its own."""

    class_path: Annotated[str, Field(validation_alias=AliasChoices("class", "class_path"))]
    setting: dict[str, Any] = Field(default_factory=dict)
    auto_connect: bool = False
    connect_timeout_s: Annotated[float, Field(gt=0)] = 30.0


class JournalSettings(_Section):
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    retention_days: Annotated[float, Field(gt=0, description="How far back a WebSocket client may resume")] = 7.0


class DatabaseSettings(_Section):
    url: Annotated[SecretStr | None, Field(description="SQLAlchemy async URL; default: SQLite in the data folder")] = None


class HistorySettings(_Section):
    path: Annotated[Path | None, Field(description="DuckDB file; default: history.duckdb in the data folder")] = None
    memory_limit_mb: Annotated[int, Field(ge=64)] = 256
    record_ticks: Annotated[bool, Field(description="Store every tick that arrives")] = False
    record_bars: Annotated[bool, Field(description="Build and store one-minute bars from ticks")] = False
    flush_interval_ms: Annotated[int, Field(ge=10)] = 1000


class WebSocketSettings(_Section):
    ping_interval_s: Annotated[float, Field(gt=0)] = 20.0
    batch_interval_ms: Annotated[float, Field(ge=0, description="Market data waits this long for company; facts never do")] = 2.0
    max_sessions: Annotated[int, Field(ge=1)] = 1000
    queue_facts: Annotated[int, Field(ge=1, description="Facts that may wait for one client before it is closed (4008)")] = 10_000


class LogSettings(_Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["console", "json"] = "console"
    file: bool = True


def default_data_dir() -> Path:
    return Path.home() / ".vnpy-core"


def _demo_gateways() -> dict[str, GatewaySettings]:
    return {
        "SIM": GatewaySettings.model_validate(
            {"class": "vnpy_core.engine.sim.SimGateway", "auto_connect": True, "setting": {}}
        )
    }


class VnPyCoreConfig(BaseSettings):
    """The whole configuration, validated; see docs/configuration.md for each key."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, populate_by_name=True
    )

    data_dir: Annotated[Path, Field(validation_alias=AliasChoices("data_dir", "VNPY_CORE_DATA_DIR", "VNPY_DATA_DIR"))] = Field(
        default_factory=default_data_dir
    )
    log_dir: Annotated[
        Path | None, Field(validation_alias=AliasChoices("log_dir", "VNPY_CORE_LOG_DIR", "VNPY_LOG_DIR"))
    ] = None
    config_dir: Annotated[
        Path | None, Field(validation_alias=AliasChoices("config_dir", "VNPY_CORE_CONFIG_DIR", "VNPY_CONFIG_DIR"))
    ] = None
    timezone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"
    demo: Annotated[bool, Field(description="Add the demo strategy when there is no strategy at all")] = True
    service: ServiceSettings = ServiceSettings()
    engine: EngineSettings = EngineSettings()
    gateways: dict[str, GatewaySettings] = Field(default_factory=_demo_gateways)
    journal: JournalSettings = JournalSettings()
    database: DatabaseSettings = DatabaseSettings()
    history: HistorySettings = HistorySettings()
    websocket: WebSocketSettings = WebSocketSettings()
    log: LogSettings = LogSettings()
