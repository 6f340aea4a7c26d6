"""RedisServer: one way to connect to Redis, to wait for it and to fail, for everything of ours that is kept there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from vnpy_core.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

SCHEMES = ("redis", "rediss", "unix")


class RedisServer:
    """A Redis that the configuration names. Nothing is connected before the first call.

    redis-py is imported here and only now, so that who uses no Redis need not have it.

    Args:
        setting: the setting that ``url`` is the value of; errors name it.
        timeout_s: within this time a call ends, connecting included.

    Raises:
        ConfigError: ``url`` is none, or redis-py is not installed.
    """

    def __init__(self, url: SecretStr, setting: str, *, timeout_s: float, max_connections: int = 4) -> None:
        self._setting = setting
        self._timeout_s = timeout_s
        self.display_url = display_url(url, setting)
        try:
            from redis.asyncio import BlockingConnectionPool, Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError as error:
            raise ConfigError(
                f"{setting} names a Redis server, and the client redis is not installed: make servers-clients."
            ) from error
        try:
            self._pool = BlockingConnectionPool.from_url(
                url.get_secret_value(),
                max_connections=max_connections,
                timeout=timeout_s,
                # One deadline for a whole call is ours, see ``call``; each of these would cost a task a command.
                socket_timeout=None,
                socket_connect_timeout=timeout_s,
                # What may have been done already is repeated by nobody but the caller, who knows if it may be.
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
            self._pool.make_connection()  # type: ignore[no-untyped-call]  # refuses options that nobody knows
        except (ValueError, TypeError):
            # Neither the text nor the cause is shown: a password may stand anywhere in it.
            raise ConfigError(
                f"{setting} is not a URL that a Redis client can use, such as redis://:password@host:6379/0."
            ) from None
        self._redis = Redis.from_pool(self._pool)

    async def call(self, work: "Callable[[Redis], Awaitable[T]]") -> T:
        """Return what ``work`` does with the client.

        Raises:
            Unavailable: it failed, or did not end in time; it may have been done all the same.
        """
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(self._timeout_s):
                return await work(self._redis)
        except TimeoutError as error:
            raise Unavailable(f"Redis at {self.display_url} did not answer within {self._timeout_s:g} s.") from error
        except (RedisError, OSError) as error:
            raise Unavailable(self._explain(error)) from error

    async def close(self) -> None:
        """Close all connections, without waiting for a server that does not answer."""
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(self._timeout_s):
                await self._pool.aclose()
        except (TimeoutError, RedisError, OSError):
            self._pool.reset()  # type: ignore[no-untyped-call]

    def _explain(self, error: Exception) -> str:
        from redis import exceptions

        at = f"Redis at {self.display_url}"
        match error:
            case exceptions.AuthenticationError():
                return f"{at} does not accept the credentials of {self._setting}: {error}"
            case exceptions.NoPermissionError():
                return f"{at} does not let the user of {self._setting} do this: {error}"
            case exceptions.ReadOnlyError():
                return f"{at} is a replica, which cannot be written: name the primary in {self._setting}."
            case exceptions.OutOfMemoryError():
                return f"{at} is full: raise its maxmemory, or let it evict."
            case exceptions.BusyLoadingError():
                return f"{at} is still loading its data."
            case exceptions.TimeoutError():
                return f"{at} did not answer within {self._timeout_s:g} s."
            case exceptions.ConnectionError() | OSError():
                return f"{at} cannot be reached ({error}): start it, or correct {self._setting}."
        if str(error).startswith("MISCONF"):
            return f"{at} cannot save what it is given, so its disk may be full: free some space on it. {error}"
        return f"{at} refused a command: {error}"


def display_url(url: SecretStr, setting: str) -> str:
    """Return ``url`` without credentials and options.

    Raises:
        ConfigError: it is none of Redis; the message does not repeat it.
    """
    try:
        parts = urlsplit(url.get_secret_value())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            f"{setting} is not a URL such as redis://:password@host:6379/0 (rediss:// with TLS; special characters "
            "of the password percent-encoded)."
        )
    host = "" if parts.scheme == "unix" else parts.hostname or "localhost"
    if ":" in host:
        host = f"[{host}]"
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}{parts.path}"
