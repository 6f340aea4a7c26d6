"""Session: one WebSocket client, its topics and its outbox, and the task that sends to it."""

import asyncio
from collections.abc import Awaitable, Callable

from vnpy_core.bus.outbox import Batch, Message, Outbox, Overflow
from vnpy_core.models import now_timestamp
from vnpy_core.reports import SessionStatus


class Session:
    """Owned by the hub; ``deliver`` never waits, so that no client can hold up another."""

    def __init__(self, session_id: str, client: str | None, max_facts: int) -> None:
        self.session_id = session_id
        self.client = client
        self.connected = now_timestamp()
        self.topics: dict[str, None] = {}
        self.outbox = Outbox(max_facts)
        self.ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._sent_events = 0
        self._sent_frames = 0
        self._sent_bytes = 0

    def deliver(self, batch: Batch) -> None:
        """Queue live events.

        Raises:
            Overflow: the client is too slow for its facts; end the session.
        """
        self.outbox.put(batch)

    def answer(self, message: Message) -> None:
        self.outbox.put_message(message)

    def end(self, code: int, reason: str) -> None:
        """Have the connection closed. Nothing more is sent before the close."""
        if not self.ended.done():
            self.ended.set_result((code, reason))
        self.outbox.clear()

    async def send_all(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what comes into the outbox, for ever; the connection's own task for this."""
        outbox = self.outbox
        while True:
            item = outbox.take()
            if item is None:
                await outbox.ready()
                continue
            text = item.text
            outbox.blocked = True
            await send(text)
            outbox.blocked = False
            self._sent_frames += 1
            self._sent_bytes += len(text.utf8)
            self._sent_events += len(item.events) if isinstance(item, Batch) else item.events

    def status(self) -> SessionStatus:
        return SessionStatus(
            session_id=self.session_id,
            client=self.client,
            connected=self.connected,
            topics=list(self.topics),
            sent_events=self._sent_events,
            sent_frames=self._sent_frames,
            sent_bytes=self._sent_bytes,
            conflated=self.outbox.conflated,
            dropped=self.outbox.dropped,
            queued_facts=self.outbox.facts,
            queued_market=self.outbox.market,
        )


__all__ = ["Overflow", "Session"]
