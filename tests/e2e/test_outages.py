"""Every server is killed, frozen and restarted, and the service killed, while a gateway tells of orders and ticks.

Afterwards each of them has what the gateway has produced: nothing is lost, and nothing is there twice. What was done
and found is printed (``pytest -s``) as the table of docs/durability.md.
"""

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis as RedisClient

from tests.bus_outside import NatsOutside, once
from tests.e2e.parts import script
from tests.e2e.parts.venue import steps_told
from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_replay import every
from tests.servers import Influx, MariaDb, Nats, Redis, Server
from vnpy_core.bus.memory import Delivery
from vnpy_core.events import INTERNAL_TOPICS, frame_of

Start = Callable[..., ServiceProcess]

STEPS_PER_SECOND = 250
FROZEN_S = 20.0
# What the last batch of ticks, not yet in the spool at a kill -9, may be of.
UNSPOOLED_S = 0.2
ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
demo = false
[gateways.VENUE]
class = "tests.e2e.parts.venue.ScriptedGateway"
auto_connect = true
reconcile = "off"
[gateways.VENUE.setting]
file = "{venue}"
steps_per_second = {rate}
[database]
url = "{mariadb}"
timeout_s = 3.0
[cache]
url = "{redis}"
[registry]
url = "{redis}"
heartbeat_s = 1.0
ttl_s = 10.0
[history]
url = "influx+{influx}"
timeout_s = 3.0
record_ticks = true
flush_interval_ms = 100
[bus]
url = "{nats}"
prefix = "{prefix}"
timeout_s = 3.0
"""


class Drama:
    """Does things to the servers and the service when the venue's file has come to a step."""

    def __init__(self, service: Start, config: str, venue: Path) -> None:
        self._start = service
        self._venue = venue
        self._frozen: dict[str, float] = {}
        self.core = service(config, python_path=ROOT)
        # From when on the ticks may be lost, and the steps that the venue had told when the process was gone.
        self.kills: list[tuple[int, int]] = []
        self.down: Counter[str] = Counter()

    def wait_for(self, step: int) -> None:
        eventually(lambda: self._steps() > step, 120, f"step {step}")

    def _steps(self) -> int:
        assert self.core.process is not None
        assert self.core.process.poll() is None, self.core.printed()[-4000:]
        return self._steps_so_far()

    def _steps_so_far(self) -> int:
        return self._venue.read_bytes().count(b"\n") if self._venue.exists() else 0

    def freeze(self, server: Server) -> None:
        server.freeze()
        self._frozen[server.program] = time.monotonic() + FROZEN_S

    def thaw(self, server: Server) -> None:
        """Wait until it has been frozen for long enough."""
        eventually(lambda: time.monotonic() > self._frozen[server.program], FROZEN_S + 1)
        server.thaw()

    def kill_service(self) -> None:
        held_up_s = lateness()
        killed = time.monotonic()
        self.core.kill()
        self.kills.append((int((killed - UNSPOOLED_S - held_up_s) * 1e9), self._steps_so_far()))
        self.core = self._start(python_path=ROOT)

    def note_who_is_down(self) -> None:
        found = self.core.get("/health/ready")
        assert found["ready"], found
        self.down.update(one["name"] for one in found["dependencies"] if one["state"] != "UP")


def lateness() -> float:
    """Return for how long, at most, this machine keeps a process waiting that wants nothing but its turn."""
    worst_s = 0.0
    for _ in range(50):
        began = time.monotonic()
        time.sleep(0.005)
        worst_s = max(worst_s, time.monotonic() - began - 0.005)
    return worst_s


def play(drama: Drama, mariadb: MariaDb, redis: Redis, influx: Influx, nats: Nats) -> None:
    """Each server in turn; what is done to one of them goes on while it is the next one's turn."""
    acts: list[tuple[int, Callable[[], object]]] = []
    for place, server in enumerate((mariadb, redis, influx, nats)):
        begin = 500 + 1500 * place
        acts += [
            (begin, server.kill),
            (begin + 600, drama.note_who_is_down),
            (begin + 700, server.start),
            (begin + 1000, lambda server=server: drama.freeze(server)),  # type: ignore[misc]
            (begin + 2000, drama.note_who_is_down),
            (begin + 6000, lambda server=server: drama.thaw(server)),  # type: ignore[misc]
            (12_500 + 1000 * place, server.restart),
        ]
    # Of those that are frozen, InfluxDB and NATS are at the first one.
    acts += [(8500, drama.kill_service), (16_500, drama.kill_service)]
    for step, act in sorted(acts, key=lambda entry: entry[0]):
        drama.wait_for(step)
        act()
    drama.wait_for(script.STEPS - 1)


