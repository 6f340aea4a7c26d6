"""Which transport a configuration means. Client libraries are imported here, and only the one that is needed."""

from pydantic import SecretStr

from vnpy_core.bus.memory import MemoryTransport
from vnpy_core.config.bus_settings import BusSettings
from vnpy_core.errors import ConfigError
from vnpy_core.ports import BusTransport


def make_transport(settings: BusSettings) -> BusTransport:
    """Return the transport of ``settings``; nothing is connected yet.

    Raises:
        ConfigError: the URL is of no kind that is known, or the client library for it is not installed.
    """
    url = settings.url
    if url is None or not url.get_secret_value():
        return MemoryTransport()
    scheme = url.get_secret_value().partition("://")[0]
    if scheme in ("nats", "tls"):
        return _nats(settings, url)
    if scheme in ("redis", "rediss", "unix"):
        return _redis(settings, url)
    raise ConfigError("bus.url must begin with nats://, tls://, redis:// or rediss://, or be left out.")


def _nats(settings: BusSettings, url: SecretStr) -> BusTransport:
    try:
        from vnpy_core.bus.nats import NatsTransport
        from vnpy_core.bus.nats_link import NatsServer
    except ImportError as error:
        raise ConfigError(
            "bus.url names a NATS server, and the client nats-py is not installed: make servers-clients."
        ) from error
    server = NatsServer(
        url.get_secret_value(),
        timeout_s=settings.timeout_s,
        credentials=settings.credentials,
        ca_file=settings.ca_file,
    )
    return NatsTransport(server, settings.prefix, max_age_s=settings.max_age_h * 3600, max_len=settings.max_len)


def _redis(settings: BusSettings, url: SecretStr) -> BusTransport:
    from vnpy_core.data.redis_server import RedisServer

    # It says so itself if its client is not installed.
    server = RedisServer(url, "bus.url", timeout_s=settings.timeout_s, max_connections=8)
    from vnpy_core.bus.redis import RedisTransport

    return RedisTransport(
        server,
        settings.prefix,
        max_age_s=settings.max_age_h * 3600,
        max_len=settings.max_len,
        tick_max_len=settings.tick_max_len,
        timeout_s=settings.timeout_s,
    )
