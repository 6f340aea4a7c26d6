"""``python -m bench.soak``: everything at once for as long as wanted, with faults at random, and nothing may be lost.

5,000 ticks/s of the simulated exchange, 50 orders/s over HTTP, 20 official strategies that trade, 50 WebSocket clients;
MariaDB, Redis and NATS are killed and frozen, the gateway disconnected, clients cut off and stalled. Each minute the
delay of ticks and the memory are noted; at the end what every client was given and what MariaDB has is held against the
journal. It exits with 1 if anything is missing or there twice; figures of time and memory are told, not judged.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tests.servers import MariaDb, Nats, Redis
from tests.servers import Server as Dependency

from bench.live import temporary_folder
from bench.outage import behind
from bench.processes import BenchError, Process
from bench.report import machine, number
from bench.servers import RISK_SETTING, Server, started_product
from vnpy_core.events import PUBLIC_FACT_TOPICS

TICKS_PER_S, ORDERS_PER_S, STRATEGIES, CLIENTS, TIMED = 5_000, 50, 20, 50, 5
CLASSES = ("AtrRsiStrategy", "BollChannelStrategy", "DoubleMaStrategy", "KingKeltnerStrategy", "MultiSignalStrategy")
SYMBOLS = [f"SOAK{each:02d}" for each in range(20)]
PRICE = 1000.0
CATCH_UP_S = 120.0
_PUBLIC = "FROM facts WHERE topic IN (SELECT value FROM json_each(?))"
_TOPICS = json.dumps(PUBLIC_FACT_TOPICS)
CONFIG = """demo = false
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
[gateways.SIM.setting]
ticks_per_second = {ticks}
balance = 1e12
symbols = "{symbols}"
contracts = '{contracts}'
[database]
url = "{mariadb}"
[cache]
url = "{redis}"
[registry]
url = "{redis}"
[bus]
url = "{nats}"
"""


@dataclass
class Minute:
    """What was seen in one minute (the last one may be shorter)."""

    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    memory_mb: float
    cpu: float
    ticks: int
    orders: int
    faults: list[str]


@dataclass
class Sender:
    """Send ``ORDERS_PER_S`` orders, each under a key of its own, and again under the same key until it has an answer.

    Of five, four take what the market offers, and one rests and is cancelled a second later.
    """

    http: httpx.AsyncClient
    run: str
    accepted: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def go_on(self, until: float) -> None:
        began = time.monotonic()
        for each in count():
            due = began + each / ORDERS_PER_S
            if due >= until:
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._send(each))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.gather(*self._tasks)

    async def _send(self, each: int) -> None:
        key = f"{self.run}-{each}"
        rests = each % 5 == 0
        body = {
            "gateway_name": "SIM", "symbol": SYMBOLS[each % len(SYMBOLS)], "exchange": "GLOBAL", "offset": "NONE",
            "direction": "LONG" if each % 2 else "SHORT", "type": "LIMIT" if rests else "FAK", "volume": 1,
            "price": PRICE * ((0.5 if each % 2 else 2.0) if rests else (3.0 if each % 2 else 0.3)),
            "client_order_id": key,
        }  # fmt: skip
        while True:
            try:
                answer = await self.http.post("/api/v1/trading/orders", json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
                await asyncio.sleep(0.5)
                continue
            code = "" if answer.is_success else answer.json().get("code", "")
            self.answers[f"{answer.status_code} {code}".strip()] += 1
            if answer.status_code not in (429, 503, 504):
                break
            await asyncio.sleep(0.5)
        if answer.status_code == 201:
            self.accepted.add(key)
            if rests:
                await asyncio.sleep(1)
                await self._cancel(answer.json()["vt_orderid"])

    async def _cancel(self, vt_orderid: str) -> None:
        for _ in range(60):
            try:
                answer = await self.http.delete(f"/api/v1/trading/orders/{vt_orderid}")
            except httpx.TransportError:
                await asyncio.sleep(0.5)
                continue
            if answer.status_code not in (429, 503, 504):
                return
            await asyncio.sleep(0.5)


class Faults:
    """Draws what goes wrong next, and has it go wrong; at most one thing at a time but for clients."""

    def __init__(self, seed: int, servers: Sequence[Dependency], http: httpx.AsyncClient, clients: "Clients") -> None:
        self._random = random.Random(seed)
        self._servers = servers
        self._http = http
        self._clients = clients
        self.done: list[str] = []

    async def go_on(self, until: float, pause_s: float) -> None:
        while time.monotonic() + pause_s < until:
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * pause_s)
            seconds = self._random.uniform(0.5, 0.8) * pause_s
            if time.monotonic() + seconds < until:
                await self._random.choice((self._kill, self._freeze, self._disconnect, self._cut, self._stall))(seconds)

    async def _kill(self, seconds: float) -> None:
        server = self._random.choice(self._servers)
        self.done.append(f"{server.program} killed for {seconds:.0f} s")
        server.kill()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.start)

    async def _freeze(self, seconds: float) -> None:
        server = self._random.choice(self._servers)
        self.done.append(f"{server.program} frozen for {seconds:.0f} s")
        server.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            server.thaw()

    async def _disconnect(self, seconds: float) -> None:
        self.done.append(f"gateway disconnected for {seconds / 3:.0f} s")
        await self._command("disconnect")
        await asyncio.sleep(seconds / 3)
        await self._command("connect")

    async def _command(self, what: str) -> None:
        answer = await self._http.post(f"/api/v1/trading/gateways/SIM/{what}", json={} if what == "connect" else None)
        if not answer.is_success:
            raise BenchError(f"{what}: {answer.status_code} {answer.text}")

    async def _cut(self, seconds: float) -> None:
        some = self._random.sample(range(CLIENTS), 10)
        self.done.append("10 clients cut off")
        await self._clients.ask({"do": "cut", "clients": some}, 10)

    async def _stall(self, seconds: float) -> None:
        # Not one of those that are timed: it would be its own delay that is measured.
        some = self._random.sample(range(TIMED, CLIENTS), 2)
        self.done.append(f"2 clients stalled for {seconds:.0f} s")
        await self._clients.ask({"do": "stall", "clients": some, "seconds": seconds}, 10)


class Clients:
    """The process of the WebSocket clients."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def ask(self, command: dict[str, Any], timeout_s: float) -> Any:
        async with self._turn:
            stdin = self._process.popen.stdin
            assert stdin is not None
            stdin.write(json.dumps(command) + "\n")
            stdin.flush()
            return await self.answer(timeout_s)

    async def answer(self, timeout_s: float) -> Any:
        stdout = self._process.popen.stdout
        assert stdout is not None
        async with asyncio.timeout(timeout_s):
            line = await asyncio.to_thread(stdout.readline)
        if not line:
            raise BenchError(f"the clients ended:\n{self._process.last_lines()}")
        return json.loads(line)


