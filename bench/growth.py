"""How the delay of events, the answers of the API and the memory grow with clients and ticks, beside the peer.

One run of a side for each number of clients, at each rate in turn, the highest last. While ticks flow to the WebSocket
clients, one connection asks for orders and then sends orders; the delays of all three are of the same seconds.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench.live import PEER, Plan, Sample, Samples, http_client, load_client, rounds
from bench.report import Row
from bench.servers import Server

CLIENTS = (1, 10, 50)
RATES = (100, 1_000, 10_000)
TIMED = 10
SECTION = "How it grows"
SHARES = (("p50_ms", "p50"), ("p99_ms", "p99"), ("p999_ms", "p99.9"))
FIGURES = {"event": "delay of a tick", "get": "GET of 1,000 orders", "post": "POST an order"}
WARM_UP_S = 1.0


def growth(plan: Plan) -> list[Row]:
    samples: dict[int, Samples] = {}
    for clients in CLIENTS:
        print(f"  {clients} clients", file=sys.stderr, flush=True)
        samples[clients] = rounds(
            replace(plan, rounds=min(plan.rounds, 2)), lambda server, clients=clients: grown(server, plan, clients)
        )
    rows: list[Row] = []
    for clients, found in samples.items():
        for rate in RATES:
            at = f"{clients} clients, {rate:,} ticks/s"

            def row(what: str, unit: str, key: str, at: str = at, found: Samples = found) -> None:
                ours, theirs = found["product"].get(key, []), found["peer"].get(key, [])
                rows.append(Row(SECTION, f"{at}: {what}", unit, "lower", ours, theirs, PEER))

            for figure, what in FIGURES.items():
                for share, name in SHARES:
                    row(f"{what}, {name}", "ms", f"{rate}_{figure}_{share}")
            row("memory", "MB", f"{rate}_memory_mb")
            row("CPU of the server", "% of a core", f"{rate}_cpu")
    return rows


def grown(server: Server, plan: Plan, clients: int) -> Sample:
    sample: Sample = {}
    seconds = WARM_UP_S + 2 * plan.http_s
    with load_client(server, clients=clients, timed=min(clients, TIMED)) as ask, ThreadPoolExecutor(1) as pool:
        for place, rate in enumerate(RATES):
            ask({"do": "begin"}, 10)
            cpu = server.cpu_s()
            feed = pool.submit(server.feed, rate, int(rate * seconds))
            got = http_client(server, "GET", server.get_orders, "", 1, plan.http_s)
            first = 50_000 * place
            posted = http_client(server, "POST", server.post_order, server.order_body, 1, plan.http_s, first=first)
            fed = feed.result()
            cpu = server.cpu_s() - cpu
            command = {"do": "finish", "sent": fed["sent"], "first_ns": fed["first_ns"], "drain_s": plan.drain_s}
            seen = ask(command, plan.drain_s + 60)
            for figure, found in (("event", seen), ("get", got), ("post", posted)):
                sample |= {f"{rate}_{figure}_{share}": found[share] for share, _ in SHARES if found[share] is not None}
            sample[f"{rate}_memory_mb"] = server.memory_mb()
            sample[f"{rate}_cpu"] = 100 * cpu / fed["seconds"]
    return sample

