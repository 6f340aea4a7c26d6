"""Write docs/performance.md from bench/RESULTS.md and bench/SOAK.md."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.growth import CLIENTS, FIGURES, RATES, SECTION, SHARES

BENCH = Path(__file__).resolve().parents[1] / "bench"
PAGE = Path(__file__).with_name("performance.md")
NOTHING = "not measured yet"
HEAD = """# Performance

Written by `docs/write_performance.py` from [bench/RESULTS.md](../bench/RESULTS.md), where it is told how each figure is
measured, and [bench/SOAK.md](../bench/SOAK.md). Each cell: VnPy Core / vnpy_webtrader, medians, on the machine named
there, which the clients share. What is not better than the peer is as visible as what is.

The bounds that VnPy Core set out with: an answer of the API within 100 ms, an event delayed by less than 50 ms.
"""


def page(results: str, soak: str | None) -> str:
    """Return the page. ``results`` and ``soak`` are the texts of the two files; ``soak`` none: it was not run."""
    cells = dict(_cells(results))
    machine = [line for line in results.splitlines() if line.startswith("- ")][:3]
    parts = [HEAD, "\n".join(machine) + "\n"]
    for what in FIGURES.values():
        parts.append(_table(f"{what[0].upper()}{what[1:]}, ms", _delays(cells, what)))
    parts.append(_table("Memory of the server, MB", _alone(cells, "memory")))
    parts.append(_table("CPU of the server, % of a core", _alone(cells, "CPU of the server")))
    parts.append('Again: `make bench ARGS="--only growth"`. All sections: `make bench`.\n')
    told = NOTHING if soak is None else soak.partition("\n\n")[2].replace("Written by `make soak`.\n\n", "")
    parts.append(f"## Soak\n\nEverything at once, with faults at random: `make soak`.\n\n{told.strip()}\n")
    return "\n".join(parts)


def _cells(results: str) -> Iterator[tuple[str, str]]:
    """Return of each row of the section what it is of, and the medians of both sides."""
    section = results.partition(f"### {SECTION}\n")[2].partition("\n#")[0]
    for line in section.splitlines():
        columns = [column.strip() for column in line.split("|")[1:-1]]
        if len(columns) >= 3 and columns[0] and not set(columns[0]) <= set("-: "):
            name = columns[0].rpartition(", ")[0]
            yield name, f"{_median(columns[1])} / {_median(columns[2])}"


def _median(cell: str) -> str:
    return re.split(r"[ (]", cell or "–")[0]


def _delays(cells: dict[str, str], what: str) -> tuple[list[str], Iterable[list[str]]]:
    heads = ["clients", *(f"{rate:,} ticks/s: {name}" for rate in RATES for _, name in SHARES)]
    columns = [f"{rate:,} ticks/s: {what}, {name}" for rate in RATES for _, name in SHARES]
    return heads, [
        [str(clients), *(cells.get(f"{clients} clients, {column}", "–") for column in columns)] for clients in CLIENTS
    ]


def _alone(cells: dict[str, str], what: str) -> tuple[list[str], Iterable[list[str]]]:
    rows = (
        [str(clients)] + [cells.get(f"{clients} clients, {rate:,} ticks/s: {what}", "–") for rate in RATES]
        for clients in CLIENTS
    )
    return ["clients", *(f"{rate:,} ticks/s" for rate in RATES)], rows


def _table(title: str, found: tuple[list[str], Iterable[list[str]]]) -> str:
    heads, rows = found
    lines = [f"## {title}", "", f"| {' | '.join(heads)} |", "|" + "---:|" * len(heads)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    soak = BENCH / "SOAK.md"
    told = soak.read_text(encoding="utf-8") if soak.exists() else None
    PAGE.write_text(page((BENCH / "RESULTS.md").read_text(encoding="utf-8"), told), encoding="utf-8")
