"""A webhook of the tests: takes what is posted to it, refuses it, or never answers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """``taken``: the bodies, in their order. ``status`` is what it answers; ``hangs``: it does not answer at all."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        self.hangs = False
        self.closed = threading.Event()
        self._changed = threading.Condition()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = hook.take(body)
                if status is not None:
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """As Apprise wants it; its path is the secret."""
        return f"json://127.0.0.1:{self._server.server_port}/planted-secret"

    def take(self, body: dict[str, Any]) -> int | None:
        with self._changed:
            self.asked += 1
            if self.status == 200 and not self.hangs:
                self.taken.append(body)
            self._changed.notify_all()
        if self.hangs:
            self.closed.wait(60)
            return None
        return self.status

    def lines(self) -> list[str]:
        """Return the titles and texts of all that was taken."""
        return [line for body in self.taken for line in (body["title"], *body["message"].splitlines())]

    def wait_for(self, found: Callable[["Webhook"], object], timeout_s: float = 15.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: found(self), timeout_s), (self.asked, self.taken)


@contextmanager
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    hook._thread.start()
    try:
        yield hook
    finally:
        hook.closed.set()
        hook._server.shutdown()
        hook._thread.join(10)
        hook._server.server_close()
