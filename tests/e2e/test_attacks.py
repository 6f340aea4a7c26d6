"""What is thrown at the port: nothing gets in, nothing falls over, and trading and ``/ws`` go on meanwhile."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.e2e.process import ADMIN_KEY, AUTHORIZATION, ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.e2e.test_tour import order_of

Start = Callable[..., ServiceProcess]
CONFIG = "[service]\nrequest_timeout_s = 5.0\nmax_connections = 500\n"
MB = 1 << 20


class Trading:
    """Sends an order that cannot be filled, and cancels it, again and again on a thread of its own."""

    def __init__(self, core: ServiceProcess) -> None:
        core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=["rb2605.SHFE"])
        ticks = eventually(lambda: core.get("/api/v1/trading/ticks", vt_symbol="rb2605.SHFE")["ticks"])
        contract = core.get("/api/v1/trading/contracts", vt_symbol="rb2605.SHFE")["contracts"][0]
        self._order = order_of(contract, price=round(ticks[0]["bid_price_1"] * 0.97), volume=1)
        self._http = httpx.Client(base_url=core.url, timeout=30, headers=AUTHORIZATION)
        self._stopping = threading.Event()
        self.sent = 0
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            # Each of its own kind: vn.py refuses what is sent ten times the same.
            price = self._order["price"] - self.sent % 50
            answer = self._http.post("/api/v1/trading/orders", json=self._order | {"price": price})
            if answer.status_code != 201:
                self.failures.append(answer.text)
                return
            self.sent += 1
            self._http.delete(f"/api/v1/trading/orders/{answer.json()['vt_orderid']}")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)
        self._http.close()


def test_nothing_gets_in_and_nothing_falls_over(service: Start) -> None:
    with service(CONFIG) as core, Stream(core.url, "tick", "order") as stream:
        core.run("user", "add", "desk", "--role", "trader", "--link")
        before = memory_mb(core)
        trading = Trading(core)
        attacks = (wrong_passwords, forged_tokens, large_bodies, deep_json, slow_requests, endless_heads)
        try:
            for attack in attacks:
                sent, ticks = trading.sent, len(stream.of("tick"))
                attack(core)
                eventually(lambda: trading.failures or trading.sent > sent + 2, 20, attack.__name__)  # noqa: B023
                eventually(lambda: len(stream.of("tick")) > ticks, 20, attack.__name__)  # noqa: B023
        finally:
            trading.stop()
        assert trading.failures == []
        assert not stream.closed.is_set()
        assert core.get("/health/ready")["ready"] is True
        assert memory_mb(core) < before + 150
        entries = core.get("/api/v1/auth/audit", action="POST /api/v1/auth/login", limit=10_000)["entries"]
        assert len(entries) >= 10
        assert not [entry for entry in entries if entry["status"] < 400]


def wrong_passwords(core: ServiceProcess) -> None:
    """1,000 of them, 50 at a time, for a user that there is and for one that there is not."""

    def attempt(number: int) -> int:
        body = {"username": "desk" if number % 2 else "nobody", "password": f"guess {number}"}
        return httpx.post(f"{core.url}/api/v1/auth/login", json=body, timeout=60).status_code

    with ThreadPoolExecutor(50) as pool:
        statuses = Counter(pool.map(attempt, range(1000)))
    assert set(statuses) == {401, 429}, statuses
    assert statuses[401] <= 60


def forged_tokens(core: ServiceProcess) -> None:
    tokens = ["eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", "vck_00.x", ADMIN_KEY[:-1], "\x00", "a" * 30_000, "'; --"]
    with httpx.Client(base_url=core.url, timeout=30) as http:
        for number in range(300):
            token = tokens[number % len(tokens)] + str(number)
            headers = [(b"authorization", b"Bearer " + token.replace("\x00", "\xff").encode("latin-1"))]
            assert http.get("/api/v1/trading/accounts", headers=headers).status_code == 401


def large_bodies(core: ServiceProcess) -> None:
    """100 MB, announced and not, by somebody and by nobody: none is taken in."""

    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * MB

    for headers, expected in ((AUTHORIZATION, 413), ({}, 401)):
        for announced in ({"Content-Length": str(100 * MB)}, {}):
            with httpx.Client(base_url=core.url, timeout=30) as http:
                try:
                    answer = http.post("/api/v1/trading/orders", content=parts(), headers={**headers, **announced})
                except httpx.TransportError:
                    continue  # it was ended while more was sent
                assert answer.status_code == expected, answer.text


def deep_json(core: ServiceProcess) -> None:
    for body in ("[" * 500_000, '{"a":' * 150_000, "[" * 400_000 + "]" * 400_000):
        for path in ("/trading/orders", "/auth/login", "/strategies", "/trading/gateways/SIM/connect"):
            answer = core.http.post(
                f"/api/v1{path}", content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code in (422, 429), f"{path}: {answer.status_code} {answer.text[:300]}"


def slow_requests(core: ServiceProcess) -> None:
    """More connections than may be, that send a byte now and then: heads, bodies, and nothing at all."""
    address = httpx.URL(core.url)
    beginnings = (
        b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
    )  # fmt: skip
    with ExitStack() as stack:
        slow = []
        for number in range(400):
            connection = stack.enter_context(socket.create_connection((address.host, address.port or 80), 10))
            connection.sendall(beginnings[number % len(beginnings)])
            slow.append(connection)
        deadline = time.monotonic() + 40
        while slow and time.monotonic() < deadline:
            slow = [connection for connection in slow if is_open(connection)]
            assert httpx.get(f"{core.url}/health/live", timeout=10).status_code == 200
            time.sleep(0.1)
        assert slow == []


def is_open(connection: socket.socket) -> bool:
    """Send a byte more, if anybody still wants it."""
    try:
        connection.sendall(b"a")
        connection.setblocking(False)
        return connection.recv(4096) != b"" or True
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.setblocking(True)


def endless_heads(core: ServiceProcess) -> None:
    address = httpx.URL(core.url)
    for beginning, more in (
        (b"GET / HTTP/1.1\r\n", b"X-A: " + b"a" * 4000 + b"\r\n"),
        (b"GET / HTTP/1.1\r\nX-A: ", b"a" * 4000),
        (b"GET /", b"a" * 4000),
    ):
        with socket.create_connection((address.host, address.port or 80), 10) as connection:
            connection.sendall(beginning)
            sent = 0
            try:
                while sent < 50 * MB:
                    connection.sendall(more)
                    sent += len(more)
            except OSError:
                pass
            assert sent < 20 * MB  # the kernel's buffers take some of it


def memory_mb(core: ServiceProcess) -> float:
    assert core.process is not None
    status = Path(f"/proc/{core.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000
