"""Many strategies on the same ticks: how late the event thread comes to an event, and what CPU that takes."""

import json
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import servers
from bench.live import Plan, Sample, temporary_folder
from bench.processes import BenchError
from bench.report import Row
from bench.servers import SYMBOLS, Server

COUNTS = (10, 50, 200)
TICKS_PER_S = 1_000
FEED_S = 8.0
OFFICIAL = ("DoubleMaStrategy", "AtrRsiStrategy", "BollChannelStrategy")
# The three official classes show their variables once a minute; this one with every tick, as users' own may.
SHOWING = '''
from collections import deque

from vnpy_ctastrategy import CtaTemplate


class ShowingStrategy(CtaTemplate):
    ticks = 0
    average = 0.0
    variables = ["ticks", "average"]

    def on_init(self):
        self.prices = deque(maxlen=20)

    def on_tick(self, tick):
        self.ticks += 1
        self.prices.append(tick.last_price)
        self.average = sum(self.prices) / len(self.prices)
        self.put_event()
'''
KINDS = {"official": OFFICIAL, "showing": ("ShowingStrategy",)}
TITLES = {"official": "official strategies", "showing": "strategies that show a variable at each tick"}


def strategies(plan: Plan) -> list[Row]:
    samples: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(plan.rounds):
        for kind in KINDS:
            for count in (0, *COUNTS) if kind == "official" else COUNTS:
                with temporary_folder() as folder, _server(folder) as server:
                    sample = run(server, kind, count, min(FEED_S, 2 * plan.feed_s))
                for key, value in sample.items():
                    samples[f"{kind}_{count}_{key}"].append(value)
                shown = "  ".join(f"{key}={value:.4g}" for key, value in sample.items())
                print(f"  round {number + 1}, {count} {TITLES[kind]}: {shown}", file=sys.stderr, flush=True)
    return _rows(samples)


def _rows(samples: dict[str, list[float]]) -> list[Row]:
    section = f"Strategies on {len(SYMBOLS)} symbols at {TICKS_PER_S:,} ticks/s"
    rows = [Row(section, "no strategy: CPU", "% of a core", "lower", samples["official_0_cpu"])]
    for kind, title in TITLES.items():
        for what, unit, key in (
            ("event lag p99", "ms", "lag_p99_ms"),
            ("event lag p50", "ms", "lag_p50_ms"),
            ("CPU", "% of a core", "cpu"),
            ("memory", "MB", "memory_mb"),
        ):
            rows += [
                Row(section, f"{count} {title}: {what}", unit, "lower", samples[f"{kind}_{count}_{key}"])
                for count in COUNTS
            ]
        first, last = COUNTS[0], COUNTS[-1]
        for what, key in (("event lag p99", "lag_p99_ms"), ("CPU", "cpu")):
            pairs = zip(samples[f"{kind}_{last}_{key}"], samples[f"{kind}_{first}_{key}"], strict=True)
            grown = [many / few for many, few in pairs if few]
            rows.append(Row(section, f"{title}: {what} of {last}, in times of {first}", "", "lower", grown))
    return rows


def run(server: Server, kind: str, count: int, seconds: float) -> Sample:
    classes = KINDS[kind]
    for number in range(count):
        name = f"s{number:03d}"
        body = {
            "class_name": classes[number % len(classes)], "strategy_name": name,
            "vt_symbol": f"{SYMBOLS[number % len(SYMBOLS)]}.SHFE",
        }  # fmt: skip
        _post(server, "/api/v1/strategies", body)
        _post(server, f"/api/v1/strategies/{name}/init")
        _post(server, f"/api/v1/strategies/{name}/start")
    server.feed(TICKS_PER_S, TICKS_PER_S)
    cpu_s = server.cpu_s()
    fed = server.feed(TICKS_PER_S, int(TICKS_PER_S * seconds))
    cpu_s = server.cpu_s() - cpu_s
    engine = server.get("/api/v1/system/status")["event_engine"]
    states = [each["state"] for each in server.get("/api/v1/strategies?limit=1000")["strategies"]]
    if states != ["TRADING"] * count:
        raise BenchError(f"not all strategies trade: {states}")
    return {
        "lag_p50_ms": engine["lag_p50_ms"], "lag_p99_ms": engine["lag_p99_ms"], "cpu": 100 * cpu_s / fed["seconds"],
        "memory_mb": server.memory_mb(),
    }  # fmt: skip


@contextmanager
def _server(folder: Path) -> Iterator[Server]:
    (folder / "data" / "strategies").mkdir(parents=True)
    (folder / "data" / "strategies" / "showing.py").write_text(SHOWING)
    with servers.product(folder) as server:
        yield server


def _post(server: Server, path: str, body: dict[str, str] | None = None) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own loopback port
        server.http_url + path, data=json.dumps(body).encode() if body else b"", headers=dict(server.headers),
        method="POST",
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        answer.read()
