"""MetricsRegistry: who tells metrics, asked when somebody reads them and not before."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from vnpy_core.monitoring.families import family

Labels = tuple[tuple[str, str], ...]
Snapshot = Mapping[tuple[str, Labels], float]
Source = Callable[[], Iterable[Metric]]

logger = logging.getLogger(__name__)


class MetricsRegistry(Collector):
    """Loop only. Each source has a name, and tells families of the catalogue; what it reads must be cheap.

    One that raises is logged and counted, and the others are told all the same: a scrape during a fault matters most.
    """

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._errors: dict[str, int] = {}

    def add(self, name: str, source: Source) -> None:
        """Ask ``source`` from now on; it takes the place of an earlier one of this name."""
        self._sources[name] = source
        self._errors.setdefault(name, 0)

    def collect(self) -> Iterator[Metric]:
        for name, source in self._sources.items():
            try:
                families = list(source())
            except Exception:
                self._errors[name] += 1
                if self._errors[name] == 1:
                    logger.exception("The metrics of %s cannot be read", name)
                continue
            yield from families
        yield family("metrics_source_errors", self._errors)

    def snapshot(self) -> Snapshot:
        """Return every sample as it is now: by name (with ``_total``, ``_bucket`` …) and sorted labels, its value."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
            for metric in self.collect()
            for sample in metric.samples
        }

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics in the format that the header ``accept`` asks for, and their content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self), content_type
