"""Which adapter of the state cache a URL names, and the writer that feeds it."""

from urllib.parse import urlsplit

from vnpy_core.config.data_settings import CacheSettings
from vnpy_core.data.cache.memory import MemoryStateCache
from vnpy_core.data.cache.redis import RedisStateCache
from vnpy_core.data.cache.writer import CacheWriter
from vnpy_core.data.journal import Journal
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.redis_server import RedisServer
from vnpy_core.ports import StateCache


def open_state_cache(settings: CacheSettings, writer: str) -> StateCache | None:
    """Return the cache that is configured, or ``None``; nothing is connected yet.

    Raises:
        ConfigError: no cache has such a URL, or its client is not installed.
    """
    if not settings.url:
        return None
    if urlsplit(settings.url.get_secret_value()).scheme == "memory":
        return MemoryStateCache(writer, ttl_s=settings.ttl_s)
    server = RedisServer(settings.url, "cache.url", timeout_s=settings.timeout_s)
    return RedisStateCache(server, writer, ttl_s=settings.ttl_s)


def open_cache_writer(settings: CacheSettings, journal: Journal, read_model: ReadModel) -> CacheWriter | None:
    """Return what is to feed the cache that is configured, or ``None``. Raises as ``open_state_cache``."""
    cache = open_state_cache(settings, f"{journal.identity:x}")
    if cache is None:
        return None
    return CacheWriter(
        cache,
        read_model,
        ttl_s=settings.ttl_s,
        flush_interval_ms=settings.flush_interval_ms,
        last_seq=journal.last_seq,
    )
