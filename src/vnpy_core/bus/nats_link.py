"""NatsLink: one connection to NATS, made when it is needed and given up at the first failure.

nats-py would reconnect by itself and send then what it had kept meanwhile; but what it had sent before may be lost, and
facts would come out of order. So a link is used until something fails, and then a new one is made.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from vnpy_core.errors import ConfigError, CoreError, Unavailable

T = TypeVar("T")

logger = logging.getLogger(__name__)

SCHEMES = ("nats", "tls")
# What may wait for the socket. Publishing waits for nothing below that, so nothing waits in vain for a frozen server.
PENDING_BYTES = 64 << 20
CLOSE_TIMEOUT_S = 1.0
PING_INTERVAL_S = 10


class NatsServer:
    """Where NATS is and how to log in. ``url`` may name several servers of a cluster, separated by commas.

    Raises:
        ConfigError: one of them is no URL, or a file is missing; the message holds no password.
    """

    def __init__(self, url: str, *, timeout_s: float, credentials: Path | None, ca_file: Path | None) -> None:
        self.urls = [part.strip() for part in url.split(",")]
        self.timeout_s = timeout_s
        self.address = ",".join(_without_credentials(part) for part in self.urls)
        self.credentials = credentials
        self.tls: ssl.SSLContext | None = None
        if credentials is not None:
            if not credentials.is_file():
                raise ConfigError(f"bus.credentials names {credentials}, which is no file.")
            try:
                import nkeys  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401
            except ImportError as error:
                raise ConfigError("bus.credentials needs the package nkeys: make servers-clients.") from error
        if ca_file is not None:
            try:
                self.tls = ssl.create_default_context(cafile=ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"bus.ca_file names {ca_file}, which cannot be used: {error}") from error


class NatsLink:
    """``prepare`` is awaited with each new connection before anybody else gets it."""

    def __init__(
        self, server: NatsServer, name: str, prepare: Callable[[Client], Awaitable[None]] | None = None
    ) -> None:
        self._server = server
        self._name = name
        self._prepare = prepare
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._denied: str | None = None
        self.lost = asyncio.Event()
        """Set when the present connection is no more; each has one of its own."""

    async def call(self, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Return what ``work`` does with the connection. If it fails, the connection is given up.

        Raises:
            Unavailable: it failed, or did not end in time.
            CoreError: what it raised itself, and then the connection stays.
        """
        server = self._server
        try:
            async with asyncio.timeout(server.timeout_s):
                client = await self._connected()
                return await _unless(self.lost, work(client))
        except CoreError:
            raise
        except TimeoutError as error:
            self.drop()
            raise Unavailable(f"NATS at {server.address} {self._silence()}") from error
        except (nats.errors.Error, OSError) as error:
            self.drop()
            why = self._silence() if isinstance(error, nats.errors.TimeoutError) else explain(error)
            raise Unavailable(f"NATS at {server.address} {why}") from error
        except BaseException:
            self.drop()
            raise

    def _silence(self) -> str:
        """Return why there was no answer: what the user may not do is told beside, and not answered."""
        denied, self._denied = self._denied, None
        if denied is not None:
            return f"does not let the user of bus.url or bus.credentials do this: {denied}."
        return (
            f"did not answer within {self._server.timeout_s:g} s. If it runs, its disk may be full: see its log, free "
            "some space, and start it again."
        )

    async def _note(self, error: Exception) -> None:
        logger.debug("NATS: %r", error)
        text = str(error).removeprefix("nats: ").strip("'")
        if "permissions violation" in text.lower():
            self._denied = text

    def drop(self) -> None:
        """Give the connection up, now; its end is seen to in the background."""
        client, self._client = self._client, None
        self.lost.set()
        if client is not None:
            self._end(client)

    async def close(self) -> None:
        self.drop()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _connected(self) -> Client:
        async with self._connecting:
            if self._client is not None and self._client.is_connected:
                return self._client
            self.drop()
            client, lost = Client(), asyncio.Event()

            async def on_closed() -> None:
                lost.set()

            try:
                await client.connect(
                    self._server.urls,
                    name=self._name,
                    allow_reconnect=False,
                    # It counts these for the first connection too: each server is tried twice, without a pause.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=self._server.timeout_s,  # type: ignore[arg-type]
                    ping_interval=PING_INTERVAL_S,
                    pending_size=PENDING_BYTES,
                    error_cb=self._note,
                    closed_cb=on_closed,
                    tls=self._server.tls,
                    user_credentials=self._server.credentials,
                )
                if self._prepare is not None:
                    await self._prepare(client)
            except BaseException:
                self._end(client)
                raise
            self._client, self.lost = client, lost
            return client

    def _end(self, client: Client) -> None:
        task = asyncio.create_task(_close(client), name="nats close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _unless(lost: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` does, unless the connection is lost before: nats-py would let it wait for an answer."""
    task, gone = asyncio.create_task(work), asyncio.create_task(lost.wait())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise nats.errors.ConnectionClosedError
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            task.add_done_callback(lambda task: task.cancelled() or task.exception())


async def _close(client: Client) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await client.close()
    except (TimeoutError, nats.errors.Error, OSError):
        # It waits for a server that takes nothing. There is no public way to let go of the socket at once.
        with contextlib.suppress(AttributeError):
            client._transport._io_writer.transport.abort()  # type: ignore[union-attr]
        await asyncio.sleep(0)  # the socket is closed in the loop's next turn


def explain(error: Exception) -> str:
    """Return what is wrong and what the operator should do."""
    match error:
        case nats.errors.AuthorizationError():
            return "does not accept the credentials of bus.url or bus.credentials."
        case nats.errors.NoServersError() | nats.errors.ConnectionClosedError() | nats.errors.StaleConnectionError():
            return "cannot be reached: start it, or correct bus.url."
        case nats.errors.NoRespondersError() | nats.js.errors.ServiceUnavailableError():
            return "offers no JetStream: start it with --jetstream, and allow it for this account."
        case nats.js.errors.APIError():
            if "no space left" in (said := error.description or "").lower() or "insufficient storage" in said.lower():
                return f"has no space left ({said}): free some on its disk, or raise its limit of storage."
            return f"refused: {said}."
        case nats.errors.OutboundBufferLimitError():
            return "takes less than is sent to it."
    text = str(error).removeprefix("nats: ").strip("'")
    if "authorization" in text.lower():
        return "does not accept the credentials of bus.url or bus.credentials."
    return f"failed: {text or type(error).__name__}."


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ConfigError(
            "bus.url is not a URL such as nats://user:password@host:4222 (tls:// with TLS; special characters of the "
            "password percent-encoded)."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}"
