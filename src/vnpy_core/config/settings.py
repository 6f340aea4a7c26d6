"""VnPyCoreConfig: every setting of the service, its default, and the four layers it can come from.

Layers, later wins: defaults < ``vnpy-core.toml`` < environment (``VNPY_CORE_…``, nested by ``__``) < command line.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from vnpy_core.config.access_settings import OptionalPath, Section, SecuritySettings, ServiceSettings
from vnpy_core.config.alert_settings import AlertSettings
from vnpy_core.config.bus_settings import BusSettings, RegistrySettings, WebSocketSettings
from vnpy_core.config.data_settings import CacheSettings, DatabaseSettings, HistorySettings, JournalSettings
from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.config.monitoring_settings import MonitoringSettings, TracingSettings
from vnpy_core.config.performance_settings import PerformanceSettings
from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.config.sources import nearest, public_name, read_environment, read_toml
from vnpy_core.config.strategy_settings import StrategySettings
from vnpy_core.config.vt_setting import read_vt_setting, write_vt_setting
from vnpy_core.errors import ConfigError

DEFAULT_FILE = "vnpy-core.toml"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Asia/Shanghai") from error
    return name


class EngineSettings(Section):
    queue_high_water: Annotated[int, Field(ge=1, description="Queued events that raise an alert")] = 50_000
    timer_interval_s: Annotated[int, Field(ge=1, description="vn.py's timer event")] = 1
    init_workers: Annotated[int, Field(ge=1, le=64, description="Strategies initialised side by side")] = 4
    tick_buffer: Annotated[int, Field(ge=1, description="Ticks that may wait for the loop")] = 100_000
    download_timeout_s: Annotated[float, Field(gt=0, description="A longer download goes on unattended")] = 60.0


class LogSettings(Section):
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="The least that is logged")] = (
        "INFO"
    )
    format: Annotated[Literal["console", "json"], Field(description="For people or for machines")] = "console"
    file: Annotated[bool, Field(description="Also into log_dir")] = True
    file_size_mb: Annotated[int, Field(ge=1, description="A new file is begun at this size")] = 20
    file_count: Annotated[int, Field(ge=1, description="Older files that are kept")] = 10
    file_hours: Annotated[float, Field(ge=0, description="A new file is also begun at this age; 0: at none")] = 24.0
    file_days: Annotated[float, Field(ge=0, description="Older files of this age are removed; 0: of none")] = 30.0


def default_data_dir() -> Path:
    return Path.home() / ".vnpy-core"


DEMO_GATEWAYS: Mapping[str, Mapping[str, Any]] = {
    "SIM": {"class": "vnpy_core.engine.sim.SimGateway", "auto_connect": True}
}


def _demo_gateways() -> dict[str, GatewaySettings]:
    return {name: GatewaySettings.model_validate(each) for name, each in DEMO_GATEWAYS.items()}


class VnPyCoreConfig(BaseSettings):
    """The whole configuration, validated; ``docs/configuration.md`` lists each key. Made by ``load_config``."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    data_dir: Annotated[Path, Field(description="Everything that is kept; VNPY_DATA_DIR")] = Field(
        default_factory=default_data_dir
    )
    log_dir: Annotated[OptionalPath, Field(description="Default: logs in the data folder; VNPY_LOG_DIR")] = None
    config_dir: Annotated[OptionalPath, Field(description="An existing vn.py folder; VNPY_CONFIG_DIR")] = None
    timezone: Annotated[str, AfterValidator(_zone), Field(description="Of trading; default: vt_setting.json's")] = (
        "Asia/Shanghai"
    )
    demo: Annotated[bool, Field(description="Add the demo strategy when there is no strategy at all")] = True
    service: ServiceSettings = ServiceSettings()
    security: SecuritySettings = SecuritySettings()
    engine: EngineSettings = EngineSettings()
    strategies: StrategySettings = StrategySettings()
    gateways: dict[str, GatewaySettings] = Field(default_factory=_demo_gateways)
    risk: RiskSettings = RiskSettings()
    performance: PerformanceSettings = PerformanceSettings()
    journal: JournalSettings = JournalSettings()
    database: DatabaseSettings = DatabaseSettings()
    history: HistorySettings = HistorySettings()
    cache: CacheSettings = CacheSettings()
    registry: RegistrySettings = RegistrySettings()
    bus: BusSettings = BusSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    alerts: AlertSettings = AlertSettings()
    log: LogSettings = LogSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    tracing: TracingSettings = TracingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what ``load_config`` hands over: it reads the layers itself, to name a misspelt setting."""
        return (init_settings,)

    @property
    def log_path(self) -> Path:
        return self.log_dir or self.data_dir / "logs"

    @property
    def vnpy_path(self) -> Path:
        """vn.py's own folder, inside the data folder."""
        return self.data_dir / ".vntrader"

    @property
    def database_url(self) -> SecretStr:
        return self.database.url or SecretStr(f"sqlite+aiosqlite:///{self.data_dir / 'vnpy-core.db'}")

    @property
    def history_path(self) -> Path:
        return self.history.path or self.data_dir / "history.duckdb"

    def get_vnpy_setting(self) -> dict[str, Any]:
        """Return what vn.py is to read: the user's own file, then what the service decides.

        Raises:
            ConfigError: the user's file is not readable or not JSON.
        """
        setting = read_vt_setting(self.vnpy_path)
        if self.config_dir is not None and self.config_dir != self.vnpy_path:
            setting |= read_vt_setting(self.config_dir)
        return setting | {"database.timezone": self.timezone, "log.console": False, "log.file": False}

    def save_vnpy_setting(self, changes: Mapping[str, Any] | None = None) -> Path:
        """Write vn.py's settings, with ``changes``, into its folder, atomically, and return the file's path."""
        return write_vt_setting(self.vnpy_path, self.get_vnpy_setting() | dict(changes or {}))


