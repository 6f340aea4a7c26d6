"""The two sides of the comparison, each as its users run it, behind one shape: start, ready, feed, stop."""

import json
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.processes import Process, free_port

ADMIN_KEY = "the admin key of the benchmark alone"
RESTING_ORDERS = 1000
SYMBOLS = [f"rb{number:04d}" for number in range(20)]
READY_TIMEOUT_S = 60.0
PEER_GRACE_S = 2.0  # its web process else waits for the next heartbeat of its RPC, up to 10 s; it has nothing to save
VN_SETTING: dict[str, Any] = {"log.console": False, "log.file": False, "database.timezone": "Asia/Shanghai"}
# The product loads RiskManager, the peer does not. Its default limits would refuse the load itself, so they are lifted
# in vn.py's own file; the rules still run on every order.
RISK_SETTING = {
    "委托规模检查": {"order_volume_limit": 10**9, "order_value_limit": 2 * 10**9},
    "活动委托检查": {"active_order_limit": 10**9},
    "重复报单检查": {"duplicate_order_limit": 10**9},
    "每日上限检查": {
        f"{scope}_{kind}_limit": 10**9 for scope in ("total", "contract") for kind in ("order", "cancel", "trade")
    },
}


@dataclass(frozen=True)
class Server:
    """A running side. ``processes`` are those whose CPU and memory count as its own."""

    name: str
    port: int
    processes: tuple[Process, ...]
    ready_s: float
    control: Path | None = None
    ws_path: str = "/ws"
    ws_hello: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    get_orders: str = ""
    post_order: str = ""
    # @SYMBOL@, @PRICE@ and @VOLUME@ are replaced, so that no two orders of a run are the same.
    order_body: str = ""

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_headers(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name == "Authorization"}

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}{self.ws_path}"

    def cpu_s(self) -> float:
        return sum(process.cpu_s() for process in self.processes)

    def memory_mb(self) -> float:
        return sum(process.memory_mb() for process in self.processes)

    def feed(self, rate: float, count: int, what: str = "ticks") -> dict[str, float]:
        """Have the gateway push ``count`` events at ``rate`` a second; return its report when the last is pushed."""
        assert self.control is not None
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(count / rate * 5 + 30)
            connection.connect(str(self.control))
            connection.sendall(json.dumps({"what": what, "rate": rate, "count": count}).encode() + b"\n")
            with connection.makefile("r", encoding="utf-8") as lines:
                report: dict[str, float] = json.loads(lines.readline())
                return report

    def get(self, path: str) -> Any:
        return _get(self.http_url + path, self.headers)


@contextmanager
def started_product(folder: Path) -> Iterator[Server]:
    """Start ``vnpy-core run`` with the ``vnpy-core.toml`` that is in ``folder``."""
    with _product(folder, free_port()) as server:
        yield server


@contextmanager
def default_product(folder: Path) -> Iterator[Server]:
    """Start ``vnpy-core run`` as a new user has it, with nothing configured but where it lives."""
    with _product(folder, free_port()) as server:
        yield server


@contextmanager
def product(folder: Path, config: str = "") -> Iterator[Server]:
    """Start ``vnpy-core run`` with the benchmark's gateway in place of the simulated one, and with further settings."""
    control = folder / "feed.sock"
    (folder / "vnpy-core.toml").write_text(
        f"""demo = false
[gateways.BENCH]
class = "bench.gateway.BenchGateway"
auto_connect = true
[gateways.BENCH.setting]
control = "{control}"
orders = {RESTING_ORDERS}
{config}"""
    )
    vnpy_folder = folder / "data" / ".vntrader"
    vnpy_folder.mkdir(parents=True, exist_ok=True)
    (vnpy_folder / "risk_manager_setting.json").write_text(json.dumps(RISK_SETTING, ensure_ascii=False))
    with _product(folder, free_port(), control) as server:
        _wait_for_orders(server, lambda: server.get(server.get_orders)["orders"])
        _wait_for_reconciliation(server)
        yield server


def _wait_for_reconciliation(server: Server) -> None:
    """Orders are taken once the venue has been quiet for a moment, and has told nothing that is not known."""

    def is_over() -> bool:
        return not any(one["holds"] for one in server.get("/api/v1/trading/reconciliation")["reconciliations"])

    server.processes[-1].wait_until(is_over, READY_TIMEOUT_S)


