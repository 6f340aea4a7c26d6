"""The ``/ws`` endpoint: carries frames between one connection and the hub's session for it."""

import asyncio
import contextlib
import logging
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from vnpy_core.bus.encoding import ENCODINGS, JSON, Wire
from vnpy_core.bus.hub import WebSocketHub
from vnpy_core.bus.messages import CloseCode
from vnpy_core.bus.session import Session
from vnpy_core.routers.gate import identity_of
from vnpy_core.routers.service import Service
from vnpy_core.security.scopes import missing_for_topic

logger = logging.getLogger(__name__)

# A client that does not read cannot be told that it is being closed either; after this it is just dropped.
CLOSE_TIMEOUT_S = 10.0


class WebSocketEndpoint:
    """An ASGI application, below Starlette's WebSocket class so that a frame passes through few calls."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        hub, authenticator = self._service.hub, self._service.access.authenticator
        identity = identity_of(scope)
        subprotocol = next((offered for offered in scope["subprotocols"] if offered in ENCODINGS), None)
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        session = hub.open(
            _address(scope),
            JSON if subprotocol is None else ENCODINGS[subprotocol],
            lambda topic: missing_for_topic(topic, identity.scopes),
        )
        if session is None:
            await send(_close(CloseCode.TRY_LATER, "there are as many sessions as may be"))
            return
        authenticator.end_when_void(
            session, identity, lambda: session.end(CloseCode.REVOKED, "the credentials are good no longer")
        )
        try:
            code, reason = await self._converse(hub, session, receive, send)
        finally:
            authenticator.release(session)
            hub.discard(session)
        if code is not None:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await send(_close(code, reason))

    async def _converse(
        self, hub: WebSocketHub, session: Session, receive: Receive, send: Send
    ) -> tuple[int | None, str]:
        """Read and send until either side ends it; return the code to close with, ``None`` if the client is gone."""

        async def send_wire(wire: Wire) -> None:
            await send({"type": "websocket.send", "text" if isinstance(wire, str) else "bytes": wire})

        reader = asyncio.create_task(_read(hub, session, receive))
        sender = asyncio.create_task(session.send_all(send_wire))
        tasks: list[asyncio.Future[Any]] = [reader, sender]
        try:
            await asyncio.wait([*tasks, session.ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        if session.ended.done():
            return session.ended.result()
        for outcome in outcomes:
            # Sending to a connection that has just gone raises an OSError; that is no fault of ours.
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                logger.error("WebSocket session %s failed", session.session_id, exc_info=outcome)
                return CloseCode.INTERNAL, "internal error"
        return None, ""


async def _read(hub: WebSocketHub, session: Session, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        await hub.handle(session, message["bytes"] if text is None else text)


def _close(code: int, reason: str) -> Message:
    return {"type": "websocket.close", "code": code, "reason": reason}


def _address(scope: Scope) -> str | None:
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else None