async def soak(minutes: float, seed: int) -> tuple[list[Minute], dict[str, Any]]:
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        mariadb, redis, nats = (stack.enter_context(kind()) for kind in (MariaDb, Redis, Nats))
        database = mariadb.new_database()
        contracts = [
            {
                "symbol": each, "exchange": "GLOBAL", "product": "SPOT", "pricetick": 0.1, "net_position": True,
                "price": PRICE, "step": 3, "limit_rate": 0.0, "margin_rate": 0.1,
            }
            for each in SYMBOLS
        ]  # fmt: skip
        (folder / "vnpy-core.toml").write_text(
            CONFIG.format(
                ticks=TICKS_PER_S, symbols=",".join(f"{each}.GLOBAL" for each in SYMBOLS),
                contracts=json.dumps(contracts), mariadb=database, redis=redis.url, nats=nats.url,
            )
        )  # fmt: skip
        vnpy_folder = folder / "data" / ".vntrader"
        vnpy_folder.mkdir(parents=True)
        (vnpy_folder / "risk_manager_setting.json").write_text(json.dumps(RISK_SETTING, ensure_ascii=False))
        server = stack.enter_context(started_product(folder))
        http = await async_client(server)
        try:
            await prepare(http)
            spec = {
                "url": server.ws_url, "headers": server.ws_headers, "clients": CLIENTS, "timed": TIMED,
                "topics": ["tick", *PUBLIC_FACT_TOPICS],
            }  # fmt: skip
            command = [sys.executable, "-m", "bench.soak_client", json.dumps(spec)]
            clients = Clients(stack.enter_context(Process("soak-clients", command, folder, piped=True)))
            await clients.answer(30)
            sender = Sender(http, f"soak-{seed}")
            faults = Faults(seed, (mariadb, redis, nats), http, clients)
            noted = await under_load(minutes, server, clients, sender, faults)
            found = await settled(server, http, clients, folder / "data" / "journal.db")
            found |= checked(folder / "data" / "journal.db", mariadb, database.rsplit("/", 1)[1], sender, found)
            return noted, found | {"answers": dict(sender.answers), "faults": len(faults.done)}
        finally:
            await http.aclose()


