"""The settings of who may reach the service, and how: where it listens, and what it asks."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

MIN_KEY_LENGTH = 32

OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: value or None)]


class Section(BaseModel):
    """One table of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServiceSettings(Section):
    host: Annotated[
        str, Field(description="Beyond loopback only with tls_cert, or behind_tls_proxy")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0 takes a free one")] = 8006
    shutdown_timeout_s: Annotated[float, Field(gt=0, description="For the engines to stop, at most")] = 20.0
    command_timeout_s: Annotated[float, Field(gt=0, description="Wait for the event thread to answer a command")] = 5.0
    amend_timeout_s: Annotated[float, Field(gt=0, description="Wait for the venue to confirm a cancel")] = 5.0
    idempotency_keep_h: Annotated[float, Field(gt=0, description="How long an Idempotency-Key is known")] = 24.0
    tls_cert: Annotated[OptionalPath, Field(description="Certificate, with its chain, to serve https by")] = None
    tls_key: Annotated[OptionalPath, Field(description="Its private key; default: in the file of tls_cert")] = None
    behind_tls_proxy: Annotated[
        bool, Field(description="Clients reach it only through a proxy that encrypts; then plain http may be served")
    ] = False
    trusted_proxies: Annotated[
        tuple[str, ...], Field(description="Addresses or networks whose X-Forwarded-For and -Proto are believed")
    ] = ()
    request_timeout_s: Annotated[float, Field(gt=0, description="For a request to come in whole")] = 15.0
    max_connections: Annotated[int, Field(ge=1, description="Connections at a time, without those of /ws")] = 2000

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> Self:
        if self.tls_key and not self.tls_cert:
            raise ValueError("tls_key is of no use without tls_cert")
        return self


class SecuritySettings(Section):
    """Who may do what, and how it is proved."""

    authentication: Annotated[
        Literal["required", "off"], Field(description="off: whoever reaches it may do all; on loopback alone")
    ] = "required"
    admin_key: Annotated[
        SecretStr | None, Field(description="An API key for everything, at least 32 characters, for containers")
    ] = None
    key: Annotated[
        SecretStr | None,
        Field(description="What signs tokens and encrypts secrets; default: security.key in the data folder"),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...], Field(description="Names that it is reached by, besides addresses and localhost")
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...], Field(description="Other web sites that may use it, such as https://desk.example.com")
    ] = ()
    access_token_s: Annotated[int, Field(ge=10, le=86_400, description="How long an access token is good")] = 900
    refresh_token_days: Annotated[float, Field(gt=0, description="How long a session lasts without being used")] = 30.0
    login_attempts: Annotated[int, Field(ge=1, description="Wrong passwords in a row, then the account is locked")] = 10
    lockout_s: Annotated[float, Field(gt=0, description="How long it is")] = 900.0
    logins_per_minute: Annotated[int, Field(ge=1, description="Attempts to log in, from one address")] = 30
    orders_per_s: Annotated[
        float, Field(gt=0, description="Orders of one user or key, also those of a batch; as many cancels again")
    ] = 5000.0
    writes_per_s: Annotated[float, Field(gt=0, description="Other commands of one user or key")] = 500.0
    reads_per_s: Annotated[float, Field(gt=0, description="Queries of one user or key")] = 20_000.0

    @model_validator(mode="after")
    def _secrets_are_long(self) -> Self:
        for name, secret in (("admin_key", self.admin_key), ("key", self.key)):
            if secret is not None and len(secret.get_secret_value()) < MIN_KEY_LENGTH:
                raise ValueError(f"{name} must have at least {MIN_KEY_LENGTH} characters")
        return self
