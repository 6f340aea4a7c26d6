"""Session: one WebSocket client, its topics and its outbox, and how it is sent to.

What comes while nothing waits is sent from where it comes, without waking the connection's own task: with ten clients
that was half of the time from the gateway to them. Whatever cannot be sent at once is that task's.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator
from typing import Any

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
        self._send: Send | None = None
        self._rest: _Rest | None = None
        self._sent_events = 0
        self._sent_frames = 0
        self._sent_bytes = 0

    def deliver(self, batch: Batch) -> None:
        """Send live events if that takes no waiting, and queue them if it does.

        Raises:
            Overflow: the client is too slow for its facts; end the session.
        """
        if self._send is None or self.outbox.blocked or not self.outbox.is_empty:
            self.outbox.put(batch)
            return
        self.outbox.blocked = True
        sending = self._send(batch.text)
        try:
            step = sending.send(None)
        except StopIteration:
            self._sent(batch)
        except Exception as error:  # noqa: BLE001  it is the connection's, and its task ends by it
            self._hand_over(_Rest(sending, batch, error=error))
        else:
            self._hand_over(_Rest(sending, batch, step=step))

    def answer(self, message: Message) -> None:
        self.outbox.put_message(message)

    def end(self, code: int, reason: str) -> None:
        """Have the connection closed. Nothing more is sent before the close."""
        if not self.ended.done():
            self.ended.set_result((code, reason))
        self.outbox.clear()

    async def send_all(self, send: "Send") -> None:
        """Send what comes into the outbox, for ever; the connection's own task for this."""
        outbox = self.outbox
        self._send = send
        try:
            while True:
                if self._rest is not None:
                    await self._rest
                    self._sent(self._rest.item)
                    self._rest = None
                elif (item := outbox.take()) is not None:
                    outbox.blocked = True
                    await send(item.text)
                    self._sent(item)
                else:
                    await outbox.ready()
        finally:
            self._send = None
            if self._rest is not None:
                self._rest.close()

    def _hand_over(self, rest: "_Rest") -> None:
        self._rest = rest
        self.outbox.wake()

    def _sent(self, item: Batch | Message) -> None:
        self.outbox.blocked = False
        self._sent_frames += 1
        self._sent_bytes += len(item.text.utf8)
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


Send = Callable[[str], Coroutine[Any, Any, None]]


class _Rest:
    """A send that has been begun outside of a task and has to wait, or has failed; awaited, it goes on from there."""

    def __init__(
        self,
        sending: Coroutine[Any, Any, None],
        item: Batch,
        *,
        step: object = None,
        error: Exception | None = None,
    ) -> None:
        self.item = item
        self._sending = sending
        self._step = step
        self._error = error

    def __await__(self) -> Generator[Any, Any, None]:
        if self._error is not None:
            raise self._error
        step = self._step
        with contextlib.suppress(StopIteration):
            while True:
                try:
                    given = yield step
                except BaseException as error:  # noqa: BLE001  a cancel, say: it is for the send
                    step = self._sending.throw(error)
                else:
                    step = self._sending.send(given)

    def close(self) -> None:
        self._sending.close()


__all__ = ["Overflow", "Session"]
