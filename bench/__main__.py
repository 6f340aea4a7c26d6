"""``python -m bench``: run the benchmarks, print one table of ratios, write it to RESULTS.md."""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.servers.base import ProgramMissing

from bench import alerts, engines, growth, live, outage, stall, stores, strategies
from bench.live import Plan
from bench.processes import CLIENT_CORES, BenchError
from bench.report import Row, machine, table
from bench.servers import SYMBOLS

SECTIONS: dict[str, Callable[[Plan], list[Row]]] = {
    "events": engines.events,
    "history": engines.history,
    "spool": engines.spool,
    "metrics": engines.metrics,
    "sql": stores.sql,
    "influx": stores.influx,
    "cache": stores.cache,
    "ws": live.ws,
    "http": live.http,
    "stall": stall.stall,
    "strategies": strategies.strategies,
    "start": live.start,
    "outage": outage.outage,
    "growth": growth.growth,
    "alerts": alerts.alerts,
}
RESULTS = Path(__file__).with_name("RESULTS.md")
HOW = """\
## How it was run

Each figure is the median over the rounds, with the smallest and the largest beside it. A round measures one side and
then the other (A B A B …), never both at once. "Times better" is the ratio of the two medians: 2 means twice the rate,
or half the time.

- **Event engine**: one thread puts 200,000 events, half of them of a type nobody listens to, as a gateway's ticks are;
  "ready" events are made before the clock runs. Our engine isolates its handlers and measures itself, as ever.
- **History store**: through vn.py's database interface, one series a round, loaded back as `BarData` and compared.
- **Tick spool**: ticks with five levels (0.8 kB of JSON), 250 a frame, against a plain file in writes of the same
  size; drained with bars into a store in memory. The loop is measured beside 10,000 ticks a second, told in bursts of
  1 ms and stored in DuckDB, against the same without recording.
- **Metrics**: CPU time with everything that counts and without it, in many short turns of either side. Ticks go from
  the gateway's put to ten clients that take all, with an order in a hundred; requests are answered over a socket with a
  list that is kept, which is the cheapest answer there is. The target is a cost of 2 %.
- **SQL recorder**: facts that are in the journal, into an empty database of a private server that flushes every commit
  to disk, until none is left; the main loop has nothing else to do. "A row each": filled orders and their trades;
  "lives": all that is told of orders from their sending to their fill, several facts of one row.
- **InfluxDB**: ticks with five levels, given as numpy columns, which the store makes into lines while the clock runs;
  the loader posts lines, as they are or packed, that were made before. New series each time, one of them read back.
- **Alerts**: `vnpy-core run` as below, without a channel, and with ten alerts that are told again every second to a
  channel that takes connections and never answers.
- **State cache**: a private Redis; "there" is when it has acknowledged.
- **VnPy Core**: `vnpy-core run`, one process, every default kept but three: the simulated market and the demo
  strategy are replaced by `bench.gateway.BenchGateway`, and the limits of vn.py's RiskManager are lifted, because they
  would refuse the load (the rules still run). Start and memory are measured with no configuration at all.
- **vnpy_webtrader**: its two processes as its own window starts them: a headless vn.py with `BenchGateway` and its
  `WebEngine` alone (no other app, no risk rules, no log to disk or screen), and `python -m uvicorn` with uvicorn's
  defaults (uvloop, httptools, websockets). Its event loop is set when the application starts
  (`bench/peer_webtrader.py`), since under this uvicorn its WebSocket push delivers nothing otherwise; nothing else is
  changed. The clients log in at `/token`.
- **The load** is the same for both: {symbols} symbols, whole ticks with five levels, pushed by a thread of the gateway
  in the engine's process on an absolute schedule of 1 ms bursts. A tick carries its moment of creation (nanoseconds of
  the machine's monotonic clock, in `turnover`), and one picows process with {clients} connections on core {core} reads
  it out of the raw frame: latency is from the tick's creation to its arrival in the client. A tick counts as delivered
  if it arrives within {drain:g} s of the feed's end. Each feed lasts {feed:g} s, after a warm-up.
- **One that has stopped**: {stalled} clients read {mixed:,} events a second for {stall:g} s, 100 of them facts, alone
  and beside one that has subscribed to the same and reads nothing. {timed} of them time each arrival, all count.
- **Requests**: `GET` by {reader} with {connections} connections, of the 1,000 orders that rest since the gateway
  connected. VnPy Core repeats the bytes of a list until one of its rows changes; in the second row they change all the
  time. `POST` by a small asyncio client, every order different, of the type FAK, which the gateway answers with
  "cancelled" at once: vn.py's own book-keeping gets slower with every order that rests, which would be measured
  otherwise.
- **Outages**: the same service with MariaDB, Redis, InfluxDB and NATS, private ones on this machine and with
  every time-out as it is by default, recording every tick. "Peer" is the same process while all of them are up. What is
  measured begins the moment they are frozen (SIGSTOP) or killed. Requests are sent while {ticks:,} ticks/s flow;
  a feed lasts {outage:g} s.
- **How it grows**: for each number of WebSocket clients a server of its own, each rate in turn; while the ticks flow,
  one connection asks for the 1,000 orders, then sends orders. Memory is what is resident after that rate.
- **Strategies**: a service anew for each number of them, spread over the symbols, every default kept but the gateway
  and the risk limits; the three official classes in turn, or one that calls `put_event` at each tick. The lag is from
  the put of an event to its turn, as the service itself measures it (`GET /api/v1/system/status`).
- **Memory** is the resident memory of all processes of a side, {idle:g} s after it was ready.
"""


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="VnPy Core beside its peers.")
    parser.add_argument("--only", help=f"comma-separated, of {', '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument("--quick", action="store_true", help="one short round, under two minutes")
    parser.add_argument("--side", choices=("product", "peer"), help="measure one of the two services alone")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--output", type=Path, help="the file to write; default: RESULTS.md after a complete run")
    parser.add_argument("--seconds", type=float, help="how long a run of the section stall takes; default 8")
    options = parser.parse_args(given)
    wanted = options.only.split(",") if options.only else list(SECTIONS)
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    options.sections = [name for name in SECTIONS if name in wanted]
    return options


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    # An end by SIGTERM unwinds as Ctrl-C does, so that no server is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.quick:
        plan = Plan(
            rounds=options.rounds or 1, feed_s=2, drain_s=4, rates=(1_000, 10_000), http_s=1, idle_s=3, stall_s=5
        )
    else:
        plan = Plan(rounds=options.rounds or 3)
    if options.seconds:
        plan = replace(plan, stall_s=options.seconds)
    if options.side:
        plan = replace(plan, sides=(options.side,))
    described, began = machine(), time.monotonic()
    rows: list[Row] = []
    failed: list[str] = []
    skipped: list[str] = []
    for name in options.sections:
        print(f"{name} …", file=sys.stderr, flush=True)
        section_began = time.monotonic()
        try:
            rows += SECTIONS[name](plan)
            print(f"{name} took {time.monotonic() - section_began:.0f} s", file=sys.stderr, flush=True)
        except ProgramMissing as error:
            print(f"{name} is skipped: {error}", file=sys.stderr, flush=True)
            skipped.append(f"Skipped: {name}, {error}")
        except (BenchError, OSError, subprocess.SubprocessError) as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            failed.append(name)
    page = render(rows, described + skipped, plan, time.monotonic() - began)
    print(page)
    complete = options.sections == list(SECTIONS) and not (options.quick or options.side or failed)
    output = options.output or (RESULTS if complete else None)
    if output is not None:
        output.write_text(page, encoding="utf-8")
    missed = [row for row in rows if row.met is False]
    for row in missed:
        print(f"missed: {row.section}: {row.what} (target {row.target})", file=sys.stderr)
    if failed:
        print(f"could not be measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed or (missed and options.check) else 0


def render(rows: list[Row], described: list[str], plan: Plan, seconds: float) -> str:
    how = HOW.format(
        symbols=len(SYMBOLS),
        clients=live.CLIENTS,
        core=CLIENT_CORES[0],
        drain=plan.drain_s,
        feed=plan.feed_s,
        reader="wrk (1 thread)" if shutil.which("wrk") else "a small asyncio client (wrk is not installed)",
        connections=live.GET_CONNECTIONS,
        idle=plan.idle_s,
        stalled=stall.CLIENTS,
        timed=stall.TIMED,
        mixed=stall.EVENTS_PER_S,
        stall=plan.stall_s,
        ticks=outage.TICKS_PER_S,
        outage=min(plan.feed_s, outage.FEED_S),
    )
    described = [*described, f"Rounds: {plan.rounds}, in turn; the run took {seconds:.0f} s"]
    facts = "\n".join(f"- {line}" for line in described)
    return f"# Benchmark results\n\nWritten by `make bench`.\n\n{facts}\n\n{table(rows)}\n{how}"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
