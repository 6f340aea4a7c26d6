"""RedisRegistry: the registry in Redis, under the keys that RedFire's services read and write."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from vnpy_core.data.redis_server import RedisServer
from vnpy_core.enums import ServiceStatus
from vnpy_core.models import ServiceInstance, to_timestamp

if TYPE_CHECKING:
    from redis.asyncio import Redis

SERVICES = "redfire:services:"
HEARTBEAT = "redfire:heartbeat:"

# What is left of an instance that died is not kept for ever.
_KEPT_S = 86_400
_PAGE = 1000


class RedisRegistry:
    """A hash for each instance, and beside it a heartbeat with a TTL: without that, the instance is dead."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    async def put(self, instance: ServiceInstance, ttl_s: float) -> None:
        async def put(redis: "Redis") -> None:
            key = SERVICES + instance.key
            async with redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(key, mapping=_fields(instance))
                pipeline.expire(key, max(_KEPT_S, int(ttl_s) + 1))
                pipeline.set(HEARTBEAT + instance.key, instance.last_heartbeat or "", px=max(1, int(ttl_s * 1000)))
                await pipeline.execute()

        await self._server.call(put)

    async def remove(self, instance: ServiceInstance) -> None:
        await self._server.call(lambda redis: redis.delete(SERVICES + instance.key, HEARTBEAT + instance.key))

    async def instances(self) -> list[ServiceInstance]:
        cursor, keys = await self._scan(0)
        while cursor:
            cursor, page = await self._scan(cursor)
            keys |= page
        names = sorted(keys)
        found: list[ServiceInstance] = []
        for start in range(0, len(names), _PAGE):
            found += await self._read(names[start : start + _PAGE])
        return sorted(found, key=lambda each: (each.name, each.host, each.port))

    async def close(self) -> None:
        await self._server.close()

    async def _scan(self, cursor: int) -> tuple[int, set[bytes]]:
        """Return where to go on, 0 at the end, and a part of the keys; each a call of its own, as there may be many."""

        async def scan(redis: "Redis") -> Any:
            return await redis.scan(cursor, f"{SERVICES}*", _PAGE)

        following, keys = await self._server.call(scan)
        return int(following), set(keys)

    async def _read(self, keys: list[bytes]) -> list[ServiceInstance]:
        async def read(redis: "Redis") -> list[Any]:
            async with redis.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.hgetall(key)
                    pipeline.exists(HEARTBEAT.encode() + key.removeprefix(SERVICES.encode()))
                return await pipeline.execute(raise_on_error=False)

        answers = await self._server.call(read)
        pairs = zip(answers[::2], answers[1::2], strict=True)
        read_back = [_instance(fields) for fields, is_alive in pairs if is_alive == 1 and isinstance(fields, Mapping)]
        return [each for each in read_back if each is not None]


def _fields(instance: ServiceInstance) -> dict[Any, Any]:
    return {
        "name": instance.name,
        "host": instance.host,
        "port": instance.port,
        "version": instance.version,
        "status": instance.status,
        "metadata": msgspec.json.encode(instance.metadata),
        "tags": msgspec.json.encode(instance.tags),
        "health_check_url": instance.health_check_url or "",
        "weight": instance.weight,
        "register_time": instance.register_time or "",
        "last_heartbeat": instance.last_heartbeat or "",
    }


def _instance(fields: Mapping[bytes, bytes]) -> ServiceInstance | None:
    """Return the instance that somebody, maybe not we, has written; ``None`` if it cannot be reached by that."""
    texts = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    name, host, port = texts.get("name"), texts.get("host"), _number(texts.get("port"), 65_535)
    if not name or not host or port is None:
        return None
    weight = _number(texts.get("weight"))
    status = ServiceStatus.__members__.get(texts.get("status", "").upper(), ServiceStatus.UNHEALTHY)
    return ServiceInstance(
        name=name,
        host=host,
        port=port,
        version=texts.get("version", ""),
        status=status,
        metadata=_json(texts.get("metadata"), dict[str, Any], {}),
        tags=_json(texts.get("tags"), list[str], []),
        health_check_url=texts.get("health_check_url") or None,
        weight=100 if weight is None else weight,
        register_time=_timestamp(texts.get("register_time")),
        last_heartbeat=_timestamp(texts.get("last_heartbeat")),
    )


def _number(text: str | None, largest: int = 2**53) -> int | None:
    number = int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else largest + 1
    return number if number <= largest else None


def _json(text: str | None, kind: Any, default: Any) -> Any:
    try:
        return msgspec.json.decode(text or "", type=kind)
    except msgspec.DecodeError:
        return default


def _timestamp(text: str | None) -> str | None:
    """Return a time that was written with its offset, or as seconds since the epoch, as ours are."""
    try:
        try:
            moment = datetime.fromtimestamp(float(text or ""), UTC)
        except ValueError:
            moment = datetime.fromisoformat(text or "")
        return to_timestamp(moment) if moment.utcoffset() is not None else None
    except (ValueError, OverflowError, OSError):
        return None
