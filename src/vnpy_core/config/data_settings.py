"""Where things are kept: the sections of the journal, the SQL database, the market data and the cache."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from vnpy_core.config.access_settings import OptionalPath, Section


def _influx_url(url: str | None) -> str | None:
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme not in ("influx+http", "influx+https") or not parts.hostname:
            raise ValueError("it must be influx+http://host:port or influx+https://host:port")
        if "@" in parts.netloc:
            raise ValueError("credentials do not belong in it, but in history.token, or history.username and password")
    return url


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
