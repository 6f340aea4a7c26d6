"""The parts that need no service, each run in a process and a folder of its own: the event engine, and the history."""

import json
import sys
from collections.abc import Mapping, Sequence

from bench.live import Plan, temporary_folder
from bench.processes import BenchError, Process
from bench.report import Row, Target
from bench.servers import VN_SETTING

TIMEOUT_S = 300
# vn.py is imported in the child alone: it takes its folder from the working folder and resets signal handlers.
CHILD = """\
import json, sys
from bench.{module} import measure
print("\\n" + json.dumps(measure(rounds={rounds})))
"""
Measured = Mapping[str, Mapping[str, Sequence[float]]]


def events(plan: Plan) -> list[Row]:
    """Events of vn.py's own engine and of ours, put by one thread and handled by the engine's."""
    return [
        Row("Event engine", what, "events/s", "higher", sides["product"], sides["peer"], "vn.py", Target(ratio=2.5))
        for what, sides in run("event_engine", plan.rounds + 2).items()
    ]


def history(plan: Plan) -> list[Row]:
    """Bars saved to and loaded from vn.py's database object, ours on DuckDB and vnpy_sqlite's."""
    return [
        Row("History store", what, "bars/s", "higher", sides["product"], sides["peer"], "vnpy_sqlite", target_of(what))
        for what, sides in run("history", plan.rounds).items()
    ]


def spool(plan: Plan) -> list[Row]:
    """Ticks into the spool beside a plain file of the same bytes, and what recording them costs the loop."""
    units = {"append": ("ticks/s", "higher", "plain file"), "drain": ("ticks/s", "higher", "")}
    units |= {"hand": ("µs/tick", "lower", "not recording"), "lateness": ("ms", "lower", "not recording")}
    targets = {"append": Target(at_least=100_000), "drain": Target(at_least=20_000), "hand": Target(at_most=2)}
    rows = []
    for what, sides in run("spool", plan.rounds).items():
        kind = what.split()[0]
        unit, better, peer = units[kind]
        rows.append(
            Row("Tick spool", what, unit, better, sides["product"], sides["peer"], peer, targets.get(kind))
        )
    return rows


def metrics(plan: Plan) -> list[Row]:
    """What metrics cost a tick and a request, and what a scrape costs."""
    rows = []
    for what, sides in run("metrics", plan.rounds).items():
        is_scrape = not sides["peer"]
        unit, peer = ("ms of CPU", "") if is_scrape else ("µs of CPU each", "no metrics")
        target = Target(at_most=20) if is_scrape else Target(ratio=0.98)
        rows.append(Row("Metrics", what, unit, "lower", sides["product"], sides["peer"], peer, target))
    return rows


def target_of(what: str) -> Target | None:
    """Of the whole series, saved once and loaded; the other rows are for information."""
    if "again" in what or "day" in what:
        return None
    return Target(ratio=10 if what.startswith("save") else 8)


def run(module: str, rounds: int) -> Measured:
    """Return what ``bench.<module>.measure`` found, the samples of each side by what was measured."""
    with temporary_folder() as folder:
        (folder / ".vntrader").mkdir()
        (folder / ".vntrader" / "vt_setting.json").write_text(json.dumps(VN_SETTING))
        command = [sys.executable, "-c", CHILD.format(module=module, rounds=rounds)]
        environment = {"HOME": str(folder), "TZ": VN_SETTING["database.timezone"]}
        with Process(module, command, folder, environment, piped=True) as process:
            output, _ = process.popen.communicate(timeout=TIMEOUT_S)
            if process.popen.returncode:
                raise BenchError(f"bench.{module} failed:\n{process.last_lines()}")
    found: Measured = json.loads(output.splitlines()[-1])
    return found
