"""The running services side by side: ticks to WebSocket clients, orders over HTTP, start-up and memory.

A round starts one side, measures it, ends it, then does the same with the other: never both at once.
"""

import json
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench import servers
from bench.processes import CLIENT_CORES, BenchError, Process
from bench.report import Row, Target
from bench.servers import Server

CLIENTS = 10
GET_CONNECTIONS = 8
ORDER_CHANGES_PER_S = 100
PEER = "vnpy_webtrader"
P99_TARGETS = {1_000: Target(ratio=2), 10_000: Target(at_most=10)}
Better = Literal["higher", "lower"]
Sample = dict[str, float]
Side = Callable[[Path], AbstractContextManager[Server]]
Samples = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Plan:
    """How long each measurement takes."""

    rounds: int
    feed_s: float = 4.0
    drain_s: float = 8.0
    rates: tuple[int, ...] = (1_000, 3_000, 10_000)
    http_s: float = 2.0
    idle_s: float = 5.0
    stall_s: float = 8.0
    sides: tuple[str, ...] = ("product", "peer")


def ws(plan: Plan) -> list[Row]:
    samples = rounds(plan, lambda server: stream(server, plan))
    rows: list[Row] = []

    def row(
        section: str, what: str, unit: str, key: str, better: Better = "lower", target: Target | None = None
    ) -> None:
        ours, theirs = samples["product"].get(key, []), samples["peer"].get(key, [])
        rows.append(Row(section, what, unit, better, ours, theirs, PEER, target))

    ticks, load = f"Ticks to {CLIENTS} WebSocket clients", "The load itself, to judge the figures above"
    for rate in plan.rates:
        at_rate = f"{rate:,} ticks/s"
        row(ticks, f"{at_rate}: delivered", "%", f"{rate}_delivered", "higher", Target(at_least=100))
        row(ticks, f"{at_rate}: latency p50", "ms", f"{rate}_p50_ms")
        row(ticks, f"{at_rate}: latency p99", "ms", f"{rate}_p99_ms", target=P99_TARGETS.get(rate))
        row(ticks, f"{at_rate}: latency p99.9", "ms", f"{rate}_p999_ms")
        row(ticks, f"{at_rate}: latency max", "ms", f"{rate}_max_ms")
        row(ticks, f"{at_rate}: CPU of the server", "% of a core", f"{rate}_cpu")
    for rate in plan.rates:
        row(load, f"{rate:,} ticks/s: CPU of the load client", "% of a core", f"{rate}_client_cpu")
        row(load, f"{rate:,} ticks/s: a tick pushed after its time, p99", "ms", f"{rate}_late_ms")
    return rows


def http(plan: Plan) -> list[Row]:
    samples = rounds(plan, lambda server: requests(server, plan))

    def row(what: str, unit: str, key: str, better: Better, target: Target | None = None) -> Row:
        ours, theirs = samples["product"].get(key, []), samples["peer"].get(key, [])
        return Row("Orders over HTTP", what, unit, better, ours, theirs, PEER, target)

    return [
        row("GET 1,000 orders in one answer, 8 connections", "requests/s", "get_per_s", "higher", Target(ratio=30)),
        row(f"the same, while {ORDER_CHANGES_PER_S} orders/s change", "requests/s", "get_live_per_s", "higher"),
        row("GET: size of the answer", "kB", "get_kb", "lower"),
        row("POST an order, 1 client: latency p50", "ms", "post_p50_ms", "lower"),
        row("POST an order, 1 client: latency p99", "ms", "post_p99_ms", "lower"),
        row("POST orders, 8 clients", "orders/s", "post_8_per_s", "higher"),
        row("POST orders, 8 clients: latency p99", "ms", "post_8_p99_ms", "lower"),
    ]


def start(plan: Plan) -> list[Row]:
    """The product as a new user starts it: every default, the simulated market, the demo strategy."""

    def rest(server: Server) -> Sample:
        time.sleep(plan.idle_s)
        return {"ready_s": server.ready_s, "memory_mb": server.memory_mb()}

    samples = rounds(plan, rest, product=servers.default_product)

    def row(what: str, unit: str, key: str, target: Target) -> Row:
        ours, theirs = samples["product"].get(key, []), samples["peer"].get(key, [])
        return Row("Start and memory", what, unit, "lower", ours, theirs, PEER, target)

    return [
        row("start to ready", "s", "ready_s", Target(at_most=5)),
        row(f"idle memory after {plan.idle_s:g} s", "MB", "memory_mb", Target(at_most=300)),
    ]


def rounds(plan: Plan, measure: Callable[[Server], Sample], product: Side = servers.product) -> Samples:
    sides = {"product": product, "peer": servers.peer}
    samples: Samples = {side: defaultdict(list) for side in sides}
    for number in range(plan.rounds):
        for side in plan.sides:
            with temporary_folder() as folder, sides[side](folder) as server:
                sample = measure(server)
            for key, value in sample.items():
                samples[side][key].append(value)
            shown = "  ".join(f"{key}={value:.4g}" for key, value in sample.items())
            print(f"  round {number + 1} {server.name}: {shown}", file=sys.stderr, flush=True)
    return samples


