"""What alerts cost an order: none to tell, and ten a second for a channel that takes connections and never answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench import servers
from bench.live import Plan, Sample, http_client, rounds
from bench.report import Row, Target
from bench.servers import Server

SECTION = "Orders beside an alert channel that never answers"
ALERTS = 10
# The alerts hold all the time, and are told again every second.
CONFIG = """
[alerts]
repeat_s = 1
group_s = 0
[alerts.channels.hung]
url = "json://127.0.0.1:{port}/"
rate_per_min = 600
timeout_s = 5
"""
RULE = """
[alerts.rules.always_{number}]
kind = "threshold"
metric = "vnpy_core_ready"
title = "Alert {number}"
"""


def alerts(plan: Plan) -> list[Row]:
    ours = replace(plan, sides=("product",))
    quiet, hung = [], []
    for _ in range(plan.rounds):  # the one and then the other, as everywhere
        one = replace(ours, rounds=1)
        quiet.append(rounds(one, partial(measure, plan=plan))["product"])
        with hung_server() as port:
            rules = "".join(RULE.format(number=number) for number in range(ALERTS))
            config = CONFIG.format(port=port) + rules
            hung.append(
                rounds(one, partial(measure, plan=plan), product=lambda folder, c=config: with_config(folder, c))[
                    "product"
                ]
            )
    rows = []
    for what, key, unit in (("POST an order, p50", "p50_ms", "ms"), ("POST an order, p99", "p99_ms", "ms")):
        for name, samples in (("no channel", quiet), ("beside it", hung)):
            rows.append(Row(SECTION, f"{what}, {name}", unit, "lower", [each[key][0] for each in samples]))
    ratios = [beside["p99_ms"][0] / alone["p99_ms"][0] for beside, alone in zip(hung, quiet, strict=True)]
    rows.append(Row(SECTION, "p99, in times of that without", "", "lower", ratios, target=Target(at_most=1.2)))
    given = [each["waiting"][0] for each in hung]
    rows.append(Row(SECTION, "alerts that waited for it at the end", "", "lower", given))
    return rows


def measure(server: Server, plan: Plan) -> Sample:
    http_client(server, "POST", server.post_order, server.order_body, 1, 1.0, first=0)
    got = http_client(server, "POST", server.post_order, server.order_body, 1, 2 * plan.http_s, first=100_000)
    channels = server.get("/api/v1/alerts/channels")["channels"]
    waiting = sum(channel["waiting"] for channel in channels)
    return {"p50_ms": got["p50_ms"], "p99_ms": got["p99_ms"], "waiting": float(waiting)}


@contextmanager
def with_config(folder: Path, config: str) -> Iterator[Server]:
    with servers.product(folder, config) as server:
        yield server


@contextmanager
def hung_server() -> Iterator[int]:
    """Take connections, read nothing of them and answer nothing."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            try:
                while True:
                    kept.append(listener.accept()[0])
            except OSError:  # it is closed
                return

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in kept:
                connection.close()
