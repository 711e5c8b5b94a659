"""Tallies and gauges as Prometheus reads them; prometheus-client writes the format it asks for.

A worker has no need of this: it is imported where metrics are shown, and takes long to import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from regiongate.telemetry.metrics import (
    BUCKETS,
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    Family,
    Gauge,
    Labels,
    Row,
    Tally,
)


class Exposition(Collector):
    """A tally and gauges as prometheus-client wants them."""

    def __init__(self, tally: Tally, gauges: Iterable[Gauge]) -> None:
        self._tally = tally
        self._gauges = list(gauges)

    def collect(self) -> Iterator[Metric]:
        """Yield every family, those without rows too."""
        for family in COUNTERS:
            yield self._counter(family)
        for family in HISTOGRAMS:
            yield self._histogram(family)
        for family in GAUGES:
            yield self._gauge(family)

    def registry(self) -> CollectorRegistry:
        """Return a registry that holds just this."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def _counter(self, family: Family) -> Metric:
        metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
        for labels, row in self._rows(family):
            metric.add_metric(labels, row[0])
        return metric

    def _histogram(self, family: Family) -> Metric:
        metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
        for labels, row in self._rows(family):
            counts = accumulate(row[:-1])
            metric.add_metric(labels, list(zip(bounds, counts, strict=True)), sum_value=row[-1])
        return metric

    def _gauge(self, family: Family) -> Metric:
        metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
        for gauge in self._gauges:
            if gauge.family == family.name:
                metric.add_metric(gauge.labels, gauge.value)
        return metric

    def _rows(self, family: Family) -> Iterable[tuple[Labels, Row]]:
        return sorted(self._tally.rows.get(family.name, {}).items())
