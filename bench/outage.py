"""The service while every server it is configured with is frozen, and while all of them are killed, beside all up.

One process of ours with MariaDB, Redis (cache and registry), InfluxDB (recording every tick) and NATS, all time-outs as
they are by default. A round measures up, frozen, up, killed, in the same process: each phase begins with the outage
itself, so that what the service does to learn of it is measured too.
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from tests.servers import Influx, MariaDb, Nats, Redis
from tests.servers import Server as Dependency

from bench import servers
from bench.live import Plan, Sample, http_client, load_client, temporary_folder
from bench.processes import BenchError
from bench.report import Row, Target
from bench.servers import Server

TICKS_PER_S = 1_000
FACTS_PER_S = 500
WAIT_S = 120.0
FEED_S = 3.0
# "p99 within 1.5 times": as good as that, or better.
TARGET = Target(ratio=1 / 1.5)
CONFIG = """
[database]
url = "{mariadb}"
[cache]
url = "{redis}"
[registry]
url = "{redis}"
[history]
url = "influx+{influx}"
record_ticks = true
[bus]
url = "{nats}"
"""
FIGURES = {
    "post": "POST an order, 1 client",
    "get": "GET 100 orders, 1 client",
    "ticks": "a tick to a WebSocket client",
    "facts": "a change of an order to a WebSocket client",
}
SHARES = ("p50", "p99")
OUTAGES: dict[str, tuple[Callable[[Dependency], object], Callable[[Dependency], object]]] = {
    "frozen": (Dependency.freeze, Dependency.thaw),
    "killed": (Dependency.kill, Dependency.start),
}
DEPENDENCIES = {"database", "sink.sql", "sink.cache", "registry", "history", "bus", "sink.bus"}

_numbers = count(0, 40_000)  # of the first order of each phase: no two orders are the same


def outage(plan: Plan) -> list[Row]:
    plan = replace(plan, feed_s=min(plan.feed_s, FEED_S))
    samples: dict[str, dict[str, list[float]]] = {state: defaultdict(list) for state in ("up", *OUTAGES)}

    def measure(number: int, state: str) -> None:
        sample = phase(server, plan)
        for key, value in sample.items():
            samples[state][key].append(value)
        shown = "  ".join(f"{key}={value:.4g}" for key, value in sample.items())
        print(f"  round {number + 1} {state}: {shown}", file=sys.stderr, flush=True)

    with temporary_folder() as folder, started(folder) as (server, dependencies):
        phase(server, replace(plan, http_s=1, feed_s=1))
        for number in range(plan.rounds):
            for state, (down, back) in OUTAGES.items():
                measure(number, "up")
                for dependency in dependencies:
                    down(dependency)
                measure(number, state)
                wait_for(lambda: DEPENDENCIES - unready(server), f"readiness names all that is {state}")
                for dependency in dependencies:
                    back(dependency)
                wait_for(lambda: unready(server) | behind(server), f"the service has caught up after all was {state}")
    rows = []
    for state in OUTAGES:
        for key, what in FIGURES.items():
            for share in SHARES:
                down_ms, up_ms = samples[state][f"{key}_{share}"], samples["up"][f"{key}_{share}"]
                target = TARGET if share == "p99" else None
                section = f"Every server {state}, beside all up"
                rows.append(Row(section, f"{what}: {share}", "ms", "lower", down_ms, up_ms, "all up", target))
    return rows


@contextmanager
def started(folder: Path) -> Iterator[tuple[Server, list[Dependency]]]:
    with ExitStack() as stack:
        mariadb, redis, influx, nats = (stack.enter_context(kind()) for kind in (MariaDb, Redis, Influx, Nats))
        config = CONFIG.format(mariadb=mariadb.new_database(), redis=redis.url, influx=influx.url, nats=nats.url)
        yield stack.enter_context(servers.product(folder, config)), [mariadb, redis, influx, nats]


def phase(server: Server, plan: Plan) -> Sample:
    """Measure requests while ticks flow, then ticks and changes of orders at a client of ``/ws``."""
    sample: Sample = {}
    some = f"{server.get_orders.partition('?')[0]}?limit=100"
    requests = {"post": ("POST", server.post_order, server.order_body), "get": ("GET", some, "")}
    with ThreadPoolExecutor(1) as pool:
        for key, (method, path, body) in requests.items():
            feed = pool.submit(server.feed, TICKS_PER_S, int(TICKS_PER_S * (plan.http_s + 1)))
            got = http_client(server, method, path, body, 1, plan.http_s, first=next(_numbers))
            feed.result()
            sample |= of(key, got)
    for key, rate, topic in (("ticks", TICKS_PER_S, "tick"), ("facts", FACTS_PER_S, "order")):
        hello = json.dumps({"type": "subscribe", "id": 1, "topics": [topic], "snapshot": False})
        with load_client(server, hello, clients=1) as ask:
            ask({"do": "begin"}, 10)
            fed = server.feed(rate, int(rate * plan.feed_s), key)
            command = {"do": "finish", "sent": fed["sent"], "first_ns": fed["first_ns"], "drain_s": plan.drain_s}
            got = ask(command, plan.drain_s + 60)
        if got["delivered"] != got["expected"]:
            raise BenchError(f"{got['delivered']} of {got['expected']} {key} were delivered")
        sample |= of(key, got)
    return sample


def of(key: str, got: dict[str, Any]) -> Sample:
    return {f"{key}_{share}": got[f"{share}_ms"] for share in SHARES}


def unready(server: Server) -> set[str]:
    """Return what readiness names as not up."""
    return {found["name"] for found in server.get("/health/ready")["dependencies"] if found["state"] != "UP"}


def behind(server: Server) -> set[str]:
    return {sink["name"] for sink in server.get("/api/v1/system/status")["sinks"] if sink["lag"]}


def wait_for(missing: Callable[[], set[str]], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while found := missing():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {WAIT_S:g} s: {what}, but for {', '.join(sorted(found))}")
        time.sleep(0.1)
