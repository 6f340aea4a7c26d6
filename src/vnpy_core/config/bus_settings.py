"""How others are reached: the sections of the service registry, the message bus and the WebSocket sessions."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from vnpy_core.config.access_settings import OptionalPath, Section

MIN_SECRET_LENGTH = 16


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
