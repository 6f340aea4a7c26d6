"""Connection: HTTP to one service, with credentials that renew themselves, and errors as exceptions."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote
from weakref import WeakSet

import httpx
import msgspec

from vnpy_core.client.errors import ApiError, BrokenOff, Unauthorized, Unreachable

API_PREFIX = "/api/v1"
PAGE_ROWS = 1000
# A read that the connection broke off is tried again so many times; nothing else ever is.
READ_RETRIES = 2
RETRY_DELAY_S = 0.2
# Failures that come before anything has been sent.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

T = TypeVar("T")
Params = Mapping[str, Any]


class Closable(Protocol):
    async def close(self) -> None: ...


class Page(Protocol):
    @property
    def next_cursor(self) -> str | None: ...


PageT = TypeVar("PageT", bound=Page)


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a login gives: the access token of the next minutes, and a refresh token that is good once."""

    access_token: str
    refresh_token: str


class _Ticket(msgspec.Struct, frozen=True):
    ticket: str


class Connection:
    """One event loop's. ``token`` is an API key or an access token; a username and password log in when needed."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        username: str | None,
        password: str | None,
        totp: Callable[[], str] | None,
        timeout_s: float,
        tls: ssl.SSLContext | None,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.url = url.rstrip("/")
        self.tls = tls
        self.opened: WeakSet[Closable] = WeakSet()
        self._token = token
        self._login = None if username is None else {"username": username, "password": password}
        self._totp = totp
        self._tokens: Tokens | None = None
        self._renewing = asyncio.Lock()
        self._http = httpx.AsyncClient(
            base_url=self.url, timeout=timeout_s, transport=transport, verify=tls if tls is not None else True
        )

    @property
    def has_credentials(self) -> bool:
        return self._token is not None or self._login is not None

    async def close(self) -> None:
        """End what has been opened over it, and close it."""
        for opened in list(self.opened):
            await opened.close()
        await self._http.aclose()

    async def get(self, path: str, kind: type[T], **params: Any) -> T:
        """Read something; a connection that breaks off is tried again."""
        for left in reversed(range(READ_RETRIES + 1)):
            try:
                return await self.call("GET", path, kind, params=params)
            except (Unreachable, BrokenOff) as error:
                if not left:
                    raise Unreachable(str(error)) from error
                await asyncio.sleep(RETRY_DELAY_S)
        raise AssertionError("not reached")

    async def pages(
        self, path: str, kind: type[PageT], rows: Callable[[PageT], list[T]], **params: Any
    ) -> AsyncIterator[list[T]]:
        """Read a list, page by page."""
        cursor: str | None = None
        while True:
            page = await self.get(path, kind, cursor=cursor, **{"limit": PAGE_ROWS} | params)
            yield rows(page)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def call(
        self, method: str, path: str, kind: type[T], *, body: Any = None, params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:  # fmt: skip
        """Send a request, once, and return its answer as ``kind``.

        Raises:
            ApiError: the answer is an error.
            Unreachable: it was not sent.
            OutcomeUnknown: it may have been sent, and there is no answer.
        """
        bearer = await self._bearer()
        used = self._tokens
        answer = await self._send(method, path, body, params, headers, bearer)
        if answer.status_code == 401 and self._login is not None:
            # Nothing has been done, so that it may be sent again.
            renewed = await self._renew(used)
            answer = await self._send(method, path, body, params, headers, renewed.access_token)
        if answer.status_code >= 400:
            raise ApiError.of(answer.status_code, answer.content)
        return msgspec.json.decode(answer.content, type=kind)

    async def _send(
        self, method: str, path: str, body: Any, params: Params | None, headers: Mapping[str, str] | None,
        bearer: str | None,
    ) -> httpx.Response:  # fmt: skip
        sent = dict(headers or {})
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        url = path if path.startswith("/health") else f"{API_PREFIX}{path}"
        try:
            return await self._http.request(method, url, content=content, params=_query(params or {}), headers=sent)
        except _NOT_SENT as error:
            raise Unreachable(f"{self.url} cannot be reached: {error}") from error
        except httpx.TransportError as error:
            detail = f"The connection broke off before {method} {path} was answered: {error!r}"
            raise BrokenOff(detail, code="broken_off") from error

    # -- credentials

    def forget_tokens(self) -> None:
        self._tokens = None

    async def ws_ticket(self) -> str:
        """Return what opens one WebSocket."""
        return (await self.call("POST", "/auth/ws-ticket", _Ticket)).ticket

    async def _bearer(self) -> str | None:
        if self._login is None:
            return self._token
        return (self._tokens or await self._renew(None)).access_token

    async def _renew(self, used: Tokens | None) -> Tokens:
        """Get other tokens than those that were ``used``, unless somebody else has meanwhile."""
        async with self._renewing:
            if self._tokens is not None and self._tokens is not used:
                return self._tokens
            self._tokens = None
            if used is not None:
                with contextlib.suppress(Unauthorized):
                    self._tokens = await self._ask_for_tokens("/auth/refresh", {"refresh_token": used.refresh_token})
                    return self._tokens
            login = dict(self._login or {})
            if self._totp is not None:
                login["totp"] = self._totp()
            self._tokens = await self._ask_for_tokens("/auth/login", login)
            return self._tokens

    async def _ask_for_tokens(self, path: str, body: Any) -> Tokens:
        answer = await self._send("POST", path, body, None, None, None)
        if answer.status_code >= 400:
            raise ApiError.of(answer.status_code, answer.content)
        return msgspec.json.decode(answer.content, type=Tokens)


def segment(text: str) -> str:
    """Return ``text`` as one segment of a path."""
    return quote(text, safe="")


def _query(params: Params) -> list[tuple[str, str | int | float | bool | None]]:
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in params.items():
        if isinstance(value, str) or not isinstance(value, Sequence):
            value = [value]
        pairs += [(name, _text(each)) for each in value if each is not None]
    return pairs


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.isoformat()
    return str(value)
