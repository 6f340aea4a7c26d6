"""Session: one WebSocket client, its topics and its outbox, and how it is sent to.

What comes while nothing waits is sent from where it comes, without waking the connection's own task: with ten clients
that was half of the time from the gateway to them. Whatever cannot be sent at once is that task's.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import msgspec

from vnpy_core.bus.encoding import JSON, Encoding, Wire, size_of
from vnpy_core.bus.outbox import Batch, Message, Outbox, Overflow
from vnpy_core.instruments import SLOW_S, Histogram
from vnpy_core.models import now_timestamp
from vnpy_core.reports import SessionStatus


class Session:
    """Owned by the hub; ``deliver`` never waits, so that no client can hold up another."""

    def __init__(
        self,
        session_id: str,
        client: str | None,
        max_facts: int,
        encoding: Encoding = JSON,
        missing: Callable[[str], str | None] = lambda topic: None,
        send_seconds: Histogram | None = None,
    ) -> None:
        self.session_id = session_id
        self.client = client
        self.encoding = encoding
        self.missing = missing
        self.connected = now_timestamp()
        self.topics: dict[str, None] = {}
        self.throttle_ms = 0
        self.outbox = Outbox(max_facts)
        self.ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._send_seconds = send_seconds if send_seconds is not None else Histogram(SLOW_S)
        self._send: Send | None = None
        self._rest: _Rest | None = None
        self._in_hand: Batch | Message | None = None
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
        wire = batch.wire(self.encoding)
        self.outbox.blocked = True
        sending = self._send(wire)
        try:
            step = sending.send(None)
        except StopIteration:
            self._sent(batch, wire)
        except Exception as error:  # noqa: BLE001  it is the connection's, and its task ends by it
            self._hand_over(_Rest(sending, batch, error=error))
        else:
            self._hand_over(_Rest(sending, batch, step=step))

    def answer(self, answer: msgspec.Struct) -> None:
        self.outbox.put_message(Message(self.encoding.answer(answer)))

    def show(self, wire: Wire, events: int) -> None:
        """Queue part of a snapshot or of a replay."""
        self.outbox.put_message(Message(wire, events))

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
                    self._sent(self._rest.item, self._rest.item.wire(self.encoding))
                    self._rest = None
                elif (item := outbox.take()) is not None:
                    outbox.blocked = True
                    self._in_hand = item
                    wire = item.wire(self.encoding) if isinstance(item, Batch) else item.wire
                    await send(wire)
                    self._sent(item, wire)
                else:
                    await outbox.ready()
        finally:
            self._send = None
            if self._rest is not None:
                self._rest.close()

    def _hand_over(self, rest: "_Rest") -> None:
        self._rest = rest
        self._in_hand = rest.item
        self.outbox.wake()

    def _sent(self, item: Batch | Message, wire: Wire) -> None:
        self.outbox.blocked = False
        self._in_hand = None
        self._send_seconds.observe(time.monotonic() - item.since)
        self._sent_frames += 1
        self._sent_bytes += size_of(wire)
        self._sent_events += len(item.events) if isinstance(item, Batch) else item.events

    def status(self) -> SessionStatus:
        oldest = self._in_hand or self.outbox.oldest
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
            queued_bytes=self.outbox.size + (self._in_hand.size if self._in_hand is not None else 0),
            lag_ms=round(1000 * (time.monotonic() - oldest.since), 3) if oldest is not None else 0.0,
            encoding=self.encoding.name,
            throttle_ms=self.throttle_ms,
        )


Send = Callable[[Wire], Coroutine[Any, Any, None]]


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