def stream(server: Server, plan: Plan) -> Sample:
    """Feed each rate in turn, the highest last: a side that falls behind then spoils no other figure."""
    sample: Sample = {}
    with load_client(server) as ask:
        for rate, seconds, drain_s in [(500, 1.0, 5.0), *((rate, plan.feed_s, plan.drain_s) for rate in plan.rates)]:
            ask({"do": "begin"}, 10)
            cpu = server.cpu_s()
            fed = server.feed(rate, int(rate * seconds))
            cpu = server.cpu_s() - cpu
            command = {"do": "finish", "sent": fed["sent"], "first_ns": fed["first_ns"], "drain_s": drain_s}
            got = ask(command, drain_s + 60)
            sample[f"{rate}_delivered"] = 100 * got["delivered"] / got["expected"]
            for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms"):
                if got[key] is not None:
                    sample[f"{rate}_{key}"] = got[key]
            sample[f"{rate}_cpu"] = 100 * cpu / fed["seconds"]
            sample[f"{rate}_client_cpu"] = 100 * got["client_cpu_s"] / fed["seconds"]
            sample[f"{rate}_late_ms"] = fed["late_p99_ms"]
    return {key: value for key, value in sample.items() if not key.startswith("500_")}


@contextmanager
def load_client(
    server: Server, hello: str | None = None, clients: int = CLIENTS, timed: int | None = None
) -> Iterator[Callable[[dict[str, Any], float], dict[str, Any]]]:
    spec = {
        "url": server.ws_url, "hello": hello or server.ws_hello, "headers": server.ws_headers, "clients": clients,
        "timed": clients if timed is None else timed,
    }  # fmt: skip
    command = [sys.executable, "-m", "bench.ws_client", json.dumps(spec)]
    with temporary_folder() as folder, Process("ws-client", command, folder, piped=True) as process:
        stdin, stdout = process.popen.stdin, process.popen.stdout
        assert stdin is not None
        assert stdout is not None

        def answer(timeout_s: float) -> dict[str, Any]:
            if not select.select([stdout], [], [], timeout_s)[0]:
                raise BenchError(f"the load client was silent for {timeout_s:g} s:\n{process.last_lines()}")
            line = stdout.readline()
            if not line:
                raise BenchError(f"the load client ended:\n{process.last_lines()}")
            found: dict[str, Any] = json.loads(line)
            return found

        def ask(request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            return answer(timeout_s)

        answer(15)
        yield ask


def requests(server: Server, plan: Plan) -> Sample:
    sample = get_orders(server, plan.http_s)
    with ThreadPoolExecutor(1) as pool:
        changes = pool.submit(server.feed, ORDER_CHANGES_PER_S, int(ORDER_CHANGES_PER_S * plan.http_s), "orders")
        sample["get_live_per_s"] = get_orders(server, plan.http_s)["get_per_s"]
        changes.result()
    one = http_client(server, "POST", server.post_order, server.order_body, 1, plan.http_s, first=0)
    eight = http_client(server, "POST", server.post_order, server.order_body, 8, plan.http_s, first=250_000)
    return sample | {
        "post_p50_ms": one["p50_ms"],
        "post_p99_ms": one["p99_ms"],
        "post_8_per_s": eight["per_s"],
        "post_8_p99_ms": eight["p99_ms"],
    }


def get_orders(server: Server, seconds: float) -> Sample:
    if shutil.which("wrk") is None:
        got = http_client(server, "GET", server.get_orders, "", GET_CONNECTIONS, seconds)
        return {"get_per_s": got["per_s"]}
    command = ["taskset", "--cpu-list", ",".join(map(str, CLIENT_CORES)), "wrk", "-t1", f"-c{GET_CONNECTIONS}"]
    for name, value in server.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["--timeout", "20s", f"-d{max(1, round(seconds))}s", server.http_url + server.get_orders]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    found = re.search(r"Requests/sec:\s*([\d.]+)", output)
    if found is None or "Non-2xx" in output or "Socket errors" in output:
        raise BenchError(f"wrk saw errors from {server.name}:\n{output}")
    requests_done = re.search(r"(\d+) requests in [\d.]+\w+, ([\d.]+)([KMG]?B) read", output)
    sample = {"get_per_s": float(found[1])}
    if requests_done is not None:
        size = float(requests_done[2]) * {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}[requests_done[3]]
        sample["get_kb"] = size / int(requests_done[1]) / 1e3
    return sample


def http_client(
    server: Server, method: str, path: str, body: str, connections: int, seconds: float, first: int = 0
) -> dict[str, Any]:
    spec = {
        "port": server.port, "method": method, "path": path, "headers": dict(server.headers), "body": body,
        "connections": connections, "seconds": seconds, "warm_up_s": min(0.5, seconds / 4), "first": first,
    }  # fmt: skip
    with temporary_folder() as folder:
        command = [sys.executable, "-m", "bench.http_client", json.dumps(spec)]
        with Process("http-client", command, folder, piped=True) as process:
            output, _ = process.popen.communicate(timeout=seconds + 60)
            if process.popen.returncode:
                raise BenchError(f"the HTTP load client failed:\n{process.last_lines()}")
    got: dict[str, Any] = json.loads(output)
    refused = {status: times for status, times in got["statuses"].items() if not status.startswith("2")}
    if refused:
        raise BenchError(f"{server.name} refused {method} {path}: {refused}")
    return got


@contextmanager
def temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vnpy-core-bench-") as folder:
        yield Path(folder)
