"""What goes to a server of its own kind: facts into SQL, ticks into InfluxDB, the latest state into Redis.

Each section runs in a process of its own, with servers of the tests that it starts and ends itself.
"""

from tests.servers import Influx, MariaDb, Postgres, Redis
from tests.servers.base import find_program

from bench.engines import run
from bench.live import Better, Plan
from bench.report import Row, Target

FACTS = Target(at_least=10_000)
LOADED = Target(ratio=0.8)
CACHE: tuple[tuple[str, str, str, Better, Target | None], ...] = (
    ("rebuild_entries_s", "write 100,000 orders anew", "entries/s", "higher", None),
    ("rebuild_loop_late_ms", "the loop meanwhile: latest", "ms", "lower", None),
    ("feed_hand_over_us", "hand over a tick, of 10,000 a second", "µs", "lower", Target(at_most=2)),
    ("feed_cpu_percent", "10,000 ticks/s: CPU of the process", "% of a core", "lower", None),
    ("frozen_hand_over_us", "hand over a tick while Redis is frozen", "µs", "lower", Target(at_most=2)),
    ("frozen_loop_late_ms", "the loop while Redis is frozen: latest", "ms", "lower", None),
    ("lone_order_p50_ms", "a lone order is there: p50", "ms", "lower", None),
    ("lone_order_p99_ms", "a lone order is there: p99", "ms", "lower", None),
    ("steady_orders_p99_ms", "1,000 orders a second are there: p99", "ms", "lower", None),
)


def sql(plan: Plan) -> list[Row]:
    """Facts from the journal into empty databases, by the recorder."""
    for kind in (MariaDb, Postgres):
        find_program(kind.program)
    rows = []
    for what, sides in run("sql", plan.rounds).items():
        if what.startswith("facts"):
            target = FACTS if "MariaDB" in what else None
            rows.append(Row("SQL recorder", what, "facts/s", "higher", sides["product"], target=target))
        else:
            rows.append(Row("SQL recorder", what, "ms", "lower", sides["product"]))
    return rows


def influx(plan: Plan) -> list[Row]:
    """Ticks by the history store, beside a loader of line protocol that was made before."""
    find_program(Influx.program)
    return [
        Row("InfluxDB", "save ticks", "ticks/s", "higher", sides["product"], sides["peer"], f"{loader} lines", LOADED)
        for loader, sides in run("influx", plan.rounds).items()
    ]


def cache(plan: Plan) -> list[Row]:
    """The latest state into Redis: how fast, at what cost to the loop, how soon."""
    find_program(Redis.program)
    found = run("cache", plan.rounds)
    return [
        Row("State cache in Redis", what, unit, better, found[key]["product"], target=target)
        for key, what, unit, better, target in CACHE
    ]