def load_config(
    path: Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> VnPyCoreConfig:
    """Read all layers and return the configuration, with absolute paths.

    ``path`` defaults to ``vnpy-core.toml`` in the working folder, then in the data folder, if there is one.

    Raises:
        ConfigError: a file that cannot be read, an unknown name, a value that does not fit; the message says which.
    """
    from_environment = read_environment(os.environ if environ is None else environ, VnPyCoreConfig)
    values = _merge(from_environment, overrides or {})
    if path is None:
        folders = [Path.cwd(), Path(values.get("data_dir", default_data_dir()))]
        path = next((folder / DEFAULT_FILE for folder in folders if (folder / DEFAULT_FILE).exists()), None)
    origin = "the environment or the command line"
    if path is not None:
        values = _merge(read_toml(path), values)
        origin = f"{path}, {origin}"
    for key in ("data_dir", "log_dir", "config_dir"):
        if values.get(key):
            values[key] = Path(str(values[key])).expanduser().absolute()
    if values.get("config_dir") and not values["config_dir"].is_dir():
        raise ConfigError(f"config_dir {values['config_dir']} is no folder: name the one that vt_setting.json is in.")
    if "timezone" not in values:
        data_dir = Path(values.get("data_dir", default_data_dir()))
        existing = read_vt_setting(Path(values.get("config_dir") or data_dir / ".vntrader"))
        values["timezone"] = existing.get("database.timezone") or "Asia/Shanghai"
    values["gateways"] = _with_class_of_demo(values.get("gateways"))
    try:
        return VnPyCoreConfig(**values)
    except ValidationError as error:
        raise ConfigError(f"In {origin}: {_explain(error)}") from error


def _with_class_of_demo(gateways: Any) -> Any:
    """Return the gateways as given, or the default; of a SIM without a class only what differs needs to be given."""
    demo = DEMO_GATEWAYS["SIM"]
    if gateways is None:
        return DEMO_GATEWAYS
    sim = gateways.get("SIM") if isinstance(gateways, Mapping) else None
    if isinstance(sim, Mapping) and not sim.keys() & {"class", "class_path"}:
        return {**gateways, "SIM": {**demo, **sim}}
    return gateways


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _explain(error: ValidationError) -> str:
    """Return the problems, a line each, naming the nearest valid key; never the value, which may be a secret."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"{name} is not a setting. {nearest(str(problem['loc'][-1]), _siblings(problem['loc']))}")
        else:
            lines.append(f"{name}: {problem['msg']}")
    return "\n".join(lines)


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = VnPyCoreConfig
    for part in location[:-1]:
        if part == "gateways":
            model = GatewaySettings
        elif part in model.model_fields and isinstance(model.model_fields[str(part)].annotation, type):
            model = model.model_fields[str(part)].annotation  # type: ignore[assignment]
    return [public_name(name, field) for name, field in model.model_fields.items()]
