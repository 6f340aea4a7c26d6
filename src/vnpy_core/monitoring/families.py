"""Families: what the catalogue describes, filled with values, as Prometheus' client wants it."""

from collections.abc import Mapping
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from vnpy_core.instruments import Histogram, Reading
from vnpy_core.monitoring.catalogue import METRICS, PREFIX

# A value, or the value by label: a text for one label, a tuple for several.
Values = float | Mapping[Any, float]
One = Histogram | Reading
Histograms = One | Mapping[Any, One]


def family(name: str, values: Values) -> Metric:
    """Return the counter or gauge ``name`` of the catalogue, named without its prefix.

    Raises:
        KeyError: the catalogue does not know it.
    """
    described = METRICS[name]
    made = CounterMetricFamily if described.kind == "counter" else GaugeMetricFamily
    metric = made(PREFIX + name, described.text, labels=described.labels)
    if isinstance(values, Mapping):
        for key, value in values.items():
            metric.add_metric(_labels(key), float(value))
    else:
        metric.add_metric((), float(values))
    return metric


def distribution(name: str, histograms: Histograms) -> Metric:
    """Return the histogram ``name`` of the catalogue; raises as ``family``."""
    described = METRICS[name]
    metric = HistogramMetricFamily(PREFIX + name, described.text, labels=described.labels)
    for key, one in (histograms if isinstance(histograms, Mapping) else {(): histograms}).items():
        reading = one.read() if isinstance(one, Histogram) else one
        bounds = [*(f"{bound:g}" for bound in reading.bounds), "+Inf"]
        buckets = list(zip(bounds, map(float, reading.cumulative), strict=True))
        metric.add_metric(_labels(key), buckets, reading.sum)
    return metric


def info(name: str, texts: Mapping[str, str]) -> Metric:
    """Return the metric ``name``, whose labels say something and whose value is always 1."""
    return InfoMetricFamily(PREFIX + name, METRICS[name].text, dict(texts))


def _labels(key: str | tuple[str, ...]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key
