"""What the soak says of a run, and the page that is written from the figures."""

from pathlib import Path

import pytest
from bench.soak import Minute, failures, slope
from docs.write_performance import page

BENCH = Path(__file__).resolve().parents[2] / "bench"
WELL = {
    "lost": 0, "doubled": 0, "orders": 9, "orders_lost": 0, "orders_doubled": 0, "everyone": True,
    "rows": {"orders": 9, "trades": 5}, "rows_missing": {"orders": 0, "trades": 0},
}  # fmt: skip
RESULTS = """# Benchmark results

- Date: one
- Machine: two
- System: three
- Rounds: 2

### How it grows

| | VnPy Core | peer | times better | target | |
|---|---:|---:|---:|---:|---|
| 10 clients, 1,000 ticks/s: delay of a tick, p99, ms | 0.5 (0.4–0.6) | 1,250 (9–1,300) (vnpy_webtrader) | 2 |  |  |
| 50 clients, 100 ticks/s: memory, MB | 250 |  |  |  |  |

## How it was run
"""


def minute(memory_mb: float) -> Minute:
    return Minute(1.0, 2.0, 3.0, memory_mb, 50.0, 5000, 3000, [])


def test_a_run_that_lost_nothing_is_well() -> None:
    assert failures(WELL) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"lost": 1}, {"doubled": 1}, {"orders_lost": 1}, {"orders_doubled": 1}, {"everyone": False}, {"orders": 0},
        {"rows": {"orders": 9, "trades": 0}}, {"rows_missing": {"orders": 0, "trades": 1}},
    ],
)  # fmt: skip
def test_whatever_is_missing_or_doubled_is_a_failure(wrong: dict[str, object]) -> None:
    assert len(failures(WELL | wrong)) == 1


def test_the_slope_of_the_memory_leaves_out_the_first_fifth() -> None:
    assert slope([minute(each) for each in (100, 900, *range(1000, 1008))]) == pytest.approx(60)
    assert slope([minute(1), minute(2)]) is None


def test_each_figure_is_in_its_cell() -> None:
    written = page(RESULTS, None)
    delays, _, rest = written.partition("## GET")
    assert "| 10 | – | – | – | – | 0.5 / 1,250 | – | – | – | – |" in delays
    assert "| 50 | 250 / – | – | – |" in rest
    assert "not measured yet" in rest


def test_the_page_is_as_the_figures_are() -> None:
    soak = BENCH / "SOAK.md"
    told = soak.read_text(encoding="utf-8") if soak.exists() else None
    found = (BENCH.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    assert found == page((BENCH / "RESULTS.md").read_text(encoding="utf-8"), told), "run: make docs"
