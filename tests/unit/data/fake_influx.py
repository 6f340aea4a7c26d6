"""FakeInflux: an HTTP server that answers as its script says, and keeps what it was asked.

For what the real server of the tests cannot be: a 2.x, a 3.x, one that fails in the middle. The answers are of the
shapes in their documentation and sources.
"""

import json
import threading
from collections.abc import Callable
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class Asked:
    """One request: its parameters, of the address and of a form, and its body, unpacked."""

    def __init__(self, method: str, address: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = urlsplit(address).path
        self.headers = headers
        self.body = decompress(body) if headers.get("content-encoding") == "gzip" else body
        self.parameters = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            self.parameters |= {key: values[0] for key, values in parse_qs(self.body.decode()).items()}

    @property
    def query(self) -> str:
        return self.parameters.get("q", "")

    @property
    def bound(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.parameters.get("params", "{}"))
        return found


Answer = tuple[int, str | bytes]


class FakeInflux:
    """``script`` gets each request but pings and returns status and body; ``None`` breaks the connection."""

    def __init__(self, version: str, script: Callable[[Asked], Answer | None]) -> None:
        self.asked: list[Asked] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {key.lower(): value for key, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                fake.asked.append(asked)
                answer = (204, b"") if asked.path == "/ping" else script(asked)
                if answer is None:
                    self.close_connection = True
                    return
                status, text = answer
                content = text.encode() if isinstance(text, str) else text
                self.send_response(status)
                if version:
                    self.send_header("X-Influxdb-Version", version)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = handle_any

            def log_message(self, *args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def requests(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def rows(columns: list[str], *values: list[Any], **tags: str) -> str:
    """Return the answer to one statement with one series, as a chunk."""
    return results([{"name": "x", "columns": columns, "values": list(values), **({"tags": tags} if tags else {})}])


def results(*series: list[dict[str, Any]]) -> str:
    """Return the answer to several statements, a chunk each."""
    return "".join(
        json.dumps({"results": [{"statement_id": number, "series": found}]}) + "\n"
        for number, found in enumerate(series)
    )


def statement_error(text: str) -> str:
    return json.dumps({"results": [{"statement_id": 0, "error": text}]}) + "\n"


POLICIES = ["name", "duration", "shardGroupDuration", "replicaN", "default"]