async def async_client(server: Server) -> httpx.AsyncClient:
    headers = {"Authorization": server.headers["Authorization"]}
    return httpx.AsyncClient(base_url=server.http_url, headers=headers, timeout=30)


async def prepare(http: httpx.AsyncClient) -> None:
    """Subscribe to every symbol, and let the strategies trade."""

    async def done(path: str, body: Any) -> None:
        answer = await http.post(f"/api/v1/{path}", json=body)
        if not answer.is_success:
            raise BenchError(f"{path}: {answer.status_code} {answer.text}")

    await done("trading/subscriptions", {"vt_symbols": [f"{each}.GLOBAL" for each in SYMBOLS]})
    for each in range(STRATEGIES):
        name, symbol = f"soak{each}", f"{SYMBOLS[each % len(SYMBOLS)]}.GLOBAL"
        body = {"class_name": CLASSES[each % len(CLASSES)], "strategy_name": name, "vt_symbol": symbol, "setting": {}}
        await done("strategies", body)
        await done(f"strategies/{name}/init", None)
        await done(f"strategies/{name}/start", None)


async def under_load(
    minutes: float, server: Server, clients: Clients, sender: Sender, faults: Faults
) -> list[Minute]:
    until = time.monotonic() + minutes * 60
    noted: list[Minute] = []

    async def note() -> None:
        ticks = orders = told = 0
        cpu_s, at_s = server.cpu_s(), time.monotonic()
        while at_s < until:
            await asyncio.sleep(min(60.0, until - at_s))
            seen = await clients.ask({"do": "report"}, 60)
            seconds, at_s = time.monotonic() - at_s, time.monotonic()
            used_s, cpu_s = server.cpu_s() - cpu_s, server.cpu_s()
            minute = Minute(
                seen["p50_ms"], seen["p99_ms"], seen["max_ms"], server.memory_mb(), 100 * used_s / seconds,
                round((seen["ticks"] - ticks) / CLIENTS / seconds), len(sender.accepted) - orders, faults.done[told:],
            )  # fmt: skip
            noted.append(minute)
            ticks, orders, told = seen["ticks"], len(sender.accepted), len(faults.done)
            print(f"  minute {len(noted)}: {minute}", file=sys.stderr, flush=True)

    async with asyncio.TaskGroup() as group:
        group.create_task(note())
        group.create_task(sender.go_on(until))
        group.create_task(faults.go_on(until, pause_s=min(30.0, max(4.0, minutes * 60 / 40))))
    return noted


async def settled(server: Server, http: httpx.AsyncClient, clients: Clients, journal: Path) -> dict[str, Any]:
    """Stop what makes facts, and wait until every client and every sink has all of them."""
    for each in range(STRATEGIES):
        await http.post(f"/api/v1/strategies/soak{each}/stop", timeout=60)
    # Without ticks, too: some of them wait for the cache at any time.
    gone = {"vt_symbols": [f"{each}.GLOBAL" for each in SYMBOLS]}
    await http.request("DELETE", "/api/v1/trading/subscriptions", json=gone, timeout=60)
    began = time.monotonic()
    while late := await asyncio.to_thread(behind, server):
        if time.monotonic() - began > CATCH_UP_S:
            raise BenchError(f"not within {CATCH_UP_S:g} s: {', '.join(sorted(late))} has caught up")
        await asyncio.sleep(0.2)
    caught_up_s = time.monotonic() - began
    seq = await asyncio.to_thread(newest, journal)
    everyone = await clients.ask({"do": "settle", "seq": seq, "timeout_s": 60}, 90)
    seen = await clients.ask({"do": "report"}, 60)
    return {"caught_up_s": caught_up_s, "seen": seen, "everyone": everyone["settled"], "newest": seq}