@contextmanager
def _product(folder: Path, port: int, control: Path | None = None) -> Iterator[Server]:
    command = [str(Path(sys.executable).parent / "vnpy-core"), "run", "--port", str(port)]
    environment = {"VNPY_DATA_DIR": str(folder / "data"), "VNPY_CORE_SECURITY__ADMIN_KEY": ADMIN_KEY}
    with Process("vnpy-core", command, folder, environment) as process:
        ready_s = process.wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health/ready"), READY_TIMEOUT_S)
        yield Server(
            name="VnPy Core",
            port=port,
            processes=(process,),
            ready_s=ready_s,
            control=control,
            ws_hello=json.dumps({"type": "subscribe", "id": 1, "topics": ["tick"], "snapshot": False}),
            headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"},
            get_orders=f"/api/v1/trading/orders?limit={RESTING_ORDERS}",
            post_order="/api/v1/trading/orders",
            order_body=json.dumps(
                {
                    "gateway_name": "BENCH", "symbol": "@SYMBOL@", "exchange": "SHFE", "direction": "LONG",
                    "type": "FAK", "offset": "OPEN", "price": "@PRICE@", "volume": "@VOLUME@",
                }
            ).replace('"@P', "@P").replace('"@V', "@V").replace('E@"', "E@"),
        )  # fmt: skip


@contextmanager
def peer(folder: Path) -> Iterator[Server]:
    """Start vnpy_webtrader's two processes and log in."""
    port, request_port, publish_port = free_port(), free_port(), free_port()
    control = folder / "feed.sock"
    (folder / ".vntrader").mkdir()
    (folder / ".vntrader" / "vt_setting.json").write_text(json.dumps(VN_SETTING))
    (folder / ".vntrader" / "web_trader_setting.json").write_text(
        json.dumps(
            {
                "username": "vnpy", "password": "vnpy", "host": "127.0.0.1", "port": str(port),
                "req_address": f"tcp://127.0.0.1:{request_port}", "sub_address": f"tcp://127.0.0.1:{publish_port}",
                "orders": RESTING_ORDERS,
            }
        )
    )  # fmt: skip
    with ExitStack() as stack:
        command = [sys.executable, "-m", "bench.peer_engine", str(control)]
        engine = stack.enter_context(Process("peer-engine", command, folder, grace_s=PEER_GRACE_S))
        engine.wait_until(control.exists, READY_TIMEOUT_S)
        web = stack.enter_context(
            Process(
                "peer-web",
                [sys.executable, "-m", "uvicorn", "bench.peer_webtrader:app", "--host=127.0.0.1", f"--port={port}"],
                folder,
                grace_s=PEER_GRACE_S,
            )
        )
        url = f"http://127.0.0.1:{port}"
        ready_s = web.wait_until(lambda: _answers(f"{url}/"), READY_TIMEOUT_S) + web.started - engine.started
        form = urllib.parse.urlencode({"username": "vnpy", "password": "vnpy"}).encode()
        token = _get(f"{url}/token", {}, form)["access_token"]
        server = Server(
            name="vnpy_webtrader",
            port=port,
            processes=(engine, web),
            ready_s=ready_s,
            control=control,
            ws_path=f"/ws/?token={token}",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            get_orders="/order",
            post_order="/order",
            order_body=json.dumps(
                {
                    "symbol": "@SYMBOL@", "exchange": "SHFE", "direction": "Long", "type": "FAK", "offset": "Open",
                    "price": "@PRICE@", "volume": "@VOLUME@",
                }
            ).replace('"@P', "@P").replace('"@V', "@V").replace('E@"', "E@"),
        )  # fmt: skip
        _wait_for_orders(server, lambda: server.get(server.get_orders))
        yield server


def _wait_for_orders(server: Server, orders: Callable[[], list[Any]]) -> None:
    """Both sides must give the same 1,000 orders in one answer before anything is measured."""
    server.processes[-1].wait_until(lambda: len(orders()) == RESTING_ORDERS, READY_TIMEOUT_S)


def _get(url: str, headers: Mapping[str, str], body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, data=body, headers=dict(headers))  # noqa: S310 - our own loopback port
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback port
            return bool(answer.status == 200)
    except OSError:
        return False
