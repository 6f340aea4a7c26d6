"""A WebSocket client on a thread of its own, that keeps every event it is shown."""

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.e2e.process import ADMIN_KEY, eventually


class Stream:
    """Subscribes on entry; ``events`` grows until the connection ends, which ``closed`` tells."""

    def __init__(self, url: str, *topics: str, snapshot: bool = True, token: str = ADMIN_KEY) -> None:
        self._stack = ExitStack()
        shown = {"Authorization": f"Bearer {token}"}
        self._connection = self._stack.enter_context(
            connect(url.replace("http", "ws", 1) + "/ws", max_size=None, additional_headers=shown)
        )
        self.events: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.send({"type": "subscribe", "id": 1, "topics": list(topics), "snapshot": snapshot})
        eventually(lambda: any(m.get("type") == "ack" for m in self.messages), 10, "the subscription is acknowledged")

    def send(self, message: dict[str, Any]) -> None:
        self._connection.send(json.dumps(message))

    def _read(self) -> None:
        try:
            for text in self._connection:
                message = json.loads(text)
                if isinstance(message, list):
                    self.events += message
                else:
                    self.messages.append(message)
        except ConnectionClosed:
            pass
        finally:
            self.closed.set()

    @property
    def code(self) -> int | None:
        """What the connection was closed with."""
        return self._connection.close_code

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [
            event for event in list(self.events) if event["topic"] == topic or event["topic"].startswith(topic + ".")
        ]

    def wait_for(self, condition: Callable[[dict[str, Any]], bool], timeout_s: float = 15.0) -> dict[str, Any]:
        """Return the first event that ``condition`` holds for."""
        return eventually(lambda: next((event for event in list(self.events) if condition(event)), None), timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._thread.join(5)