@pytest.mark.timeout(400)
async def test_all_that_was_produced_is_everywhere_once(service: Start, tmp_path: Path) -> None:
    venue = tmp_path / "venue.txt"
    with ExitStack() as stack:
        mariadb, redis, influx, nats = (stack.enter_context(kind()) for kind in (MariaDb, Redis, Influx, Nats))
        outside = NatsOutside(nats)
        database = mariadb.new_database()
        config = CONFIG.format(
            venue=venue, rate=STEPS_PER_SECOND, mariadb=database, redis=redis.url, influx=influx.url, nats=nats.url,
            prefix=outside.prefix,
        )  # fmt: skip
        async with outside.follow() as inbox:
            drama = await asyncio.to_thread(Drama, service, config, venue)
            await asyncio.to_thread(play, drama, mariadb, redis, influx, nats)
            core = drama.core
            await asyncio.to_thread(eventually, lambda: has_caught_up(core), 60, "all sinks have caught up")
            await asyncio.to_thread(eventually, lambda: cached(redis, core) == shown(core), 30, "the cache has")
            assert is_listed(redis, core)
            tick_status = core.get("/api/v1/system/status")["history"]
            assert await asyncio.to_thread(core.stop) == 0
            facts = journaled(core.data_dir / "journal.db")
            await inbox.until(lambda seen: len({one.id for one in seen}) >= len(facts), 60)

        assert set(drama.down) >= {"database", "sink.sql", "sink.cache", "registry", "history", "bus", "sink.bus"}
        check_bus(inbox.seen, facts)
        states_overtaken = check_facts(facts)
        check_sql(mariadb, database.rpartition("/")[2])
        lost = check_points(influx, steps_told(venue), drama.kills)
        assert tick_status["dropped"] + tick_status["refused"] + tick_status["damaged"] == 0
    print(f"\nstates of orders that a later one had overtaken when they were told again: {states_overtaken}")
    print(f"messages: {len(inbox.seen)}, of which {len(inbox.seen) - len(facts)} came twice")
    print(f"ticks lost at each kill -9: {lost}, of {STEPS_PER_SECOND * script.TICKS_A_STEP} a second")


def has_caught_up(core: ServiceProcess) -> bool:
    status = core.get("/api/v1/system/status")
    waiting = status["journal"]["pending"] + status["history"]["pending"] + sum(sink["lag"] for sink in status["sinks"])
    return not waiting and status["history"]["healthy"] and all(sink["healthy"] for sink in status["sinks"])


# What is known to the service and to other services beside it


def shown(core: ServiceProcess) -> dict[str, Any]:
    return {f"vnpy_core:order:{order['vt_orderid']}": order for order in every(core, "orders")}


def cached(server: Redis, core: ServiceProcess) -> dict[str, Any]:
    with RedisClient.from_url(server.url, decode_responses=True) as client:
        keys: Any = list(client.scan_iter("vnpy_core:order:*", count=10_000))
        values: Any = client.mget(keys) if keys else []
    return {key: msgspec.json.decode(value) for key, value in zip(keys, values, strict=True)}


def is_listed(server: Redis, core: ServiceProcess) -> bool:
    key = f"vnpy-core:127.0.0.1:{core.url.rpartition(':')[2]}"
    with RedisClient.from_url(server.url, decode_responses=True) as client:
        return client.hget(f"redfire:services:{key}", "status") == "HEALTHY"


def journaled(path: Path) -> list[tuple[str, bytes]]:
    """Return topic and event of every fact that others may see, in the order of their numbers."""
    with closing(sqlite3.connect(path)) as journal:
        rows = journal.execute("SELECT seq, topic, ts, payload FROM facts ORDER BY seq").fetchall()
    return [(topic, frame_of(seq, topic, ts, payload)) for seq, topic, ts, payload in rows if is_public(topic)]


def is_public(topic: str) -> bool:
    return topic not in INTERNAL_TOPICS


# What must be found


