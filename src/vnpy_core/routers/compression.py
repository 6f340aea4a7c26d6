"""ChosenCompression: uvicorn's WebSocket protocol, which compresses for whom has chosen it, and refuses quietly.

Browsers and most libraries offer permessage-deflate to every server. Compressing each frame for each client costs more
than all the rest of serving it, so an offer alone is not a wish: the address must end in ``?compression=deflate`` too.
"""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request


class ChosenCompression(WebSocketsSansIOProtocol):
    """With ``ws_per_message_deflate`` off nobody has it. With it on, a client that has chosen it; its window is 4 kB
    each way, which with zlib's own tables makes about 45 kB a connection."""

    def handle_connect(self, event: Request) -> None:
        if parse_qs(urlsplit(event.path).query).get("compression") != ["deflate"]:
            self.conn.available_extensions = []
        super().handle_connect(event)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # The handshake is over, refused. Left open, uvicorn logs an error for everyone who has no token.
            self.handshake_complete = True
