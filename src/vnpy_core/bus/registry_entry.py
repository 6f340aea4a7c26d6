"""What the configuration says of the registry: which back end it is, and what it lists of this service."""

import os
from collections.abc import Callable

from vnpy_core import __version__
from vnpy_core.bus.registry import ServiceRegistry
from vnpy_core.bus.registry_memory import MemoryRegistry
from vnpy_core.bus.registry_redis import RedisRegistry
from vnpy_core.config.bus_settings import RegistrySettings
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.redis_server import RedisServer
from vnpy_core.enums import ServiceStatus
from vnpy_core.models import ServiceInstance, now_timestamp
from vnpy_core.ports import RegistryBackend


def open_registry(config: VnPyCoreConfig, port: int, status: Callable[[], ServiceStatus]) -> ServiceRegistry:
    """Return the registry that is configured; nothing is connected yet. ``port`` is the one that is listened on.

    Raises:
        ConfigError: no registry has such a URL, or its client is not installed.
    """
    settings = config.registry
    return ServiceRegistry(
        open_backend(settings),
        entry(config, port),
        status,
        heartbeat_s=settings.heartbeat_s,
        ttl_s=settings.ttl_s,
    )


def open_backend(settings: RegistrySettings) -> RegistryBackend:
    """Return the back end. Raises as ``open_registry``."""
    if not settings.url:
        return MemoryRegistry()
    return RedisRegistry(RedisServer(settings.url, "registry.url", timeout_s=settings.timeout_s))


def entry(config: VnPyCoreConfig, port: int) -> ServiceInstance:
    """Return what is listed of this service."""
    settings = config.registry
    host = settings.advertised_host or config.service.host
    port = settings.advertised_port or port
    return ServiceInstance(
        name=settings.service_name,
        host=host,
        port=port,
        version=__version__,
        status=ServiceStatus.STARTING,
        metadata={"api": "/api/v1", "websocket": "/ws", "gateways": sorted(config.gateways), "pid": os.getpid()},
        tags=list(settings.tags),
        health_check_url=f"http://{f'[{host}]' if ':' in host else host}:{port}/health/ready",
        weight=settings.weight,
        register_time=now_timestamp(),
    )
