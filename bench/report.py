"""Rows of the table: what was measured on both sides, the ratio of the medians, and whether the target is met."""

import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from bench.processes import ROOT


@dataclass(frozen=True)
class Target:
    """``ratio``: at least so many times better than the peer; ``at_least``, ``at_most``: of our own median."""

    ratio: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        limits = ((self.ratio, "≥ {:g} times"), (self.at_least, "≥ {:g}"), (self.at_most, "≤ {:g}"))
        return " and ".join(text.format(value) for value, text in limits if value is not None)


@dataclass(frozen=True)
class Row:
    """One line of the table; the samples are one a round, in the order they were taken."""

    section: str
    what: str
    unit: str
    better: Literal["higher", "lower"]
    product: Sequence[float]
    peer: Sequence[float] = ()
    peer_name: str = ""
    target: Target | None = field(default=None)

    @property
    def ratio(self) -> float | None:
        """How many times better the product is, by the medians."""
        if not self.peer or not self.product:
            return None
        ours, theirs = statistics.median(self.product), statistics.median(self.peer)
        better, worse = (ours, theirs) if self.better == "higher" else (theirs, ours)
        return better / worse if worse else None

    @property
    def met(self) -> bool | None:
        """None when there is no target, or nothing to compare with."""
        if self.target is None or (self.target.ratio is not None and not self.peer):
            return None
        if not self.product:
            return False
        ours = statistics.median(self.product)
        return (
            (self.target.ratio is None or (self.ratio is not None and self.ratio >= self.target.ratio))
            and (self.target.at_least is None or ours >= self.target.at_least)
            and (self.target.at_most is None or ours <= self.target.at_most)
        )


def table(rows: Iterable[Row]) -> str:
    """Return ``rows`` as Markdown, one table a section."""
    lines: list[str] = []
    section = None
    for row in rows:
        if row.section != section:
            section = row.section
            lines += ["", f"### {section}", ""]
            lines += ["| | VnPy Core | peer | times better | target | |", "|---|---:|---:|---:|---:|---|"]
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        met = {None: "", True: "met", False: "**missed**"}[row.met]
        theirs = f"{spread(row.peer)} ({row.peer_name})" if row.peer else ""
        target = "" if row.target is None else str(row.target)
        lines.append(f"| {row.what}, {row.unit} | {spread(row.product)} | {theirs} | {ratio} | {target} | {met} |")
    return "\n".join(lines).strip() + "\n"


def spread(samples: Sequence[float]) -> str:
    """Return the median and the range: ``median (min-max)``."""
    if not samples:
        return "–"
    middle = number(statistics.median(samples))
    return middle if len(samples) == 1 else f"{middle} ({number(min(samples))}–{number(max(samples))})"


def number(value: float) -> str:
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def machine() -> list[str]:
    """Return what the figures depend on, one line each."""
    described = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in described if "model name" in line), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    names = ("vnpy", "vnpy_webtrader", "vnpy_sqlite", "uvicorn", "uvloop", "picows", "duckdb")
    packages = ", ".join(f"{name} {found}" for name in names if (found := installed(name)) is not None)
    return [
        f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, git {revision()}",
        f"Machine: {len(os.sched_getaffinity(0))} cores of {model}, {memory:.0f} GiB; load average at the start: "
        f"{os.getloadavg()[0]:.1f}",
        f"System: {platform.system()} {platform.release()}, Python {platform.python_version()}; {packages}",
    ]


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def revision() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "src", "bench", ":!bench/RESULTS.md")
        return git("rev-parse", "--short=12", "HEAD") + (" with uncommitted changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