def newest(journal: Path) -> int:
    """Return the ``seq`` of the last public fact."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as file:
        return int(file.execute(f"SELECT max(seq) {_PUBLIC}", (_TOPICS,)).fetchone()[0])


def checked(journal: Path, mariadb: MariaDb, database: str, sender: Sender, found: dict[str, Any]) -> dict[str, Any]:
    """Hold what the clients were given, and what MariaDB has, against the journal."""
    lost = doubled = 0
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as file:
        for client in found["seen"]["clients"]:
            between = (_TOPICS, client["after"], client["last"])
            there = file.execute(f"SELECT count(*) {_PUBLIC} AND seq > ? AND seq <= ?", between).fetchone()[0]
            lost += max(0, there - client["facts"])
            doubled += client["disorder"] + max(0, client["facts"] - there)
        trades = {key for (key,) in file.execute("SELECT DISTINCT key FROM facts WHERE topic = 'trade.executed'")}
        orders = {key for (key,) in file.execute("SELECT DISTINCT key FROM facts WHERE topic = 'order.updated'")}

    def column(sql: str) -> list[str]:
        return mariadb.execute(sql, database).split("\n")[:-1]

    sent = column("SELECT client_order_id FROM orders WHERE client_order_id LIKE 'soak-%'")
    return {
        "facts": sum(client["facts"] for client in found["seen"]["clients"]),
        "lost": lost,
        "doubled": doubled,
        "orders": len(sender.accepted),
        "orders_lost": len(sender.accepted - set(sent)),
        "orders_doubled": len(sent) - len(set(sent)),
        "rows": {"orders": len(orders), "trades": len(trades)},
        "rows_missing": {
            "orders": len(orders) - int(column("SELECT count(*) FROM orders")[-1]),
            "trades": len(trades) - int(column("SELECT count(*) FROM trades")[-1]),
        },
    }


def failures(found: dict[str, Any]) -> list[str]:
    told = [f"{found[key]} {what}" for key, what in (
        ("lost", "facts did not reach a client"), ("doubled", "facts came twice or out of order"),
        ("orders_lost", "accepted orders are not in MariaDB"), ("orders_doubled", "orders were sent twice"),
    ) if found[key]]  # fmt: skip
    told += [f"{missing} {what} are not in MariaDB" for what, missing in found["rows_missing"].items() if missing]
    if not found["everyone"]:
        told.append("a client did not get the last fact within 60 s")
    if not found["orders"] or not found["rows"]["trades"]:
        told.append("nothing was traded: the run shows nothing")
    return told


def slope(noted: Sequence[Minute]) -> float | None:
    """Return the memory's growth in MB an hour, by least squares, without the first fifth, in which caches fill."""
    points = [(place / 60, minute.memory_mb) for place, minute in enumerate(noted)][len(noted) // 5 :]
    if len(points) < 3:
        return None
    hours, sizes = zip(*points, strict=True)
    return float(np.polyfit(hours, sizes, 1)[0])


def page(noted: Sequence[Minute], found: dict[str, Any], described: Sequence[str], wrong: Sequence[str]) -> str:
    def ms(value: float | None) -> str:
        return "–" if value is None else number(value)

    grows = slope(noted)
    lines = ["# Soak", "", "Written by `make soak`.", "", *(f"- {line}" for line in described), ""]
    lines += [
        f"- Load: {TICKS_PER_S:,} ticks/s, {ORDERS_PER_S} orders/s, {STRATEGIES} strategies, {CLIENTS} clients of /ws",
        f"- Faults: {found['faults']}; answers to orders: {found['answers']}",
        f"- Facts that the clients were given: {found['facts']:,}; lost: {found['lost']}; twice or out of order: "
        f"{found['doubled']}; connections: {found['seen']['connections']}",
        f"- Orders accepted: {found['orders']:,}; not in MariaDB: {found['orders_lost']}; twice: "
        f"{found['orders_doubled']}; trades: {found['rows']['trades']:,}",
        f"- MariaDB, Redis and NATS had everything {found['caught_up_s']:.1f} s after the last order",
        "- Memory: " + ("too short a run for a slope" if grows is None else f"{grows:+.0f} MB an hour"),
        f"- Result: {'; '.join(wrong) or 'nothing lost, nothing twice'}",
        "",
        "| minute | delay of ticks p50, ms | p99, ms | max, ms | memory, MB | CPU, % of a core | ticks/s to a client "
        "| orders | what went wrong in it |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]  # fmt: skip
    for place, minute in enumerate(noted, 1):
        lines.append(
            f"| {place} | {ms(minute.p50_ms)} | {ms(minute.p99_ms)} | {ms(minute.max_ms)} | {minute.memory_mb:.0f} "
            f"| {minute.cpu:.0f} | {minute.ticks:,} | {minute.orders:,} | {'; '.join(minute.faults)} |"
        )
    return "\n".join(lines) + "\n"


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Everything at once, with faults.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    parser.add_argument("--output", type=Path, help="the page to write")
    options = parser.parse_args(given)
    described = machine()
    noted, found = asyncio.run(soak(options.minutes, options.seed))
    wrong = failures(found)
    text = page(noted, found, described, wrong)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
