"""The registry of metrics: read at once by name, in the format of Prometheus, and in spite of a source that fails."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from vnpy_core.instruments import Histogram
from vnpy_core.monitoring.catalogue import METRICS, TABLES_HEADING, full_names, render_catalogue
from vnpy_core.monitoring.families import distribution, family
from vnpy_core.monitoring.registry import MetricsRegistry


def test_a_snapshot_has_every_sample_by_name_and_labels() -> None:
    registry = MetricsRegistry()
    registry.add("sinks", lambda: [family("sink_lag_facts", {"sql": 42, "bus": 0}), family("ready", True)])
    registry.add("gateways", lambda: [family("gateway_state", {("SIM", "CONNECTED"): True})])
    found = registry.snapshot()
    assert found["vnpy_core_sink_lag_facts", (("sink", "sql"),)] == 42
    assert found["vnpy_core_ready", ()] == 1
    assert found["vnpy_core_gateway_state", (("gateway", "SIM"), ("state", "CONNECTED"))] == 1


def test_a_source_that_fails_is_counted_and_the_others_are_told() -> None:
    def fails() -> Iterable[Metric]:
        raise OSError("gone")

    registry = MetricsRegistry()
    registry.add("bad", fails)
    registry.add("good", lambda: [family("unknown_orders", 3)])
    for count in (1, 2):
        found = registry.snapshot()
        assert found["vnpy_core_unknown_orders", ()] == 3
        assert found["vnpy_core_metrics_source_errors_total", (("source", "bad"),)] == count
        assert found["vnpy_core_metrics_source_errors_total", (("source", "good"),)] == 0


def test_a_source_takes_the_place_of_the_one_of_its_name() -> None:
    registry = MetricsRegistry()
    registry.add("orders", lambda: [family("unknown_orders", 1)])
    registry.add("orders", lambda: [family("unknown_orders", 2)])
    assert registry.snapshot()["vnpy_core_unknown_orders", ()] == 2


def test_what_the_catalogue_does_not_know_cannot_be_told() -> None:
    with pytest.raises(KeyError):
        family("made_up", 1)


def test_a_histogram_counts_by_bucket_and_sums() -> None:
    histogram = Histogram((0.01, 0.1, 1.0))
    for value in (0.005, 0.01, 0.05, 0.5, 7.0):
        histogram.observe(value)
    reading = histogram.read()
    assert reading.cumulative == (2, 3, 4, 5)
    assert (reading.count, reading.sum) == (5, pytest.approx(7.565))
    registry = MetricsRegistry()
    registry.add("lag", lambda: [distribution("event_engine_lag_seconds", histogram)])
    found = registry.snapshot()
    assert found["vnpy_core_event_engine_lag_seconds_bucket", (("le", "0.1"),)] == 3
    assert found["vnpy_core_event_engine_lag_seconds_bucket", (("le", "+Inf"),)] == 5
    assert found["vnpy_core_event_engine_lag_seconds_count", ()] == 5


def test_names_and_units_follow_the_conventions_of_prometheus() -> None:
    for name, described in METRICS.items():
        assert described.text.endswith(".")
        assert not name.endswith(("_total", "_count", "_sum", "_bucket", "_ms", "_s", "_mb")), name
        assert all(full.startswith("vnpy_core_") for full in full_names(name))
        if described.kind == "histogram":
            assert name.endswith(("_seconds", "_bytes")), name


def test_the_page_lists_every_metric() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "monitoring.md"
    assert page.read_text(encoding="utf-8").partition(TABLES_HEADING)[2] == render_catalogue(), "run: make docs"