def check_bus(seen: list[Delivery], facts: list[tuple[str, bytes]]) -> None:
    """A consumer that passes over known ids has seen what the journal has, in its order."""
    found = [(one.topic, one.body) for one in once(seen)]
    assert len(found) == len(facts)
    assert found == facts


def check_facts(facts: list[tuple[str, bytes]]) -> int:
    """Each fill and each order is told once, an order's states in their order; return how many of these are missing.

    Only the last state of an order can be asked for after a crash: one before it, which nobody had been shown, is not
    told any more.
    """
    events: dict[str, list[dict[str, Any]]] = {}
    for topic, frame in facts:
        events.setdefault(topic, []).append(msgspec.json.decode(frame)["data"])
    trades = [trade["tradeid"] for trade in events["trade.executed"]]
    assert sorted(trades) == sorted(tradeid for tradeid, _ in script_trades())
    told: dict[int, list[tuple[str, float]]] = {}
    for order in events["order.updated"]:
        told.setdefault(int(order["orderid"]), []).append((order["status"], order["traded"]))
    missing = 0
    for number in range(script.ORDERS):
        lived = [(state.status, float(state.traded)) for state in script.states(number)]
        assert told[number] == [state for state in lived if state in told[number]]
        assert told[number][-1] == lived[-1]
        missing += len(lived) - len(told[number])
    assert len(told) == script.ORDERS
    assert events["position.updated"][-1]["volume"] == script.ORDERS
    assert events["account.updated"][-1]["balance"] == 1e9 - script.ORDERS
    return missing


def check_sql(server: MariaDb, database: str) -> None:
    columns = "vt_orderid, symbol, price, volume, traded, status, datetime"
    assert sorted(rows(server, database, "orders", columns)) == sorted(
        (
            f"VENUE.{number}", script.symbol(number), script.price(number), float(script.volume(number)),
            float(script.volume(number)), "ALLTRADED", f"{script.moment(number):%Y-%m-%d %H:%M:%S.%f}",
        )
        for number in range(script.ORDERS)
    )  # fmt: skip
    assert sorted(rows(server, database, "trades", "vt_tradeid, vt_orderid, price, volume")) == sorted(
        (f"VENUE.{tradeid}", f"VENUE.{state.number}", script.price(state.number), float(state.fill))
        for tradeid, state in script_trades()
    )
    held = (script.SYMBOLS[0], float(script.ORDERS))
    assert rows(server, database, "positions", "symbol, volume") == [held]
    assert rows(server, database, "accounts", "balance") == [(1e9 - script.ORDERS,)]
    assert rows(server, database, "dead_letters", "*") == []


def script_trades() -> Iterator[tuple[str, script.State]]:
    for number in range(script.ORDERS):
        yield from ((state.tradeid, state) for state in script.states(number) if state.fill)


def rows(server: MariaDb, database: str, table: str, columns: str) -> list[tuple[str | float, ...]]:
    def value(text: str) -> str | float:
        try:
            return float(text)
        except ValueError:
            return text

    lines = server.execute(f"SELECT {columns} FROM {table}", database).splitlines()  # noqa: S608
    return [tuple(map(value, line.split("\t"))) for line in lines]


def check_points(server: Influx, told: list[int], kills: list[tuple[int, int]]) -> list[int]:
    """Return how many ticks are lost at each kill: of the last moment before it, and no others.

    What is there was produced, with its time and values, and is there once.
    """
    found: dict[int, tuple[int, float]] = {}
    count = 0
    for symbol in script.SYMBOLS:
        statement = f"SELECT volume, last_price FROM vnpy_core..tick_data WHERE symbol = '{symbol}'"  # noqa: S608
        answer = json.loads(server.execute(statement, epoch="u"))
        for series in answer["results"][0].get("series", []):
            count += len(series["values"])
            found |= {int(number): (moment, price) for moment, number, price in series["values"]}
    assert count == len(found)
    expected = {
        number: (int(script.tick_moment(number).timestamp() * 1e6), script.price(number))
        for number in range(script.TICKS)
    }
    missing = expected.keys() - found.keys()
    assert found == {number: expected[number] for number in expected.keys() - missing}
    lost = []
    for since_ns, steps in kills:
        last = {number for step in range(steps) if told[step] >= since_ns for number in script.ticks_at(step)}
        lost.append(len(missing & last))
        missing -= last
    assert not missing
    return lost
