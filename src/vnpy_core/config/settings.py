"""VnPyCoreConfig: every setting of the service, its default, and the four layers it can come from.

Layers, later wins: defaults < ``vnpy-core.toml`` < environment (``VNPY_CORE_…``, nested by ``__``) < command line.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from vnpy_core.config.access_settings import OptionalPath, Section, SecuritySettings, ServiceSettings
from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.config.sources import nearest, public_name, read_environment, read_toml
from vnpy_core.config.vt_setting import read_vt_setting, write_vt_setting
from vnpy_core.errors import ConfigError

DEFAULT_FILE = "vnpy-core.toml"
MIN_SECRET_LENGTH = 16


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Asia/Shanghai") from error
    return name


def _influx_url(url: str | None) -> str | None:
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme not in ("influx+http", "influx+https") or not parts.hostname:
            raise ValueError("it must be influx+http://host:port or influx+https://host:port")
        if "@" in parts.netloc:
            raise ValueError("credentials do not belong in it, but in history.token, or history.username and password")
    return url


class EngineSettings(Section):
    queue_high_water: Annotated[int, Field(ge=1, description="Queued events that raise an alert")] = 50_000
    timer_interval_s: Annotated[int, Field(ge=1, description="vn.py's timer event")] = 1
    init_workers: Annotated[int, Field(ge=1, le=64, description="Strategies initialised side by side")] = 4
    tick_buffer: Annotated[int, Field(ge=1, description="Ticks that may wait for the loop")] = 100_000
    download_timeout_s: Annotated[float, Field(gt=0, description="A longer download goes on unattended")] = 60.0


class JournalSettings(Section):
    synchronous: Annotated[
        Literal["NORMAL", "FULL"], Field(description="NORMAL survives kill -9, FULL a power cut too")
    ] = "NORMAL"
    retention_days: Annotated[float, Field(gt=0, description="How far back a WebSocket client may resume")] = 7.0


class DatabaseSettings(Section):
    url: Annotated[SecretStr | None, Field(description="SQLAlchemy async URL; default: SQLite")] = None
    read_only_url: Annotated[
        SecretStr | None, Field(description="A replica, for queries over past days; default: the same")
    ] = None
    pool_size: Annotated[int, Field(ge=1, description="Connections that are kept; the recorder has one more")] = 5
    max_overflow: Annotated[int, Field(ge=0, description="Further ones, while they are needed")] = 5
    timeout_s: Annotated[float, Field(gt=0, description="For a connection, and for a whole transaction")] = 10.0
    lease_s: Annotated[
        float, Field(ge=1, description="A service that is dead holds it for so long against one of another data folder")
    ] = 30.0
    tls: Annotated[bool, Field(description="Encrypt, and check the server's certificate and name")] = False
    tls_ca: Annotated[OptionalPath, Field(description="Who may have signed it; default: the system's list")] = None
    tls_cert: Annotated[OptionalPath, Field(description="A certificate of our own, if the server asks for one")] = None
    tls_key: Annotated[OptionalPath, Field(description="Its private key; default: in the file of tls_cert")] = None

    @model_validator(mode="after")
    def _tls_is_on(self) -> Self:
        if not self.tls and (self.tls_ca or self.tls_cert or self.tls_key):
            raise ValueError("tls must be true when tls_ca, tls_cert or tls_key is set")
        if self.tls_key and not self.tls_cert:
            raise ValueError("tls_key is of no use without tls_cert")
        return self


class HistorySettings(Section):
    path: Annotated[OptionalPath, Field(description="DuckDB file; default: history.duckdb in the data folder")] = None
    memory_limit_mb: Annotated[int, Field(ge=64, description="DuckDB's own memory")] = 256
    url: Annotated[
        str | None,
        BeforeValidator(lambda value: value or None),
        AfterValidator(_influx_url),
        Field(description="influx+http://host:8086 or influx+https://…: InfluxDB; default: DuckDB"),
    ] = None
    database: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="InfluxDB's; of 2.x, the bucket")
    ] = "vnpy_core"
    token: Annotated[SecretStr | None, Field(description="Of InfluxDB 2.x or 3.x")] = None
    username: Annotated[str, Field(description="Of InfluxDB 1.x")] = ""
    password: Annotated[SecretStr | None, Field(description="Of InfluxDB 1.x")] = None
    org: Annotated[str, Field(description="Of InfluxDB 2.x: writes then go by its own API, to the bucket")] = ""
    retention: Annotated[
        str, Field(pattern=r"^([1-9][0-9]*[hdw])?$", description="InfluxDB 1.x deletes what is older, 90d say; none")
    ] = ""
    timeout_s: Annotated[float, Field(gt=0, description="Wait for an answer of InfluxDB")] = 10.0
    record_ticks: Annotated[bool, Field(description="Store every tick that arrives")] = False
    record_bars: Annotated[bool, Field(description="Build and store one-minute bars from ticks")] = False
    flush_interval_ms: Annotated[int, Field(ge=10, description="Recorded data is written this often")] = 1000
    spool_path: Annotated[OptionalPath, Field(description="Where ticks wait; default: spool in the data folder")] = None
    spool_mb: Annotated[int, Field(ge=16, description="Ticks that wait take no more; then the oldest go")] = 2048
    spool_age_h: Annotated[float, Field(gt=0, description="Ticks that have waited longer go")] = 72.0
    spool_segment_mb: Annotated[int, Field(ge=1, description="Of one file, a quarter of spool_mb at most")] = 16


class CacheSettings(Section):
    """The latest state in Redis, for other services."""

    url: Annotated[SecretStr | None, Field(description="redis://, rediss:// (TLS) or unix://; default: no cache")] = (
        None
    )
    ttl_s: Annotated[int, Field(ge=10, description="An entry is gone after it; what is alive is renewed in time")] = (
        3600
    )
    flush_interval_ms: Annotated[int, Field(ge=1, description="Changes closer together are written as one batch")] = 20
    timeout_s: Annotated[float, Field(gt=0, description="Wait for an answer of the server")] = 1.0


class RegistrySettings(Section):
    """The list of running services, in which this one appears and finds others."""

    url: Annotated[
        SecretStr | None, Field(description="redis://, rediss:// (TLS) or unix://; default: this process alone")
    ] = None
    service_name: Annotated[
        str, Field(pattern="^[A-Za-z0-9._-]{1,64}$", description="Instances of one name share the work")
    ] = "vnpy-core"
    advertised_host: Annotated[str, Field(description="Where others reach this one; default: service.host")] = ""
    advertised_port: Annotated[int | None, Field(ge=1, le=65535, description="Default: service.port")] = None
    tags: Annotated[tuple[str, ...], Field(description="For others to choose by")] = ()
    weight: Annotated[int, Field(ge=0, description="Its share of the requests, beside others of its name")] = 100
    heartbeat_s: Annotated[float, Field(gt=0, description="How often it says that it is there")] = 10.0
    ttl_s: Annotated[float, Field(gt=0, description="Silent for longer, it is taken off the list")] = 30.0
    timeout_s: Annotated[float, Field(gt=0, description="Wait for an answer of the server")] = 1.0

    @model_validator(mode="after")
    def _beats_in_time(self) -> Self:
        if self.ttl_s < self.heartbeat_s + self.timeout_s:
            raise ValueError("ttl_s must be longer than heartbeat_s and timeout_s together")
        return self


class BusSettings(Section):
    """Events for other services, and commands from them."""

    url: Annotated[
        SecretStr | None, Field(description="nats://, tls://, redis:// or rediss://; default: this process alone")
    ] = None
    prefix: Annotated[
        str, Field(pattern="^[A-Za-z0-9_-]{1,32}$", description="Of every subject or stream; one a service")
    ] = "vnpy_core"
    credentials: Annotated[OptionalPath, Field(description="NATS: a .creds file")] = None
    ca_file: Annotated[OptionalPath, Field(description="NATS with TLS: the CA, if it is none of the system's")] = None
    timeout_s: Annotated[float, Field(gt=0, description="Wait for an answer of the server")] = 5.0
    max_age_h: Annotated[float, Field(gt=0, description="How long the server keeps a fact")] = 168.0
    max_len: Annotated[int, Field(ge=1, description="Facts of one topic that the server keeps, at most")] = 1_000_000
    ticks: Annotated[bool, Field(description="Ticks and bars go out, too")] = True
    tick_buffer: Annotated[int, Field(ge=1, description="Ticks, bars, log lines that may wait; then the oldest go")] = (
        20_000
    )
    tick_max_len: Annotated[int, Field(ge=1, description="Redis: ticks of one symbol that it keeps, at most")] = 1_000
    commands: Annotated[Literal["off", "on"], Field(description="Take commands from other services")] = "off"
    authorization: Annotated[
        Literal["secret", "server"],
        Field(description="Who may command: who signs with the secret, or whoever the server lets publish there"),
    ] = "secret"
    secret: Annotated[SecretStr | None, Field(description="Commands are signed with it (HMAC-SHA256)")] = None
    command_max_age_s: Annotated[float, Field(gt=0, description="An older command is refused")] = 30.0

    @model_validator(mode="after")
    def _commands_are_authorised(self) -> Self:
        if self.commands == "on" and self.authorization == "secret" and not self.secret:
            raise ValueError(
                "commands need a secret to be signed with; or set authorization to server, if it says who may publish"
            )
        if self.secret and len(self.secret.get_secret_value()) < MIN_SECRET_LENGTH:
            raise ValueError(f"secret must have at least {MIN_SECRET_LENGTH} characters")
        return self


class WebSocketSettings(Section):
    ping_interval_s: Annotated[float, Field(gt=0, description="A client that does not answer is gone")] = 20.0
    batch_interval_ms: Annotated[float, Field(ge=0, description="How long market data waits for company")] = 0.0
    max_sessions: Annotated[int, Field(ge=1, description="Clients at a time")] = 1000
    queue_facts: Annotated[int, Field(ge=1, description="Facts that may wait for one client; then 4008")] = 10_000
    compression: Annotated[bool, Field(description="Compress for clients that ask by ?compression=deflate")] = True


class LogSettings(Section):
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="The least that is logged")] = (
        "INFO"
    )
    format: Annotated[Literal["console", "json"], Field(description="For people or for machines")] = "console"
    file: Annotated[bool, Field(description="Also into log_dir")] = True
    file_size_mb: Annotated[int, Field(ge=1, description="A new file is begun at this size")] = 20
    file_count: Annotated[int, Field(ge=1, description="Older files that are kept")] = 10


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
    gateways: dict[str, GatewaySettings] = Field(default_factory=_demo_gateways)
    risk: RiskSettings = RiskSettings()
    journal: JournalSettings = JournalSettings()
    database: DatabaseSettings = DatabaseSettings()
    history: HistorySettings = HistorySettings()
    cache: CacheSettings = CacheSettings()
    registry: RegistrySettings = RegistrySettings()
    bus: BusSettings = BusSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    log: LogSettings = LogSettings()

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
